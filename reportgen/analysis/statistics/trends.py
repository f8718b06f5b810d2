"""Trends along layers, against series of layers that resemble their neighbours without going anywhere."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from reportgen.analysis.statistics.scan_statistic import normal_scores
from reportgen.analysis.view import Outcome, View, found_cells
from reportgen.storage.array_cache import cached

SHORTEST = 8  # layers of a range: of fewer, chance orders too many
VERSION = 2  # of the cached nulls; raise it when the statistics change
# Against independent layers, .21 of empty maps whose neighbouring layers resemble each other showed a trend; so the
# null is a first-order autoregressive series. Its autocorrelation is a bound: estimates on short series are too low.
GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # autocorrelations whose null is simulated
BOUND = 0.02  # a series keeps the largest autocorrelation under which its own is not among the least 2 %
CHUNK = 2_000_000  # ranges of null series held at once


def attending(view: View) -> Int[np.ndarray, "layer"]:
    """Return the layers that have heads and are not dead on all tasks."""
    return view.layers


def layer_levels(view: View, t: int, earlier: Sequence[Outcome], whole: bool = False) -> Float[np.ndarray, "layer"]:
    """Return the level of each layer with heads: the mean normal score of its free heads among all free heads of the
    task.

    A layer that regions hold wholly gets the scores of all its heads. Levels are those of the discovery half, or of all
    examples (``whole``).
    """
    taken = found_cells(earlier, view.scores.task_names[t], view.present.shape)
    keep = view.present & (~taken | (taken | ~view.present).all(axis=1, keepdims=True))
    scores = normal_scores((view.whole if whole else view.maps)[t].reshape(1, -1), keep.reshape(1, -1)).reshape(
        keep.shape
    )
    levels = scores.sum(axis=1) / np.maximum(keep.sum(axis=1), 1)
    result: np.ndarray = levels[attending(view)]
    return result


def range_taus(series: Float[np.ndarray, "draw layer"]) -> Float[np.ndarray, "draw first last"]:
    """Kendall's τ-a over every range of layers [first, last]; NaN below the shortest length."""
    n = series.shape[1]
    signs = np.triu(np.sign(series[:, None, :] - series[:, :, None]), 1).astype(np.float32)
    # Concordances of pairs i < j inside [a, b]: sum the columns up to b, then the rows from a on.
    inside = np.cumsum(np.cumsum(signs, axis=2)[:, ::-1], axis=1)[:, ::-1]
    length = np.arange(n)[None, :] - np.arange(n)[:, None] + 1
    pairs = np.where(length >= SHORTEST, length * (length - 1) / 2, np.nan)
    taus: np.ndarray = inside / pairs
    return taus


def standardised(taus: np.ndarray) -> np.ndarray:
    """|τ| over its standard deviation for independent layers, for each range length."""
    n = taus.shape[-1]
    m = np.arange(n)[None, :] - np.arange(n)[:, None] + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.where(m >= SHORTEST, 2 * (2 * m + 5) / (9 * m * (m - 1.0)), np.nan))
    result: np.ndarray = np.abs(taus) / spread
    return result


def autocorrelations(series: Float[np.ndarray, "draw layer"]) -> Float[np.ndarray, "draw"]:
    """First-order autocorrelation of each series that is left after its least-squares trend; 0 for straight lines."""
    layer = np.arange(series.shape[1]) - (series.shape[1] - 1) / 2
    rest = series - series.mean(axis=1, keepdims=True)
    rest = rest - np.outer(rest @ layer / (layer @ layer), layer)
    power = (rest**2).sum(axis=1)
    lagged = (rest[:, 1:] * rest[:, :-1]).sum(axis=1)
    result: np.ndarray = np.divide(lagged, power, out=np.zeros(len(series)), where=power > 1e-12)
    return result


@lru_cache(maxsize=16)
def null(n: int, draws: int, seed: int) -> Float[np.ndarray, "autocorrelation statistic draw"]:
    """Sorted statistics of null series of ``n`` layers, for each of GRID; cached for each length.

    The series are first-order autoregressive and stationary; the statistics are the largest standardised |τ| over
    ranges, |τ| over all layers, and the autocorrelation left after the trend.
    """
    return cached(f"layer-trends{VERSION}-{n}-{draws}-{seed}", lambda: _simulate(n, draws, seed))


def _simulate(n: int, draws: int, seed: int) -> np.ndarray:
    made, chunk = np.empty((len(GRID), 3, draws), dtype=np.float32), max(1, CHUNK // n**2)
    for i, phi in enumerate(GRID):
        series = np.random.default_rng([seed, n, round(1000 * phi)]).normal(size=(draws, n))
        for layer in range(1, n):
            series[:, layer] = phi * series[:, layer - 1] + np.sqrt(1 - phi**2) * series[:, layer]
        made[i, 2] = autocorrelations(series)
        for start in range(0, draws, chunk):
            taus = range_taus(series[start : start + chunk])
            made[i, 0, start : start + chunk] = np.nanmax(standardised(taus), axis=(1, 2))
            made[i, 1, start : start + chunk] = np.abs(taus[:, 0, -1])
    return np.sort(made, axis=2)


def null_autocorrelations(series: Float[np.ndarray, "task layer"], draws: int, seed: int) -> list[int]:
    """Return the place in GRID of the autocorrelation that each task's null keeps: a 98 % upper bound.

    Estimates on short detrended series are far too low, and lowest where a series seems to have a trend. So a task's
    null keeps the larger of two bounds: from its own series, and from the mean over all tasks of the same layers.
    """
    own = autocorrelations(series)
    table = null(series.shape[1], draws, seed)[:, 2]
    alone = np.stack([np.searchsorted(each, own + 1e-6) / draws for each in table])
    error = table.std(axis=1) / np.sqrt(len(own))
    together = stats.norm.cdf((own.mean() - table.mean(axis=1)) / error)
    plausible = (alone > BOUND) | (together > BOUND)[:, None]
    return [int(np.flatnonzero(column).max(initial=0)) for column in plausible.T]


def trend_p(statistic: float, which: int, phi: int, n: int, draws: int, seed: int) -> float:
    """Return the Monte-Carlo p-value of a statistic (0: over ranges, 1: over all layers) at autocorrelation
    GRID[phi].
    """
    below = int(np.searchsorted(null(n, draws, seed)[phi, which], statistic - 1e-5))
    return (1 + draws - below) / (1 + draws)
