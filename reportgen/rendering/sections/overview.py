"""The overview: all heatmaps on one colour scale."""

from reportgen.core.blocks import title
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object] | None:
    """Return the overview figures, block by block under the block's name; in the PDF, those not on its first page."""
    groups = [(title(block).capitalize(), drawings) for block, drawings in report.drawn(SECTION.name).items()]
    if report.printed:
        first = brief(report)["drawing"]
        groups = [(name, [d for d in drawings if d is not first]) for name, drawings in groups]
        groups = [(name, drawings) for name, drawings in groups if drawings]
    return {"groups": groups, "numbers": report.numbers} if groups else None


def brief(report: Report) -> dict[str, object]:
    """Return the first figure."""
    return {"drawing": next(d for d in report.drawings if d.section == SECTION.name), "numbers": report.numbers}


SECTION = Section("overview", "Overview", view, order=30, brief=brief, first=True)
