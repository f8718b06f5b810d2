"""Resampling, intervals and multiplicity, for every stage."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

LEVEL = 0.95  # of every interval that is printed
# A percentile bootstrap at n = 100 of lognormal values covers 90.7 % where it says 95: hence Hall's interval.
# Groups that an ordered sequence of examples is cut into: few, so that they are long. On the probes that Retrieval Head
# published, standard errors still grow beyond blocks of 40, and the means of 15 blocks still correlate at .48 to .59.
BLOCKS = 15
# Groups below which there is no interval: it rests on skewness, which is (n - 2) / √(n - 1) at most, 2.3 for n = 8.
LEAST = 8


def group_numbers(groups: Sequence[str], ordered: bool = False) -> Int[np.ndarray, "example"]:
    """Return the number of each example's resampling group: its own, or a contiguous block of ordered examples.

    Ordered examples are cut into at most ``BLOCKS`` blocks of equal length, long against their autocorrelation, so that
    block means are nearly independent.
    """
    if ordered:
        return np.arange(len(groups)) * min(BLOCKS, len(groups)) // len(groups)
    first: dict[str, int] = {}
    return np.array([first.setdefault(g, len(first)) for g in groups])


def group_sums(
    values: Float[np.ndarray, "example *cell"], number: Int[np.ndarray, "example"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return per-group sums (group, *cell) in float64, in memory of their own, and per-group counts (group,)."""
    counts = np.bincount(number)
    sums = np.zeros((len(counts), *values.shape[1:]))
    for u, value in zip(number, values, strict=True):  # added in float64, without a copy of all values in it
        sums[u] += value
    return sums, counts


def mean_intervals(
    values: Float[np.ndarray, "example *cell"], groups: Sequence[str], ordered: bool = False
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    """Return 95 % intervals (low, high) of the mean over examples, for every cell at once; NaN under 8 groups.

    Student's t over groups (see ``group_numbers``), its skewness removed by Hall's monotone transformation (Hall 1992,
    J. R. Stat. Soc. B 54:221): on skewed scores it covers better than a percentile or BCa bootstrap, and nothing is
    drawn. Bounds of values that are never negative are never negative.
    """
    sums, counts = group_sums(values, group_numbers(groups, ordered))
    low, high = _intervals(sums.reshape(len(counts), -1), counts[:, None].astype(np.float64))
    if (values >= 0).all():
        low = np.maximum(low, 0)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def ratio_interval(
    above: Float[np.ndarray, "example"],
    below: Float[np.ndarray, "example"],
    groups: Sequence[str],
    ordered: bool = False,
) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % interval of mean(above) / mean(below), as ``mean_intervals``; (None, None) under 8 groups."""
    number = group_numbers(groups, ordered)
    top, bottom = group_sums(above, number)[0], group_sums(below, number)[0]
    if len(top) < LEAST or (bottom <= 0).all():
        return None, None
    low, high = _intervals(top[:, None], bottom[:, None])
    return (max(0.0, float(low[0])) if (above >= 0).all() and (below >= 0).all() else float(low[0])), float(high[0])


def _intervals(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Hall's interval of sum(above) / sum(below), both (group, cell); ``below`` may have one cell for all.

    The groups' influences on the ratio take the place of single values. With W = (estimate - truth) / s and skewness g,
    √n (W + g W²/3 + g² W³/27 + g/6n) has quantiles close to Student's t; it is solved for W.
    """
    n, top, bottom = len(above), above.sum(axis=0), below.sum(axis=0)
    if n < LEAST:
        return np.full(len(top), np.nan), np.full(len(top), np.nan)
    estimate = _ratio(top, bottom)
    influence = _ratio(n * (above - estimate * below), bottom)
    spread, skewness = influence.std(axis=0, ddof=1), np.nan_to_num(stats.skew(influence, axis=0))
    # Where skewness vanishes the transformation does too, and the interval is Student's own: 1e-6 gives its limit.
    skewness = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    edge = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) / np.sqrt(n)
    high, low = (
        estimate - spread * 3 / skewness * (np.cbrt(1 + skewness * (end - skewness / (6 * n))) - 1)
        for end in (-edge, edge)
    )
    return low, high


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.broadcast_to(below, above.shape)
    result: np.ndarray = np.divide(above, below, out=np.zeros(above.shape), where=below != 0)
    return result


def shared_ranks(sizes: Float[np.ndarray, "*any unit"]) -> Int[np.ndarray, "*any unit"]:
    """Return ranks along the last axis, 1 the largest; equal sizes share the first of their places, NaN has rank 0."""
    # In the order of rows, 57 of 256 heads at exactly 1.0 would be ranked 1 to 57 although nothing sets them apart.
    ranks = stats.rankdata(np.where(np.isnan(sizes), np.inf, -sizes), method="min", axis=-1).astype(int)
    result: np.ndarray = np.where(np.isnan(sizes), 0, ranks)
    return result


def among_top(sizes: Float[np.ndarray, "*any unit"], keep: int | np.ndarray) -> Bool[np.ndarray, "*any unit"]:
    """Return which units are among the ``keep`` largest along the last axis.

    A tie across that border counts for none of its units.
    """
    last = stats.rankdata(np.where(np.isnan(sizes), np.inf, -sizes), method="max", axis=-1)
    result: np.ndarray = (last <= keep) & ~np.isnan(sizes)
    return result


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Return Benjamini–Hochberg q-values (1995, J. R. Stat. Soc. B 57:289); an empty family gives an empty list."""
    return [float(q) for q in stats.false_discovery_control(p, method="bh")] if len(p) else []


def guarded_benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Return Benjamini–Hochberg q-values, every p-value but the smallest against the threshold of the rank before.

    Beside one true effect, the plain thresholds give each other test twice what it has alone, so that where most
    reports hold one, false findings are more than alpha of all findings, although not of the mean report's. Lower
    thresholds in a step-up keep the false discovery rate (Blanchard & Roquain 2008, Electron. J. Stat. 2:963).
    """
    values, ranks = np.asarray(p, dtype=np.float64), np.arange(1, len(p) + 1)
    order = np.argsort(values)
    scaled = len(p) * values[order] / np.maximum(ranks - 1, 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(each) for each in q]


def wilson(right: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval (low, high) of a share ``right / n``, 95 % unless ``level`` says otherwise.

    Wilson 1927, J. Am. Stat. Assoc. 22:209.
    """
    z = stats.norm.ppf((1 + level) / 2)
    centre, spread = right / n + z**2 / (2 * n), z * np.sqrt(right / n * (1 - right / n) / n + (z / (2 * n)) ** 2)
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return (0.0 if right <= 0 else float(low)), (1.0 if right >= n else float(high))


def monte_carlo_p(exceeding: int, draws: int) -> float:
    """Return the Monte-Carlo p-value (1 + exceeding) / (1 + draws), never zero.

    Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39.
    """
    return (1 + exceeding) / (1 + draws)
