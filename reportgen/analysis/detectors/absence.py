"""Absence: a search that found nothing says so."""

from collections.abc import Sequence

from reportgen.analysis.view import Detector, Outcome, View

DOC = """A search that found nothing says so.

Observed, one finding for every family of tests with tasks in which no test passed: the tasks and the smallest q-value
among them. A q-value above alpha is no evidence that nothing is there.
Silent about families in which every task has a finding, or that could not be tested at all.
"""
RULE = "no test of this family passed on these tasks"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a family."""
    findings = []
    for outcome in earlier:
        if outcome.family is None or not outcome.silent:
            continue
        order = [n for n in (*view.scores.task_names, "all tasks") if n in outcome.silent]
        tasks = list(view.scores.task_names) if order == ["all tasks"] else order
        every = len(tasks) == len(view.scores.tasks)
        findings.append(
            view.finding(
                "absence",
                None,
                "observed",
                0.1,
                rule=RULE,
                tasks=tasks,
                data={
                    "searched": outcome.kind,
                    "smallest_q": min(outcome.silent.values()),
                    "alpha": outcome.family.alpha,
                    "every": every,
                    "count": len(tasks),
                    "total": len(view.scores.tasks),
                },
            )
        )
    return Outcome("absence", findings)


DETECTOR = Detector("absence", detect, DOC)
