"""Shared heads: two tasks whose largest heads are the same ones more often than shared layers explain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.statistics.regions import by_group
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import MAYBE_GENERIC, ON_TIES
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import Guidance, closed
from reportgen.core.scores import Head
from reportgen.core.stats import among_top, benjamini_hochberg

DOC = """Two tasks whose largest heads are the same ones more often than shared layers explain.

Statistic: how many heads are in both tasks' top k, for k of 1, 2, 5 and 10 % of all heads (3 at least), by importance
and by importance over the median of their layer. Null: each task's top heads fall on any heads of the layers that hold
them, so that tasks which only share strong layers share no heads (hypergeometric in each layer, convolved over layers;
exact). The smallest of the eight p times their number counts, Benjamini–Hochberg over pairs of tasks. Key/value groups
take the place of heads under grouped-query attention.
Where the study names a control task, its top 10 % are left out first, so that heads for any text make no pair.
At most ten pairs are named, those of the smallest q; each says how many passed.
Silent with fewer than two tasks beside the control task.
"""
PRIORITY = {"tested": 0.78}  # and up to .05 by how far the overlap exceeds its expectation
# Few strongly shared heads stand out among the top 1 %, many faintly shared ones among the top 10 %: of pairs that
# share 5 heads raised by 4 SD at 32 × 32, p is below 3e-4 in .88 at 1 % and .00 at 10 %; of 20 raised by 2 SD at
# 30 × 9, in .00 and .42. Where layers differ by a factor of 6, of pairs that share 12 heads raised by 3 SD .63 are
# found by importance, .95 to 1.00 relative to the layer, and no fewer by both.
SIZES, LEAST, SHOWN, MOST = (0.01, 0.02, 0.05, 0.10), 3, 5, 10
# Pairs whose p is computed, those of largest standardised excess, and the least excess: of a thousand tasks all would
# take minutes. Others' p is 1; times eight, theirs would hardly be less.
TESTED, WORTH = 5000, 2.0


@closed
class Data(TypedDict):
    """``shared`` heads (or other ``units``) are among the ``first`` and ``second`` largest of the two tasks, by
    importance or ``relative`` to their layers' medians, where ``expected`` would be if only layers were shared;
    ``passed`` of ``pairs`` pairs of tasks pass. The sentence names ``shown`` of the shared heads, largest first, and
    counts ``more``; of the ``control`` task the top was left out.
    """

    shared: int
    first: int
    second: int
    expected: float
    units: str
    relative: bool
    passed: int
    pairs: int
    shown: int
    more: int
    control: str | None


@dataclass(frozen=True, eq=False)
class Overlap:
    """The cells that two tasks share, the sizes of their tops, by importance or ``relative`` to their layers, the
    number of cells expected, and the p of so many.
    """

    cells: Bool[np.ndarray, "layer unit"]
    relative: bool
    first: int
    second: int
    expected: float
    p: float


def _tasks(view: View) -> list[int]:
    return [t for t in range(len(view.whole)) if t != view.control and np.nansum(view.whole[t]) > 0]


def _able(view: View) -> bool:
    return len(_tasks(view)) >= 2


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return the pairs that share heads."""
    tasks = _tasks(view)
    if len(tasks) < 2:
        return Outcome("shared_heads")
    maps, keep = by_group(view, whole=True)
    if view.control is not None:
        keep = keep & ~top(maps[view.control], keep, max(LEAST, round(SIZES[-1] * keep.sum())))
    pairs = list(combinations(tasks, 2))
    found = overlaps(maps, keep, pairs)
    q = benjamini_hochberg([each.p for each in found])
    family = view.family("shared_heads", len(pairs), "Benjamini–Hochberg over pairs of tasks")
    passing = sorted((i for i in range(len(pairs)) if q[i] <= family.alpha), key=lambda i: (q[i], -_excess(found[i])))
    if not passing:
        return Outcome("shared_heads", family=family, silent={None: min(q)})
    made = [_finding(view, pairs[i], found[i], q[i], family, len(passing)) for i in passing[:MOST]]
    return Outcome("shared_heads", made, family)


def top(values: Float[np.ndarray, "layer unit"], keep: Bool[np.ndarray, "layer unit"], k: int) -> np.ndarray:
    """Return the k largest kept units above 0; ties across that border count for none of theirs."""
    sizes = np.where(keep & (values > 0), values, np.nan)
    return among_top(sizes.ravel(), k).reshape(sizes.shape)


def overlaps(
    maps: Float[np.ndarray, "task layer unit"], keep: Bool[np.ndarray, "layer unit"], pairs: Sequence[tuple[int, int]]
) -> list[Overlap]:
    """Return each pair's overlap at the size of top at which it is least likely, its p corrected for their number."""
    counts = keep.sum(axis=1)
    sizes = sorted({max(LEAST, round(size * int(counts.sum()))) for size in SIZES})
    forms = (maps, _over_layers(maps, keep))
    tops = np.stack([[top(each, keep, k) for each in form] for form in forms for k in sizes])
    first, second = np.array(pairs).T
    excess = np.stack([_standardised(of, counts)[first, second] for of in tops])
    nothing = Overlap(np.zeros_like(keep), False, 0, 0, 0.0, 1.0)
    found = [nothing] * len(pairs)
    for i in np.argsort(-excess.max(axis=0), kind="stable")[:TESTED]:
        each = {k: _overlap(of[first[i]], of[second[i]], counts) for k, of in enumerate(tops) if excess[k, i] > WORTH}
        if each:
            best = min(each, key=lambda k: each[k].p)
            found[i] = replace(each[best], p=min(1.0, each[best].p * len(tops)), relative=best >= len(sizes))
    return found


