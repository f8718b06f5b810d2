"""The figures of a comparison: maps of what differs, and how heads move over the runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.archive.compare.model import Comparison, Versus, trajectories
from reportgen.archive.compare.statistics import Difference
from reportgen.core.blocks import title, written
from reportgen.core.scores import Head
from reportgen.rendering.format import count
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, printable, wrapped
from reportgen.rendering.plots.curves import DASHES, LINES
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.heatmap import Marks, draw_axes, draw_cells, draw_colour_bar, draw_marks, single
from reportgen.rendering.plots.scale import nice_step, scale_of, tick_label
from reportgen.rendering.plots.signs import sign_note

COLUMNS, WIDTH, HEIGHT, NAMES, GAP = 3, 1.25, 1.1, 0.5, 0.42  # of panels in a row; inches
HEADS = 6  # lines of a panel
MAPS = 4  # in a row
Moved = list[tuple[Head, list[float]]]


@dataclass(frozen=True)
class Figure:
    """A figure of the page: its SVG and its caption."""

    svg: str
    caption: str


def trajectory_figure(made: Comparison, block: str | None) -> Figure | None:
    """Draw the heads of a block whose importance moves most over the runs; None where no task has values to compare."""
    panels = [(task, moved) for task in made.tasks if (moved := trajectories(made, block, task, HEADS))]
    if not panels:
        return None
    columns, top = min(COLUMNS, len(panels)), 0.36
    rows = -(-len(panels) // columns)
    canvas = Canvas(GAP + columns * (WIDTH + NAMES + GAP) - GAP + 0.1, rows * (HEIGHT + top + 0.2) + 0.2)
    for i, (task, moved) in enumerate(panels):
        row, column = divmod(i, columns)
        x, y = GAP + column * (WIDTH + NAMES + GAP), top + row * (HEIGHT + top + 0.2)
        for k, line in enumerate(reversed(wrapped(task, WIDTH + NAMES, 7, bold=True))):
            canvas.text(x, y - 0.08 - 0.115 * k, line, 7, bold=True)
        _panel(canvas, x, y, moved, block, last=i + columns >= len(panels))
    names = ", ".join(f"{i} {printable(run.name)}" for i, run in enumerate(made.runs, 1))
    named = f" ({title(block)})" if block else ""
    caption = (
        f"Importance{named} over the runs, in the order in which they were given: {names}. Of each task the heads that "
        "move most, named at their last value; every task has a scale of its own."
    )
    return Figure(canvas.svg(f"trajectories-{block or ''}", f"{caption} {_description(panels, block)}"), caption)


def _panel(canvas: Canvas, x: float, y: float, moved: Moved, block: str | None, last: bool) -> None:
    values = [v for _, each in moved for v in each]
    low, high = min(0.0, *values), max(0.0, *values)
    step = nice_step((high - low) / 3)
    first, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    bottom, reach = first * step, (stop - first) * step

    def point(run: int, value: float) -> tuple[float, float]:
        return x + WIDTH * run / (len(moved[0][1]) - 1), y + HEIGHT * (1 - (value - bottom) / reach)

    for i in range(first, stop + 1):
        at = point(0, i * step)[1]
        canvas.lines([[(x, at), (x + WIDTH, at)]], HAIR, 0.3, 1)
        canvas.text(x - 0.05, at + 0.03, tick_label(i * step, step) if i else "0", 6, "right")
    for run in range(len(moved[0][1])):
        across, base = point(run, bottom)
        canvas.lines([[(across, base), (across, base + 0.03)]], INK, 0.4)
        canvas.text(across, base + 0.13, f"{run + 1}", 6, "center")
    if last:
        canvas.text(x + WIDTH / 2, y + HEIGHT + 0.27, "Run", 6.5, "center", color=MUTED)
    for k, (_, each) in enumerate(moved):
        canvas.lines([[point(run, v) for run, v in enumerate(each)]], LINES[k % 7], 1.0, 4, DASHES[k % 2])
    _names(
        canvas,
        x + WIDTH,
        y,
        [(point(0, each[-1])[1], k, str(written(block, head))) for k, (head, each) in enumerate(moved)],
    )


def _names(canvas: Canvas, x: float, top: float, ends: list[tuple[float, int, str]]) -> None:
    """Draw the heads' names beside the ends of their lines, moved apart where they would meet."""
    gap, positions = 0.115, list[float]()
    for at, _, _ in sorted(ends):
        positions.append(max(at, positions[-1] + gap) if positions else max(at, top))
    beyond = max(0.0, positions[-1] - (top + HEIGHT))
    for (at, k, name), put in zip(sorted(ends), positions, strict=True):
        canvas.lines([[(x + 0.01, at), (x + 0.08, put - beyond)]], LINES[k % 7], 0.5, 3)
        canvas.text(x + 0.1, put - beyond + 0.03, name, 6)


def _description(panels: Sequence[tuple[str, Moved]], block: str | None) -> str:
    parts = []
    for task, moved in panels:
        head, each = moved[0]
        parts.append(f"{printable(task)}: {written(block, head)} moves most, from {each[0]:.3g} to {each[-1]:.3g}")
    return f"Lines in {count(len(panels), 'panel')}. {'; '.join(parts)}."


def difference_maps(v: Versus) -> list[Figure]:
    """Draw, block by block, the run's importance minus the reference's; a block of another unit is left out."""
    blocks = dict.fromkeys(d.block for d in v.differences)
    drawn = (_map(v, [d for d in v.differences if d.block == b and d.values is not None], b) for b in blocks)
    return [figure for figure in drawn if figure is not None]


def _map(v: Versus, shown: Sequence[Difference], block: str | None) -> Figure | None:
    """Draw one figure: of each task the run minus the reference, on one colour scale that diverges around zero."""
    panels = [d.values for d in shown if d.values is not None]
    if not panels:
        return None
    scale = scale_of(np.stack(panels), "viridis", signed=True)
    layers, heads = panels[0].shape
    columns, width, gap, top, foot = min(MAPS, len(panels)), 1.45, 0.16, 0.36, 0.34
    rows, height = -(-len(panels) // columns), width * min(1.5, max(0.3, layers / heads))
    canvas = Canvas(0.42 + columns * (width + gap) + 0.9, rows * (height + top) + foot + 0.05)
    for i, d in enumerate(shown):
        row, column = divmod(i, columns)
        grid = Grid(0.42 + column * (width + gap), top + row * (height + top), width, height, layers, heads, "down")
        for k, line in enumerate(reversed(wrapped(d.task, width, 7, bold=True))):
            canvas.text(grid.x, grid.y - 0.06 - 0.115 * k, line, 7, bold=True)
        draw_cells(canvas, grid, panels[i], scale)
        draw_marks(canvas, grid, Marks(tuple(single((layers, heads), c.head) for c in d.changes)), line=0.75)
        draw_axes(canvas, grid, left=column == 0, bottom=i + columns >= len(panels), size=5.5)
    draw_colour_bar(
        canvas, scale, canvas.width - 0.62, top, max(0.5, min(rows * (height + top) - top, 2.6)), "difference"
    )
    named = f" ({title(block)})" if block else ""
    tested = count(sum(len(d.changes) for d in shown), "head")
    caption = (
        f"Importance in {printable(v.run.name)} minus importance in the reference{named}, layer by head, one colour "
        f"scale for all tasks.{sign_note(grid, scale)} Framed: heads that were found to differ ({tested})."
    )
    return Figure(canvas.svg(f"differences-{v.run.name}-{block or ''}", caption), caption)
