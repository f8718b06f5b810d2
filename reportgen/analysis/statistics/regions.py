"""Raised regions of every task's map, found by scanning, removing and scanning again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import ndimage

from reportgen.analysis.statistics import scan_statistic as arrangement
from reportgen.analysis.statistics import strips
from reportgen.analysis.statistics.ties import estimated, not_excluded
from reportgen.analysis.view import DETECTORS, View
from reportgen.core.stats import guarded_benjamini_hochberg

Shape = Literal["rectangle", "row"]
# Dropping what is found and ranking the rest again shows regions that a stronger one hid.
OBSERVED = 0.02  # of maps with nothing in them, the most that may show a region whose nature cannot be told
ROUNDS = 8  # a map with more regions than that is described by its strongest


@dataclass(frozen=True, eq=False)
class Region:
    """A raised region of one task: its cells, and the test of its first window in that ``scan``.

    ``run`` is the number of heads that may share keys and values and in whose runs the heads would have to be shuffled
    (1: none); with ``decided`` false the region does not stand out then, so that what it is cannot be told.
    """

    task: int
    cells: np.ndarray
    statistic: float
    p: float
    q: float
    scan: Shape
    draws: int
    run: int = 1
    decided: bool = True


@dataclass(frozen=True, eq=False)
class Search:
    """All regions found, and of either shape each task's smallest q-value."""

    regions: tuple[Region, ...]
    smallest_q: dict[Shape, dict[int, float]]


def with_ties(view: View) -> View:
    """Return the view with an estimate of how adjacent heads are tied, where the key/value groups are not known, and
    with the lengths of runs that the scores do not exclude.

    Raised regions must not pass for ties: where all cells together show ties, those outside the regions that a scan by
    heads finds must show them too, and only layers without such regions tell which lengths are excluded.
    """
    if view.scores.model.kv_groups is not None:
        return view
    everywhere = np.broadcast_to(view.present, view.maps.shape)
    ties = estimated(view.maps, everywhere)
    if (ties is None or ties.size == 1) and not not_excluded(view.maps, everywhere):
        return replace(view, ties=ties)
    taken = np.zeros(everywhere.shape, dtype=bool)
    for region in search(view).regions:
        taken[region.task] |= region.cells
    if ties is not None and ties.size > 1:
        outside = estimated(view.maps, everywhere & ~taken, ties.size)
        ties = outside if outside is None or outside.size == 1 else ties
    tied = replace(view, ties=ties)
    maps, keep = by_group(tied)
    free = keep & ~taken.any(axis=2, keepdims=True)
    return replace(tied, open_runs=not_excluded(maps, free))


@lru_cache(maxsize=4)
def search(view: View) -> Search:
    """Scan all tasks: strips, then rectangles on what is left, each a family of its own, corrected over tasks.

    Found cells are dropped, the rest ranked again, and tasks with a find scanned once more. Under grouped-query
    attention the map holds one value per key/value group, or per run of heads that are tied as in such a group; where
    neither is known, a region must stand out from runs of every length that the scores do not exclude.
    """
    maps, keep = by_group(view)
    found: list[Region] = []
    smallest: dict[Shape, dict[int, float]] = {"row": {}, "rectangle": {}}
    levels = {d.region: view.levels.get(d.name, 0.0) for d in DETECTORS.own() if d.region is not None}
    left = {t: keep.copy() for t in range(len(maps))}
    for shape in smallest:
        tasks = list(left)
        for _ in range(ROUNDS):
            new = _scan_round(view, maps, left, tasks, shape, levels[shape], keep)
            for region in new:
                if region.decided:
                    smallest[shape][region.task] = min(region.q, smallest[shape].get(region.task, 1.0))
            passing = [r for r in new if r.q <= levels[shape] or not r.decided]
            for region in passing:
                left[region.task] &= ~region.cells
            found += passing
            tasks = [r.task for r in passing]
            if not tasks:
                break
    size = view.group_size
    merged = [r for t in range(len(maps)) for r in _merge([r for r in found if r.task == t], maps[t])]
    wide = [replace(r, cells=np.repeat(r.cells, size, axis=1) & view.present, run=r.run * size) for r in merged]
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


