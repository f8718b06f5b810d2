"""Out of range: scores that their unit forbids."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect, Finding
from reportgen.core.kinds import closed
from reportgen.core.scores import Head

DOC = """Scores that their unit forbids, so that something is wrong with the file or with how it was averaged.

Observed: heads whose importance on a task, or a single example's score where there are any, lies below the lower or
above the upper of the bounds that the study declares ([scores] bounds), by more than the rounding of 32-bit numbers.
Silent where no bounds are declared, and where every number keeps within them.
"""
PRIORITY = {"number outside the bounds": 0.97}  # before all else: the scores cannot be what they are said to be
ROUNDING, SHOWN = 1e-6, 5  # relative to the larger bound; heads that the sentence names
RULE = "importance or an example's score outside the declared bounds by more than a millionth of the larger one"


@closed
class Data(TypedDict):
    """``values`` are the members' importances. Of single examples, ``examples`` scores of ``example_heads`` heads lie
    outside, ``farthest`` and ``farthest_head`` the worst of them.
    """

    low: float
    high: float
    heads: int
    values: list[float]
    shown: int
    more: int
    examples: int
    example_heads: int
    farthest: float | None
    farthest_head: str | None


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding for each task with such a number."""
    if view.settings.bounds is None:
        return Outcome("out_of_range")
    found = [_finding(view, t, *view.settings.bounds) for t in range(len(view.scores.tasks))]
    return Outcome("out_of_range", [f for f in found if f])


def _finding(view: View, t: int, low: float, high: float) -> Finding | None:
    importance = view.scores.importance[t].astype(float)
    excess, slack = _excess(importance, low, high), ROUNDING * max(abs(low), abs(high))
    heads = sorted((Head(int(i), int(j)) for i, j in np.argwhere(excess > slack)), key=lambda h: -excess[h])
    single = _single(view, t, low, high)
    outside = single > slack
    marked = (excess > slack) | outside.any(axis=0)
    if not marked.any():
        return None
    worst = np.unravel_index(int(np.nan_to_num(single).argmax()), single.shape) if outside.any() else None
    known = view.scores.examples[t]
    cells = [Head(int(i), int(j)) for i, j in np.argwhere(marked)]
    layers, columns = [h.layer for h in cells], [h.head for h in cells]
    data = Data(
        low=low,
        high=high,
        heads=int(view.present.sum()),
        values=[float(importance[h]) for h in heads],
        shown=min(SHOWN, len(heads)),
        more=max(0, len(heads) - SHOWN),
        examples=int(outside.sum()),
        example_heads=int(outside.any(axis=0).sum()),
        farthest=None if worst is None or known is None else float(known.values[worst]),
        farthest_head=None if worst is None else str(Head(int(worst[1]), int(worst[2]))),
    )
    beyond = max(float(np.nanmax(excess)), float(single[worst]) if worst is not None else 0.0)
    # Those whose importance is out of range first, then those of which only examples are.
    members = [*heads, *(h for h in cells if h not in heads)]
    return view.finding(
        "out_of_range",
        t,
        "observed",
        PRIORITY["number outside the bounds"],
        rule=RULE,
        members=[str(h) for h in members],
        layers=(min(layers), max(layers)),
        heads=(min(columns), max(columns)),
        cells=[(h.layer, h.head) for h in cells],
        effect=Effect("farthest beyond a bound", beyond),
        data=data,
    )


def _single(view: View, t: int, low: float, high: float) -> np.ndarray:
    """How far each example's score lies beyond the nearer bound (example, layer, head); no rows without examples."""
    known = view.scores.examples[t]
    if known is None:
        return np.empty((0, *view.present.shape))
    values = np.abs(known.values) if view.scores.reduction == "mean_abs" else known.values
    return _excess(values, low, high)


def _excess(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far values lie beyond the nearer bound, negative inside."""
    return np.maximum(values.astype(float) - high, low - values.astype(float))


DETECTOR = Detector(
    "out_of_range",
    detect,
    order=10,
    doc=DOC,
    topic="trust",
    data=Data,
    priority=PRIORITY,
    signed=True,
    of_some=True,
    of_equal=True,
)
