"""Resampling, intervals and multiplicity, for every stage."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

LEVEL = 0.95  # of every interval that is printed
# A percentile bootstrap at n = 100 of lognormal values covers 90.7 % where it says 95: hence Hall's interval.
# Groups that a sequence of examples is cut into where its dependence cannot be estimated: few, so that they are long.
BLOCKS = 15
# Blocks of two autocorrelation times: of a first-order autoregressive series, their means correlate by .12. On the
# probes that Retrieval Head published, the means of 15 blocks still correlate at .48 to .59.
TIMES, WINDOW, FEWEST, LEVEL_OF_ORDER, CELLS = 2.0, 5.0, 20, 0.01, 2000
# Groups below which there is no interval: it rests on skewness, which is (n - 2) / √(n - 1) at most, 2.3 for n = 8.
LEAST = 8


def group_numbers(groups: Sequence[str], ordered: bool = False) -> Int[np.ndarray, "example"]:
    """Return the number of each example's resampling group: its own, or a contiguous block of ordered examples.

    Ordered examples that are each their own group are cut into at most ``BLOCKS`` blocks of equal length.
    """
    first: dict[str, int] = {}
    numbers = np.array([first.setdefault(g, len(first)) for g in groups])
    if ordered and len(first) == len(groups):
        return np.arange(len(groups)) * min(BLOCKS, len(groups)) // len(groups)
    return numbers


def resampling_groups(
    values: Float[np.ndarray, "example *cell"], groups: Sequence[str], ordered: bool | None
) -> tuple[tuple[str, ...], bool]:
    """Return the groups of examples that are nearly independent of each other, and whether they are a sequence.

    Identical examples are one group, with all that belong to their groups. Where groups follow each other
    (``ordered``; None: where a permutation test at .01 shows that neighbours resemble each other), contiguous blocks of
    two autocorrelation times take their place, or at most ``BLOCKS`` where no dependence shows.
    """
    units = _merged(values, groups)
    count = int(units.max(initial=-1)) + 1
    names = [groups[int(i)] for i in np.unique(units, return_index=True)[1]]
    if ordered is False or (ordered is None and count < FEWEST):
        return tuple(names[u] for u in units), False
    alike = _alike(values, units)
    dependent = count >= FEWEST and _neighbours_resemble(alike)
    if not dependent and not ordered:
        return tuple(names[u] for u in units), False
    blocks = min(count, BLOCKS)
    if dependent:
        blocks = max(1, int(count / (TIMES * _autocorrelation_time(alike))))
    cut = np.arange(count) * blocks // max(1, count)
    return tuple(f"block {cut[u]}" if blocks < count else names[u] for u in units), True


def effective_examples(values: Float[np.ndarray, "example *cell"], groups: Sequence[str]) -> float:
    """Return how many independent examples a sequence of dependent ones is worth, identical ones counted once."""
    units = _merged(values, [str(i) for i in range(len(groups))])
    count = int(units.max(initial=-1)) + 1
    return count / _autocorrelation_time(_alike(values, units)) if count >= FEWEST else float(count)


def _merged(values: Float[np.ndarray, "example *cell"], groups: Sequence[str]) -> Int[np.ndarray, "example"]:
    """Number the connected components of examples that share a group or are identical, by first appearance.

    Examples of fewer than three distinct values above zero, as of a head that hits or misses, are alike by chance.
    """
    flat = np.ascontiguousarray(np.asarray(values, dtype=np.float32).reshape(len(values), -1))
    telling = [len(np.unique(row[np.isfinite(row) & (row != 0)])) >= min(3, row.size) for row in flat]
    rows = [row.tobytes() if tells else None for row, tells in zip(flat, telling, strict=True)]
    return components(groups, rows)


def components(*labels: Sequence[object]) -> Int[np.ndarray, "item"]:
    """Number the connected components of items that share a label of some kind (None: none), by first appearance."""
    root, seen = list(range(len(labels[0]))), dict[object, int]()

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for i in range(len(root)):
        for key in ((kind, each[i]) for kind, each in enumerate(labels) if each[i] is not None):
            first, own = find(seen.setdefault(key, i)), find(i)
            root[max(first, own)] = min(first, own)
    return group_numbers([str(find(i)) for i in range(len(root))])


def _alike(values: np.ndarray, units: Int[np.ndarray, "example"]) -> Float[np.ndarray, "unit unit"]:
    """Return the mean product of units' standardised values over cells: heads, or the larger, the means of layers."""
    sums, counts = group_sums(values, units)
    means = np.nan_to_num(sums / counts.reshape(-1, *[1] * (sums.ndim - 1)))
    series = [means.reshape(len(means), -1), means.mean(axis=-1).reshape(len(means), -1)]
    made = []
    for each in series:
        few = each[:, :: max(1, each.shape[1] // CELLS)]
        spread = few.std(axis=0)
        scaled = ((few - few.mean(axis=0)) / np.where(spread > 0, spread, 1))[:, spread > 1e-12]
        made.append(scaled @ scaled.T / max(1, scaled.shape[1]))
    # noise of single heads hides what moves whole layers
    return max(made, key=lambda each: float(np.diagonal(each, 1).mean()) if len(each) > 1 else 0.0)


def _neighbours_resemble(alike: Float[np.ndarray, "unit unit"]) -> bool:
    """Whether neighbours resemble each other more than units in random order, by a permutation test."""
    rng, n = np.random.default_rng(len(alike)), len(alike)
    draws, own = 999, float(np.diagonal(alike, 1).sum())
    orders = [rng.permutation(n) for _ in range(draws)]
    return monte_carlo_p(sum(float(alike[o[1:], o[:-1]].sum()) >= own for o in orders), draws) <= LEVEL_OF_ORDER / 2


def _autocorrelation_time(alike: Float[np.ndarray, "unit unit"]) -> float:
    """Return the integrated autocorrelation time, at least 1: 1 + 2 Σ ρ(k), up to five times itself (Sokal 1997, in
    Functional Integration, 131–192), or to where no correlation is left.
    """
    n, time = len(alike), 1.0
    power = float(np.trace(alike)) / n
    for lag in range(1, n):
        rho = float(np.diagonal(alike, lag).mean()) / power if power > 0 else 0.0
        if rho <= 0 or lag > WINDOW * time:
            break
        time += 2 * rho
    return time


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


def mean_p(
    values: Float[np.ndarray, "example *cell"], groups: Sequence[str], limit: float = 0.0
) -> Float[np.ndarray, "*cell"]:
    """Return the one-sided p-value of "the mean over examples is at most ``limit``", for every cell; 1 under 8 groups.

    It is the tail at which a bound of ``mean_intervals`` would reach the limit: Student's t of Hall's transformation of
    the groups' means.
    """
    sums, counts = group_sums(values, group_numbers(groups))
    n = len(counts)
    if n < LEAST:
        return np.ones(values.shape[1:])
    estimate, spread, skewness = _influence(sums.reshape(n, -1), counts[:, None].astype(np.float64))
    # values that are all alike leave no spread: then the mean is known
    w = (estimate - limit) / np.maximum(spread, 1e-9)
    pivot = np.sqrt(n) * (((1 + skewness * w / 3) ** 3 - 1) / skewness + skewness / (6 * n))
    p: np.ndarray = stats.t.sf(pivot, n - 1)
    return p.reshape(values.shape[1:])


def _influence(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sum(above) / sum(below), the spread and the skewness of the groups' influences on it, by cell."""
    n, top, bottom = len(above), above.sum(axis=0), below.sum(axis=0)
    estimate = _ratio(top, bottom)
    influence = _ratio(n * (above - estimate * below), bottom)
    # Where skewness vanishes the transformation does too, and the interval is Student's own: 1e-6 gives its limit.
    with warnings.catch_warnings():  # values that are all but equal, whose skewness is mere rounding
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        skewness = np.nan_to_num(stats.skew(influence, axis=0))
    return estimate, influence.std(axis=0, ddof=1), np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)


def _intervals(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Hall's interval of sum(above) / sum(below), both (group, cell); ``below`` may have one cell for all.

    The groups' influences on the ratio take the place of single values. With W = (estimate - truth) / s and skewness g,
    √n (W + g W²/3 + g² W³/27 + g/6n) has quantiles close to Student's t; it is solved for W.
    """
    n = len(above)
    if n < LEAST:
        cells = above.shape[1]
        return np.full(cells, np.nan), np.full(cells, np.nan)
    estimate, spread, skewness = _influence(above, below)
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
