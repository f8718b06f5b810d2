"""A task's leading heads, or layers: chosen on one half of the examples, ranked on the other."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from reportgen.analysis.statistics.rank_intervals import rank_intervals
from reportgen.analysis.view import View
from reportgen.core.kinds import Leading
from reportgen.core.stats import LEAST, LEVEL, among_top, group_numbers, group_sums, mean_intervals, shared_ranks

# A leader whose interval of ranks spans more than a tenth of all units, and more than three of them, is none.
SEPARABLE, FEWEST, LISTED = 0.1, 3, 20  # and units that are listed where none leads
Of = Callable[[np.ndarray], np.ndarray]  # a map's, or maps', heads or layers


def leading(view: View, t: int, of: Of, count: int, signed: bool) -> tuple[list[int], Leading] | None:
    """Return a task's ``count`` leading units, largest first, and what is known of them; None where all are 0.

    The units are chosen on the discovery half, while values and ranks come from the held-out half: a largest head's
    value read where it was chosen is too large, and so is its rank too high. Without halves both come from the whole
    map, and ranks have no interval. Where units are ``signed`` heads, their signs are told.
    """
    chosen = _largest(of(view.maps[t]), count)
    if not len(chosen):
        return None
    read = of(view.read(t))
    ranks = shared_ranks(read)
    chosen = chosen[np.argsort(ranks[chosen], kind="stable")]
    most = max(FEWEST, int(SEPARABLE * len(read)))
    first, last, tied = list[int](), list[int](), None
    sample = view.sample(t)
    lows, highs = np.full((2, len(chosen)), np.nan)
    if sample is not None:
        units, groups, ordered = of(sample[0]), *sample[1:]
        seed = view.settings.seed
        known = rank_intervals(units, groups, ordered, chosen.tolist(), seed) if view.held_out(t) else None
        tied = None if known is None else len(known[2])
        if known is not None and most < len(known[2]) <= LISTED:  # none leads: the whole set takes their place
            chosen = np.array(known[2])
            known = rank_intervals(units, groups, ordered, known[2], seed)
        first, last, _ = known or ([], [], [])
        lows, highs = mean_intervals(units[:, chosen], groups, ordered)
    values = read[chosen].tolist()
    effects, signs = _signs(view, t, of, chosen) if signed else ([], [])
    if effects and (sample is None or view.scores.reduction == "mean"):  # importance is the effect: -0.124, not 0.124
        values, turned = effects, np.array(effects) < 0
        lows, highs = np.where(turned, -highs, lows), np.where(turned, -lows, highs)
    return chosen.tolist(), Leading(
        total=len(read),
        values=values,
        lows=_known(lows),
        highs=_known(highs),
        ranks=ranks[chosen].tolist(),
        first_ranks=first,
        last_ranks=last,
        signed=effects,
        signs=signs,
        separable=None if tied is None else tied <= most,
        tied=tied,
        equal=int((read == read.max()).sum()),
        examples=sample is not None,
    )


def _largest(sizes: Float[np.ndarray, "unit"], count: int) -> Int[np.ndarray, "unit"]:
    """Return the largest units, largest first: at most ``count``, those that tie across that border left out unless
    they are the very largest.
    """
    some = np.flatnonzero(among_top(sizes, count) & (sizes > 0))
    if not len(some) and sizes.max(initial=0.0) > 0:
        some = np.flatnonzero(sizes == sizes.max())[:count]
    return some[np.argsort(-sizes[some], kind="stable")]


def _known(ends: np.ndarray) -> list[float | None]:
    return [None if np.isnan(end) else float(end) for end in ends]


def _signs(view: View, t: int, of: Of, chosen: np.ndarray) -> tuple[list[float], list[int]]:
    """Return mean signed scores, on the examples that values are read from, and their signs where intervals that hold
    for all tasks' listed heads at once show them; nothing where scores have no signs.
    """
    examples = view.scores.examples[t]
    if examples is None:
        signed = of(view.scores.importance[t].astype(np.float64))[chosen]
        return (signed.tolist(), np.sign(signed).astype(int).tolist()) if view.turned else ([], [])
    rows = ~examples.discovery if view.held_out(t) else np.ones(len(examples.ids), dtype=bool)
    values = of(examples.values[rows].astype(np.float64))[:, chosen]
    if not (examples.values < 0).any():
        return [], []
    groups = [g for g, row in zip(examples.groups, rows, strict=True) if row]
    sums, counts = group_sums(values, group_numbers(groups, examples.ordered))
    mean, n = values.mean(axis=0), len(counts)
    if n < LEAST:
        return mean.tolist(), [0] * len(chosen)
    spread = np.sqrt(((sums - mean * counts[:, None]) ** 2).sum(axis=0) * n / (n - 1)) / counts.sum()
    # Of five heads on each of eight tasks, two of no sign would be given one by intervals that hold for one head each.
    reach = spread * stats.t.isf((1 - LEVEL) / 2 / (len(chosen) * len(view.scores.tasks)), n - 1)
    return mean.tolist(), (np.sign(mean) * (np.abs(mean) > reach)).astype(int).tolist()
