"""Absence: a search that found nothing says so."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.kinds import closed

DOC = """A search that found nothing says so.

Observed, one finding for every family of tests with tasks in which no test passed: the tasks and the smallest q-value
among them. A q-value above alpha is no evidence that nothing is there.
Silent about families in which every task has a finding, or that could not be tested at all.
"""
PRIORITY = {"observed": 0.1}
RULE = "no test of this family passed on these tasks"


@closed
class Data(TypedDict):
    """No test of the kind ``searched`` passed ``alpha`` on ``count`` of the ``total`` tasks, ``every`` one or fewer;
    the smallest q-value among them.
    """

    searched: str
    smallest_q: float
    alpha: float
    every: bool
    count: int
    total: int


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a family."""
    findings = []
    for outcome in earlier:
        if outcome.family is None:
            continue
        # a small q without a finding was vetoed by the kind's own conditions, which is no absence of the effect
        silent = {name: q for name, q in outcome.silent.items() if q > outcome.family.alpha}
        if not silent:
            continue
        tasks = [n for n in view.scores.task_names if n in silent or None in silent]
        every = len(tasks) == len(view.scores.tasks)
        findings.append(
            view.finding(
                "absence",
                None,
                "observed",
                PRIORITY["observed"],
                rule=RULE,
                tasks=tasks,
                data=Data(
                    searched=outcome.kind,
                    smallest_q=min(silent.values()),
                    alpha=outcome.family.alpha,
                    every=every,
                    count=len(tasks),
                    total=len(view.scores.tasks),
                ),
            )
        )
    return Outcome("absence", findings)


DETECTOR = Detector(
    "absence",
    detect,
    order=1000,
    doc=DOC,
    topic="trust",
    data=Data,
    label="nothing found",
    priority=PRIORITY,
    signed=True,
    remark=True,
)
