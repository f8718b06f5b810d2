"""The overview: all heatmaps on one colour scale."""

from typing import Any

from reportgen.rendering.view import Report, Section


def view(report: Report) -> dict[str, Any]:
    """The overview figures."""
    return {"drawings": report.drawn("overview"), "numbers": report.numbers}


SECTION = Section("overview", "Overview", view)
