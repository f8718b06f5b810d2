"""Heatmaps of layer × head: the cells, the axes, the colour bar, and what is marked on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import written
from reportgen.core.scores import Head
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, fitted
from reportgen.rendering.plots.drawing import Box
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.renderer import Dash
from reportgen.rendering.plots.scale import Scale, nice_step, tick_label, tick_step
from reportgen.rendering.plots.signs import draw_bar_signs, draw_signs

ABSENT_LINE = "#a8adb4"
DARK, WHITE = "#101418", "#ffffff"
DASHED: Dash = (0, (3, 2))  # in line widths


@dataclass(frozen=True)
class Marks:
    """What is marked on a heatmap, in three kinds of marks: what was ``tested`` and what was ``observed``, regions and
    single heads, and the ``top`` heads; ``named`` are the single heads among them, to be named outside of the map.
    """

    tested: tuple[np.ndarray, ...] = ()
    observed: tuple[np.ndarray, ...] = ()
    top: tuple[Head, ...] = ()
    named: tuple[Head, ...] = ()


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


def draw_marks(canvas: Canvas, grid: Grid, marks: Marks, line: float = 0.9) -> None:
    """Outline the marks in white with a dark halo, legible on any colour and in grey: what was tested in a full line,
    what was observed in a dashed one, top heads that are neither in a thin one. Nothing is written on the cells.
    """
    found = [*marks.tested, *marks.observed]
    frames = (single((grid.layers, grid.heads), head) for head in marks.top)
    thin = [mask for mask in frames if not any(np.array_equal(mask, other) for other in found)]
    with canvas.part("marks"):
        for masks, width, dash in (
            (thin, 0.6 * line, None),
            (marks.observed, line, DASHED),
            (marks.tested, line, None),
        ):
            strokes = [s for mask in masks for s in grid.outline(mask)]
            canvas.strokes(strokes, DARK, 2.2 * width, 4)
            canvas.strokes(strokes, WHITE, width, 4.1, dash)


def single(shape: tuple[int, ...], head: Head) -> np.ndarray:
    """Return the mask (layer, head) of one head on a map of that shape."""
    mask = np.zeros(shape, dtype=bool)
    mask[head.layer, head.head] = True
    return mask


def draw_names(canvas: Canvas, grid: Grid, heads: Sequence[Head], block: str | None, size: float) -> float:
    """Write heads' names right of the map, on the height of their layers, with leaders where they are moved apart.

    Returns the width in inches that they take.
    """
    named = sorted(heads, key=lambda head: grid.centre(*head)[1])
    wanted = [grid.centre(*head)[1] for head in named]
    right, gap = grid.x + grid.width, size / 72 * 1.2
    texts = [written(block, head) for head in named]
    for at, y, text in zip(wanted, spread(wanted, gap, grid.y, grid.y + grid.height), texts, strict=True):
        canvas.lines([[(right + 0.01, at), (right + 0.04, at), (right + 0.1, y)]], MUTED, 0.4, 3)
        canvas.text(right + 0.12, y + size / 72 * 0.36, text, size)
    return 0.12 + max((text_width(text, size) for text in texts), default=0.0)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return the ascending positions moved so far apart that ``gap`` lies between any two, within ``low`` and ``high``
    as far as there is room.
    """
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    placed = list[float]()
    for at in wanted:
        placed.append(max(at, placed[-1] + gap) if placed else max(at, low))
    beyond = high
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], beyond)
        beyond = placed[i] - gap
    return placed


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


def draw_bars(canvas: Canvas, grid: Grid, profile: Sequence[float], x0: float, width: float, unit: str) -> None:
    """Draw a horizontal bar per layer on the grid's own layer axis, from ``x0`` to the right."""
    values = np.nan_to_num(np.asarray(profile, dtype=float))
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
