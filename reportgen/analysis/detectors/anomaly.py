"""Anomalies: single heads far from their surroundings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.statistics.silence import floors, largest_first, null_tops, range_ratios, smooth
from reportgen.analysis.statistics.tails import GRIMSHAW, TOP, Law, Tail, robust
from reportgen.analysis.statistics.trends import attending
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.caveats import TAIL_MODEL
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import closed
from reportgen.core.scores import Head

DOC = """Single heads far from their surroundings.

Tested, found regions left out: log importance less its layer's median, in robust standard deviations of its task;
and, with three tasks or more, the same less the head's median over the other tasks ("out of pattern"); each far above
and far below. The tail of all tasks together is normal where it is no heavier than that of a normal background of the
same robust standard deviation, else generalized Pareto with its shape at the 99.9 % upper profile bound. A task whose
own tail a likelihood-ratio test tells from the common one is judged by its own as well. The tail probability is
multiplied by the number of heads, tasks and comparisons (Bonferroni). Zeros are left out, as a part of the distribution
for itself: the rest is judged among itself, against its task's median in layers with few heads above zero.
Observed: a head outside found regions that is the largest over at least a quarter of the layers and 4 of them
(contiguous, its own among them, layers without heads passed over), at least 1.25 times the next there, and not the
largest of all layers where the range is some of them; at most two a task. Where the largest head outside found regions
is none of these, it is named if it is at least 1.05 times the next of them. Where the task's
largest head lies outside found regions: all heads of at least half its value, where they are two or more and at most
1 % of all. These ratios, and that of the least of several heads to the next, are raised until the kind appears in at
most .02 of 200 null tensors, of the layers' medians and residuals from the tail above at its 95 % upper bound.
Silent on tasks where the top heads fade into the rest; tested, under heavy tails and on fewer than 50 heads above zero.
"""
# A tested head far above comes before any region of middling height; that a head is small is seldom news. Up to .05
# more by the distance in standard deviations, of the observed ones up to .1 by the ratio to the next.
PRIORITY = {
    "above its layer": 0.88,
    "above its pattern": 0.84,
    "below its layer": 0.6,
    "below its pattern": 0.56,
    "several outstanding": 0.6,
    "largest over layers": 0.55,
    "largest outside regions": 0.45,
}
# Thresholds in deviations, as MAD > 3.5 or Tukey's fences, fire on every empty map: heads' scores have heavy tails.
LEAST, LAYER = 50, 8  # heads above zero that a task, and that a layer with a median of its own must have
# On maps with many zeros, bounded at 1, the test says nothing, and their largest heads must still be named.
RATIO, SHARE, FEWEST_LAYERS, PER_TASK = 1.25, 0.25, 4, 2  # of the largest head over a range of layers
CLEAR, HALF, FEW, SHOWN = 1.05, 0.5, 0.01, 10  # of the largest head outside regions, and of outstanding sets
OBSERVED = f"largest head in a quarter of the layers, {FEWEST_LAYERS} or more, at least {{:g}} times the next there"
TOP_OUTSIDE = "largest head outside found regions, at least {:g} times the next of them"
OUTSTANDING = (
    "heads outside found regions of at least half the largest such value, at most 1 % of all heads, the least of them "
    "at least {:g} times the next"
)

CENTRES = {"layer": "its layer's median", "pattern": "what the other tasks lead to expect of it"}


@closed
class Far(TypedDict):
    """The head is ``robust_sd`` robust standard deviations on that ``side`` of the ``centre``, on the log scale; the
    tail that judged it has that scale and shape (None: it is normal).
    """

    robust_sd: float
    side: Literal["above", "below"]
    centre: str
    out_of_pattern: bool
    tail_scale: float
    tail_shape: float | None


Scope = Literal["in layers", "of all layers", "outside the found regions"]


@closed
class Largest(TypedDict):
    """Where the head is the largest, the first and last layer where that is ``in layers`` or over all of them, and the
    importance of the next largest there.
    """

    scope: Scope
    range: list[int] | None
    next: float


@closed
class Outstanding(TypedDict):
    """``values`` are the members' importances; ``heads`` were compared, those outside found ``regions`` if any;
    the sentence names ``shown`` members and counts ``more``.
    """

    values: list[float]
    heads: int
    regions: bool
    shown: int
    more: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of all usable tasks, turned so that large ones are far from ``centre``: ``side`` 1 above it, -1 below."""

    centre: str
    side: int
    scores: dict[int, Float[np.ndarray, "layer head"]]

    @property
    def pooled(self) -> Float[np.ndarray, "head"]:
        """The scores of all tasks together."""
        everything = np.concatenate([z.ravel() for z in self.scores.values()])
        finite: np.ndarray = everything[np.isfinite(everything)]
        return finite


