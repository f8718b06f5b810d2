"""Coverage: how much scores can tell, where some heads have none, where they are ranks, or where all are equal."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Finding
from reportgen.core.kinds import closed
from reportgen.core.scores import Head

DOC = """How much the scores can tell, where some heads have none, where they are ranks alone, or where all are equal.

Observed, one finding for every task of scores that list some heads only, that are ranks alone, or that on every
task are one and the same number for all heads. Its members are the
heads of the five largest scores, fewer where heads tie across the fifth place. Of heads that were not scored nothing is
said but whether the file has them all rank below those that it lists ([scores] rest). Nothing is then said of layers
or regions, whose other heads are not known, and of ranks nothing that takes sizes.
Silent where every head has a score and these differ on some task.
"""
PRIORITY = {"observed": 0.96}  # before what is said of single heads: it says of which heads anything can be said
MOST = 5
RULE = f"scores of some heads only, ranks alone, or all equal; at most {MOST} heads of largest score"


@closed
class Data(TypedDict):
    """``scored`` of ``total`` heads have a score, ``rest`` says what is known of the others (None: all were scored);
    ``ranks`` whether the scores are ranks alone, ``equal`` how many heads share the largest, ``only`` the score that
    all have (None: they differ).
    """

    scored: int
    total: int
    rest: Literal["below", "unknown"] | None
    ranks: bool
    equal: int
    only: float | None


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task, where not every head has a score of its own."""
    scores = view.scores
    if scores.whole and not scores.constant:
        return Outcome("coverage")
    return Outcome("coverage", [_finding(view, t) for t in range(len(scores.tasks))])


def _only(values: np.ndarray) -> float | None:
    """Return the one score that all heads of a task have; None where they differ, or where there is one head."""
    found = np.unique(values[~np.isnan(values)])
    return float(found[0]) if len(found) == 1 and np.isfinite(values).sum() > 1 else None


def _finding(view: View, t: int) -> Finding:
    sizes, present = view.whole[t], view.present
    scored, total = view.scores.coverage
    values = sizes[present]
    order = np.argsort(-values, kind="stable")
    ends = [n for n in range(1, len(order) + 1) if n == len(order) or values[order[n - 1]] > values[order[n]]]
    shown = max((n for n in ends if n <= MOST), default=0)
    cells = np.argwhere(present)[order[:shown]].tolist()
    heads = [Head(int(i), int(j)) for i, j in cells]
    data = Data(
        scored=scored,
        total=total,
        rest=view.scores.rest,
        ranks=view.scores.method.ordinal,
        equal=int((values == values.max()).sum()),
        only=_only(view.scores.importance[t]),
    )
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    return view.finding(
        "coverage",
        t,
        "observed",
        PRIORITY["observed"],
        rule=RULE,
        members=[str(h) for h in heads] or None,
        layers=(min(layers), max(layers)) if heads else None,
        heads=(min(columns), max(columns)) if heads else None,
        cells=[(h.layer, h.head) for h in heads] or None,
        data=data,
    )


DETECTOR = Detector(
    "coverage",
    detect,
    order=12,
    doc=DOC,
    topic="trust",
    data=Data,
    label="coverage",
    priority=PRIORITY,
    signed=True,
    important=False,
    of_some=True,
    of_ranks=True,
    of_equal=True,
)
