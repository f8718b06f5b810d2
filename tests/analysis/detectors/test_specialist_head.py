"""Heads that matter for one task alone."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import correlated, named, only, with_examples

from reportgen.analysis.statistics.relative import difference, level
from reportgen.analysis.view import Settings, View
from reportgen.core.scores import Head


def test_a_head_of_one_task_is_specialised() -> None:
    tensor = correlated(1)
    tensor[3, 7, 9] = np.exp(0.6 * 8)
    (found,) = only(with_examples(tensor, 60), "specialist_head", control="Task 5")
    assert (found.register, found.task, found.members) == ("tested", "Task 3", ["L7H9"])
    assert found.value is not None
    assert found.value.split == "held-out"
    assert found.effect is not None
    assert found.effect.low is not None
    assert found.effect.low > 1
    assert (
        "is specialised: relative to the other heads of its layer it is larger than on each of the 5 other tasks, the "
        in (found.sentence)
    )
    assert "maybe-generic" not in found.caveats
    assert "maybe-generic" in only(with_examples(tensor, 60), "specialist_head")[0].caveats


def test_a_head_of_two_tasks_or_of_all_is_not_specialised() -> None:
    tensor = correlated(2)
    tensor[2:4, 7, 9] = np.exp(0.6 * 8)
    tensor[:, 3, 3] = np.exp(0.6 * 8)
    assert not only(with_examples(tensor, 60), "specialist_head")


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_unplanted_maps_hold_no_specialist(shared: float) -> None:
    fired = sum(
        any(f.test for f in only(with_examples(correlated(s, shared), 40, seed=s), "specialist_head"))
        for s in range(20)
    )
    assert fired <= 3


def test_without_examples_the_head_is_described_and_not_called_specialised() -> None:
    tensor = np.ones((3, 8, 8))
    tensor[0, 2, 3], tensor[1, 2, 3] = 10.0, 2.0
    (found,) = only(named(tensor), "specialist_head")
    assert (found.register, found.members) == ("observed", ["L2H3"])
    assert found.sentence == (
        "Task 0: relative to its layer's median L2H3 (10.0) is 5.0 × as large as on Task 1, the next of the 2 other "
        "tasks."
    )
    assert not only(named(tensor[:2]), "specialist_head")
    assert not only(named(np.ones((3, 8, 8))), "specialist_head")


def test_levels_compare_a_head_with_its_layer() -> None:
    tensor = np.ones((2, 4, 4))
    tensor[0, 1, 2] = 8.0
    view = View(with_examples(tensor, 80, 0.5), Settings())
    first, second = level(view, 0, Head(1, 2)), level(view, 1, Head(1, 2))
    assert first is not None
    assert second is not None
    apart = difference([first], second)
    assert apart is not None
    ratio, low, high = apart.ratio
    assert low < 8 < high
    assert ratio == pytest.approx(8, rel=0.4)
    assert apart.p < 1e-6
    assert level(View(named(np.zeros((2, 4, 4))), Settings()), 0, Head(1, 2)) is None


def test_the_interval_of_a_ratio_of_levels_covers() -> None:
    tensor = np.ones((2, 2, 8))
    tensor[0, 1, 2] = 3.0
    inside = 0
    for seed in range(100):
        view = View(with_examples(tensor, 60, 1.0, seed=seed), Settings())
        first, second = level(view, 0, Head(1, 2)), level(view, 1, Head(1, 2))
        assert first is not None
        assert second is not None
        apart = difference([first], second)
        assert apart is not None
        inside += apart.ratio[1] < 3 < apart.ratio[2]
    assert inside >= 88


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_of_equal_next_tasks_the_first_by_name_is_told(order: list[int]) -> None:
    tensor = np.exp(0.3 * np.random.default_rng(0).normal(size=(1, 12, 12))).repeat(3, axis=0)
    tensor[1, 7, 9] *= 40
    scores = named(tensor)
    mixed = replace(scores, importance=tensor[order], tasks=tuple(scores.tasks[t] for t in order))
    (found,) = only(mixed, "specialist_head")
    assert found.data is not None
    assert (found.task, found.data["next"]) == ("Task 1", "Task 0")
