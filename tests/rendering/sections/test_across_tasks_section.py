"""Heads and layers that tasks share."""

from made_reports import RULE, make_findings, make_scores, view_of

from reportgen.core.findings import Finding

SHARED = Finding("cross_task_head/1", "cross_task_head", "m", priority=0.4, tasks=["A", "B"], members=["L0H0"], **RULE)


def test_findings_on_several_tasks_stand_here_and_searches_without_result_apart():
    scores = make_scores(("A", "B"))
    view = view_of("across_tasks", [SHARED, *make_findings(scores).findings], scores)
    assert [v.id for v in view["findings"]] == ["cross_task_head/1"]
    assert [v.id for v in view["empty"]] == ["absence/1"]


def test_findings_on_one_task_stand_elsewhere():
    scores = make_scores(("A", "B"))
    view = view_of("across_tasks", make_findings(scores).findings[:2], scores)
    assert (view["findings"], view["empty"]) == ([], [])
