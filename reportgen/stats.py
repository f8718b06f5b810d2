"""Resampling, intervals and multiplicity, for every stage."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

LEVEL = 0.95
RESAMPLES = 1999
BLOCKS = 15  # units that an ordered sequence of examples is cut into


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
    """95 % intervals (low, high) of the mean over examples, for every cell at once; NaN under 4 units.

    Units (see ``units``) are resampled with replacement and the bounds are bias-corrected and accelerated (BCa;
    Efron 1987, J. Am. Stat. Assoc. 82:171), acceleration from the jackknife over units. Ordered examples give few, long
    blocks, so there the interval is Student's t over block means instead, which BCa cannot reach with so few units.
    """
    sums, counts = unit_sums(values, units(groups, ordered))
    if len(counts) < 4:
        nan = np.full(values.shape[1:], np.nan)
        return nan, nan.copy()
    flat = sums.reshape(len(counts), -1)
    low, high = _t_interval(flat, counts) if ordered else _bca(flat, counts[:, None].astype(np.float64), seed)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def ratio_interval(
    above: Float[np.ndarray, "example"],
    below: Float[np.ndarray, "example"],
    groups: Sequence[str],
    ordered: bool = False,
    seed: int = 0,
) -> tuple[float, float] | tuple[None, None]:
    """95 % BCa interval of mean(above) / mean(below) over resampled units; (None, None) under 4 units."""
    unit = units(groups, ordered)
    top, bottom = unit_sums(above, unit)[0], unit_sums(below, unit)[0]
    if len(top) < 4 or (bottom <= 0).all():
        return None, None
    low, high = _bca(top[:, None], bottom[:, None], seed)
    return float(low[0]), float(high[0])


def _t_interval(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    means = sums / counts[:, None]
    half = stats.t.ppf((1 + LEVEL) / 2, len(means) - 1) * means.std(axis=0, ddof=1) / np.sqrt(len(means))
    centre = sums.sum(axis=0) / counts.sum()
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
    return float((centre - spread) / (1 + z**2 / n)), float((centre + spread) / (1 + z**2 / n))


def monte_carlo_p(exceeding: int, draws: int) -> float:
    """The Monte-Carlo p-value (1 + exceeding) / (1 + draws), never zero."""
    return (1 + exceeding) / (1 + draws)
