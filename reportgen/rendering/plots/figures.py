"""The report's figures. Each is drawn once; page, PDF and paper share it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from reportgen.core.blocks import Blocks, parsed, title
from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import kind_of
from reportgen.core.scores import HeadScores
from reportgen.core.stats import among_top
from reportgen.rendering.format import count, number
from reportgen.rendering.plots import alt_text as describe
from reportgen.rendering.plots.canvas import Canvas, fitted, printable, wrapped
from reportgen.rendering.plots.curves import concentration, profiles
from reportgen.rendering.plots.drawing import BlockStyle, Box, Drawing, Panel, Shows, box_of, layer_means, panel_of
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.heatmap import Marks, draw_axes, draw_bars, draw_cells, draw_colour_bar, draw_marks
from reportgen.rendering.plots.medium import Medium
from reportgen.rendering.plots.relations import shared, similarity
from reportgen.rendering.plots.scale import Scale
from reportgen.rendering.plots.signs import sign_note

# Four panels in a row, as in the published figure that sample_data/figure follows; more tasks make more figures.
COLUMNS, ROWS = 4, 4


def marks_for(findings: Sequence[Finding], shape: tuple[int, int]) -> Marks:
    """Return the outlines and named heads of one task's findings."""
    regions = tuple(f.mask(shape) for f in findings if kind_of(f.kind).shown == "outlined")
    names = [m for f in findings if kind_of(f.kind).shown == "framed" for m in f.members or []]
    return Marks(regions, tuple(parsed(str(m)) for m in dict.fromkeys(names)), findings[0].block if findings else None)


def overview(scores: HeadScores, findings: Findings, style: BlockStyle) -> list[Drawing]:
    """Draw the published layout: heatmaps of all tasks, four in a row, one colour bar; a figure per sixteen tasks."""
    return [_page(scores, scores.importance, findings, style, "value", *span) for span in _spans(scores)]


def percentiles(scores: HeadScores, findings: Findings, style: BlockStyle) -> list[Drawing]:
    """Draw the same layout in percentiles within each task, so that every task's pattern shows whatever its scale."""
    cells = int(scores.present.sum())
    own = replace(style, scale=Scale(0, 100, style.sequential, 0, cells, 100), unit="percentile within the task")
    # Steps of 2 % look the same and spare half of the image.
    ranked = np.stack([np.round(percentile_of(values) / 2) * 2 for values in scores.importance])
    return [_page(scores, ranked, findings, own, "percentile", *span) for span in _spans(scores)]


def percentile_of(values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "layer head"]:
    """Return each head's rank by absolute value in per cent of the number of heads; ties share the middle of their
    ranks.
    """
    result, present = np.full(values.shape, np.nan), ~np.isnan(values)
    result[present] = 100 * rankdata(np.abs(values[present].astype(float))) / present.sum()
    return result


def _spans(scores: HeadScores) -> list[tuple[int, int]]:
    size = COLUMNS * ROWS
    return [(start, min(start + size, len(scores.tasks))) for start in range(0, len(scores.tasks), size)]


