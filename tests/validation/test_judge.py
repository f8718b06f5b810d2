"""The statistics: exact p-values, intervals over groups, and what follows from them."""

import numpy as np
import pytest

from reportgen.core.trials import Interval
from reportgen.validation.curves import area, knocked
from reportgen.validation.statistics import Compared, Sample, compared, verdict


def sample(n: int = 40) -> Sample:
    return Sample.of([[str(i) for i in range(n)]])


def test_p_is_the_share_of_sets_that_lose_as_much() -> None:
    losses = np.tile(np.arange(20.0)[:, None], (1, 40))
    result = compared(np.full(40, 17.0), np.arange(20.0), losses.mean(axis=0), sample())
    assert (result.controls, result.as_strong, result.p) == (20, 3, 4 / 21)
    result = compared(np.full(40, 17.0 + 5e-6), np.arange(20.0), losses.mean(axis=0), sample())
    assert result.as_strong == 3, "a tie but for rounding counts as a tie"


def test_p_is_uniform_where_found_and_control_sets_are_exchangeable() -> None:
    rng, p = np.random.default_rng(0), list[float]()
    for _ in range(400):
        losses = rng.normal(size=(20, 1)) + rng.normal(size=(20, 12))
        controls = losses[1:]
        p.append(compared(losses[0], controls.mean(axis=1), controls.mean(axis=0), sample(12)).p)
    shares = [np.mean(np.array(p) <= level) for level in (0.05, 0.25, 0.5)]
    np.testing.assert_allclose(shares, (0.05, 0.25, 0.5), atol=0.06)
    assert shares[0] <= 0.075


def test_tasks_count_alike_whatever_their_number_of_examples() -> None:
    both = Sample.of([[str(i) for i in range(10)], [str(i) for i in range(30)]])
    assert both.n_groups == 40, "the same group name in two tasks is two groups"
    assert both.mean(np.repeat([1.0, 3.0], [10, 30])) == pytest.approx(2.0)


def result(estimate: float, low: float | None, high: float | None, as_strong: int = 0, units: int = 40) -> Compared:
    return Compared(Interval(estimate, low, high), Interval(estimate, low, high), 199, as_strong, units)


@pytest.mark.parametrize(
    ("given", "q", "expected"),
    [
        (result(2, 1, 3), 0.01, ("confirmed", None, None)),
        (result(0.05, 0.04, 0.06), 0.01, ("refuted", None, None)),  # more than controls, and next to nothing
        (result(-1, -2, -0.5), 0.9, ("refuted", None, None)),
        (result(2, 1, 3, 40), 0.2, ("undecided", "exceeded", None)),
        (result(2, 1, 3), 0.06, ("undecided", "controls", None)),
        (result(2, -1, 5), 0.01, ("undecided", "examples", 50)),  # half the interval is 3: (3/2)² · 40 − 40
        (result(0.05, -0.15, 0.25), 0.3, ("undecided", "examples", 600)),  # 0.2 against room of 0.05: 16 · 40 − 40
        (result(2, None, None, units=7), 0.01, ("undecided", "few-groups", None)),
    ],
)
def test_what_follows_from_the_numbers(given: Compared, q: float, expected: tuple[str, str | None, int | None]) -> None:
    assert verdict(given, q, margin=0.1, alpha=0.05) == expected


def test_the_area_weighs_the_first_heads_as_much_as_later_ones() -> None:
    steps = knocked(64)
    assert steps == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64]
    assert area(np.ones((len(steps), 1)), 64) == pytest.approx(1)
    late = np.array([step >= 8 for step in steps], dtype=float)[:, None]
    assert float(area(late, 64)[0]) == pytest.approx(0.5, abs=0.05), "8 of 64 is half the way in logarithms"
    assert knocked(1) == [1]
