"""Heatmaps of layer × head: the cells, the axes, the colour bar, and what is marked on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import written
from reportgen.core.scores import Head
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, fitted
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.scale import Scale, nice_step, tick_label, tick_step
from reportgen.rendering.plots.signs import draw_bar_signs, draw_signs

ABSENT_LINE = "#a8adb4"
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Marks:
    """What is marked on a heatmap: outlined regions, and single heads with their names in the block."""

    regions: tuple[np.ndarray, ...] = ()
    heads: tuple[Head, ...] = ()
    block: str | None = None


def draw_cells(canvas: Canvas, grid: Grid, values: Float[np.ndarray, "layer head"], scale: Scale) -> None:
    """Draw the cells, one pixel each, and a hairline frame; strike absent heads through, give negative ones a dash."""
    # One pixel a cell, scaled by the viewer: 20 kB and under 1 ms for eight panels of 32 × 32, where imshow takes
    # 0.85 s and pcolormesh 1.5 s; vector cells show hairline seams in every viewer.
    pixels = scale.colours(values)
    with canvas.part("cells"):
        canvas.image(pixels if grid.order == "down" else pixels[::-1], grid.x, grid.y, grid.width, grid.height)
    absent = [
        (
            (grid.x + h * grid.cell[0], max(grid.edge(la), grid.edge(la + 1))),
            (grid.x + (h + 1) * grid.cell[0], min(grid.edge(la), grid.edge(la + 1))),
        )
        for la, h in np.argwhere(np.isnan(values))
    ]
    canvas.strokes(absent, ABSENT_LINE, 0.3, 1.5)
    draw_signs(canvas, grid, values, scale)
    canvas.rectangle(grid.x, grid.y, grid.width, grid.height, "none", INK, 0.4, 2)


def draw_marks(canvas: Canvas, grid: Grid, marks: Marks, size: float = 5.5, most: int = 8, line: float = 0.9) -> None:
    """Outlines in white with a dark halo, legible on any colour and in grey; the names of the first ``most`` heads."""
    masks = [*marks.regions, *(_single(grid, head) for head in marks.heads)]
    strokes = [s for mask in masks for s in grid.outline(mask)]
    taken: list[Box] = []
    regions = [_bounds(grid, mask) for mask in masks if mask.any()]
    with canvas.part("marks"):
        canvas.strokes(strokes, "#101418", 2.2 * line, 4)
        canvas.strokes(strokes, "#ffffff", line, 4.1)
        for head in marks.heads[:most]:
            _name_head(canvas, grid, head, written(marks.block, head), size, taken, regions)


def _single(grid: Grid, head: Head) -> np.ndarray:
    mask = np.zeros((grid.layers, grid.heads), dtype=bool)
    mask[head.layer, head.head] = True
    return mask


def _bounds(grid: Grid, mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    edges = sorted((grid.edge(int(rows[0])), grid.edge(int(rows[-1]) + 1)))
    return grid.x + columns[0] * grid.cell[0], edges[0], grid.x + (columns[-1] + 1) * grid.cell[0], edges[1]


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _within(a: Box, b: Box) -> bool:
    return b[0] <= a[0] and a[2] <= b[2] and b[1] <= a[1] and a[3] <= b[3]


def _name_head(
    canvas: Canvas, grid: Grid, head: Head, name: str, size: float, taken: list[Box], regions: list[Box]
) -> None:
    x, y = grid.centre(*head)
    width, height = text_width(name, size) + 0.05, size / 72 * 1.25
    dx, dy = grid.cell[0] / 2 + 0.035, grid.cell[1] / 2 + 0.035
    corners = [
        (x + dx, y - height / 2),
        (x - dx - width, y - height / 2),
        (x - width / 2, y - dy - height),
        (x - width / 2, y + dy),
        (x + dx, y + dy),
        (x - dx - width, y - dy - height),
    ]
    boxes = [(left, top, left + width, top + height) for left, top in corners]
    frame = (grid.x, grid.y, grid.x + grid.width, grid.y + grid.height)
    loose = (frame[0], frame[1] - height, frame[2], frame[3] + height)
    # Best inside the panel and off the regions; then over a region; then, in a flat panel, over its edge.
    attempts = [(frame, [*taken, *regions]), (frame, taken), (loose, taken)]
    fits = (
        b for around, others in attempts for b in boxes if _within(b, around) and not any(_meet(b, o) for o in others)
    )
    box = next(fits, None)
    if box is None:
        return  # a name that cannot be placed without covering another stays in the table only
    left, top = box[:2]
    taken.append(box)
    canvas.rectangle(left, top, width, height, "#101418", order=5)
    canvas.text(left + 0.025, top + height * 0.78, name, size, color="#ffffff")


def draw_axes(canvas: Canvas, grid: Grid, *, left: bool = True, bottom: bool = True, size: float = 6) -> None:
    """Ticks on both axes; numbers and axis names where asked for."""
    rows, columns = range(0, grid.layers, tick_step(grid.layers)), range(0, grid.heads, tick_step(grid.heads))
    base = grid.y + grid.height
    ticks = [[(grid.x - 0.03, grid.centre(r, 0)[1]), (grid.x, grid.centre(r, 0)[1])] for r in rows]
    ticks += [[(grid.centre(0, c)[0], base), (grid.centre(0, c)[0], base + 0.03)] for c in columns]
    canvas.lines(ticks, INK, 0.4)
    if left:
        for r in rows:
            canvas.text(grid.x - 0.055, grid.centre(r, 0)[1] + size / 72 * 0.36, str(r), size, "right")
        canvas.text_up(grid.x - 0.13 - text_width(str(rows[-1]), size), grid.y + grid.height / 2, "Layer", size + 0.5)
    if bottom:
        with canvas.part("head-numbers"):
            for c in columns:
                canvas.text(grid.centre(0, c)[0], base + 0.055 + size / 72 * 0.8, str(c), size, "center")
        canvas.text(grid.x + grid.width / 2, base + 0.09 + size / 72 * 1.9, "Head", size + 0.5, "center", color=MUTED)


def draw_colour_bar(canvas: Canvas, scale: Scale, x: float, y: float, height: float, unit: str) -> Box:
    """Return a vertical colour bar; its upper end (a signed scale: both ends) is open where cells are clipped.

    Returns left, top, width and height of the part between its ends.
    """
    width, tip = 0.1, 0.11 if scale.clipped else 0.0
    foot = tip if scale.signed else 0.0
    body = height - tip - foot
    ramp = np.linspace(scale.high, scale.low, 128)[:, None]
    with canvas.part("bar"):
        canvas.image(scale.colours(ramp), x, y + tip, width, body)
    frame = [(x, y + tip), (x + width / 2, y), (x + width, y + tip), (x + width, y + tip + body)]
    frame += [(x + width / 2, y + tip + body + foot), (x, y + tip + body)]
    with canvas.part("bar-tips"):
        if tip:
            canvas.polygon(frame[:3], _hex(scale, scale.high), order=1.2)
        if foot:
            canvas.polygon(frame[3:], _hex(scale, scale.low), order=1.2)
    canvas.polygon(frame, "none", INK, 0.4)
    draw_bar_signs(canvas, scale, x, y + tip, width, body)
    with canvas.part("bar-ticks"):
        _bar_ticks(canvas, scale, x + width, y + tip, body, bool(tip))
    canvas.text_up(x - 0.1, y + height / 2, fitted(unit, height, 6.5), 6.5)
    return x, y + tip, width, body


def _bar_ticks(canvas: Canvas, scale: Scale, x: float, y: float, body: float, is_open: bool) -> None:
    ticks = scale.ticks()
    step = ticks[1] - ticks[0]
    heights = [y + body * (scale.high - t) / (scale.high - scale.low) for t in ticks]
    canvas.lines([[(x, h), (x + 0.03, h)] for h in heights], INK, 0.4)
    for value, h in zip(ticks, heights, strict=True):
        beyond = is_open and math.isclose(abs(value), scale.high, rel_tol=1e-6)
        label = tick_label(value, step)
        canvas.text(x + 0.05, h + 0.03, f"{label}+" if beyond and value > 0 else label, 6)


def _hex(scale: Scale, value: float) -> str:
    red, green, blue = scale.colours(np.array([value]))[0]
    return f"#{red:02x}{green:02x}{blue:02x}"


def draw_bars(canvas: Canvas, grid: Grid, profile: Sequence[float], width: float, unit: str) -> None:
    """Draw a horizontal bar per layer on the grid's own layer axis, to the right of it."""
    x0, values = grid.x + grid.width + 0.12, np.nan_to_num(np.asarray(profile, dtype=float))
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    span = (high - low) or 1.0
    zero = x0 + width * (0 - low) / span
    bars = [
        [(zero, grid.centre(i, 0)[1]), (zero + width * v / span, grid.centre(i, 0)[1])] for i, v in enumerate(values)
    ]
    canvas.lines(bars, "#7c9cb8", grid.cell[1] * 72 * 0.76, 2)
    base = grid.y + grid.height
    canvas.lines([[(zero, grid.y), (zero, base)], [(x0, base), (x0 + width, base)]], INK, 0.4)
    step = nice_step(span / 2)
    for tick in (i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)):
        at = zero + width * tick / span
        canvas.lines([[(at, base), (at, base + 0.03)]], INK, 0.4)
        canvas.text(at, base + 0.055 + 6 / 72 * 0.8, tick_label(tick, step) if tick else "0", 6, "center")
    canvas.text(x0 + width / 2, base + 0.09 + 6 / 72 * 1.9, unit, 6.5, "center", color=MUTED)
    canvas.lines([[(x0 + width, grid.y), (x0 + width, base)]], HAIR, 0.3, 1)
