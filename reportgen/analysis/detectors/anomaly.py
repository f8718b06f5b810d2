"""Anomalies: single heads far from their surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import TypedDict

from reportgen.analysis.statistics.outstanding import Largest, Outstanding, outstanding
from reportgen.analysis.statistics.tails import Law, Tail, robust
from reportgen.analysis.view import REGIONS, Detector, Outcome, View, closed, found_cells
from reportgen.core.findings import Effect, Family, Finding
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
(contiguous, its own among them), at least 1.25 times the next there; at most two a task. Where the largest head
outside found regions is none of these, it is named if it is at least 1.05 times the next of them. Where the task's
largest head lies outside found regions: all heads of at least half its value, where they are two or more and at most
1 % of all.
Silent on tasks where the top heads fade into the rest; tested, under heavy tails and on fewer than 50 heads above zero.
"""
LEAST, LAYER = 50, 8  # heads above zero that a task, and that a layer with a median of its own must have
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
    """Tested anomalies, then what can only be observed."""
    free = [view.present & ~found_cells(earlier, n, view.present.shape, REGIONS) for n in view.scores.task_names]
    tested, family, silent = _tested(view, free)
    taken = {(str(f.task), Head.parse(str(name))) for f in tested for name in f.members or ()}
    observed = [
        f
        for t, name in enumerate(view.scores.task_names)
        for f in outstanding(view, t, free[t], {head for task, head in taken if task == name})
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
    place, values = np.argsort(order, axis=0), np.take_along_axis(stack, order, axis=0)
    others = np.isfinite(stack).sum(axis=0) - 1
    middle = [
        np.take_along_axis(values, np.clip(i + (i >= place), 0, len(stack) - 1), axis=0)
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
        law = tail.bounded(round(np.median(view.present.sum(axis=1))))
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
    """The task's heads that pass the level under the common law, or else its largest, and the law that judges each."""
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
    base = {("layer", 1): 0.88, ("pattern", 1): 0.84, ("layer", -1): 0.6, ("pattern", -1): 0.56}
    return view.finding(
        "anomaly",
        t,
        "tested",
        base[comparison.centre, comparison.side] + 0.05 * np.tanh(score / 20),
        layers=(head.layer, head.layer),
        heads=(head.head, head.head),
        members=[str(head)],
        value=view.head_value(t, head),
        data=dict(
            Far(
                robust_sd=round(float(score), 2),
                side="above" if comparison.side > 0 else "below",
                centre=CENTRES[comparison.centre],
                out_of_pattern=comparison.centre == "pattern",
                tail_scale=round(law.scale, 3),
                tail_shape=law.shape,
            )
        ),
        test=view.test(law.name, "a head of the background's tail", score, p, q, family),
        effect=effect,
        caveats=view.caveats(t, "tail-model"),
    )


DETECTOR = Detector("anomaly", detect, DOC, data=Far | Largest | Outstanding, weight=6, able=_able)
