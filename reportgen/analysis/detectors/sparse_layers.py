"""Sparse layers: layers in which few heads, or no strong head, matter for a task."""

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from jaxtyping import Float
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.statistics.silence import floors, null_statistics
from reportgen.analysis.view import DEAD, Detector, Outcome, View
from reportgen.core.findings import Effect, Finding
from reportgen.core.kinds import closed

DOC = """Layers in which few heads, or no strong head, matter for a task.

Observed only. Either few heads: at most 20 % of the layer's heads reach the task's median over all heads. Or no
strong head: the layer's largest head lies below 60 % of the median of the layers' largest heads. Adjacent layers of
the same condition are one finding; at most two a condition and task, the emptiest first. The 20 and 60 % are lowered
until the kind appears in at most .02 of maps whose heads are shuffled over all layers; where layers differ (p < .01,
Kruskal–Wallis), of maps whose layers differ at random by as much, so that layers that wander are no news.
Layers whose largest head is below 1 % of the usual head above zero on every task are named once, for all tasks
together; tests over layers leave them out.
Silent with fewer than 4 layers or heads, on constant maps, where the condition holds in more than half of the layers,
and in tasks where more than half of all heads are zero, since there every layer has few.
"""
PRIORITY = {"observed": 0.5}  # and .02 times the root of the layers beyond the first
# Far from the half of a layer's heads that would reach the median of like layers.
SHARE, LOW, PER_CONDITION = 0.20, 0.60, 2
LAYERS, WANDER = 8, 0.01  # the fewest layers of which a spread can be told; p that they differ at all (Kruskal–Wallis)
FEW = "at most {:.3g} % of each layer's heads reach the task's median over all heads"
WEAK = "each layer's largest head is below {:.3g} % of the median of the layers' largest heads"

QUIET = f"layers whose largest head is below {100 * DEAD:g} % of the median head above zero on every task"
Condition = Literal["few", "weak", "dead"]


@closed
class Data(TypedDict):
    """``largest`` is the range's largest head, ``reference`` the median that the condition is about; ``percent`` of a
    layer's heads reach it (None where no strong head is the condition). Of layers that are ``dead`` on all tasks
    ``largest`` is the share of the usual head that their largest reaches on any, in per cent, ``reference`` the bound.
    """

    condition: Condition
    largest: float
    reference: float
    percent: float | None


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Each task's sparse ranges of layers."""
    if min(view.present.shape) < 4:
        return Outcome("sparse_layers")
    ranges = [f for t in range(len(view.whole)) for f in _ranges(view, t, SHARE, LOW)]
    if ranges:
        # what noise seldom shows
        ranges = [f for t, (share, low) in enumerate(_floors(view, earlier)) for f in _ranges(view, t, share, low)]
    return Outcome("sparse_layers", [*([_dead(view)] if view.dead.any() else []), *ranges])


def _floors(view: View, earlier: Sequence[Outcome]) -> list[tuple[float, float]]:
    """Return by task the largest share of heads, and the largest part of the median of the layers' largest heads, that
    count as sparse, so that heads shuffled over the map seldom do on any task.

    Each task is held against its own draws: where the layers of one wander, those of another need not.
    """
    layers, rng = view.layers, np.random.default_rng([view.settings.seed, *view.whole.shape])
    within, between = (np.array(each)[:, None, None] for each in zip(*map(_spreads, view.whole), strict=True))

    def both(maps: Float[np.ndarray, "draw task layer head"]) -> Float[np.ndarray, "draw rule"]:
        if between.any():
            # heads in random order lie apart by both spreads: their layers' part becomes that of whole layers again
            level = between * rng.normal(size=(*maps.shape[:3], 1))
            with np.errstate(divide="ignore"):
                maps = np.exp(within * np.log(maps) + level)
        medians = np.nanmedian(maps if between.any() else maps[:1], axis=(2, 3), keepdims=True)  # of any order the same
        inside = maps[:, :, layers]
        reaching = (inside >= medians).sum(axis=3) / np.maximum(np.isfinite(inside).sum(axis=3), 1)
        tops = np.max(np.nan_to_num(inside), axis=3)
        least, usual = tops.min(axis=2), np.median(tops, axis=2)
        ratio = np.divide(usual, least, out=np.ones(least.shape), where=least > 0)
        return np.stack([1 / np.maximum(reaching.min(axis=2), 1 / none), ratio], axis=1)

    none = 2 * view.whole.shape[2]  # the ratio of a layer of which no head reaches the median: half a head does
    drawn = null_statistics(view, earlier, "over layers", both)
    few, weak = (floors(drawn[:, i], 1 / least, 2) for i, least in enumerate((SHARE, LOW)))
    # shares are counts of heads: one as large as noise reaches lies on the bound, and has to lie beyond it
    return [(round(1 / (f + 0.01), 4) if f < none else -1.0, 1 / w) for f, w in zip(few, weak, strict=True)]