@dataclass(frozen=True, eq=False)
class _Candidate:
    """The most raised window of a task, its p among heads in random order, and ``largest`` statistics of shuffled maps
    of ``scores`` to hold ``statistic`` against.
    """

    task: int
    cells: np.ndarray
    statistic: float
    p: float
    draws: int
    scores: np.ndarray
    again: float
    largest: Callable[[np.ndarray], np.ndarray]


def _scan_round(
    view: View,
    maps: np.ndarray,
    left: dict[int, np.ndarray],
    tasks: list[int],
    shape: Shape,
    level: float,
    full: np.ndarray,
) -> list[Region]:
    """Return each task's most raised window with its p-value, corrected over tasks."""
    rng = np.random.default_rng([view.settings.seed, *maps.shape])
    draws = _draws(view, len(maps), level)
    null = arrangement.null_maxima(full, view.settings.permutations, view.settings.seed) if shape != "row" else None
    found = [
        c
        for t in tasks
        if (
            c := _strip(t, maps[t], left[t], level, draws, rng)
            if null is None
            else _rectangle(t, maps[t], left[t], null)
        )
    ]
    if not found:
        return []
    # Later rounds hold fewer tasks; the correction stays that of the whole family.
    rest = [1.0] * (len(maps) - len(found))
    q = guarded_benjamini_hochberg([c.p for c in found] + rest)
    worst = {
        i: _in_runs(c, left[c.task], view.open_runs, draws // 2, rng) for i, c in enumerate(found) if q[i] <= level
    }
    raised = [max(c.p, worst[i][0]) if i in worst else c.p for i, c in enumerate(found)]
    strict = guarded_benjamini_hochberg(raised + rest)
    regions = []
    for i, c in enumerate(found):
        # an observation: it appears in at most .02 of maps with nothing in them, as all of that register
        undecided = q[i] <= min(level, OBSERVED) and strict[i] > level
        run = worst[i][1] if i in worst else 1
        regions.append(
            Region(
                c.task,
                c.cells,
                c.statistic,
                c.p if undecided else raised[i],
                q[i] if undecided else strict[i],
                shape,
                c.draws,
                run,
                not undecided,
            )
        )
    return [r for region in regions for r in (_as_strip(region, maps[region.task], left[region.task]),)]


def _draws(view: View, tasks: int, level: float) -> int:
    """Return how many null maps are drawn: four times those of the smallest p that the correction asks for."""
    return int(np.clip(np.ceil(4 * tasks / max(level, 1e-6)), 199, view.settings.permutations))


def _strip(
    t: int, values: np.ndarray, keep: np.ndarray, level: float, draws: int, rng: np.random.Generator
) -> _Candidate | None:
    """Return the task's most raised strip that is no part of a more raised rectangle."""
    cells, largest, maxima = strips.magnitudes(values, keep), strips.largest_strips(keep), None
    for strip in strips.strips(cells, keep):
        if maxima is None:
            maxima = strips.null_maxima(largest, cells, keep, 1, strip.statistic, draws, rng)
        p = strips.exceeding_p(maxima, strip.statistic)
        if p > level or not strips.surpassed(strip, cells, keep):
            inside = np.zeros(keep.shape, dtype=bool)
            inside[strip.layer, strip.heads[0] : strip.heads[1] + 1] = True
            return _Candidate(t, inside & keep, strip.statistic, p, len(maxima), cells, strip.statistic, largest)
    return None


def _rectangle(t: int, values: np.ndarray, keep: np.ndarray, null: arrangement.Null) -> _Candidate | None:
    """Return the task's most raised rectangle."""
    scores = arrangement.without_slope(arrangement.normal_scores(values, keep), keep)
    window = arrangement.best_window(scores, keep, null)
    if window is None:
        return None
    inside = np.zeros(keep.shape, dtype=bool)
    inside[window.layers[0] : window.layers[1] + 1, window.heads[0] : window.heads[1] + 1] = True
    largest = arrangement.largest_windows(keep, null)
    again = float(largest(np.where(inside, scores, 0.0)[None])[0])
    p = arrangement.scan_p(window.statistic, null.maxima)
    cells = _cells(window, values, keep)
    return _Candidate(t, cells, window.statistic, p, len(null.largest), scores, again, largest)


def _in_runs(
    found: _Candidate, keep: np.ndarray, runs: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[float, int]:
    """Return the largest p among columns shuffled in runs of those lengths, and the length."""
    worst = 0.0, 1
    for run in runs:
        # in two runs a strip stands out from nothing: both orders of them hold it
        maxima = strips.null_maxima(found.largest, found.scores, keep, run, found.again, draws, rng)
        worst = max(worst, (strips.exceeding_p(maxima, found.again), run))
    return worst


def _as_strip(region: Region, values: np.ndarray, keep: np.ndarray) -> Region:
    """Return a rectangle as the strip that it really is, where its best one has the larger Σv/√n."""
    if region.scan == "row":
        return region
    cells = strips.magnitudes(values, keep)
    inside = np.any(region.cells, axis=1)[:, None] & keep
    for strip in strips.strips(np.where(inside, cells, 0.0), inside):
        line = np.zeros(keep.shape, dtype=bool)
        line[strip.layer, strip.heads[0] : strip.heads[1] + 1] = True
        if 2 * (line & region.cells).sum() >= line.sum():
            longer = strip.statistic > strips.strength(cells[region.cells])
            return replace(region, cells=line & keep) if longer else region
    return region


def _cells(window: arrangement.Window, values: np.ndarray, left: np.ndarray) -> np.ndarray:
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
        weakest = min(_borders(box), key=lambda side: _mean(values, cells, box, side), default=None)
        if weakest is None or _mean(values, cells, box, weakest) >= middle:
            return cells
        box[weakest] += 1 if weakest in (0, 2) else -1


def _borders(box: list[int]) -> list[int]:
    """Which sides (0 top, 1 bottom, 2 first head, 3 last head) a window can lose and still be of its kind."""
    return [*([0, 1] if box[1] - box[0] > 1 else []), *([2, 3] if box[3] - box[2] > 1 else [])]


def _mean(values: np.ndarray, cells: np.ndarray, box: list[int], side: int) -> float:
    line = np.zeros(cells.shape, dtype=bool)
    line[(box[side], slice(None)) if side < 2 else (slice(None), box[side])] = True
    line &= cells
    return float(values[line].mean()) if line.any() else -np.inf


def _merge(regions: list[Region], values: np.ndarray) -> list[Region]:
    """Pieces of like height that touch become one region, with the strongest part's test.

    Like height: the weaker piece rises at least half as far above the map's median as the stronger, so that a faint
    neighbour does not blur the outline of a bright region. Two rows stay two, each with its own test. A piece that
    cannot be decided alone belongs to a decided one that it touches.
    """
    merged: list[Region] = []
    floor = np.nanmedian(values)
    for region in sorted(regions, key=lambda r: -values[r.cells].mean()):
        rise, near = values[region.cells].mean() - floor, ndimage.binary_dilation(region.cells)
        for i, other in enumerate(merged):
            rows = max(region.cells.any(axis=1).sum(), other.cells.any(axis=1).sum()) == 1
            if not rows and (near & other.cells).any() and rise >= 0.5 * (values[other.cells].mean() - floor):
                best = min(other, region, key=lambda r: (not r.decided, r.q, -r.statistic))
                merged[i] = replace(best, cells=other.cells | region.cells)
                break
        else:
            merged.append(region)
    return sorted(merged, key=lambda r: (r.q, -r.statistic))