def _able(view: View) -> bool:
    return int(view.present.sum()) >= LEAST


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return tested anomalies, then what can only be observed."""
    free = [view.present & ~found_cells(earlier, n, view.present.shape) for n in view.scores.task_names]
    tested, family, silent = _tested(view, free)
    taken = {(str(f.task), Head.parse(str(name))) for f in tested for name in f.members or ()}
    least = _floors(view, free)
    observed = [
        f
        for t, name in enumerate(view.scores.task_names)
        for f in _observed(view, t, free[t], {head for task, head in taken if task == name}, least[t])
    ]
    return Outcome("anomaly", [*tested, *observed], family, silent)


def levels(values: Float[np.ndarray, "layer head"], free: Bool[np.ndarray, "layer head"]) -> np.ndarray:
    """Log importance of the free heads above zero less their layer's median, or their task's in layers with few."""
    some = free & (values > 0)
    log = np.full(values.shape, np.nan)
    log[some] = np.log(values[some])
    many = some.sum(axis=1) >= np.minimum(LAYER, np.maximum(free.sum(axis=1), 1))
    centre = np.full(len(values), np.nanmedian(log) if some.any() else 0.0)
    centre[many] = np.nanmedian(log[many], axis=1) if many.any() else 0.0
    result: np.ndarray = log - centre[:, None]
    return result


def comparisons(view: View, free: Sequence[Bool[np.ndarray, "layer head"]]) -> list[Comparison]:
    """Above and below: each task's levels, and what is left of them without the head's median over the other tasks."""
    each = {t: levels(view.maps[t], free[t]) for t in range(len(free))}
    usable = {t: z for t, z in each.items() if np.isfinite(z).sum() >= LEAST}
    centres = {"layer": usable}
    if len(usable) >= 3:
        stack = np.stack(list(usable.values()))
        centres["pattern"] = dict(zip(usable, stack - medians_of_others(stack), strict=True))
    made = []
    for centre, residuals in centres.items():
        scaled = {t: robust(z) for t, z in residuals.items()}
        scaled = {t: z for t, z in scaled.items() if np.isfinite(z).sum() >= LEAST}
        made += [Comparison(centre, side, {t: side * z for t, z in scaled.items()}) for side in (1, -1) if scaled]
    return made


def medians_of_others(stack: Float[np.ndarray, "task layer head"]) -> Float[np.ndarray, "task layer head"]:
    """For every finite value the median of the same head's finite values on the other tasks; NaN with fewer than two.

    One sort serves all tasks: among the others, what stands behind the value itself moves up by a place.
    """
    order = np.argsort(stack, axis=0)  # NaN last
    rank, values = np.argsort(order, axis=0), np.take_along_axis(stack, order, axis=0)
    others = np.isfinite(stack).sum(axis=0) - 1
    middle = [
        np.take_along_axis(values, np.clip(i + (i >= rank), 0, len(stack) - 1), axis=0)
        for i in (np.maximum(others - 1, 0) // 2, np.maximum(others, 0) // 2)
    ]
    result: np.ndarray = np.where(np.isfinite(stack) & (others >= 2), (middle[0] + middle[1]) / 2, np.nan)
    return result


def _tested(view: View, free: list[np.ndarray]) -> tuple[list[Finding], Family, dict[str | None, float]]:
    made = comparisons(view, free)
    size = sum(len(c.pooled) for c in made)
    family = view.family("anomaly", size, "Bonferroni over heads, tasks and comparisons")
    found: dict[tuple[int, Head], Finding] = {}
    smallest: dict[int, float] = {}
    for comparison in made:
        tail = Tail.of(comparison.pooled)
        if tail is None:
            continue
        law = tail.bounded(view.width)
        for t, scores in comparison.scores.items():
            for head, score, judged in _candidates(scores, law, family.alpha / size):
                p = judged.p(score)
                q = min(1.0, p * size)
                smallest[t] = min(q, smallest.get(t, 1.0))
                if q <= family.alpha and (t, head) not in found:
                    found[t, head] = _far(view, t, head, free[t], comparison, judged, score, p, q, family)
    names, fired = view.scores.task_names, {t for t, _ in found}
    return list(found.values()), family, {names[t]: q for t, q in smallest.items() if t not in fired}


def _candidates(scores: Float[np.ndarray, "layer head"], law: Law, level: float) -> list[tuple[Head, float, Law]]:
    """Return the task's heads that pass the level under the common law, or else its largest, and the law that judges
    each.
    """
    away = np.where(np.isfinite(scores), -scores, np.inf).ravel()
    some = np.argpartition(away, top := max(1, len(away) // 100))[:top] if len(away) > 1 else np.zeros(1, np.intp)
    heads = [Head(*(int(i) for i in np.unravel_index(k, scores.shape))) for k in some[np.argsort(away[some])]]
    passing = [h for h in heads if law.p(float(scores[h])) <= level] or heads[:1]
    own = Tail.of(scores[np.isfinite(scores)])
    other = own.likeliest() if own is not None and law.p(float(scores[passing[0]])) <= level else None
    if own is None or other is None or not own.heavier_than(law):
        return [(h, float(scores[h]), law) for h in passing]
    return [(h, float(scores[h]), max(law, other, key=lambda each: each.p(float(scores[h])))) for h in passing]


def _far(
    view: View,
    t: int,
    head: Head,
    free: np.ndarray,
    comparison: Comparison,
    law: Law,
    score: float,
    p: float,
    q: float,
    family: Family,
) -> Finding:
    alone = np.zeros(free.shape, dtype=bool)
    alone[head] = True
    rest = free & ~alone & (np.arange(len(free)) == head.layer)[:, None]
    effect: Effect | None = view.ratio_effect(t, alone, rest, "ratio to the other heads of its layer")
    side: Literal["above", "below"] = "above" if comparison.side > 0 else "below"
    return view.finding(
        "anomaly",
        t,
        "tested",
        PRIORITY[f"{side} its {comparison.centre}"] + 0.05 * np.tanh(score / 20),
        layers=(head.layer, head.layer),
        heads=(head.head, head.head),
        members=[str(head)],
        value=view.head_value(t, head),
        data=Far(
            robust_sd=round(float(score), 2),
            side=side,
            centre=CENTRES[comparison.centre],
            out_of_pattern=comparison.centre == "pattern",
            tail_scale=round(law.scale, 3),
            tail_shape=law.shape,
        ),
        test=view.test(law.name, "a head of the background's tail", score, p, q, family),
        effect=effect,
        caveats=view.caveats(t, TAIL_MODEL),
    )


@dataclass(frozen=True)
class Floors:
    """What the ratios of the observed rules must reach, so that noise seldom does: of the largest head over a range of
    layers, of the largest outside found regions, and of the least of several outstanding heads to the next.
    """

    largest: float
    outside: float
    gap: float


def _need(layers: int) -> int:
    return max(FEWEST_LAYERS, int(np.ceil(SHARE * layers)))


def background(
    view: View, free: Sequence[Bool[np.ndarray, "layer head"]]
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, np.ndarray]:
    """Return the quantile function of all tasks' residuals in robust standard deviations, these, and layers' centres.

    The deviations are 0 where most heads of a task are equal, or all but a few are zero.
    """
    residuals = [levels(v, f) for v, f in zip(view.whole, free, strict=True)]
    spreads = np.array([1.4826 * np.nanmedian(np.abs(r)) if np.isfinite(r).any() else 0.0 for r in residuals])
    # where fewer heads than the tail's share lie above zero, the zeros are the background
    spreads *= [np.isfinite(r).sum() >= TOP * f.sum() for r, f in zip(residuals, free, strict=True)]
    centres = [np.log(np.where(v > 0, v, np.nan)) - r for v, r in zip(view.whole, residuals, strict=True)]
    scaled = [(r / s)[np.isfinite(r)] for r, s in zip(residuals, spreads, strict=True) if s > 0]
    heads = max(2, round(np.median(view.present.sum(axis=1))))
    quantile = smooth(np.concatenate([np.empty(0), *scaled]), heads)
    return quantile, spreads, np.nan_to_num(np.nanmedian(np.stack(centres), axis=2))


def _floors(view: View, free: Sequence[Bool[np.ndarray, "layer head"]]) -> list[Floors]:
    """Return each task's floors, from null tensors of layers' medians and a smooth tail; three rules share a kind."""
    quantile, spreads, centres = background(view, free)
    if not (spreads > 0).any():
        return [Floors(RATIO, CLEAR, 1.0)] * len(spreads)
    counts = np.stack([(f & (v > 0)).sum(axis=1) for v, f in zip(view.whole, free, strict=True)])
    tops = null_tops(quantile, centres, spreads, counts, view.settings.seed)
    ordered, few = largest_first(tops), int(FEW * view.present.sum())
    count = (ordered >= HALF * ordered[..., :1]).sum(axis=-1)
    fits = (count >= 2) & (count <= few) & (count < ordered.shape[-1])
    at = np.minimum(count, ordered.shape[-1] - 1)[..., None]
    with np.errstate(over="ignore"):  # drawn from tails without bound
        gap = np.take_along_axis(ordered, at - 1, axis=-1) / np.take_along_axis(ordered, at, axis=-1)
    ranges = floors(range_ratios(tops, _need(len(view.present))), RATIO, 3)
    outside = floors(ordered[..., 0] / ordered[..., 1], CLEAR, 3)
    gaps = floors(np.where(fits, gap[..., 0], 1.0), 1.0, 3)
    return [
        Floors(*each) if s > 0 else Floors(RATIO, CLEAR, 1.0)
        for s, *each in zip(spreads, ranges, outside, gaps, strict=True)
    ]


def _observed(view: View, t: int, free: np.ndarray, tested: set[Head], floors: Floors) -> list[Finding]:
    """Return a task's observed anomalies: the rules in turn, no head named twice, nor one that is named as
    ``tested``.
    """
    found = [(h, f) for h, f in _largest(view, t, free, floors.largest) if h not in tested]
    named = tested | {h for h, _ in found}
    found += [(h, f) for h, f in _top_outside(view, t, free, floors.outside) if h not in named]
    return [*(f for _, f in found), *_outstanding(view, t, free, floors.gap)]


def _largest(view: View, t: int, free: np.ndarray, times: float) -> list[tuple[Head, Finding]]:
    """Return the heads that tower over the widest ranges of layers, ranges being of layers that have heads.

    What is the largest of all layers is not said to be the largest of some: it is left to the rule of the largest head.
    """
    layers = attending(view)
    values = np.where(view.present, view.whole[t], -np.inf)[layers]
    present = free[layers]
    tops = np.sort(values, axis=1)[:, -2:]
    need = _need(len(values))
    candidates = []
    for layer in range(len(values)):
        head = int(values[layer].argmax())
        if not present[layer, head] or values[layer, head] <= 0:
            continue
        rivals = tops[:, -1].copy()
        rivals[layer] = tops[layer, 0] if tops.shape[1] > 1 else -np.inf
        first, last = _range(rivals * times <= values[layer, head], layer)
        following = float(rivals[first : last + 1].max())
        partly = last - first + 1 < len(layers) and values[layer, head] == values.max()
        if last - first + 1 >= need and rivals[layer] * times <= values[layer, head] and following > 0 and not partly:
            ratio, span = float(values[layer, head]) / following, (int(layers[first]), int(layers[last]))
            candidates.append((last - first + 1, ratio, Head(int(layers[layer]), head), span, following))
    best = sorted(candidates, reverse=True)[:PER_TASK]
    return [
        (head, _single(view, t, head, OBSERVED.format(times), following, span)) for _, _, head, span, following in best
    ]


def _top_outside(view: View, t: int, free: np.ndarray, times: float) -> list[tuple[Head, Finding]]:
    """Return the largest head outside found regions, where it is clearly the largest."""
    if free.sum() < 2:
        return []
    values = np.where(free, view.whole[t], -np.inf)
    order = np.argsort(values, axis=None)[::-1]
    head = Head(*(int(i) for i in np.unravel_index(order[0], values.shape)))
    following = float(values.flat[order[1]])
    if following <= 0 or values[head] < times * following:
        return []
    return [
        (head, _single(view, t, head, TOP_OUTSIDE.format(times), following, None, bool((view.present & ~free).any())))
    ]


def _range(allowed: np.ndarray, layer: int) -> tuple[int, int]:
    first = last = layer
    while first > 0 and allowed[first - 1]:
        first -= 1
    while last < len(allowed) - 1 and allowed[last + 1]:
        last += 1
    return first, last


def _single(
    view: View, t: int, head: Head, rule: str, following: float, span: tuple[int, int] | None, regions: bool = False
) -> Finding:
    ratio, layers = float(view.whole[t][head]) / following, attending(view)
    whole = span == (int(layers[0]), int(layers[-1]))
    outside: Scope = "outside the found regions" if regions else "of all layers"
    scope: Scope = outside if span is None else "of all layers" if whole else "in layers"
    return view.finding(
        "anomaly",
        t,
        "observed",
        PRIORITY["largest outside regions" if span is None else "largest over layers"]
        + 0.1 * np.tanh(ratio - 1)
        + (0.05 if whole else 0),
        rule=rule,
        layers=(head.layer, head.layer),
        heads=(head.head, head.head),
        members=[str(head)],
        value=view.head_value(t, head, whole=True),
        effect=Effect("ratio to the next largest head", ratio),
        data=Largest(scope=scope, range=list(span) if span else None, next=_as_printed(view, t, following)),
        caveats=view.caveats(t, whole=True),
    )


def _as_printed(view: View, t: int, size: float) -> float:
    """Return the importance of the head of that size, with its sign."""
    return float(view.scores.importance[t][view.whole[t] == size][0])


def _outstanding(view: View, t: int, free: np.ndarray, times: float) -> list[Finding]:
    """Return the handful of heads near the task's largest, where the next head lies apart from them."""
    values = np.where(view.present, view.whole[t], -np.inf)
    top = np.unravel_index(int(values.argmax()), values.shape)
    chosen = free & (values >= HALF * values[top])
    total = int(view.present.sum())
    if not free[top] or values[top] <= 0 or not 2 <= chosen.sum() <= FEW * total:
        return []
    if times * values[view.present & ~chosen].max(initial=0.0) > values[chosen].min():
        return []
    heads = sorted((Head(int(i), int(j)) for i, j in np.argwhere(chosen)), key=lambda h: -values[h])
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    return [
        view.finding(
            "anomaly",
            t,
            "observed",
            PRIORITY["several outstanding"],
            rule=OUTSTANDING.format(times),
            members=[str(h) for h in heads],
            layers=(min(layers), max(layers)),
            heads=(min(columns), max(columns)),
            cells=[(h.layer, h.head) for h in heads],
            value=view.region_value(t, chosen, whole=True),
            caveats=view.caveats(t, whole=True),
            data=Outstanding(
                values=[float(view.scores.importance[t][h]) for h in heads],
                heads=int(free.sum()),
                regions=bool((view.present & ~free).any()),
                shown=min(SHOWN, len(heads)),
                more=max(0, len(heads) - SHOWN),
            ),
        )
    ]


def _recompute(finding: Finding) -> list[str]:
    layers = (finding.data or {}).get("range")
    if not isinstance(layers, list):
        return []
    return [
        f"largest = np.sort(np.nan_to_num(importance[{layers[0]}:{layers[1] + 1}]), axis=None)[::-1]",
        "print(largest[0] / largest[1])",
    ]


DETECTOR = Detector(
    "anomaly",
    detect,
    order=70,
    doc=DOC,
    topic="anomalies",
    data=Far | Largest | Outstanding,
    label="single head",
    noun="single head beyond the background's tail",
    caveats=(TAIL_MODEL,),
    priority=PRIORITY,
    guidance=guidance.SINGLE_HEADS,
    references=(GRIMSHAW,),
    shown="framed",
    recompute=_recompute,
    tried=True,
    several="single heads beyond the tail",
    missed="under 6 SD a single head",
    weight=6,
    able=_able,
)
