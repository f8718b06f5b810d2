"""The statistics: one-sided tests over groups, cores, simultaneous bounds, and what follows from them."""

import math

import numpy as np
import pytest
from made_trials import shown

from reportgen.core.stats import mean_intervals, mean_p
from reportgen.validation.curves import area, knocked
from reportgen.validation.statistics import (
    Needed,
    Sample,
    compared,
    core_of,
    margin_of,
    more_groups,
    required,
    verdict_of,
    voting,
)


def sample(n: int = 40) -> Sample:
    return Sample.of([[str(i) for i in range(n)]])


def test_p_is_the_tail_at_which_an_interval_ends_at_the_limit() -> None:
    values = np.random.default_rng(0).exponential(size=(30, 3))
    groups = [str(i) for i in range(30)]
    low, high = mean_intervals(values, groups)
    for cell in range(3):
        assert mean_p(values, groups, low[cell])[cell] == pytest.approx(0.025)
        assert mean_p(values, groups, high[cell])[cell] == pytest.approx(0.975)
    assert mean_p(values[:7], groups[:7]).tolist() == [1, 1, 1]
    assert mean_p(np.zeros(30), groups, 0.1) == pytest.approx(1)
    assert mean_p(np.full(30, 0.2), groups, 0.1) < 1e-9


def test_p_of_skewed_losses_holds_its_level() -> None:
    draws = np.random.default_rng(1).lognormal(0, 0.8, (24, 4000))
    p = mean_p(draws, [str(i) for i in range(24)], math.exp(0.32))
    # few skewed groups: the upper tail is the one that could be too eager, the lower one is known to be short
    assert np.mean(p <= 0.025) <= 0.03
    assert np.mean(p >= 0.975) <= 0.06


def test_tasks_count_alike_whatever_their_number_of_examples() -> None:
    both = Sample.of([[str(i) for i in range(10)], [str(i) for i in range(30)]])
    assert both.n_groups == 40, "the same group name in two tasks is two groups"
    assert both.mean(np.repeat([1.0, 3.0], [10, 30])) == pytest.approx(2.0)


def cut(heads: list[str], cost: dict[str, float] | None = None, together: set[str] = frozenset(), each: float = 0.0):  # type: ignore[assignment,no-untyped-def]
    """The core of a set of which each head costs so much alone, and ``together`` so much once all of them are out."""
    losses: dict[frozenset[str], float] = {}
    while True:
        core, missing = core_of(losses, heads, 0.1)
        if not missing:
            return core, len(losses)
        for names in missing:
            alone = sum((cost or {}).get(head, 0.0) for head in names)
            losses[frozenset(names)] = alone + (each if together and together <= {*names} else 0.0)


def test_fillers_leave_a_core_and_heads_that_stand_in_for_one_another_stay() -> None:
    assert cut(["A", "F", "G"], {"A": 1.0, "F": 0.02})[0] == ["A"]
    assert cut(["A", "F", "B"], together={"A", "B"}, each=1.0)[0] == ["A", "B"], "each alone costs nothing"
    assert cut(["F", "G"], {"F": 0.02})[0] == ["F", "G"], "what costs nothing has no core"
    many = [f"F{i}" for i in range(12)]
    core, _ = cut(many, dict.fromkeys(many, 0.03))
    assert len(core) == 9, "what is dropped may not cost the margin together"
    core, runs = cut([*many, *(f"G{i}" for i in range(40))], {"F0": 1.0})
    assert "F0" in core
    assert runs < 3 * 52 + 2


def test_both_of_two_heads_in_series_stay() -> None:
    losses = {
        frozenset(names): 2.0 * bool({"A", "B"} & {*names}) for names in (["A", "B", "F"], ["A", "B"], ["A", "F"])
    }
    losses |= {frozenset(names): 2.0 * bool({"A", "B"} & {*names}) for names in (["B", "F"], ["A"], ["B"], ["F"])}
    assert core_of(losses, ["A", "B", "F"], 0.1) == (["A", "B"], [])


def test_the_margin_is_a_share_of_what_answers_are_worth_beyond_guessing() -> None:
    assert (margin_of(4.0), margin_of(0.1), margin_of(-1.0)) == (0.2, 0.02, 0.02)


