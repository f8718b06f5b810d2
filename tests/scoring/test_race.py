"""Races of heads: on planted effects, and of a tiny model against the ablation of every head on every example."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reportgen.errors import InputError
from reportgen.scoring.race import FIXED, intervals, race, ranked
from reportgen.scoring.score import score
from reportgen.study import Study

Make = Callable[..., Study]
DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "half-normal": lambda rng, shape: np.abs(rng.normal(size=shape)),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "log-normal": lambda rng, shape: rng.lognormal(0, 1, size=shape),
}
N, HEADS, TOP = 220, 40, 4
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "red", "green", "blue"]
ROWS: list[dict[str, Any]] = [
    {"task": "t", "id": f"{i}", "prompt": f"{a} {b}" if i % 2 else f"the {a} is {b} the {b} is", "answer": a}
    for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS if a < b)
]


def planted(name: str, seed: int) -> np.ndarray:
    """Effects whose head means fall by 20 % from head to head."""
    rng = np.random.default_rng([seed, len(name)])
    return DRAWS[name](rng, (N, HEADS)) * 0.8 ** np.arange(HEADS)


def raced(x: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    cost = [0]

    def ablate(some: np.ndarray, alive: np.ndarray) -> np.ndarray:
        cost[0] += len(some) * len(alive)
        return x[np.ix_(some, alive)]

    return race(np.random.default_rng(seed).permutation(N), HEADS, TOP, 0.95, ablate), cost[0]


@pytest.mark.parametrize("name", list(DRAWS))
def test_the_top_heads_are_found_and_are_exact(name: str) -> None:
    missed, shares = 0, []
    for seed in range(60):
        x = planted(name, seed)
        values, cost = raced(x, seed)
        true = [int(head) for head in np.argsort(-x.mean(axis=0))[:TOP]]
        missed += ranked(values, TOP)[0] != true
        shares.append(cost / x.size)
        np.testing.assert_array_equal(values[:, true], x[:, true])
    assert missed <= 3  # of 60, at a confidence of 95 %
    assert np.mean(shares) < 0.65


@pytest.mark.parametrize("name", list(DRAWS))
def test_intervals_cover_all_heads_at_all_looks(name: str) -> None:
    outside = 0
    for seed in range(100):
        x = planted(name, seed)
        order, truth, bad = np.random.default_rng(seed).permutation(N), x.mean(axis=0), False
        for look in range(FIXED, N, 8):
            low, high = intervals(x[order[:look]], N, 0.05 / HEADS)
            bad |= bool(((truth < low) | (truth > high)).any())
        outside += bad
    assert outside <= 5


def test_leaving_early_biases_no_estimate() -> None:
    errors = np.zeros(HEADS)
    left, races = np.zeros(HEADS), 300
    x = planted("exponential", 0)
    for seed in range(races):
        values, _ = raced(x, seed)
        errors += np.nanmean(values, axis=0) / x.mean(axis=0) - 1
        left += np.isnan(values).any(axis=0)
    assert left[8:].min() > 0.9 * races
    # a mean over 32 of 220 examples has a relative standard error of some 16 %: of 300 races' mean, 1 %
    assert np.abs(errors / races).max() < 0.035
    assert abs((errors / races).mean()) < 0.01


def test_ties_with_the_last_of_the_top_are_named() -> None:
    x = np.array([[1.0, 0.5, 0.49, 0.2]] * 3)
    assert ranked(x, 2) == ([0, 1], [2, 1])
    assert ranked(x, 1) == ([0], [])


def test_a_race_of_a_model_agrees_with_all_ablations(study_of: Make) -> None:
    told: list[str] = []
    wanted: dict[str, Any] = {"method": "zero_ablation", "also": ["gate_gradient"], "batch_size": 8}
    (whole,) = score(study_of(rows=ROWS, **wanted))["zero_ablation"]
    results = score(study_of(rows=ROWS, **wanted, examples="adaptive", top_k=2), notify=told.append)
    (found,) = results["zero_ablation"]
    best = np.argsort(-whole.importance[0].ravel())[:2]
    assert set(best) == set(np.argsort(-found.importance[0].ravel())[:2])
    np.testing.assert_allclose(found.importance[0].ravel()[best], whole.importance[0].ravel()[best], rtol=0, atol=1e-5)
    examples = found.examples[0]
    assert examples is not None
    assert examples.values.shape == (FIXED, 3, 4)
    rows = [whole.examples[0].ids.index(i) for i in examples.ids]  # type: ignore[union-attr]
    np.testing.assert_allclose(examples.values, whole.examples[0].values[rows], rtol=0, atol=1e-5)  # type: ignore[union-attr]
    assert (found.method.parameters["examples"], found.method.parameters["top_k"]) == ("adaptive", 2)
    ended = next(line for line in told if "zero_ablation" in line)
    assert ended.startswith("zero_ablation, task t: the top 2 of 12 heads are ")
    assert all(f"L{head // 4}H{head % 4}" in ended for head in best)
    said = found.method.diagnostics
    assert said["share of examples that a head took"]["t"] < 1  # type: ignore[operator]
    assert set(said) >= {"rank correlation with the gradient", "top heads among the gradient's"}
    assert results["gate_gradient"][0].examples[0].values.shape[0] == len(ROWS)  # type: ignore[union-attr]


def test_what_cannot_race_is_told(study_of: Make) -> None:
    for scoring, said in [
        ({"examples": "adaptive"}, "[scoring] examples: no method of the study can score some heads alone. "
         "Score with zero_ablation or mean_ablation."),
        ({"method": "zero_ablation", "examples": "adaptive", "parameters": {"zero_ablation": {"signed": True}}},
         "[scoring] examples: a race is for the greatest |s|, and zero_ablation is to be averaged with its sign. "
         'Leave signed out, or give examples = "all".'),
    ]:  # fmt: skip
        with pytest.raises(InputError) as caught:
            score(study_of(**scoring))
        assert str(caught.value) == said
    with pytest.raises(InputError, match='top_k is that of a race; give examples = "adaptive" with it'):
        study_of(top_k=3)
