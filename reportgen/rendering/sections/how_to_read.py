"""How to read the report: indices, colour, the two registers, the numbers."""

from typing import Any

from reportgen.rendering.view import Report, Section


def view(report: Report) -> dict[str, Any]:
    """What depends on the study in this otherwise fixed text."""
    return {
        "top_down": report.study.report.layer_order == "down",
        "intervals": any(e is not None for e in report.scores.examples),
        "absent": not bool(report.scores.present.all()),
    }


SECTION = Section("how_to_read", "How to read this report", view)
