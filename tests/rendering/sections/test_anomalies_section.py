"""The list of single heads that stand out."""

from dataclasses import replace

from made_reports import make_findings, make_scores, sections, view_of


def test_single_heads_are_listed_with_their_evidence_and_have_an_address(report):
    found = sections(report)
    assert 'href="#finding-anomaly-0">L5H7, L0H0</a>' in found["anomalies"]
    assert '<tr id="L5H7">' in found["tables"]
    assert "called an anomaly only where a test says" in found["anomalies"]


def test_tested_heads_stand_before_observed_ones_and_without_heads_there_is_no_section():
    _, observed = make_findings(make_scores(("Recall",))).findings[:2]
    test = make_findings(make_scores(("Recall",))).findings[0].test
    tested = replace(observed, id="anomaly/tested", register="tested", test=test, members=["L1H1"], priority=0.1)
    view = view_of("anomalies", [observed, tested])
    assert (view["tested"], view["observed"]) == (1, 1)
    assert [row[0] for row in view["table_of"].rows] == ["L1H1", "L5H7, L0H0"]
    assert view_of("anomalies") is None
