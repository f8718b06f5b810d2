"""Task by task: map, performance and heads of each."""

from made_reports import make_scores, view_of


def test_every_task_has_its_map_and_what_is_known_of_its_performance():
    view = view_of("tasks", scores=make_scores(("Recall", "Logic"), examples=24))
    assert [t["task"].name for t in view["tasks"]] == ["Recall", "Logic"]
    assert view["tasks"][0]["performance"].startswith("The unmodified model answers ")
    assert [len(t["maps"]) for t in view["tasks"]] == [1, 1]
    assert [t["maps"][0]["drawing"].name for t in view["tasks"]] == ["task-recall", "task-logic"]
    assert view["tasks"][0]["maps"][0]["heads"].rows[0][0].startswith("L")


def test_unknown_performance_is_said_and_without_patterns_none_are_shown():
    view = view_of("tasks")
    assert view["tasks"][0]["performance"] == (
        "the model’s own performance on this task is not recorded in the scores."
    )
    assert view["attention"] == {}
