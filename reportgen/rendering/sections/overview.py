"""The overview: all heatmaps on one colour scale."""

from reportgen.core.blocks import title
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object]:
    """Return the overview figures, block by block under the block's name."""
    groups = [(title(block).capitalize(), drawings) for block, drawings in report.drawn("overview").items()]
    if report.brief:
        groups = [(name, [d for d in drawings if d.shows != "percentile"]) for name, drawings in groups]
    return {"groups": groups, "numbers": report.numbers, "brief": report.brief}


SECTION = Section("overview", "Overview", view, order=30)
