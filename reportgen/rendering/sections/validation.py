"""Causal validation: what knocking found heads out did, and the verdict on every finding that was put to the test."""

from collections import Counter
from typing import Any

from reportgen.rendering.canvas import printable
from reportgen.rendering.view import FindingView, Report, Section, Table

# verdict: what it says of a finding
VERDICTS = {
    "confirmed": "knocking the found heads out changed the task more than knocking out matched controls did",
    "refuted": "it did not, within the stated margin: the heads are not necessary under this intervention, "
    "and redundancy or self-repair are possible",
    "undecided": "the examples and controls do not tell",
    "unvalidated": "no intervention was made",
}


def view(report: Report) -> dict[str, Any] | None:
    """The findings of the validation and a table of verdicts; None where nothing was put to the test."""
    found = report.at("validation")
    judged = [v for v in report.views.values() if v.verdict is not None]
    if not found and all(v.verdict == "unvalidated" for v in judged):
        return None
    counts = Counter(v.verdict for v in judged)
    tally = [(verdict, counts[verdict], meaning) for verdict, meaning in VERDICTS.items() if counts[verdict]]
    return {"findings": found, "tally": tally, "verdicts": _table(report, judged)}


def _table(report: Report, judged: list[FindingView]) -> Table | None:
    order = list(VERDICTS)
    judged = sorted(judged, key=lambda v: order.index(v.verdict or "unvalidated"))
    rows = tuple((v.id, printable(v.finding.task or "several"), v.kind, v.verdict or "") for v in judged)
    columns = (("Finding", False), ("Task", False), ("Kind", False), ("Verdict", False))
    links = tuple(report.link(v) for v in judged)
    return Table("verdicts", "Verdicts on findings", columns, rows, links=links) if rows else None


SECTION = Section("validation", "Causal validation", view)