def _over_layers(maps: np.ndarray, keep: np.ndarray) -> Float[np.ndarray, "task layer unit"]:
    """Return the maps over the medians of their layers, or over the means of layers that are mostly 0."""
    kept = np.where(keep, maps, np.nan)
    centre = np.nanmedian(kept, axis=2, keepdims=True)
    centre = np.where(centre > 0, centre, np.nanmean(kept, axis=2, keepdims=True))
    result: np.ndarray = np.divide(maps, centre, out=np.zeros_like(maps), where=centre > 0)
    return result


def _standardised(tops: Bool[np.ndarray, "task layer unit"], counts: np.ndarray) -> Float[np.ndarray, "task task"]:
    """Return every two tasks' overlap less its expectation, by its standard deviation in layers of so many units."""
    held, n = tops.sum(axis=2).astype(float), np.maximum(counts, 1)
    flat = tops.reshape(len(tops), -1).astype(np.float32)
    rest = held * (n - held) / np.sqrt(n**2 * np.maximum(n - 1.0, 1))
    result: np.ndarray = (flat @ flat.T - held / n @ held.T) / np.sqrt(np.maximum(rest @ rest.T, 1e-12))
    return result


def _overlap(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> Overlap:
    """Return an overlap and its probability in layers of so many units, of which the tasks' tops take any."""
    both, a, b = first & second, first.sum(axis=1), second.sum(axis=1)
    some = (a > 0) & (b > 0)
    expected, shared = float((a[some] * b[some] / counts[some]).sum()), int(both.sum())
    p = 1.0
    if shared > expected:
        most = int(np.minimum(a, b).max())
        chances = stats.hypergeom.pmf(np.arange(most + 1), *(each[some][:, None] for each in (counts, a, b)))
        p = min(1.0, float(reduce(np.convolve, chances)[shared:].sum()))
    return Overlap(both, False, int(a.sum()), int(b.sum()), expected, p)


def _excess(overlap: Overlap) -> float:
    return float(overlap.cells.sum() / max(overlap.expected, 1e-9))


def _heads(view: View, pair: tuple[int, int], cells: np.ndarray) -> list[Head]:
    """Return one head of each shared unit, that of the largest smaller rank on the two tasks, the largest first."""
    ranks = np.stack(
        [stats.rankdata(np.where(view.present, view.whole[t], -1)).reshape(view.present.shape) for t in pair]
    )
    lower = np.where(view.present, ranks.min(axis=0), -1)
    found = []
    for layer, unit in np.argwhere(cells):
        own = range(unit * view.group_size, (unit + 1) * view.group_size)
        found.append(Head(int(layer), int(max(own, key=lambda head: lower[layer, head]))))
    return sorted(found, key=lambda head: (-lower[head], head))


def _finding(view: View, pair: tuple[int, int], overlap: Overlap, q: float, family: Family, passed: int) -> Finding:
    heads, names = _heads(view, pair, overlap.cells), view.scores.task_names
    size, tied = view.group_size, view.ties is not None
    units = "heads" if size == 1 else f"runs of {size} tied heads" if tied else "key/value groups"
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    test = view.test(
        "number of heads in the top of both tasks",
        f"tops fall on any {units} of their layers",
        len(heads),
        overlap.p,
        q,
        family,
    )
    generic = [MAYBE_GENERIC] if view.control is None else []
    return view.finding(
        "shared_heads",
        None,
        "tested",
        PRIORITY["tested"] + 0.05 * np.tanh(_excess(overlap) / 20),
        tasks=[names[t] for t in pair],
        members=[str(h) for h in heads],
        layers=(min(layers), max(layers)),
        heads=(min(columns), max(columns)),
        cells=[(h.layer, h.head) for h in heads],
        test=test,
        effect=Effect("shared heads over what shared layers give", _excess(overlap)),
        data=Data(
            shared=len(heads),
            first=overlap.first,
            second=overlap.second,
            expected=overlap.expected,
            units=units,
            relative=overlap.relative,
            passed=passed,
            pairs=family.size,
            shown=min(SHOWN, len(heads)),
            more=max(0, len(heads) - SHOWN),
            control=None if view.control is None else names[view.control],
        ),
        caveats=view.caveats(None, *generic, *view.on_ties),
    )


DETECTOR = Detector(
    "shared_heads",
    detect,
    order=85,
    doc=DOC,
    topic="heads",
    data=Data,
    label="heads of two tasks",
    noun="pair of tasks that shares its largest heads beyond what shared layers give",
    together=True,
    caveats=(MAYBE_GENERIC, *ON_TIES),
    priority=PRIORITY,
    guidance=Guidance(
        "Heads that two tasks share",
        "Two tasks that share their largest heads may have a step in common, or only what any text needs: a control "
        "task of neutral text tells these apart. That tasks are strong in the same layers does not count as sharing.",
    ),
    tried=True,
    several="pairs of tasks that share heads",
    weight=4,
    able=_able,
)
