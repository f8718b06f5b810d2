"""Specialist heads: heads that matter more on one task than on each other task."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import TypedDict

from reportgen.analysis.detectors.anomaly import Comparison, background, comparisons
from reportgen.analysis.statistics.relative import Difference, difference, level
from reportgen.analysis.statistics.silence import drawn_statistics, floor
from reportgen.analysis.statistics.tails import GRIMSHAW, Tail
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.caveats import MAYBE_GENERIC, TAIL_MODEL
from reportgen.core.findings import Effect, Family, Finding, Test
from reportgen.core.kinds import closed
from reportgen.core.scores import Head

DOC = """Heads that matter more on one task than on each other task.

Tested, where all tasks have held-out examples. Two nulls must both be rejected, the larger q counts. On the discovery
half, the head is no further out of pattern for the task than the tail of all heads' residuals reaches (log importance
less its layer's median and less the head's median over the other tasks, as in anomaly; Bonferroni over heads and
tasks). On the held-out half, the head's importance relative to the other heads of its layer is no larger than on
another task: jackknife t tests over resampling groups against each other task, the control task among them, of which
the largest p counts; Bonferroni over the heads that passed the first.
Observed, without held-out examples: the head of largest such ratio to the task where it is next largest, if it is 4 or
more and the head is among the top 10 % of its layer; at most one a task. The 4 is raised until the kind appears in at
most .02 of null tensors, drawn from all heads' residuals with the tail at its 95 % upper bound.
What is far out of pattern depends on the model of the tail: a task whose maps have a heavier tail than the others' has
such heads without anything being planted.
Silent with fewer than three tasks, and where heads that matter do so on several tasks.
"""
PRIORITY = {"tested": 0.85, "observed": 0.5}
# With two tasks every difference would be a specialisation of both. The observed rule must hold where noise would not
# make it: a ratio of 4 to the next task, among the layer's top heads.
TASKS, TIMES, TOP = 3, 4.0, 0.10
RULE = (
    "head among the top 10 % of its layer, relative to whose median it is at least {:g} times as large as on any other "
    "task"
)
TEST = "tail of residuals, and t tests against each other task"
RATIO = "ratio to the next task, relative to the layer"
NULL = "within the tail of heads' residuals, or as large on another task"


@closed
class Data(TypedDict):
    """``next`` is the other task on which the head is largest relative to its layer, ``others`` how many there are;
    ``controlled`` says that the control task is one of them.
    """

    next: str
    others: int
    controlled: bool


def _able(view: View) -> bool:
    return len(view.scores.tasks) >= TASKS and all(view.held_out(t) for t in range(len(view.scores.tasks)))


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return tested specialists, or each task's most special head."""
    tasks = [t for t in range(len(view.scores.tasks)) if t != view.control]
    if len(view.scores.tasks) < TASKS:
        return Outcome("specialist_head")
    if not _able(view):
        return Outcome("specialist_head", _observed(view, tasks))
    free = [view.present & ~found_cells(earlier, n, view.present.shape) for n in view.scores.task_names]
    out = next((c for c in comparisons(view, free) if c.centre == "pattern" and c.side > 0), None)
    tail = None if out is None else Tail.of(out.pooled)
    if out is None or tail is None:
        return Outcome("specialist_head")
    family = view.family("specialist_head", len(out.pooled), "Bonferroni over heads and tasks")
    candidates = _candidates(view, out, tail, family)
    passed = [c for c in candidates if c[0] <= family.alpha and c[1] != view.control]
    findings = [f for q, t, head, score in passed if (f := _tested(view, t, head, q, score, len(passed), family))]
    smallest = min((c[0] for c in candidates), default=1.0)
    return Outcome("specialist_head", findings, family, {} if findings else {None: smallest})


def _candidates(view: View, out: Comparison, tail: Tail, family: Family) -> list[tuple[float, int, Head, float]]:
    """(q, task, head, score) of all heads in the common tail, each judged by its task's own where that is heavier."""
    law, found = tail.bounded(view.width), []
    for t, scores in out.scores.items():
        own = Tail.of(scores[np.isfinite(scores)])
        other = own.likeliest() if own is not None and own.heavier_than(law) else None
        for i, j in np.argwhere(np.nan_to_num(scores, nan=-np.inf) > tail.threshold):
            score = float(scores[i, j])
            p = max(law.p(score), other.p(score) if other is not None else 0.0)
            found.append((min(1.0, p * family.size), t, Head(int(i), int(j)), score))
    return found


def _differences(view: View, t: int, head: Head) -> list[tuple[Difference, int]] | None:
    """How much larger the head is than on each other task; None where that cannot be told of one."""
    levels = [level(view, u, head) for u in range(len(view.scores.tasks))]
    own, found = levels[t], list[tuple[Difference, int]]()
    for u, other in enumerate(levels):
        if u != t:
            apart = None if own is None or other is None else difference([own], other)
            if apart is None:
                return None
            found.append((apart, u))
    return found


