"""At a glance: each task's most important head, in one table."""

from typing import Any

from reportgen.core.blocks import written
from reportgen.rendering.context import Report
from reportgen.rendering.format import number
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table


def view(report: Report) -> dict[str, Any]:
    """The values that templates/sections/at_a_glance.j2 is filled with; None would leave the section out."""
    rows = []
    for task in report.tasks:
        for heads in task.maps:
            (top,) = heads.top(1)
            rows.append((task.name, written(heads.block, top), number(float(heads.values[top]))))
    columns = (("Task", False), ("Most important head", False), ("Importance", True))
    return {"heads": Table("", "Each task’s most important head", columns, tuple(rows))}


SECTION = Section("at_a_glance", "At a glance", view)
