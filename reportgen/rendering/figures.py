"""The report's figures. Each is drawn once; page, PDF and paper share it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from reportgen.blocks import Blocks, parsed, title, written
from reportgen.findings import Finding, Findings
from reportgen.rendering.canvas import HAIR, INK, MUTED, Canvas, fitted, printable, wrapped
from reportgen.rendering.format import count, number, share
from reportgen.rendering.heatmap import (
    Grid,
    Marks,
    Order,
    Scale,
    draw_axes,
    draw_bars,
    draw_cells,
    draw_colour_bar,
    draw_marks,
    nice_step,
    scale_of,
)  # fmt: skip
from reportgen.scores import Head, HeadScores

WIDTH = 6.7  # inches: the text width of an A4 page
COLUMNS, ROWS = 4, 4  # panels of one overview figure; more tasks make more figures
OUTLINED, NAMED = ("cluster", "row_segment"), ("anomaly",)
# Okabe and Ito's palette without its yellow, which is too light for lines
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK)
DASHES = ("solid", (0, (4, 1.5)))


@dataclass(frozen=True)
class Drawing:
    """A finished figure: file name, the report section that shows it, SVG, caption, text alternative and block."""

    name: str
    section: str
    svg: str
    caption: str
    alt: str
    canvas: Canvas = field(compare=False, repr=False)
    wide: bool = False
    block: str | None = None


@dataclass(frozen=True)
class Look:
    """What the figures of a block of heads share: the colour scale, the layer order, the scores' unit, the block."""

    scale: Scale
    order: Order
    unit: str
    block: str | None = None

    @property
    def layers(self) -> str:
        """Where layer 0 is."""
        return f"layer 0 at the {'top' if self.order == 'down' else 'bottom'}"

    def file(self, name: str) -> str:
        """A figure's file name with the block."""
        return f"{name}-{self.block}" if self.block else name

    def of(self, text: str) -> str:
        """A caption that says first which block it is about."""
        return f"{title(self.block).capitalize()}. {text}" if self.block else text


def look_for(scores: HeadScores, colormap: str, order: Order) -> Look:
    """The look of all figures of this block's scores."""
    signed = scores.method.signed and scores.reduction == "mean"
    unit = printable(scores.method.unit) or "importance"
    return Look(scale_of(scores.importance, colormap, signed), order, unit, scores.block)


def marks_for(findings: Sequence[Finding], shape: tuple[int, int]) -> Marks:
    """The outlines and named heads of one task's findings."""
    regions = tuple(f.mask(shape) for f in findings if f.kind in OUTLINED)
    names = [m for f in findings if f.kind in NAMED for m in f.members or []]
    return Marks(regions, tuple(parsed(str(m)) for m in dict.fromkeys(names)), findings[0].block if findings else None)


def overview(scores: HeadScores, findings: Findings, look: Look) -> list[Drawing]:
    """The published layout: heatmaps of all tasks, four in a row, one colour bar; a figure per sixteen tasks."""
    size = COLUMNS * ROWS
    starts = range(0, len(scores.tasks), size)
    return [_overview_part(scores, findings, look, start, min(start + size, len(scores.tasks))) for start in starts]


