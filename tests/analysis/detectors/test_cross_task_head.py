"""Heads that tasks share, and what the control task tells of them."""

import numpy as np
from made_maps import correlated, kinds, named, noise, only, with_examples

from reportgen.analysis.analyze import analyze


def test_shared_heads_are_found_and_independent_ones_are_not() -> None:
    tensor = noise(5)
    tensor[:, 20, 13] *= 20
    found = kinds(analyze(named(tensor)), "cross_task_head")
    assert [f.members for f in found] == [["L20H13"]]
    assert found[0].data is not None
    assert found[0].data["counts"] == [8]
    assert "maybe-generic" in found[0].caveats


def test_shared_heads_are_held_against_the_control_task() -> None:
    tensor = correlated(5, 0.0, 7)
    tensor[:, 4, 4] = np.exp(0.6 * 6)  # matters for any text, neutral text too
    tensor[:6, 9, 9] = np.exp(0.6 * 6)  # matters for the six tasks
    found = only(with_examples(tensor, 60), "cross_task_head", control="Task 6")[0]
    assert found.tasks == [f"Task {t}" for t in range(6)]
    assert {"L4H4", "L9H9"} <= set(found.members or ())
    assert found.data is not None
    assert (found.data["in_control"], found.data["beyond"]) == (1, 1)
    assert found.caveats == []
    assert (
        "; 1 of them is among the top of the control task, Task 6, too, and 1 is shown to be larger on the tasks that "
        "share it than there, relative to its layer (q "
    ) in found.sentence
    plain = only(named(tensor), "cross_task_head", control="Task 6")[0]
    assert plain.sentence.endswith("; 1 of them is among the top of the control task, Task 6, too.")
    assert only(named(tensor), "cross_task_head")[0].caveats == ["maybe-generic"]


def test_tasks_without_a_head_in_common_have_none() -> None:
    assert not only(named(noise(5)), "cross_task_head")
