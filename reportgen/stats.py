"""Resampling, intervals and multiplicity, for every stage."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

LEVEL = 0.95
RESAMPLES = 1999
BLOCKS = 15  # units that an ordered sequence of examples is cut into
LEAST, FEW = 8, 20  # units below which there is no interval, and below which it is Student's t


def units(groups: Sequence[str], ordered: bool = False) -> Int[np.ndarray, "example"]:
    """The resampling unit of each example: its group, or a contiguous block where examples are ordered.

    Ordered examples are cut into at most ``BLOCKS`` blocks of equal length, long against their autocorrelation, so that
    block means are nearly independent.
    """
    if ordered:
        return np.arange(len(groups)) * min(BLOCKS, len(groups)) // len(groups)
    first: dict[str, int] = {}
    return np.array([first.setdefault(g, len(first)) for g in groups])


def unit_sums(
    values: Float[np.ndarray, "example *cell"], unit: Int[np.ndarray, "example"]
) -> tuple[np.ndarray, np.ndarray]:
    """Per-unit sums (unit, *cell) in float64 and per-unit counts (unit,)."""
    counts = np.bincount(unit)
    sums = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(sums, unit, values.astype(np.float64))
    return sums, counts


def mean_intervals(
    values: Float[np.ndarray, "example *cell"], groups: Sequence[str], ordered: bool = False, seed: int = 0
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    """95 % intervals (low, high) of the mean over examples, for every cell at once; NaN under 8 units.

    Units (see ``units``) are resampled with replacement and the bounds are bias-corrected and accelerated (BCa;
    Efron 1987, J. Am. Stat. Assoc. 82:171), acceleration from the jackknife over units. Under 20 units, and for the few
    long blocks of ordered examples, the interval is Student's t with the jackknife's standard error, which there covers
    better. Bounds of values that are never negative are never negative.
    """
    sums, counts = unit_sums(values, units(groups, ordered))
    low, high = _intervals(sums.reshape(len(counts), -1), counts[:, None].astype(np.float64), seed)
    if (values >= 0).all():
        low = np.maximum(low, 0)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def ratio_interval(
    above: Float[np.ndarray, "example"],
    below: Float[np.ndarray, "example"],
    groups: Sequence[str],
    ordered: bool = False,
    seed: int = 0,
) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of mean(above) / mean(below) over units, as ``mean_intervals``; (None, None) under 8 units."""
    unit = units(groups, ordered)
    top, bottom = unit_sums(above, unit)[0], unit_sums(below, unit)[0]
    if len(top) < LEAST or (bottom <= 0).all():
        return None, None
    low, high = _intervals(top[:, None], bottom[:, None], seed)
    return (max(0.0, float(low[0])) if (above >= 0).all() and (below >= 0).all() else float(low[0])), float(high[0])


def _intervals(above: np.ndarray, below: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of sum(above) / sum(below), both (unit, cell), by the number of units."""
    if len(above) < LEAST:
        nan = np.full(above.shape[1], np.nan)
        return nan, nan.copy()
    return _jackknife_t(above, below) if len(above) < FEW else _bca(above, below, seed)


def _jackknife_t(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, top, bottom = len(above), above.sum(axis=0), below.sum(axis=0)
    without = _ratio(top - above, bottom - below)
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    centre, half = _ratio(top, bottom), stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
    return centre - half, centre + half


def _bca(above: np.ndarray, below: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """BCa bounds of sum(above) / sum(below), both (unit, cell); ``below`` may have one cell for all."""
    n, top, bottom = len(above), above.sum(axis=0), below.sum(axis=0)
    rng = np.random.default_rng([seed, n])
    weights = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    draws = np.sort(_ratio(weights @ above, weights @ below), axis=0)
    estimate, jackknife = _ratio(top, bottom), _ratio(top - above, bottom - below)
    spread = jackknife.mean(axis=0) - jackknife
    acceleration = _ratio((spread**3).sum(axis=0), 6 * (spread**2).sum(axis=0) ** 1.5)
    lower = ((draws < estimate).sum(axis=0) + 0.5 * (draws == estimate).sum(axis=0)) / RESAMPLES
    bias = stats.norm.ppf(lower.clip(1 / RESAMPLES, 1 - 1 / RESAMPLES))
    bounds = []
    for z in stats.norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2]):
        share = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        index = np.floor(share * (RESAMPLES + 1)).astype(int).clip(1, RESAMPLES) - 1
        bounds.append(np.take_along_axis(draws, index[None], axis=0)[0])
    return bounds[0], bounds[1]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.broadcast_to(below, above.shape)
    result: np.ndarray = np.divide(above, below, out=np.zeros(above.shape), where=below != 0)
    return result


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Benjamini–Hochberg q-values; an empty family gives an empty list."""
    return [float(q) for q in stats.false_discovery_control(p, method="bh")] if len(p) else []


def wilson(right: float, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share ``right / n``."""
    z = stats.norm.ppf((1 + LEVEL) / 2)
    centre, spread = right / n + z**2 / (2 * n), z * np.sqrt(right / n * (1 - right / n) / n + (z / (2 * n)) ** 2)
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return (0.0 if right <= 0 else float(low)), (1.0 if right >= n else float(high))


def monte_carlo_p(exceeding: int, draws: int) -> float:
    """The Monte-Carlo p-value (1 + exceeding) / (1 + draws), never zero."""
    return (1 + exceeding) / (1 + draws)
