"""The study card: what was measured, and how much was found."""

from made_reports import make_findings, make_scores, view_of


def test_facts_and_counts_are_those_of_the_study():
    scores = make_scores(("Recall", "Logic"), examples=24)
    view = view_of("summary", make_findings(scores), scores)
    facts = dict(view["facts"])
    assert facts["Model"] == "models/tiny"
    assert facts["Heads"] == "6 layers × 8 heads"
    assert facts["Tasks"] == "Recall, Logic"
    assert facts["Method"] == "gate gradient, read from a file"
    assert facts["Examples"] == "24 per task, scored one by one"
    assert view["counts"] == [("2", "tasks"), ("48", "heads"), ("2", "tested findings"), ("2", "observations")]
    assert view["notes"] == "Some notes."


def test_what_is_missing_is_said():
    facts = dict(view_of("summary", scores=make_scores(tuple(f"t{i}" for i in range(10)), synthetic=True))["facts"])
    assert facts["Model"] == "none: the scores are synthetic"
    assert facts["Examples"] == "no per-example scores, so no intervals"
    assert facts["Tasks"].endswith("t7 and 2 more")
