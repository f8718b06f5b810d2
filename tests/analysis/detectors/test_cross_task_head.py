"""Heads that tasks share, and what the control task tells of them."""

import numpy as np
from made_maps import correlated, kinds, named, noise, only, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.scores import HeadScores, Model


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


def test_ten_heads_of_five_tasks_are_found_in_layers_of_nine() -> None:
    """No such head passes for itself: at 30 layers of 9 heads its q is .012, and the family's level below .01."""
    rng, tensor = np.random.default_rng(1), noise(1, (8, 30, 9))
    cells = [(3 * i, i % 9) for i in range(10)]
    for layer, head in cells:
        tensor[rng.choice(8, 5, replace=False), layer, head] *= 12
    (shared,) = [f for f in analyze(named(tensor)).findings if f.kind == "cross_task_head"]
    data = shared.data or {}
    assert shared.test is not None
    assert shared.test.q < 0.001
    assert len({f"L{i}H{j}" for i, j in cells} & set(shared.members or [])) >= 8
    assert data["largest_q"] == max(data["q"]) <= 0.05


def test_heads_of_one_key_value_group_are_not_counted_as_many() -> None:
    fired = 0
    for seed in range(40):
        tied = np.repeat(noise(seed, (8, 24, 8)), 4, axis=2)
        scores = HeadScores.from_array(tied, [f"Task {t}" for t in range(8)], model=Model(kv_groups=8))
        fired += any(
            f.kind == "cross_task_head" for f in analyze(scores, Settings(detectors=("cross_task_head",))).findings
        )
    assert fired <= 2
