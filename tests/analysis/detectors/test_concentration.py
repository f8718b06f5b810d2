"""How few heads carry a task's importance, and which tasks are more localised than others."""

import numpy as np
import pytest
from made_maps import kinds, named, noisy, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.statistics.effective_heads import effective, spread
from reportgen.analysis.view import Settings, View
from reportgen.core.findings import Finding
from reportgen.core.scores import HeadScores

SHAPE = (8, 8)


def only(scores: HeadScores) -> list[Finding]:
    return kinds(analyze(scores, Settings(detectors=("concentration",))), "concentration", "tested")


def test_a_task_of_few_heads_is_more_localised_than_tasks_of_many() -> None:
    few, many = np.full(SHAPE, 0.1), np.ones(SHAPE)
    few[2, :6] = 5.0
    (found,) = only(noisy([few, many, many], [1.0, 1.0, 1.0]))
    assert (found.task, found.register) == ("Task 0", "tested")
    assert found.data is not None
    assert sorted(found.data["others"]) == ["Task 1", "Task 2"]
    assert found.value is not None
    assert found.value.split == "held-out"
    assert found.sentence.startswith("Task 0: its importance is more localised than that of Task ")
    assert "the effective number of heads on held-out examples, sampling noise taken out, is " in found.sentence


@pytest.mark.parametrize("noise", [[1.0] * 4, [0.3, 0.3, 1.5, 1.5]])
def test_noise_alone_makes_no_task_more_localised(noise: list[float]) -> None:
    fired = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        base = np.exp(0.6 * rng.normal(size=64))
        fired += bool(only(noisy([rng.permutation(base).reshape(SHAPE) for _ in noise], noise, 40, seed)))
    assert fired <= 4


def test_the_effective_number_is_what_it_would_be_without_noise() -> None:
    cells = np.exp(0.6 * np.random.default_rng(1).normal(size=SHAPE))
    truth = float(effective(cells.ravel()))
    logs, inside = [], 0
    for seed in range(60):
        known = spread(View(noisy([cells], [1.5], 60, seed), Settings()), 0, "whole")
        assert known is not None
        logs.append(known.log)
        inside += known.bounds[0] < truth < known.bounds[1]
    assert np.exp(np.mean(logs)) == pytest.approx(truth, rel=0.05)
    assert inside >= 50


def test_alike_tasks_and_tasks_without_examples_are_not_compared() -> None:
    few = np.full(SHAPE, 0.1)
    few[2, :6] = 5.0
    assert not only(named(np.stack([few, np.ones(SHAPE)])))
    assert not only(noisy([few, few * 1.05], [0.5, 0.5]))
    assert not only(noisy([few, np.ones(SHAPE)], [0.5, 0.5], n=10))
    scores = with_examples(np.stack([few]), 40)
    assert not only(scores)


def test_concentration_counts_heads() -> None:
    tensor = np.zeros((1, 4, 5))
    tensor[0, 0, :4] = 1.0
    found = kinds(analyze(named(tensor)), "concentration")
    assert found[0].data is not None
    assert (found[0].data["half"], found[0].data["heads"]) == (2, 20)
    assert found[0].effect is not None
    assert found[0].effect.estimate == pytest.approx(4.0)
