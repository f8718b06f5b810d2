"""Out of range: scores that their unit forbids."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.view import Detector, Outcome, View, closed
from reportgen.findings import Effect, Finding
from reportgen.scores import Head

DOC = """Scores that their unit forbids, so that something is wrong with the file or with how it was averaged.

Observed: heads whose importance on a task, or a single example's score where there are any, lies below the lower or
above the upper of the bounds that the study declares ([scores] bounds), by more than the rounding of 32-bit numbers.
Silent where no bounds are declared, and where every number keeps within them.
"""
ROUNDING, SHOWN = 1e-6, 5  # relative to the larger bound; heads that the sentence names
RULE = "importance or an example's score outside the declared bounds by more than a millionth of the larger one"


@closed
class Data(TypedDict):
    """``values``: the members' importances, or farthest examples; ``examples``: how many example scores lie outside."""

    low: float
    high: float
    heads: int
    values: list[float]
    examples: int
    shown: int
    more: int


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding for each task with such a number."""
    if view.settings.bounds is None:
        return Outcome("out_of_range")
    found = [_finding(view, t, *view.settings.bounds) for t in range(len(view.scores.tasks))]
    return Outcome("out_of_range", [f for f in found if f])


def _finding(view: View, t: int, low: float, high: float) -> Finding | None:
    farthest, examples = _farthest(view, t, low, high)
    excess = _excess(farthest, low, high)
    slack = ROUNDING * max(abs(low), abs(high))
    heads = sorted((Head(int(i), int(j)) for i, j in np.argwhere(excess > slack)), key=lambda h: -excess[h])
    if not heads:
        return None
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    data = Data(
        low=low, high=high, heads=int(view.present.sum()), values=[float(farthest[h]) for h in heads],
        examples=examples, shown=min(SHOWN, len(heads)), more=max(0, len(heads) - SHOWN),
    )  # fmt: skip
    return view.finding(
        "out_of_range", t, "observed", 0.97, rule=RULE, members=[str(h) for h in heads],
        layers=(min(layers), max(layers)), heads=(min(columns), max(columns)), cells=[(h.layer, h.head) for h in heads],
        effect=Effect("farthest beyond a bound", float(excess[heads[0]])), data=dict(data),
    )  # fmt: skip


def _farthest(view: View, t: int, low: float, high: float) -> tuple[np.ndarray, int]:
    """Each head's importance, or the example's score that lies farther out; and how many examples' scores lie out."""
    farthest = np.where(view.present, view.scores.importance[t].astype(float), np.nan)
    known = view.scores.examples[t]
    if known is None:
        return farthest, 0
    values = np.abs(known.values) if view.scores.reduction == "mean_abs" else known.values
    slack = ROUNDING * max(abs(low), abs(high))
    outside = int((_excess(values, low, high) > slack).sum())
    for each in (np.min(values, axis=0), np.max(values, axis=0)):
        farthest = np.where(_excess(each, low, high) > np.maximum(slack, _excess(farthest, low, high)), each, farthest)
    return farthest, outside


def _excess(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far values lie beyond the nearer bound, negative inside."""
    return np.maximum(values.astype(float) - high, low - values.astype(float))


DETECTOR = Detector("out_of_range", detect, DOC, data=Data)