def _page(
    scores: HeadScores,
    values: Float[np.ndarray, "task layer head"],
    findings: Findings,
    style: BlockStyle,
    shows: Shows,
    start: int,
    stop: int,
) -> Drawing:
    """Draw one figure of at most sixteen panels."""
    medium = style.medium
    columns = min(COLUMNS if medium.width > 4 else 2, stop - start)
    rows = -(-(stop - start) // columns)
    left, right, gap, title, foot = 0.42, 0.86, 0.16, 0.36, 0.34
    width = min((medium.width - left - right - (COLUMNS - 1) * gap) / COLUMNS * (1.35 if columns < 3 else 1), 1.9)
    if medium.paper:
        width = (medium.width - left - right - (columns - 1) * gap) / columns
    height = width * min(1.5, max(0.3, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + columns * (width + gap) - gap + right, rows * (height + title) + foot + 0.05)
    shown, panels = Marks(), list[Panel]()
    for i, t in enumerate(range(start, stop)):
        row, column = divmod(i, columns)
        x, y = left + column * (width + gap), title + row * (height + title)
        grid = Grid(x, y, width, height, scores.n_layers, scores.n_heads, style.order)
        marks = marks_for(findings.by_task(scores.tasks[t].name), (scores.n_layers, scores.n_heads))
        shown = Marks(shown.regions + marks.regions, shown.heads + marks.heads, scores.block)
        _overview_panel(canvas, grid, scores.tasks[t].name, values[t], style, marks)
        draw_axes(canvas, grid, left=column == 0, bottom=i + columns >= stop - start, size=medium.pt(5.5))
        panels.append(panel_of(canvas, grid, t))
    bar = _shared_bar(canvas, style, title, canvas.height - foot - 0.05, right)
    part = "" if stop - start == len(scores.tasks) else f" (tasks {start + 1}–{stop} of {len(scores.tasks)})"
    name = style.file("overview" if shows == "value" else "percentiles")
    name += f"-{start // (COLUMNS * ROWS) + 1}" if part else ""
    words = _of_values if shows == "value" else _of_percentiles
    caption, alt = words(scores, findings, style, start, stop, part)
    caption += sign_note(grid, style.scale) + _marks_note(shown)
    return Drawing(
        name, "overview", canvas.svg(name, alt), caption, alt, canvas, True, style.block, shows, tuple(panels), bar
    )


def _overview_panel(
    canvas: Canvas, grid: Grid, name: str, values: Float[np.ndarray, "layer head"], style: BlockStyle, marks: Marks
) -> None:
    lines = wrapped(name, grid.width, 7, bold=True)
    for i, line in enumerate(reversed(lines)):
        canvas.text(grid.x, grid.y - 0.06 - 0.115 * i, line, 7, bold=True)
    draw_cells(canvas, grid, values, style.scale)
    draw_marks(canvas, grid, marks, style.medium.pt(5), most=4, line=0.75)


def _shared_bar(canvas: Canvas, style: BlockStyle, top: float, bottom: float, room: float) -> Box:
    height = max(0.3, min(bottom - top, 2.6))
    x, y = canvas.width - room + 0.28, (top + bottom - height) / 2
    return box_of(canvas, *draw_colour_bar(canvas, style.scale, x, y, height, style.unit))


def _of_values(
    scores: HeadScores, findings: Findings, style: BlockStyle, start: int, stop: int, part: str
) -> tuple[str, str]:
    """Caption and description of the overview on the shared scale."""
    caption = style.of(
        f"{_quantity(style)} of every head on every task{part}: layer by head, {style.layers}. "
        f"{scale_note(style, 'all tasks')} Brightness is not comparable between tasks: each task’s scores have "
        "a size of their own."
    )
    described = []
    for t in range(start, stop):
        here = findings.by_task(scores.tasks[t].name)
        described.append(
            f"{printable(scores.tasks[t].name)}: {describe.statistics(scores, t)} {describe.found(here, 2)}"
        )
    kind = f"Heatmaps of {count(stop - start, 'task')}, each of {describe.axes(scores, style)}."
    return caption, style.of(" ".join([kind, describe.scale(style), *described]))


def _of_percentiles(
    scores: HeadScores, findings: Findings, style: BlockStyle, start: int, stop: int, part: str
) -> tuple[str, str]:
    """Caption and description of the overview in percentiles."""
    caption = style.of(
        f"The same heads{part} ranked within each task: colour is the percentile of a head’s absolute importance among "
        "all heads of its task, 100 being the largest. It shows each task’s pattern and nothing of its size."
    )
    tops = "; ".join(f"{printable(scores.tasks[t].name)}: {describe.largest(scores, t)}" for t in range(start, stop))
    kind = f"Heatmaps of {count(stop - start, 'task')}, each of {describe.axes(scores, style)}."
    return caption, style.of(f"{kind} {describe.scale(style)} Largest head of each task: {tops}.")


def _quantity(style: BlockStyle) -> str:
    return style.unit[:1].upper() + style.unit[1:]


def scale_note(style: BlockStyle, shared_by: str) -> str:
    """Return what a caption says of the colour scale: shared by whom, and how many cells lie beyond its end."""
    scale = style.scale
    note = f"The colour scale is shared by {shared_by}{' of this block' if style.block else ''}"
    if scale.clipped:
        size = "in absolute value " if scale.signed else ""
        cells = f"{count(scale.clipped, 'cell')} of {scale.total:,}"
        verb = "lies" if scale.clipped == 1 else "lie"
        return (
            f"{note} and clipped at {number(scale.high)}: {cells} {verb} {size}above it "
            f"(largest {number(scale.largest)})."
        )
    return f"{note}; no cell lies beyond its end."


def _marks_note(marks: Marks) -> str:
    notes = []
    if marks.regions:
        notes.append(" Outlines: regions found in the task.")
    if marks.heads:
        notes.append(" Framed and named: single heads found in the task.")
    return "".join(notes)


def _panel_widths(medium: Medium) -> tuple[float, float]:
    """Of a task's heatmap and of the bars beside it."""
    if not medium.paper:
        return 2.25, 0.85
    room = medium.width - 0.45 - 0.12 - 0.86
    side = min(0.68 * room, 3.2)
    return side, min(room - side, 1.6)


def panel(scores: HeadScores, findings: Findings, style: BlockStyle, t: int, name: str) -> Drawing:
    """Draw one task's heatmap with the mean of each layer beside it, on the same layer axis."""
    left, top, side, profile = 0.45, 0.3, *_panel_widths(style.medium)
    height = side * min(1.2, max(0.15, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + side + 0.12 + profile + 0.86, top + max(height, 0.6) + 0.42)
    grid = Grid(left, top, side, height, scores.n_layers, scores.n_heads, style.order)
    task, values = scores.tasks[t], scores.importance[t]
    marks = marks_for(findings.by_task(task.name), values.shape)
    draw_cells(canvas, grid, values, style.scale)
    draw_marks(canvas, grid, marks, style.medium.pt(5.5))
    draw_axes(canvas, grid)
    if scores.whole:  # the mean of some heads is no layer's
        draw_bars(canvas, grid, layer_means(values).tolist(), profile, "layer mean")
    beside = (" and, right, the mean of each layer", ", with bars of the layer means on the same rows")
    right, bars = beside if scores.whole else ("", "")
    heading = ", ".join(part for part in (printable(task.name), title(style.block)) if part)
    canvas.text(left, top - 0.1, fitted(heading, side + profile, 8, bold=True), 8, bold=True)
    bar = draw_colour_bar(canvas, style.scale, canvas.width - 0.5, top, max(height, 0.6), style.unit)
    caption = (
        f"{heading}: {style.unit} of each head ({style.layers}){right}. "
        f"{scale_note(style, 'all tasks')}{sign_note(grid, style.scale)}{_marks_note(marks)}"
    )
    alt = style.of(
        f"Heatmap of {describe.axes(scores, style)}{bars}. "
        f"{describe.scale(style)} {describe.statistics(scores, t)} {describe.found(findings.by_task(task.name))}"
    )
    return Drawing(
        name,
        "tasks",
        canvas.svg(name, alt),
        caption,
        alt,
        canvas,
        block=style.block,
        panels=(panel_of(canvas, grid, t),),
        bar=box_of(canvas, *bar),
    )


def top_counts(scores: HeadScores) -> Float[np.ndarray, "layer head"]:
    """Return in how many tasks each head is among the top 10 % of its layer (at least one head); absent heads NaN."""
    keep = np.maximum(1, np.round(0.1 * scores.present.sum(axis=1)))
    counts: np.ndarray = among_top(np.abs(scores.importance), keep[:, None]).sum(axis=0).astype(float)
    counts[~scores.present] = np.nan
    return counts


def cross_task(scores: HeadScores, findings: Findings, style: BlockStyle) -> Drawing | None:
    """Draw a map of how many tasks have each head in the top 10 % of its layer; None for a single task."""
    if len(scores.tasks) < 2:
        return None
    counts = top_counts(scores)
    shared_heads = [f for f in findings.ranked() if kind_of(f.kind).shown == "counted"]
    found = [str(m) for f in shared_heads for m in f.members or []]
    marks = Marks(heads=tuple(parsed(m) for m in dict.fromkeys(found)), block=scores.block)
    top = max(1, int(np.nanmax(counts)))
    scale = Scale(0, top, "cividis", 0, int(scores.present.sum()), top)
    left, side = 0.45, min(2.6, style.medium.width - 0.45 - 0.86)
    height = side * min(1.2, max(0.15, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + side + 0.86, 0.1 + max(height, 0.6) + 0.42)
    grid = Grid(left, 0.1, side, height, scores.n_layers, scores.n_heads, style.order)
    draw_cells(canvas, grid, counts, scale)
    draw_marks(canvas, grid, marks, style.medium.pt(5.5))
    draw_axes(canvas, grid)
    bar = draw_colour_bar(canvas, scale, canvas.width - 0.5, 0.1, max(height, 0.6), "number of tasks")
    heads = int((counts == top).sum())
    caption = style.of(
        f"Number of tasks (of {len(scores.tasks)}) on which a head is among the top 10 % of its layer by absolute "
        f"{style.unit} ({style.layers}). {'Framed and named: heads found to be shared by tasks.' if found else ''}"
    )
    alt = style.of(
        f"Heatmap of {describe.axes(scores, style)}. Colour is the number of tasks, from 0 to {top}; the highest "
        f"count, {top} of {len(scores.tasks)} tasks, is reached by {count(heads, 'head')} in "
        f"{describe.layers_of(counts, top)}. {describe.found(shared_heads)}"
    )
    name = style.file("cross-task")
    svg = canvas.svg(name, alt)
    return Drawing(
        name,
        "across_tasks",
        svg,
        caption.strip(),
        alt,
        canvas,
        False,
        style.block,
        "count",
        (panel_of(canvas, grid, None),),
        box_of(canvas, *bar),
    )


def all_figures(
    blocks: Blocks, findings: Findings, styles: Sequence[BlockStyle], names: Sequence[Sequence[str]]
) -> list[Drawing]:
    """Draw every figure of the report in reading order; ``names[task][block]`` are the per-task figures' file names."""
    each = [(scores, findings.of_block(scores.block), style) for scores, style in zip(blocks, styles, strict=True)]
    overviews = [drawing for block in each for drawing in (*overview(*block), *percentiles(*block))]
    panels = [panel(*block, t, row[i]) for t, row in enumerate(names) for i, block in enumerate(each)]
    rest = [d for block in each for d in _across(*block) if d is not None]
    return [*overviews, *panels, *rest]


def _across(scores: HeadScores, findings: Findings, style: BlockStyle) -> list[Drawing | None]:
    """Draw a block's figures that compare tasks: they speak of layers and of sums over all heads."""
    if not scores.whole:
        return []
    counts = cross_task(scores, findings, style)
    return [
        profiles(scores, style),
        counts,
        shared(scores, style),
        similarity(findings, style),
        concentration(scores, style),
    ]
