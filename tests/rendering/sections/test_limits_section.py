"""What the report says that it cannot tell."""

from dataclasses import replace

from made_reports import SPECIAL, build, make_findings, make_scores, make_study, sections, view_of

from reportgen.core.findings import Findings


def test_a_race_tells_what_it_cannot_promise(tmp_path):
    scores = make_scores(("One",))
    for settings in ({}, {"examples": "adaptive", "confidence": 0.95, "top_k": 3, "exact_top": False}):
        method = replace(scores.method, name="zero_ablation", parameters=settings)
        folder = tmp_path / f"{len(settings)}"
        build(folder, replace(scores, method=method), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
        assert ("raced for the top 3 of each task" in sections(folder)["limits"]) == bool(settings)
        assert ("one in a hundred, can be missed" in sections(folder)["limits"]) == bool(settings)


def test_each_limit_stands_only_where_it_applies():
    bare, rich = view_of("limits"), view_of("limits", SPECIAL, make_scores(examples=8, synthetic=True))
    assert (bare["no_examples"], bare["kv_unknown"], bare["no_baseline"], bare["synthetic"]) == (
        True,
        True,
        True,
        False,
    )
    assert (rich["no_examples"], rich["kv_unknown"], rich["no_baseline"], rich["synthetic"]) == (
        False,
        False,
        False,
        True,
    )
    assert bare["at_chance"] == bare["caveats"] == []
    assert rich["at_chance"] == ["Logic"]
    assert bare["one_method"]
    assert bare["unseen"] == "the scores were read from a file, without the model"
    told = dict(view_of("limits", make_findings(make_scores()), make_scores())["caveats"])
    assert {"head-order", "edges"} <= told.keys()
