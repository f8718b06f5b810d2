"""All figures of a report, and their files: SVG, PDF and PNG, and once more in the widths of a venue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from reportgen.core.blocks import Blocks
from reportgen.core.findings import Findings
from reportgen.core.patterns import Patterns
from reportgen.core.trials import Validation
from reportgen.core.venues import widths
from reportgen.rendering.context import Report, TaskView
from reportgen.rendering.plots import figures as draw
from reportgen.rendering.plots.attention import attention
from reportgen.rendering.plots.drawing import BlockStyle, Drawing
from reportgen.rendering.plots.dumbbell import dumbbell
from reportgen.rendering.plots.knockout import knockout
from reportgen.rendering.plots.matplotlib_adapter import PAPER as PAPER_FONT
from reportgen.rendering.plots.matplotlib_adapter import typeface
from reportgen.rendering.plots.medium import LEGIBLE, Medium
from reportgen.rendering.plots.method_ranks import method_ranks
from reportgen.rendering.plots.overview import SMALL, small_maps
from reportgen.rendering.sections.common import SECTIONS
from reportgen.rendering.task_table import first_tasks

FORMS = ("svg", "pdf", "png")
PAPER = "figures/paper"  # where the figures for a venue lie


def drawn(
    blocks: Blocks,
    findings: Findings,
    styles: Sequence[BlockStyle],
    names: Sequence[Sequence[str]],
    others: Mapping[str, Blocks],
    validation: Validation | None,
) -> tuple[Drawing, ...]:
    """Draw every figure for the medium that the styles name."""
    ranks = [
        method_ranks(block, {name: each[i] for name, each in others.items()}, styles[i])
        for i, block in enumerate(blocks)
    ]
    small = [small_maps(block, style) for block, style in zip(blocks, styles, strict=True)]
    further = [*ranks, knockout(validation, styles[0].medium), dumbbell(validation, styles[0].medium), *small]
    return (*draw.all_figures(blocks, findings, styles, names), *(d for d in further if d is not None))


def with_patterns(
    drawings: Sequence[Drawing], tasks: Sequence[TaskView], patterns: Patterns | None, unit: str
) -> Iterator[Drawing]:
    """Yield the figures, each task's attention patterns behind the last of its maps."""
    last = {task.maps[-1].figure: task for task in tasks}
    for drawing in drawings:
        yield drawing
        task = last.get(drawing.name)
        found = attention(patterns.of(task.task.name), task.anchor, unit) if task and patterns else None
        if found is not None:
            yield found


def on_paper(report: Report) -> Report:
    """Return the report as the PDF has it: its figures numbered from its first page on, those of single tasks last.

    Where there are more maps than fit there, the tasks that claims name stand for all.
    """
    figures = [d for d in report.drawings if d.shows != "percentile"]
    if len(report.tasks) > SMALL:
        shown = [report.tasks.index(task) for task in first_tasks(report, SMALL)]
        first = small_maps(report.scores, report.styles[0], shown)
        figures.insert(0, replace(first, section="overview"))
    sections = sorted(
        SECTIONS.chosen(report.sections, "[report] sections"), key=lambda s: (s.brief is None, not s.first)
    )
    names = [section.name for section in sections]
    of_all = [d for d in figures if d.section in names]
    numbered = sorted(of_all, key=lambda d: (d.section == "tasks", names.index(d.section)))
    numbers = {d.name: i for i, d in enumerate(numbered, 1)}
    return replace(report, printed=True, drawings=tuple(figures), numbers=numbers)


def figure_files(report: Report, forms: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
    """Yield every figure of the report as files of the named forms, SVG always among them."""
    for drawing in report.drawings:
        yield f"figures/{drawing.name}.svg", drawing.svg
        if "pdf" in forms:
            yield f"figures/{drawing.name}.pdf", drawing.canvas.bitmap("pdf")
        if "png" in forms:
            yield f"figures/{drawing.name}.png", drawing.canvas.bitmap("png")


def paper_figures(report: Report) -> Iterator[tuple[str, bytes | str]]:
    """Yield every figure once more as PDF, SVG and PNG, in the column and text widths of the study's venue, if any."""
    venue = report.study.report.venue
    names = [[m.figure for m in t.maps] for t in report.tasks]
    for kind, width in ({} if venue is None else widths(venue)).items():
        styles = [replace(style, medium=Medium(width, LEGIBLE, paper=True)) for style in report.styles]
        with typeface(PAPER_FONT):
            made = drawn(report.blocks, report.findings, styles, names, report.others, report.validation)
        for drawing in made:
            stem = f"{PAPER}/{drawing.name}-{kind}"
            yield f"{stem}.svg", drawing.canvas.sized(drawing.svg)
            yield f"{stem}.pdf", drawing.canvas.bitmap("pdf")
            yield f"{stem}.png", drawing.canvas.bitmap("png")
