"""Across tasks: heads that tasks share, and how concentrated importance is."""

from reportgen.core.kinds import kind_of
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object] | None:
    """Return the findings on several tasks and the figures that compare tasks; None where there are neither."""
    groups = list(report.drawn("across_tasks").values())
    found = report.at("across_tasks")
    if not groups and not found:
        return None
    several = [v for v in found if not kind_of(v.finding.kind).remark]
    empty = [v for v in found if kind_of(v.finding.kind).remark]
    return {"groups": groups, "numbers": report.numbers, "findings": several, "empty": empty}


SECTION = Section("across_tasks", "Across tasks", view, order=60)
