"""Concentration: how few heads carry most of a task's importance, and which tasks are more localised than others."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.statistics.effective_heads import Spread, effective, less, spread
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect, Family, Finding, Value
from reportgen.core.kinds import Guidance, closed
from reportgen.core.stats import benjamini_hochberg

DOC = """How few heads carry half of a task's importance, and which tasks are more localised than others.

Observed: the smallest number of heads whose importance adds up to at least half of the sum over all heads, and the
participation ratio (Σμ)²/Σμ² as an effective number of heads. With examples both squares are taken less what noise adds
to them, since noise alone makes a map look concentrated.
Tested, between every two tasks with held-out examples: which is more localised shows on the discovery half; null: its
effective number of heads is no smaller (Student's t of the logarithms, jackknife over resampling groups, tasks sampled
apart). Both halves must reject it by themselves, the larger p counts, since a few large examples can mislead one of
them; Benjamini–Hochberg over pairs, and at least 1.25 times as small. At most three tasks are told, those that are more
localised than the most others. It is about these tasks on other examples, not about other tasks.
Silent where the sum is zero and with fewer than 4 heads; the test with one task and under 20 groups in a half.
"""
PRIORITY = {"compared": 0.66, "half": 0.25}  # of half the importance up to .1 more, the fewer heads hold it
# Of noise alone one task seems more concentrated than another: without what noise adds to the squares taken off, the
# Gini coefficient differed on every empty tensor whose noise did.
HEADS, TIMES, TASKS, SHOWN = 4, 1.25, 3, 3
GROUPS = 20  # in each half: with fewer, heavy-tailed noise passed for a difference
RULE = "smallest number of heads whose importance sums to at least half of the total"
TEST = "t test of the logarithm of the effective number of heads"


@closed
class Half(TypedDict):
    """``half`` of the ``heads`` carry half of the importance, a share of ``percent``."""

    compared: Literal[False]
    half: int
    heads: int
    percent: float


@closed
class Compared(TypedDict):
    """The task's effective number of heads on held-out examples and the range of the others'; each of these ``others``
    with the q of its comparison.
    """

    compared: Literal[True]
    own: float
    low: float
    high: float
    others: list[str]
    q: list[float]
    least: float
    most: float
    shown: int
    more: int


def _able(view: View) -> bool:
    return sum(view.held_out(t) for t in range(len(view.scores.tasks))) >= 2 and int(view.present.sum()) >= HEADS


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task, and those that compare tasks."""
    halves = [_half(view, t) for t in range(len(view.whole))]
    found = [f for f in halves if f]
    pairs = _pairs(view)
    if not pairs:
        return Outcome("concentration", found)
    family = view.family("concentration", len(pairs), "Benjamini–Hochberg over pairs of tasks")
    q = benjamini_hochberg([p for _, _, p in pairs])
    beaten: dict[int, list[tuple[int, float, float]]] = {}
    tasks = sorted({t for pair in pairs for t in pair[:2]})
    held = {t: s for t in tasks if (s := spread(view, t, "held-out")) is not None}
    for (a, b, p), each in zip(pairs, q, strict=True):
        if each <= family.alpha and held[b].log - held[a].log >= np.log(TIMES):
            beaten.setdefault(a, []).append((b, p, each))
    ranked = sorted(beaten, key=lambda t: (-len(beaten[t]), held[t].log))
    compared = [_compared(view, t, beaten[t], held, family) for t in ranked[:TASKS]]
    return Outcome("concentration", [*compared, *found], family, {} if compared else {None: min(q)})


def _half(view: View, t: int) -> Finding | None:
    values, total = view.whole[t][view.present], int(view.present.sum())
    if total < HEADS or values.sum() <= 0:
        return None
    falling = np.sort(values)[::-1]
    half = int(np.searchsorted(np.cumsum(falling), values.sum() / 2 * (1 - 1e-12)) + 1)
    known = spread(view, t, "whole")
    number = float(effective(values)) if known is None else float(np.exp(known.log))
    return view.finding(
        "concentration",
        t,
        "observed",
        PRIORITY["half"] + 0.1 * (1 - 2 * half / total),
        rule=RULE,
        effect=Effect("effective number of heads", number, *(known.bounds if known else ())),
        data=Half(compared=False, half=half, heads=total, percent=100 * half / total),
        caveats=view.caveats(t, whole=True),
    )


def _pairs(view: View) -> list[tuple[int, int, float]]:
    """(task, other, p) of every two tasks, the first more localised on the discovery half; the larger p of two."""
    tasks = [t for t in range(len(view.maps)) if view.held_out(t) and np.nansum(view.maps[t]) > 0]
    held = {t: s for t in tasks if (s := spread(view, t, "held-out")) is not None and s.degrees >= GROUPS - 1}
    if view.present.sum() < HEADS:
        return []
    found = {t: s for t in held if (s := spread(view, t, "discovery")) is not None and s.degrees >= GROUPS - 1}
    ordered = [(a, b) if found[a].log <= found[b].log else (b, a) for a, b in combinations(found, 2)]
    return [(a, b, max(less(found[a], found[b]), less(held[a], held[b]))) for a, b in ordered]


def _compared(
    view: View, t: int, beaten: list[tuple[int, float, float]], held: dict[int, Spread], family: Family
) -> Finding:
    beaten = sorted(beaten, key=lambda each: -held[each[0]].log)
    worst = max(beaten, key=lambda each: each[1])
    numbers = [float(np.exp(held[b].log)) for b, _, _ in beaten]
    own, (low, high) = float(np.exp(held[t].log)), held[t].bounds
    names = [view.scores.task_names[b] for b, _, _ in beaten]
    data = Compared(
        compared=True,
        own=own,
        low=low,
        high=high,
        others=names,
        q=[q for *_, q in beaten],
        least=min(numbers),
        most=max(numbers),
        shown=min(SHOWN, len(names)),
        more=max(0, len(names) - SHOWN),
    )
    test = view.test(
        TEST, "the effective number of heads is no smaller than the other task's", own, worst[1], worst[2], family
    )
    return view.finding(
        "concentration",
        t,
        "tested",
        PRIORITY["compared"],
        test=test,
        data=data,
        value=Value(own, low, high, "effective number of heads; 95 % interval", "held-out"),
        effect=Effect("times as small as the least of the others'", min(numbers) / own),
        caveats=view.caveats(t),
    )


DETECTOR = Detector(
    "concentration",
    detect,
    order=170,
    doc=DOC,
    topic="tasks",
    data=Half | Compared,
    noun="task whose importance is more localised than another's",
    together=True,
    priority=PRIORITY,
    guidance=Guidance(
        "Concentration",
        "How few heads hold half of the importance depends on the scoring method and on noise, which spreads "
        "importance over all heads. Compare it between tasks scored in the same way, not between methods.",
    ),
    several="tasks more localised than others",
    weight=1,
    able=_able,
)