def _overview_part(scores: HeadScores, findings: Findings, look: Look, start: int, stop: int) -> Drawing:
    columns = min(COLUMNS, stop - start)
    rows = -(-(stop - start) // columns)
    left, right, gap, title, foot = 0.42, 0.86, 0.16, 0.36, 0.34
    width = min((WIDTH - left - right - (COLUMNS - 1) * gap) / COLUMNS * (1.35 if columns < 3 else 1), 1.9)
    height = width * min(1.5, max(0.3, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + columns * (width + gap) - gap + right, rows * (height + title) + foot + 0.05)
    shown = Marks()
    for i, t in enumerate(range(start, stop)):
        row, column = divmod(i, columns)
        x, y = left + column * (width + gap), title + row * (height + title)
        grid = Grid(x, y, width, height, scores.n_layers, scores.n_heads, look.order)
        marks = marks_for(findings.by_task(scores.tasks[t].name), (scores.n_layers, scores.n_heads))
        shown = Marks(shown.regions + marks.regions, shown.heads + marks.heads, scores.block)
        _overview_panel(canvas, grid, scores, t, look, marks)
        draw_axes(canvas, grid, left=column == 0, bottom=i + columns >= stop - start, size=5.5)
    _shared_bar(canvas, look, title, canvas.height - foot - 0.05, right)
    return _overview_record(scores, findings, look, canvas, start, stop, shown)


def _overview_panel(canvas: Canvas, grid: Grid, scores: HeadScores, t: int, look: Look, marks: Marks) -> None:
    lines = wrapped(scores.tasks[t].name, grid.width, 7, bold=True)
    for i, line in enumerate(reversed(lines)):
        canvas.text(grid.x, grid.y - 0.06 - 0.115 * i, line, 7, bold=True)
    draw_cells(canvas, grid, scores.importance[t], look.scale)
    draw_marks(canvas, grid, marks, 5, most=4, line=0.75)


def _shared_bar(canvas: Canvas, look: Look, top: float, bottom: float, room: float) -> None:
    height = max(0.3, min(bottom - top, 2.6))
    draw_colour_bar(canvas, look.scale, canvas.width - room + 0.28, (top + bottom - height) / 2, height, look.unit)


def _overview_record(scores: HeadScores, findings: Findings, look: Look, canvas: Canvas, start: int, stop: int,
                     marks: Marks) -> Drawing:  # fmt: skip
    name = look.file("overview")
    name += "" if stop - start == len(scores.tasks) else f"-{start // (COLUMNS * ROWS) + 1}"
    of_all = "" if stop - start == len(scores.tasks) else f" (tasks {start + 1}–{stop} of {len(scores.tasks)})"
    caption = look.of(
        f"{_quantity(look)} of every head on every task{of_all}: layer by head, {look.layers}. "
        f"{scale_note(look, 'all tasks')}{_marks_note(marks)}"
    )
    tasks = scores.tasks[start:stop]
    tops = "; ".join(_top_of(scores, t) for t in range(start, min(stop, start + 8)))
    alt = look.of(
        f"Heatmaps of {count(len(tasks), 'task')}, {scores.n_layers} layers by {scores.n_heads} heads, colour from "
        f"{number(look.scale.low)} to {number(look.scale.high)}. Largest head per task: {tops}."
    )
    return Drawing(name, "overview", canvas.svg(name, alt), caption, alt, canvas, wide=True, block=look.block)


def _top_of(scores: HeadScores, t: int) -> str:
    panel = scores.importance[t]
    layer, head = np.unravel_index(np.nanargmax(np.abs(panel)), panel.shape)
    return (
        f"{printable(scores.tasks[t].name)}: {written(scores.block, Head(int(layer), int(head)))} "
        f"({number(float(panel[layer, head]))})"
    )


def _quantity(look: Look) -> str:
    return look.unit[:1].upper() + look.unit[1:]


def scale_note(look: Look, shared_by: str) -> str:
    """What a caption says of the colour scale: shared by whom, and how many cells lie beyond its end."""
    scale = look.scale
    note = f"The colour scale is shared by {shared_by}{' of this block' if look.block else ''}"
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


def panel(scores: HeadScores, findings: Findings, look: Look, t: int, name: str) -> Drawing:
    """One task's heatmap with the mean of each layer beside it, on the same layer axis."""
    left, top, side, profile = 0.45, 0.3, 2.25, 0.85
    height = side * min(1.2, max(0.15, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + side + 0.12 + profile + 0.86, top + max(height, 0.6) + 0.42)
    grid = Grid(left, top, side, height, scores.n_layers, scores.n_heads, look.order)
    task, values = scores.tasks[t], scores.importance[t]
    marks = marks_for(findings.by_task(task.name), values.shape)
    draw_cells(canvas, grid, values, look.scale)
    draw_marks(canvas, grid, marks)
    draw_axes(canvas, grid)
    means = layer_means(values)
    draw_bars(canvas, grid, means.tolist(), profile, "layer mean")
    heading = ", ".join(part for part in (printable(task.name), title(look.block)) if part)
    canvas.text(left, top - 0.1, fitted(heading, side + profile, 8, bold=True), 8, bold=True)
    draw_colour_bar(canvas, look.scale, canvas.width - 0.5, top, max(height, 0.6), look.unit)
    caption = (
        f"{heading}: {look.unit} of each head ({look.layers}) and, right, the mean of each layer. "
        f"{scale_note(look, 'all tasks')}{_marks_note(marks)}"
    )
    strongest = int(np.nanargmax(means))
    alt = look.of(
        f"Heatmap of {scores.n_layers} layers by {scores.n_heads} heads, with bars of the layer means. Largest head of "
        f"{_top_of(scores, t)}; layer of highest mean: {strongest} ({number(float(means[strongest]))})."
    )
    return Drawing(name, "tasks", canvas.svg(name, alt), caption, alt, canvas, block=look.block)


def layer_means(values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "layer"]:
    """The mean of each layer's heads in float64; NaN where a layer has none."""
    present = ~np.isnan(values)
    total, n = np.where(present, values, 0).sum(axis=1, dtype=float), present.sum(axis=1)
    means: np.ndarray = np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)
    return means


def top_counts(scores: HeadScores) -> Float[np.ndarray, "layer head"]:
    """In how many tasks each head is among the top 10 % of its layer (at least one head); absent heads NaN."""
    size = np.abs(np.nan_to_num(scores.importance))
    keep = np.maximum(1, scores.present.sum(axis=1) // 10)
    rank = np.argsort(np.argsort(-size, axis=2, kind="stable"), axis=2, kind="stable")
    counts: np.ndarray = (rank < keep[None, :, None]).sum(axis=0).astype(float)
    counts[~scores.present] = np.nan
    return counts


def cross_task(scores: HeadScores, findings: Findings, look: Look) -> Drawing | None:
    """A map of how many tasks have each head in the top 10 % of its layer; None for a single task."""
    if len(scores.tasks) < 2:
        return None
    counts = top_counts(scores)
    found = [str(m) for f in findings.by_kind("cross_task_head") for m in f.members or []]
    marks = Marks(heads=tuple(parsed(m) for m in dict.fromkeys(found)), block=scores.block)
    top = max(1, int(np.nanmax(counts)))
    scale = Scale(0, top, "cividis", 0, int(scores.present.sum()), top)
    left, side = 0.45, 2.6
    height = side * min(1.2, max(0.15, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + side + 0.86, 0.1 + max(height, 0.6) + 0.42)
    grid = Grid(left, 0.1, side, height, scores.n_layers, scores.n_heads, look.order)
    draw_cells(canvas, grid, counts, scale)
    draw_marks(canvas, grid, marks)
    draw_axes(canvas, grid)
    draw_colour_bar(canvas, scale, canvas.width - 0.5, 0.1, max(height, 0.6), "number of tasks")
    heads = int((counts == top).sum())
    caption = look.of(
        f"Number of tasks (of {len(scores.tasks)}) on which a head is among the top 10 % of its layer by absolute "
        f"{look.unit} ({look.layers}). {'Framed and named: heads found to be shared by tasks.' if found else ''}"
    )
    alt = look.of(
        f"Heatmap of task counts, {scores.n_layers} layers by {scores.n_heads} heads; the highest count, {top} of "
        f"{len(scores.tasks)} tasks, is reached by {count(heads, 'head')}."
    )
    name = look.file("cross-task")
    svg = canvas.svg(name, alt)
    return Drawing(name, "across_tasks", svg, caption.strip(), alt, canvas, block=look.block)


def shares(panel_values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "head"]:
    """Cumulative share of the absolute importance held by the k most important heads, k = 0 … all."""
    size = np.sort(np.abs(panel_values[~np.isnan(panel_values)]).astype(float))[::-1]
    total = size.sum()
    held = np.cumsum(size) / total if total > 0 else np.arange(1, len(size) + 1) / len(size)
    return np.concatenate([[0.0], held])


def concentration(scores: HeadScores, look: Look) -> Drawing | None:
    """Share of the importance against share of heads, a line per task, named at its end; None for under 4 heads."""
    curves = [shares(p) for p in scores.importance]
    n = len(curves[0]) - 1
    if n < 4:
        return None
    canvas = Canvas(4.1, 2.75)
    x, y, width, height = 0.5, 0.12, 2.2, 2.1
    half = n // 2 + 1  # beyond the most important half the lines run together
    to_x = [x + width * k / (half - 1) for k in range(half)]
    _curve_axes(canvas, x, y, width, height, (half - 1) / n)
    ends = [y + height * (1 - c[half - 1]) for c in curves]
    order = np.argsort(ends, kind="stable")
    few = len(curves) <= 12
    named = list(order) if few else [order[0], order[-1]]
    keep = np.unique(np.linspace(0, half - 1, min(half, 120)).astype(int))
    for i in reversed(order):
        colour = LINES[i % 7] if few or i in named else HAIR
        points = [(to_x[k], y + height * (1 - curves[i][k])) for k in keep]
        canvas.lines([points], colour, 1.1 if i in named else 0.5, 4 if i in named else 3, DASHES[i // 7 % 2])
    _name_curves(canvas, scores, named, ends, x + width, y, height)
    return _concentration_record(scores, curves, canvas, few, look)


def _curve_axes(canvas: Canvas, x: float, y: float, width: float, height: float, reach: float) -> None:
    for v in (0, 0.25, 0.5, 0.75, 1):
        at = y + height * (1 - v)
        canvas.lines([[(x, at), (x + width, at)]], HAIR, 0.3, 1)
        canvas.text(x - 0.05, at + 0.03, f"{v:.0%}".replace("%", " %"), 6, "right")
    step = nice_step(reach / 4)
    for i in range(int(reach / step + 1e-9) + 1):
        at = x + width * i * step / reach
        canvas.lines([[(at, y + height), (at, y + height + 0.03)]], INK, 0.4)
        canvas.text(at, y + height + 0.13, f"{i * step * 100:.3g} %", 6, "center")
    canvas.lines([[(x, y + height), (x + width, y + height)]], INK, 0.4)
    canvas.lines([[(x, y + height), (x + width, y + height * (1 - reach))]], MUTED, 0.5, 2, (0, (1, 2)))
    canvas.text(x + width / 2, y + height + 0.29, "Share of heads, most important first", 6.5, "center", color=MUTED)
    canvas.text_up(0.1, y + height / 2, "Share of importance", 6.5)


def _name_curves(canvas: Canvas, scores: HeadScores, named: Sequence[int], ends: Sequence[float], x: float, top: float,
                 height: float) -> None:  # fmt: skip
    gap = min(0.13, height / max(1, len(named)))
    places: list[float] = []
    for i in named:
        places.append(max(ends[i], places[-1] + gap) if places else ends[i])
    excess = max(0.0, places[-1] - (top + height)) if places else 0.0
    places = [p - excess for p in places]
    for k in range(len(places) - 2, -1, -1):
        places[k] = min(places[k], places[k + 1] - gap)
    for i, at in zip(named, places, strict=True):
        colour = LINES[i % 7]
        canvas.lines([[(x + 0.02, ends[i]), (x + 0.14, at)]], colour, 0.5, 3)
        canvas.text(x + 0.17, at + 0.03, fitted(scores.tasks[i].name, canvas.width - x - 0.2, 6.5), 6.5)


def _concentration_record(scores: HeadScores, curves: list[np.ndarray], canvas: Canvas, few: bool,
                          look: Look) -> Drawing:  # fmt: skip
    n = len(curves[0]) - 1
    k = max(1, n // 10)
    held = [float(c[k]) for c in curves]
    most, least = int(np.argmax(held)), int(np.argmin(held))
    lines = "One line per task" if few else "One line per task; named: the two at the ends"
    caption = look.of(
        "Share of the summed absolute importance held by the most important heads, up to half of them. "
        f"{lines}. Dotted: all heads equal."
    )
    alt = look.of(
        f"Curves of cumulative share of importance against share of heads for {count(len(curves), 'task')}. The top "
        f"{count(k, 'head')} of {n} hold from {share(held[least])} ({printable(scores.tasks[least].name)}) to "
        f"{share(held[most])} ({printable(scores.tasks[most].name)})."
    )
    name = look.file("concentration")
    return Drawing(name, "across_tasks", canvas.svg(name, alt), caption, alt, canvas, block=look.block)


def all_figures(
    blocks: Blocks, findings: Findings, looks: Sequence[Look], names: Sequence[Sequence[str]]
) -> list[Drawing]:
    """Every figure of the report in reading order; ``names[task][block]`` are the per-task figures' file names."""
    each = [(scores, findings.of_block(scores.block), look) for scores, look in zip(blocks, looks, strict=True)]
    overviews = [drawing for block in each for drawing in overview(*block)]
    panels = [panel(*block, t, row[i]) for t, row in enumerate(names) for i, block in enumerate(each)]
    rest = [drawing for block in each for drawing in (cross_task(*block), concentration(block[0], block[2]))]
    return [*overviews, *panels, *(d for d in rest if d is not None)]
