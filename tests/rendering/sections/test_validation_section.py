"""What knocking heads out did, and the verdicts."""

from made_reports import SPECIAL, make_findings, make_scores, view_of

from reportgen.core.trials import Validation


def test_verdicts_are_counted_and_findings_of_interventions_stand_here():
    view = view_of("validation", SPECIAL)
    assert [v.id for v in view["findings"]] == ["causal_validation/Recall"]
    assert [(verdict, n) for verdict, n, _ in view["tally"]] == [("not needed", 1)]
    assert [row[0] for row in view["verdicts"].rows] == ["cluster/x"]


def test_without_interventions_there_is_no_section_and_a_problem_is_said():
    assert view_of("validation", make_findings(make_scores(("Recall",)))) is None
    view = view_of("validation", validation=Validation("", {}, problem="the model is gone"))
    assert (view["problem"], view["tables"], view["rules"]) == ("the model is gone", [], None)
