"""Dashes on what is clearly negative: a diverging colour map shows both its ends alike once it is printed in grey."""

import math

import numpy as np
from jaxtyping import Float

from reportgen.rendering.format import number
from reportgen.rendering.plots.canvas import Canvas, Point
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.scale import Scale

# RdBu's two ends are alike in grey, so that sign needs a mark of its own.
# Below a fifth of the scale's end cells are near white whatever their sign, and a dash would make much of little.
FROM, PALE = 0.2, 0.7  # shares of the scale's end: from where a cell gets a dash, from where the dash is white
ROOM = 2.6 / 72  # inches a dash needs; cells smaller than that share one
LONGEST = 4.0 / 72  # inches
DARK, WHITE, LINE = "#101418", "#ffffff", 0.5


def block(grid: Grid) -> tuple[int, int]:
    """Return how many layers and heads share a dash."""
    wide, high = grid.cell
    return math.ceil(ROOM / high - 1e-9), math.ceil(ROOM / wide - 1e-9)


def strongest(values: Float[np.ndarray, "layer head"], rows: int, columns: int) -> Float[np.ndarray, "row column"]:
    """Of every block of cells the value that is largest in size; 0 where no head is present."""
    layers, heads = values.shape
    filled = np.pad(np.nan_to_num(values), ((0, -layers % rows), (0, -heads % columns)))
    blocks = filled.reshape(len(filled) // rows, rows, -1, columns).swapaxes(1, 2)
    cut = blocks.reshape(*blocks.shape[:2], rows * columns)
    result: np.ndarray = np.take_along_axis(cut, np.abs(cut).argmax(axis=2)[..., None], axis=2)[..., 0]
    return result


def draw_signs(canvas: Canvas, grid: Grid, values: Float[np.ndarray, "layer head"], scale: Scale) -> None:
    """Draw a dash in each clearly negative cell of a diverging scale, or block of cells whose strongest is."""
    if not scale.signed:
        return
    rows, columns = block(grid)
    most = strongest(values, rows, columns)
    half = min(0.28 * columns * grid.cell[0], LONGEST / 2)
    dark, white = list[list[Point]](), list[list[Point]]()
    for row, column in np.argwhere(most <= -FROM * scale.high).tolist():
        x = grid.x + (column * columns + min((column + 1) * columns, grid.heads)) / 2 * grid.cell[0]
        y = (grid.edge(row * rows) + grid.edge(min((row + 1) * rows, grid.layers))) / 2
        ink = white if most[row, column] <= -PALE * scale.high else dark
        ink.append([(x - half, y), (x + half, y)])
    _draw(canvas, dark, white)


def parameters() -> dict[str, float | str]:
    """Return the same rule for the page's script, lengths in points."""
    return {
        "from": FROM,
        "pale": PALE,
        "room": 72 * ROOM,
        "longest": 72 * LONGEST,
        "line": LINE,
        "dark": DARK,
        "white": WHITE,
    }


def draw_bar_signs(canvas: Canvas, scale: Scale, x: float, y: float, width: float, body: float) -> None:
    """Draw the same dashes on the negative part of a colour bar from ``y`` downwards."""
    if not scale.signed:
        return
    half, step, dark, white = LONGEST / 2, LONGEST, list[list[Point]](), list[list[Point]]()
    for i in range(math.floor((1 - FROM) * body / 2 / step)):
        at = y + body - (i + 0.5) * step
        share = 2 * (at - y) / body - 1  # of the way from zero down to the scale's end
        (white if share >= PALE else dark).append([(x + width / 2 - half, at), (x + width / 2 + half, at)])
    _draw(canvas, dark, white)


def _draw(canvas: Canvas, dark: list[list[Point]], white: list[list[Point]]) -> None:
    with canvas.part("signs"):
        canvas.lines(dark, DARK, LINE, 1.6)
        canvas.lines(white, WHITE, LINE, 1.6)


def sign_note(grid: Grid, scale: Scale) -> str:
    """Return what a caption says of the dashes."""
    if not scale.signed:
        return ""
    rows, columns = block(grid)
    what = "cell" if rows == columns == 1 else f"block of {rows} × {columns} cells whose strongest is"
    return f" A dash marks each {what} at {number(-FROM * scale.high)} or below, so that the sign shows in grey too."