def _tested(view: View, t: int, head: Head, q: float, score: float, candidates: int, family: Family) -> Finding | None:
    differences = _differences(view, t, head)
    if differences is None:
        return None
    both = max(q, min(1.0, candidates * max(d.p for d, _ in differences)))
    if both > family.alpha:
        return None
    least, other = min(differences, key=lambda each: (each[0].log, view.scores.task_names[each[1]]))
    test = view.test(TEST, NULL, score, both / family.size, both, family)
    return _finding(view, t, head, other, Effect(RATIO, *least.ratio), PRIORITY["tested"], test)


def _observed(view: View, tasks: Sequence[int]) -> list[Finding]:
    """Return the head of each task that is largest, relative to its layer, in comparison to every other task."""
    ratio, relative = _ratios(view.whole[None], view.present)
    largest = {
        t: Head(*(int(i) for i in np.unravel_index(int(ratio[0, t].argmax()), ratio[0, t].shape))) for t in tasks
    }
    some = {t: head for t, head in largest.items() if ratio[0, t][head] >= TIMES}
    if not some:
        return []
    quantile, spreads, _ = background(view, [view.present] * len(view.whole))
    times, found = TIMES, list[Finding]()
    if (spreads > 0).any():
        # tasks of a kind resemble each other, which makes large ratios rarer than among these
        each = drawn_statistics(
            quantile, spreads, view.present, partial(_most, present=view.present), view.settings.seed
        )
        times = floor(each, TIMES)
    for t, head in some.items():
        if ratio[0, t][head] >= times:
            levels = relative[0, :, head.layer, head.head]
            rest = [other for other in range(len(levels)) if other != t]
            other = min(rest, key=lambda i: (-levels[i], view.scores.task_names[i]))  # of equal ones the first by name
            effect = Effect(RATIO, float(ratio[0, t][head]))
            found.append(_finding(view, t, head, other, effect, PRIORITY["observed"], times=times))
    return found


def _most(maps: np.ndarray, present: np.ndarray) -> Float[np.ndarray, "draw"]:
    largest: np.ndarray = _ratios(maps, present)[0].max(axis=(1, 2, 3))
    return largest


def _ratios(
    maps: Float[np.ndarray, "draw task layer head"], present: Bool[np.ndarray, "layer head"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many times a head among the top of its layer is larger, relative to the layer's median, than on
    every other task, else 0; and all heads' importance relative to their layer's median.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = maps / np.nanmedian(maps, axis=3, keepdims=True)
    relative[~np.isfinite(relative)] = 0.0  # a layer whose median is 0, and absent heads
    second, first = np.moveaxis(np.partition(relative, [-2, -1], axis=1)[:, -2:], 1, 0)
    top = np.maximum(1, np.round(TOP * present.sum(axis=1)))[:, None]
    alone = present & (relative == first[:, None]) & (second > 0)[:, None]
    ratio = np.divide(first[:, None], second[:, None], out=np.zeros_like(relative), where=alone)
    high = alone & (ratio >= TIMES)
    for draw, t, layer, head in np.argwhere(high):
        # heads at least as large, itself among them
        high[draw, t, layer, head] = (maps[draw, t, layer] >= maps[draw, t, layer, head]).sum() <= top[layer, 0]
    return ratio * high, relative


def _finding(
    view: View,
    t: int,
    head: Head,
    other: int,
    effect: Effect,
    priority: float,
    test: Test | None = None,
    times: float = TIMES,
) -> Finding:
    observed = test is None
    controlled = view.control is not None
    data = Data(next=view.scores.task_names[other], others=len(view.scores.tasks) - 1, controlled=controlled)
    return view.finding(
        "specialist_head",
        t,
        "observed" if observed else "tested",
        priority,
        layers=(head.layer, head.layer),
        heads=(head.head, head.head),
        members=[str(head)],
        value=view.head_value(t, head, whole=observed),
        effect=effect,
        data=data,
        caveats=view.caveats(
            t, *([] if controlled else [MAYBE_GENERIC]), *([] if observed else [TAIL_MODEL]), whole=observed
        ),
        test=test,
        rule=RULE.format(times) if observed else None,
    )


DETECTOR = Detector(
    "specialist_head",
    detect,
    order=90,
    doc=DOC,
    topic="heads",
    data=Data,
    noun="head specialised in one task",
    together=True,
    caveats=(TAIL_MODEL, MAYBE_GENERIC),
    priority=PRIORITY,
    references=(GRIMSHAW,),
    tried=True,
    missed="under 8 SD a specialist",
    weight=1,
    able=_able,
)