def _spreads(values: Float[np.ndarray, "layer head"]) -> tuple[float, float]:
    """Return the part of the logarithms' spread that lies within layers, and the layers' own robust standard deviation:
    1 and 0 where no layer is told from the others.

    Where layers wander, some are emptier than any shuffle of all heads shows, and that is what wandering is.
    """
    rows = [np.log(row[row > 0]) for row in values if (row > 0).sum() > 1]
    if len(rows) < LAYERS or len({float(x) for row in rows for x in row}) < 2:
        return 1.0, 0.0
    if stats.kruskal(*rows).pvalue > WANDER:
        return 1.0, 0.0
    levels = np.array([np.median(row) for row in rows])
    inner = _robust_sd(np.concatenate([row - level for row, level in zip(rows, levels, strict=True)]))
    # the median of n normal numbers has a variance of π/2n of theirs
    error = np.pi / 2 * inner**2 / np.median([len(row) for row in rows])
    outer = float(np.sqrt(max(0.0, _robust_sd(levels) ** 2 - error)))
    return (inner / float(np.hypot(inner, outer)), outer) if inner else (1.0, 0.0)


def _robust_sd(values: Float[np.ndarray, "any"]) -> float:
    return float(stats.median_abs_deviation(values, scale="normal"))


def _dead(view: View) -> Finding:
    layers = [int(layer) for layer in np.flatnonzero(view.dead)]
    usual = [float(np.median(values[values > 0])) for values in view.whole]
    shares = [np.nanmax(values[layers]) / each for values, each in zip(view.whole, usual, strict=True)]
    return view.finding(
        "sparse_layers",
        None,
        "observed",
        PRIORITY["observed"],
        rule=QUIET,
        tasks=list(view.scores.task_names),
        layers=(layers[0], layers[-1]),
        members=list(layers),
        effect=Effect("largest head over the usual head", float(max(shares))),
        data=Data(condition="dead", largest=100 * float(max(shares)), reference=100 * DEAD, percent=None),
    )


def _ranges(view: View, t: int, share: float, low: float) -> list[Finding]:
    values = view.whole[t]
    median, tops = float(np.nanmedian(values)), np.nanmax(values, axis=1)
    if median <= 0 or np.nanmin(values) == np.nanmax(values):
        return []
    reaching = np.nansum(values >= median, axis=1) / view.present.sum(axis=1)
    few = _spans((reaching <= share) & ~view.dead)
    taken = {*np.flatnonzero(view.dead), *(layer for a, b in few for layer in range(a, b + 1))}
    weak_layers = np.array([weak and i not in taken for i, weak in enumerate(tops < low * np.nanmedian(tops))])
    found = [
        _finding(view, t, span, "few", float(reaching[span[0] : span[1] + 1].mean()), median, share) for span in few
    ]
    weak = [
        _finding(view, t, span, "weak", float(tops[span[0] : span[1] + 1].max()), float(np.nanmedian(tops)), low)
        for span in _spans(weak_layers)
    ]
    return [*_emptiest(found), *_emptiest(weak)]


def _emptiest(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: f.effect.estimate if f.effect else 0.0)[:PER_CONDITION]


def _spans(marked: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of marked layers as inclusive ranges; none where more than half of the layers are marked."""
    if marked.sum() > len(marked) / 2:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _finding(
    view: View, t: int, span: tuple[int, int], condition: Condition, level: float, reference: float, bound: float
) -> Finding:
    few = condition == "few"
    largest = float(np.nanmax(view.whole[t][span[0] : span[1] + 1]))
    effect = (
        Effect("share of heads at or above the task's median", level)
        if few
        else Effect("largest head over the median of the layers' largest heads", level / reference)
    )
    return view.finding(
        "sparse_layers",
        t,
        "observed",
        PRIORITY["observed"] + 0.02 * (span[1] - span[0]) ** 0.5,
        rule=(FEW if few else WEAK).format(100 * bound),
        layers=span,
        members=list(range(span[0], span[1] + 1)),
        effect=effect,
        caveats=view.caveats(t, whole=True),
        data=Data(
            condition=condition,
            largest=largest,
            reference=reference,
            percent=100 * level if few else None,
        ),
    )


def _recompute(finding: Finding) -> list[str]:
    first, last = finding.layers or (0, 0)
    rows = f"importance[{first}:{last + 1}]"
    if cast(Data, finding.data)["condition"] == "few":
        return [f"print(np.mean([(row[row >= 0] >= np.nanmedian(importance)).mean() for row in {rows}]))"]
    return [f"print(np.nanmax({rows}) / np.nanmedian(np.nanmax(importance, axis=1)))"]


DETECTOR = Detector(
    "sparse_layers",
    detect,
    order=160,
    doc=DOC,
    topic="layers",
    data=Data,
    priority=PRIORITY,
    guidance=guidance.LAYERS,
    recompute=_recompute,
)
