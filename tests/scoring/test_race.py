"""Races of heads: on planted effects, and of a tiny model against the ablation of every head on every example."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.run.race import FIXED, TIE, Cheap, Raced, claims, explained, race
from reportgen.scoring.score import score

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


def raced(x: np.ndarray, seed: int, cheap: Cheap | None = None, exact: bool = False) -> Raced:
    order = np.random.default_rng(seed).permutation(N)
    found = race(order, HEADS, TOP, 0.95, lambda some, alive: x[np.ix_(some, alive)], cheap, exact)
    scored = ~np.isnan(found.values)
    np.testing.assert_array_equal(found.values[scored], x[scored])
    assert scored[order[:FIXED]].all()
    return found


@pytest.mark.parametrize("name", list(DRAWS))
def test_the_top_heads_are_found_but_for_ties(name: str) -> None:
    wrong, unnamed, shares = 0, 0, []
    for seed in range(60):
        x = planted(name, seed)
        found, mean = raced(x, seed), x.mean(axis=0)
        true = np.argsort(-mean)[:TOP]
        wrong += mean[list(found.best)].min() < (1 - TIE) * mean[true[-1]]
        unnamed += not set(true) <= {*found.best, *found.tied}
        shares.append(found.taken)
    assert wrong + unnamed <= 3  # of 60, at a confidence of 95 %
    assert np.mean(shares) < 0.3


def test_heads_that_have_not_mattered_yet_are_not_told_apart() -> None:
    """They matter in one example of thirty, and else differ by a constant, which has no spread at all."""
    wrong = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        x = ((rng.random((N, HEADS)) < 0.03) * rng.exponential(size=(N, HEADS)) + 0.001) * np.r_[[1.2] * 4, [1] * 36]
        found, mean = raced(x, seed), x.mean(axis=0)
        true = np.argsort(-mean)[:TOP]
        far = mean[list(found.best)].min() < (1 - TIE) * mean[true[-1]]
        wrong += far or not set(true) <= {*found.best, *found.tied}
    assert wrong <= 1


@pytest.mark.parametrize("name", list(DRAWS))
def test_no_look_puts_another_head_above_one_of_the_top(name: str) -> None:
    wrong = 0
    for seed in range(100):
        x = planted(name, seed)
        order, mean = np.random.default_rng(seed).permutation(N), x.mean(axis=0)
        ranks, bad = np.argsort(-mean), False
        top, others = ranks[:TOP], ranks[TOP:]
        far = mean[others][:, None] < (1 - TIE) * mean[top]
        for look in range(FIXED, N, 8):
            greater, close = claims(x[order[:look]], N, 0.05 / (2 * TOP * len(others)))
            bad |= bool(greater[np.ix_(others, top)].any() or (close[np.ix_(others, top)] & far).any())
        wrong += bad
    assert wrong <= 5


def test_with_an_exact_top_its_heads_have_every_example() -> None:
    for seed in range(20):
        x = planted("half-normal", seed)
        few, exact = raced(x, seed), raced(x, seed, exact=True)
        true = np.argsort(-x.mean(axis=0))[:TOP]
        assert list(exact.best) == true.tolist()
        np.testing.assert_array_equal(exact.values[:, true], x[:, true])
        assert few.taken < exact.taken < 0.4


def test_leaving_early_biases_no_estimate() -> None:
    errors = np.zeros(HEADS)
    left, races = np.zeros(HEADS), 300
    x = planted("exponential", 0)
    for seed in range(races):
        values = raced(x, seed).values
        errors += np.nanmean(values, axis=0) / x.mean(axis=0) - 1
        left += np.isnan(values).any(axis=0)
    assert left[[0, *range(8, HEADS)]].min() > 0.9 * races
    # a mean over 24 of 220 examples has a relative standard error of some 19 %: of 300 races' mean, 1.1 %
    assert np.abs(errors / races).max() < 0.04
    assert abs((errors / races).mean()) < 0.01


def test_heads_within_five_per_cent_of_the_last_are_tied() -> None:
    x = np.random.default_rng(0).exponential(size=(N, HEADS))
    x *= np.array([3, 2, 1.5, 1, 0.97, 0.9, *[0.1] * (HEADS - 6)]) / x.mean(axis=0)
    for seed in range(5):
        found = raced(x, seed, exact=True)
        assert (found.best, found.tied) == ((0, 1, 2, 3), (4,))
        found = raced(x, seed)
        assert {3, 4} < {*found.best, *found.tied} <= {0, 1, 2, 3, 4, 5}


def test_a_cheap_score_that_goes_with_the_effects_spares_ablations() -> None:
    alone, beside = [], []
    for seed in range(20):
        x = planted("exponential", seed)
        cheap = x + 0.2 * planted("exponential", seed + 1000)
        true = set(np.argsort(-x.mean(axis=0))[:TOP].tolist())
        alone.append(raced(x, seed))
        beside.append(raced(x, seed, lambda _, __, sizes=cheap: sizes))  # type: ignore[misc]
        assert true <= {*beside[-1].best, *beside[-1].tied}
    assert np.mean([r.taken for r in beside]) < 0.8 * np.mean([r.taken for r in alone])
    share = explained(x[:50], cheap[:50])
    np.testing.assert_allclose(share, [np.corrcoef(x[:50, h], cheap[:50, h])[0, 1] ** 2 for h in range(HEADS)])


def test_a_race_of_a_model_agrees_with_all_ablations(study_of: Make) -> None:
    told: list[str] = []
    wanted: dict[str, Any] = {"method": "zero_ablation", "also": ["gate_gradient"], "batch_size": 8}
    (whole,) = score(study_of(rows=ROWS, **wanted))["zero_ablation"]
    results = score(study_of(rows=ROWS, **wanted, examples="adaptive", top_k=2), notify=told.append)
    (found,) = results["zero_ablation"]
    exact = whole.importance[0].ravel()
    best, overall = np.argsort(-exact)[:2], found.method.overall
    tied = overall.get("t: tied with the last of them", {})
    assert {f"L{head // 4}H{head % 4}" for head in best} <= {*overall["t: top 2"], *tied}
    top = [4 * int(name[1]) + int(name[3]) for name in overall["t: top 2"]]
    assert len(top) == 2
    assert exact[top].min() >= (1 - TIE) * exact[best[-1]]
    examples = found.examples[0]
    assert examples is not None
    assert examples.values.shape == (FIXED, 3, 4)
    rows = [whole.examples[0].ids.index(i) for i in examples.ids]  # type: ignore[union-attr]
    np.testing.assert_allclose(examples.values, whole.examples[0].values[rows], rtol=0, atol=1e-5)  # type: ignore[union-attr]
    assert (found.method.parameters["examples"], found.method.parameters["top_k"]) == ("adaptive", 2)
    ended = next(line for line in told if "zero_ablation" in line)
    assert ended.startswith("zero_ablation, task t: the top 2 of 12 heads are ")
    assert all(name in ended for name in (*overall["t: top 2"], *tied))
    said = found.method.diagnostics
    assert said["share of examples that a head took"]["t"] < 1  # type: ignore[operator]
    assert set(said) >= {
        "rank correlation with the gradient",
        "top heads among the gradient's",
        "variance that the gradient explains",
        "all heads ablated",
    }
    assert all(np.isfinite(of["t"]) for of in said.values())  # type: ignore[arg-type]
    assert found.tasks[0].accuracy == whole.tasks[0].accuracy  # that of all examples
    (every,) = score(study_of(rows=ROWS, **wanted, examples="adaptive", top_k=2, exact_top=True))["zero_ablation"]
    np.testing.assert_allclose(every.importance[0].ravel()[best], exact[best], rtol=0, atol=1e-5)
    assert results["gate_gradient"][0].examples[0].values.shape[0] == len(ROWS)  # type: ignore[union-attr]


def test_what_cannot_race_is_told(study_of: Make) -> None:
    for scoring, said in [
        (
            {"examples": "adaptive"},
            "[scoring] examples: no method of the study can score some heads alone. "
            "Score with zero_ablation or mean_ablation.",
        ),
        (
            {"method": "zero_ablation", "examples": "adaptive", "parameters": {"zero_ablation": {"signed": True}}},
            "[scoring] examples: a race is for the greatest |s|, and zero_ablation is to be averaged with its sign. "
            'Leave signed out, or give examples = "all".',
        ),
    ]:
        with pytest.raises(InputError) as caught:
            score(study_of(**scoring))
        assert str(caught.value) == said
    with pytest.raises(InputError, match='top_k is that of a race; give examples = "adaptive" with it'):
        study_of(top_k=3)
