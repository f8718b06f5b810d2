"""Raised regions of every task's map, found by scanning, removing and scanning again."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import ndimage

from reportgen.analysis.statistics import scan_statistic as arrangement
from reportgen.analysis.statistics.ties import estimated
from reportgen.analysis.view import DETECTORS, View
from reportgen.core.stats import guarded_benjamini_hochberg

Shape = Literal["rectangle", "row"]
# Dropping what is found and ranking the rest again shows regions that a stronger one hid.
ROUNDS = 8  # a map with more regions than that is described by its strongest


@dataclass(frozen=True, eq=False)
class Region:
    """A raised region of one task: its cells, and the test of its first window."""

    task: int
    cells: np.ndarray
    statistic: float
    p: float
    q: float


@dataclass(frozen=True, eq=False)
class Search:
    """All regions found, and of either shape each task's smallest q-value."""

    regions: tuple[Region, ...]
    smallest_q: dict[Shape, dict[int, float]]


def with_ties(view: View) -> View:
    """Return the view with an estimate of how adjacent heads are tied, where the key/value groups are not known.

    Raised regions must not pass for ties: where all cells together show ties, those outside the regions that a scan by
    heads finds must show them too.
    """
    if view.scores.model.kv_groups is not None:
        return view
    everywhere = np.broadcast_to(view.present, view.maps.shape)
    ties = estimated(view.maps, everywhere)
    if ties is not None and ties.size > 1:
        found = search(replace(view, ties=None)).regions
        taken = np.stack(
            [
                np.any([r.cells for r in found if r.task == t] or [view.present & False], axis=0)
                for t in range(len(view.maps))
            ]
        )
        outside = estimated(view.maps, everywhere & ~taken, ties.size)
        ties = outside if outside is None or outside.size == 1 else ties
    return replace(view, ties=ties)


@lru_cache(maxsize=4)
def search(view: View) -> Search:
    """Scan all tasks: rectangles, then rows on what is left, each a family of its own, corrected over tasks.

    Found cells are dropped, the rest ranked again, and tasks with a find scanned once more. Under grouped-query
    attention the map holds one value per key/value group, or per run of heads that are tied as in such a group.
    """
    maps, keep = by_group(view)
    found: list[Region] = []
    smallest: dict[Shape, dict[int, float]] = {"rectangle": {}, "row": {}}
    levels = {d.region: view.levels.get(d.name, 0.0) for d in DETECTORS.own() if d.region is not None}
    left = {t: keep.copy() for t in range(len(maps))}
    for shape in smallest:
        tasks = list(left)
        for _ in range(ROUNDS):
            new = _scan_round(view, maps, left, tasks, shape == "row", keep)
            for region in new:
                smallest[shape][region.task] = min(region.q, smallest[shape].get(region.task, 1.0))
            passing = [r for r in new if r.q <= levels[shape]]
            for region in passing:
                left[region.task] &= ~region.cells
            found += passing
            tasks = [r.task for r in passing]
            if not tasks:
                break
    size = view.group_size
    merged = [r for t in range(len(maps)) for r in _merge([r for r in found if r.task == t], maps[t])]
    present = view.present
    wide = [Region(r.task, np.repeat(r.cells, size, axis=1) & present, r.statistic, r.p, r.q) for r in merged]
    return Search(tuple(wide), smallest)


def by_group(view: View, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps (task, layer, column) and which columns there are: heads, or key/value groups with their heads'
    mean; those of all examples where ``whole``.
    """
    maps, size = view.whole if whole else view.maps, view.group_size
    tasks, layers, heads = maps.shape
    if size == 1:
        return maps, view.present
    grouped = maps.reshape(tasks, layers, heads // size, size)
    keep: np.ndarray = np.any(view.present.reshape(layers, heads // size, size), axis=2)
    return np.where(keep, np.nanmean(grouped, axis=3), np.nan), keep


def _scan_round(
    view: View, maps: np.ndarray, left: dict[int, np.ndarray], tasks: list[int], rows: bool, full: np.ndarray
) -> list[Region]:
    settings = view.settings
    null = arrangement.null_maxima(full, settings.permutations, settings.seed)
    maxima = null.maxima[int(rows)]
    windows = []
    for t in tasks:
        scores = arrangement.without_slope(arrangement.normal_scores(maps[t], left[t]), left[t])
        window = arrangement.best_window(scores, left[t], null, rows)
        if window is not None:
            windows.append((t, window, arrangement.scan_p(window.statistic, maxima)))
    # Later rounds hold fewer tasks; the correction stays that of the whole family.
    q = guarded_benjamini_hochberg([p for _, _, p in windows] + [1.0] * (len(maps) - len(windows)))
    return [Region(t, _cells(w, maps[t], left[t], rows), w.statistic, p, q[i]) for i, (t, w, p) in enumerate(windows)]


def _cells(window: arrangement.Window, values: np.ndarray, left: np.ndarray, rows: bool) -> np.ndarray:
    """Return the window's cells, less border lines that look more like the layers around them.

    Ranks saturate, so a window can carry a line of background for free. A border row or column goes while its mean lies
    below the middle between the window's median and the median of the other cells. What is tested is that the region
    exists, so trimming leaves the p-value alone.
    """
    box = [*window.layers, *window.heads]
    outside = left.copy()
    outside[box[0] : box[1] + 1, box[2] : box[3] + 1] = False
    around = np.nanmedian(values[outside]) if outside.any() else 0.0
    while True:
        cells = np.zeros(left.shape, dtype=bool)
        cells[box[0] : box[1] + 1, box[2] : box[3] + 1] = True
        cells &= left
        middle = (np.median(values[cells]) + around) / 2
        weakest = min(_borders(box, rows), key=lambda side: _mean(values, cells, box, side), default=None)
        if weakest is None or _mean(values, cells, box, weakest) >= middle:
            return cells
        box[weakest] += 1 if weakest in (0, 2) else -1


def _borders(box: list[int], rows: bool) -> list[int]:
    """Which sides (0 top, 1 bottom, 2 first head, 3 last head) a window can lose and still be of its kind."""
    return [*([0, 1] if box[1] - box[0] > 1 and not rows else []), *([2, 3] if box[3] - box[2] > 1 else [])]


def _mean(values: np.ndarray, cells: np.ndarray, box: list[int], side: int) -> float:
    line = np.zeros(cells.shape, dtype=bool)
    line[(box[side], slice(None)) if side < 2 else (slice(None), box[side])] = True
    line &= cells
    return float(values[line].mean()) if line.any() else -np.inf


def _merge(regions: list[Region], values: np.ndarray) -> list[Region]:
    """Pieces of like height that touch become one region, with the strongest part's test.

    Like height: the weaker piece rises at least half as far above the map's median as the stronger, so that a faint
    neighbour does not blur the outline of a bright region. Two rows stay two, each with its own test.
    """
    merged: list[Region] = []
    floor = np.nanmedian(values)
    for region in sorted(regions, key=lambda r: -values[r.cells].mean()):
        rise, near = values[region.cells].mean() - floor, ndimage.binary_dilation(region.cells)
        for i, other in enumerate(merged):
            rows = max(region.cells.any(axis=1).sum(), other.cells.any(axis=1).sum()) == 1
            if not rows and (near & other.cells).any() and rise >= 0.5 * (values[other.cells].mean() - floor):
                best = min(other, region, key=lambda r: (r.q, -r.statistic))
                merged[i] = Region(best.task, other.cells | region.cells, best.statistic, best.p, best.q)
                break
        else:
            merged.append(region)
    return sorted(merged, key=lambda r: (r.q, -r.statistic))
