"""The overview: all heatmaps on one colour scale."""

from dataclasses import replace

from reportgen.core.blocks import title
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object] | None:
    """Return the overview figures, block by block under the block's name; in the PDF, those not on its first page."""
    groups = [(title(block).capitalize(), drawings) for block, drawings in report.drawn(SECTION.name).items()]
    if report.printed:
        groups = [(name, [d for d in drawings if d is not _first(report)]) for name, drawings in groups]
        groups = [(name, drawings) for name, drawings in groups if drawings]
    return {"groups": groups, "numbers": report.numbers} if groups else None


def brief(report: Report) -> dict[str, object]:
    """Return the first figure, its caption in two sentences."""
    drawing, style, length = _first(report), report.styles[0], report.study.report.length
    if len(report.tasks) > len(drawing.panels):
        which = f"{len(drawing.panels)} of {len(report.tasks)} tasks"
    else:
        which = "every task" if len(report.tasks) > 1 else report.tasks[0].name
    marks = drawing.caption.partition(" Marks: ")[2].rstrip(".")
    scale = "each map’s colours end at its maximum"
    if drawing.shows == "value":
        shared = "the maps share one colour scale, to" if len(report.tasks) > 1 else "the colours end at"
        scale = f"{shared} {fmt.number(style.scale.high)}"
        scale += f", and {fmt.count(style.scale.clipped, 'cell')} beyond it" if style.scale.clipped else ""
    caption = (
        f"{style.unit[:1].upper()}{style.unit[1:]} of every head on {which}: layers in rows ({style.layers}), heads in "
        f"columns, the maximum above each map. From dark purple to bright yellow, {scale}{'; ' * bool(marks)}{marks}."
    )
    if others := [title(b.block) for b in report.blocks if b.block != drawing.block]:
        caption += (
            f" {fmt.ordinal_list(others).capitalize()}: {'in the appendix' if length == 'full' else 'in figures/'}."
        )
    return {"drawing": replace(drawing, caption=style.of(caption)), "numbers": report.numbers}


def _first(report: Report) -> Drawing:
    return next(d for d in report.drawings if d.section == SECTION.name)


SECTION = Section("overview", "Overview", view, order=30, brief=brief, first=True)