@pytest.mark.parametrize(
    ("zero", "floor", "neutral", "votes"),
    [
        (1.0, 2.0, None, True),
        (15.0, 9.7, None, False),
        (1.0, 2.0, 0.4, True),
        (1.0, 2.0, 0.6, False),
        (0.0, 2.0, 0.5, True),
    ],
)
def test_zero_votes_where_it_is_not_off_distribution(
    zero: float, floor: float, neutral: float | None, votes: bool
) -> None:
    assert voting(zero, floor, neutral, 0.1) is votes


@pytest.mark.parametrize(
    ("above", "below", "some", "expected"),
    [
        (0.01, 0.9, (0.01, 0.9), ("necessary", None)),
        (0.9, 0.01, (0.9, 0.01), ("unnecessary", None)),
        (0.9, 0.9, (0.01, 0.02), ("mixed", None)),
        (0.9, 0.9, (0.01, 0.03), ("undecided", "examples")),
        (0.03, 0.9, (0.001, 0.9), ("undecided", "examples")),
    ],
)
def test_what_follows_from_the_corrected_tests(
    above: float, below: float, some: tuple[float, float], expected: tuple[str, str | None]
) -> None:
    assert verdict_of(above, below, some, 0.025) == expected


def test_every_intervention_that_votes_has_to_agree() -> None:
    three = shown()
    object.__setattr__(three[1], "above", 0.4)
    assert Needed.of(three).above == 0.4
    object.__setattr__(three[1], "votes", False)
    assert Needed.of(three).above == 0.001


def test_more_groups_are_advised_only_where_all_lean_to_one_side_and_few_would_do() -> None:
    # the half interval is .2; .1 beyond the margin it takes (.2 / .1)² times as many
    assert more_groups(shown(0.2, 0.3, 0.2), 0.1, 40) == 120
    assert more_groups(shown(0.2, 0.05, 0.2), 0.1, 40) is None
    assert more_groups(shown(0.11, 0.3, 0.3), 0.1, 40) is None


def differences(cost: float, controls: np.ndarray, n: int = 32, noise: float = 0.05, seed: int = 0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(0, 0.3, n)
    found = cost * scale + rng.normal(0, noise, n)
    others = controls[:, None] * scale + rng.normal(0, noise, (len(controls), n))
    return compared(found, others, sample(n), 0.1, 0.025, 0)


def test_a_set_that_costs_more_than_the_others_is_told_from_an_ordinary_one() -> None:
    idle = np.zeros(30)
    more = differences(1.0, idle)
    assert (more.rank.rank, more.rank.high, more.p <= 0.001, more.near) == (1, 1, True, False)
    ordinary = differences(1.0, np.linspace(0.5, 1.5, 55))
    assert 20 <= ordinary.rank.low <= ordinary.rank.rank <= ordinary.rank.high <= 36
    assert ordinary.near
    assert ordinary.p > 0.5
    assert differences(0.0, idle).near, "what costs nothing does not cost more than what costs nothing"
    one_more = np.array([*np.zeros(29), 1.0])
    assert differences(1.0, one_more).p <= 0.001, "of 30 sets it may cost less than one"
    assert differences(1.0, one_more[-10:]).p > 0.1, "of ten than none"
    assert (required(10), required(19), required(20), required(399)) == (10, 19, 19, 380)


def test_simultaneous_bounds_hold_their_level_where_all_sets_are_alike() -> None:
    found = [differences(0.5, np.full(12, 0.5), 16, 0.2, seed).rank for seed in range(150)]
    assert np.mean([rank.low > 1 or rank.high < 13 for rank in found]) <= 0.06


def test_the_area_weighs_the_first_heads_as_much_as_later_ones() -> None:
    steps = knocked(64)
    assert steps == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64]
    assert area(np.ones((len(steps), 1)), 64) == pytest.approx(1)
    late = np.array([step >= 8 for step in steps], dtype=float)[:, None]
    assert float(area(late, 64)[0]) == pytest.approx(0.5, abs=0.05), "8 of 64 is half the way in logarithms"
    assert knocked(1) == [1]
