"""What was recorded, so that the report can be made again."""

from dataclasses import replace

from made_reports import make_scores, view_of

from reportgen.core.findings import Findings


def test_what_is_recorded_is_shown_and_what_is_not_known_is_left_out():
    findings = Findings({"scores.safetensors": "0" * 64}, 0.05, 3, [], [])
    scores = replace(make_scores(("Recall",)), versions={"torch": "2.13"})
    view = view_of("provenance", findings, scores, provenance={"command": "reportgen build x", "keys": {"a": [1, 2]}})
    records = dict(view["records"].rows)
    assert records["model"] == "models/tiny"
    assert records["sha256 of scores.safetensors"] == "0" * 64
    assert (records["seed of the analysis"], records["scored with torch"]) == ("3", "2.13")
    assert (records["command"], records["keys.a"]) == ("reportgen build x", "1 2")
    assert "model revision" not in records
