"""Findings made by hand, one field at a time, and the claims that follow from them."""

from collections.abc import Sequence
from typing import Any

from made_findings import KIND, trials_of

from reportgen.core.claims import Claim
from reportgen.core.findings import Effect, Finding, Test, Value, numbered
from reportgen.core.trials import TOP
from reportgen.summary.summarize import summarize

__all__ = ["KIND", "TOP", "finding", "said", "top"]


def finding(
    kind: str, task: str | None = None, q: float | None = None, effect: float | None = None, **rest: Any
) -> Finding:
    """A finding, tested where a q is given; ``value`` may be a number."""
    test = None if q is None else Test("a test", "a null", 1.0, q, q, kind, 8, 999)
    if isinstance(rest.get("value"), float):
        rest["value"] = Value(rest["value"], None, None, "importance", "in-sample")
    rest |= {"test": test, "rule": "a rule" if q is None else None}
    rest["effect"] = None if effect is None else Effect("an effect", effect)
    return Finding("", kind, "m", "observed" if q is None else "tested", 0.5, task=task, **rest)


def top(task: str, verdict: str, after: int, heads: Sequence[str] = ("L0H1", "L0H2"), **more: Any) -> Finding:
    """What knocking out a task's first heads left of 37 right answers, all of which were right before."""
    printed = {"examples": 37, "before": 100.0, "after": 100 * after / 37, "margin": 0.05, "core": [*heads], **more}
    data = {"of": TOP, "validation": printed}
    return finding(KIND, task, 0.01, verdict=verdict, data=data, members=[*heads])


def said(*findings: Finding) -> dict[str, Claim]:
    """The claims by their ids."""
    return {claim.id: claim for claim in summarize(trials_of(numbered(findings))).claims}
