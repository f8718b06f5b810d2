"""Reliability and competence: findings and the performance of the unmodified model."""

from made_reports import SPECIAL, make_scores, view_of


def test_performance_and_rankings_stand_apart_and_without_either_there_is_no_section():
    view = view_of("reliability", SPECIAL, make_scores(("Recall", "Logic"), examples=24))
    assert [v.id for v in view["verdicts"]] == ["competence/Recall"]
    assert [v.id for v in view["rankings"]] == ["reliability/Recall"]
    assert [row[:2] for row in view["performance"].rows] == [("Recall", "24"), ("Logic", "24")]
    assert view_of("reliability", SPECIAL)["performance"] is None
    assert view_of("reliability") is None
