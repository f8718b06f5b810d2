"""Scanning each layer for strips of raised heads, by how far they are raised; and maps shuffled in runs of heads.

Ranks saturate: to them a strip of a few heads far above the rest of its layer is hardly more than one a little above,
and rectangles that take it in along with layers of background pass in its place. Magnitudes tell the two apart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from reportgen.analysis.statistics.scan_statistic import WINDOW, without_slope
from reportgen.core.stats import monte_carlo_p

# Of a residual in robust standard deviations: one far head must not carry its neighbours, and on the log scale scores
# near 0 have no lower bound. Any bounds keep the test exact, as its null shuffles the same numbers.
LOW, HIGH = -2.5, 5.0
CHUNK = 500_000  # cells of shuffled maps held at once
ROUNDING = 1e-4  # of sums in float32: a map that is as it was must count as reaching its own statistic
ENOUGH = 20  # null maps at or above the statistic after which no more are drawn (Besag & Clifford 1991, Biometrika 78)


@dataclass(frozen=True)
class Strip:
    """Adjacent heads of one layer, the last inclusive, and their Σv/√n."""

    layer: int
    heads: tuple[int, int]
    statistic: float


def magnitudes(values: Float[np.ndarray, "layer head"], keep: Bool[np.ndarray, "layer head"]) -> np.ndarray:
    """Return the log values less their layer's median in robust standard deviations of the map; 0 where not kept.

    Zeros stand at the smallest value above zero; a common slope along heads is removed.
    """
    floor = np.min(values[keep & (values > 0)], initial=np.inf)
    log = np.where(keep, np.log(np.maximum(np.nan_to_num(values), floor if np.isfinite(floor) else 1.0)), np.nan)
    some, residual = keep.any(axis=1), np.zeros(keep.shape)
    residual[some] = log[some] - np.nanmedian(log[some], axis=1)[:, None]
    kept = residual[keep]
    scale = 1.4826 * np.median(np.abs(kept)) or kept.std() or 1.0
    return without_slope(np.where(keep, np.clip(residual / scale, LOW, HIGH), 0.0), keep)


def strength(cells: np.ndarray) -> float:
    """Return Σv/√n of some cells' magnitudes."""
    return float(cells.sum() / np.sqrt(max(1, cells.size)))


def _sums(cells: np.ndarray, keep: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(width, Σv/√n of every row window), −inf where fewer than two of its cells are kept."""
    along = np.cumsum(np.pad(cells, [(0, 0)] * (cells.ndim - 1) + [(1, 0)]), axis=-1)
    cumulative = np.cumsum(np.pad(keep.astype(np.float32), ((0, 0), (1, 0))), axis=1)
    for width in range(2, min(WINDOW, keep.shape[1] // 2) + 1):
        count = cumulative[:, width:] - cumulative[:, :-width]
        weight = np.where(count >= 2, 1 / np.sqrt(np.maximum(count, 1)), np.nan).astype(cells.dtype)
        yield width, (along[..., width:] - along[..., :-width]) * weight


def strips(cells: np.ndarray, keep: np.ndarray) -> Iterator[Strip]:
    """Return the strips of a map, the largest Σv/√n first, none overlapping one before it."""
    sums = {width: np.nan_to_num(each, nan=-np.inf) for width, each in _sums(cells, keep)}
    while sums:
        width = max(sums, key=lambda w: float(sums[w].max()))
        layer, first = (int(i) for i in np.unravel_index(int(sums[width].argmax()), sums[width].shape))
        statistic = float(sums[width][layer, first])
        if statistic <= 0:
            return
        yield Strip(layer, (first, first + width - 1), statistic)
        for other, each in sums.items():
            each[layer, max(0, first - other + 1) : first + width] = -np.inf


def surpassed(strip: Strip, cells: np.ndarray, keep: np.ndarray) -> bool:
    """Whether a rectangle of two or more layers that holds at least half of the strip has the larger Σv/√n."""
    (first, last), layers = strip.heads, keep.shape[0]
    half, tall = (last - first + 2) // 2, min(WINDOW, layers)
    top, left = max(0, strip.layer - tall + 1), max(0, first - WINDOW)
    area = slice(top, strip.layer + tall), slice(left, last + 1 + WINDOW)
    count = np.pad(keep[area].astype(float), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    total = np.pad(cells[area], ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    height_of, width_of = count.shape[0] - 1, count.shape[1] - 1
    for height in range(2, min(tall, height_of) + 1):
        rows = slice(max(0, strip.layer - top - height + 1), min(strip.layer - top, height_of - height) + 1)
        below = slice(rows.start + height, rows.stop + height)
        for width in range(max(2, half), min(WINDOW, width_of) + 1):
            columns = slice(max(0, first - left + half - width), min(last - left + 1 - half, width_of - width) + 1)
            right = slice(columns.start + width, columns.stop + width)
            n, s = (a[below, right] - a[rows, right] - a[below, columns] + a[rows, columns] for a in (count, total))
            if n.size and (s > strip.statistic * np.sqrt(np.maximum(n, 1))).any():
                return True
    return False


def shuffled(
    cells: Float[np.ndarray, "layer column"],
    keep: Bool[np.ndarray, "layer column"],
    run: int,
    draws: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draw layer column"]:
    """Return maps in which each layer's runs of so many adjacent columns stand in random order.

    Runs of which a column is not kept stay where they are.
    """
    layers, columns = keep.shape
    whole = keep.reshape(layers, columns // run, run).all(axis=2)
    runs = cells.astype(np.float32).reshape(*whole.shape, run)
    keys = np.where(whole, rng.random((draws, *whole.shape), dtype=np.float32), 2.0)
    source, target = np.argsort(keys, axis=2, kind="stable"), np.argsort(~whole, axis=1, kind="stable")
    row = np.arange(layers)[:, None]
    made = np.empty((draws, *runs.shape), dtype=np.float32)
    made[:, row, target] = runs[row, source]
    return made.reshape(draws, layers, columns)


def null_maxima(
    largest: Callable[[np.ndarray], np.ndarray],
    cells: np.ndarray,
    keep: np.ndarray,
    run: int,
    statistic: float,
    draws: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draw"]:
    """Return the ``largest`` statistics of maps shuffled in runs: ``draws`` of them, or fewer where ``ENOUGH`` reach
    the statistic before.
    """
    maxima, most = np.empty(0), max(1, CHUNK // cells.size)
    while len(maxima) < draws and (maxima >= statistic - ROUNDING).sum() < ENOUGH:
        n = min(most, max(50, len(maxima)), draws - len(maxima))
        maxima = np.concatenate([maxima, largest(shuffled(cells, keep, run, n, rng))])
    return maxima


def largest_strips(keep: Bool[np.ndarray, "layer column"]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives the largest Σv/√n over the strips of every map (draw, layer, column)."""

    def largest(maps: np.ndarray) -> np.ndarray:
        best = np.full(len(maps), -np.inf)
        for _, sums in _sums(maps, keep):
            np.fmax(best, np.nanmax(sums, axis=(1, 2)), out=best)
        return best

    return largest


def exceeding_p(maxima: Float[np.ndarray, "draw"], statistic: float) -> float:
    """Return the Monte-Carlo p-value of a statistic against null maxima."""
    return monte_carlo_p(int((maxima >= statistic - ROUNDING).sum()), len(maxima))
