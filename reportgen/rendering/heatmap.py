"""Heatmaps of layer × head: the colour scale, the grid, and what is marked on it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib
import numpy as np
from jaxtyping import Bool, Float

from reportgen.blocks import written
from reportgen.rendering.canvas import HAIR, INK, MUTED, Canvas, Point, fitted, text_width
from reportgen.scores import Head

CLIP = 99.8  # percentile at which colour is clipped, so that a few extreme heads do not darken all others
ABSENT, ABSENT_LINE = (0.93, 0.93, 0.93), "#a8adb4"
Order = Literal["up", "down"]
Segment = tuple[Point, Point]
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Scale:
    """A colour scale shared by panels: its ends, and how many of ``total`` cells lie beyond an end (``clipped``)."""

    low: float
    high: float
    colormap: str
    clipped: int
    total: int
    largest: float

    @property
    def signed(self) -> bool:
        """Whether the scale is a diverging one, centred at zero."""
        return self.low < 0

    def colours(self, values: Float[np.ndarray, "*cell"]) -> np.ndarray:
        """RGB bytes, absent cells light grey."""
        share = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        rgb: np.ndarray = matplotlib.colormaps[self.colormap](np.nan_to_num(share))[..., :3]
        rgb[np.isnan(values)] = ABSENT
        return np.round(rgb * 255).astype(np.uint8)

    def ticks(self) -> list[float]:
        """Round values along the scale, at least its ends' neighbours."""
        step = nice_step((self.high - self.low) / 6)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """The largest of 1, 2, 2.5, 5 × a power of ten that is not above ``rough`` by more than rounding."""
    power = 10.0 ** math.floor(math.log10(rough))
    return power * max(s for s in (1, 2, 2.5, 5, 10) if s * power <= rough * 1.35)


def round_up(value: float) -> float:
    """The next round number: two significant digits."""
    power = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(round(value / power, 6)) * power


def scale_of(values: Float[np.ndarray, "*cell"], colormap: str, signed: bool = False) -> Scale:
    """A scale from zero to a rounded high percentile; diverging around zero where values are signed."""
    present = values[~np.isnan(values)].astype(float)
    diverging = signed or bool((present < 0).any())
    size = np.abs(present)
    largest = float(size.max())
    top = round_up(float(np.percentile(size, CLIP))) if np.percentile(size, CLIP) > 0 else 0.0
    # A scale is not worth clipping for a maximum close to its end: then every cell keeps its colour.
    high = round_up(largest) if largest > 0 and (top == 0 or largest <= 1.1 * top) else (top or 1.0)
    clipped = int((size > high).sum())
    # Scores are float32: a value that is the scale's end in decimals must not count as beyond it.
    clipped -= int(np.isclose(size[size > high], high, rtol=1e-6).sum())
    return Scale(-high if diverging else 0.0, high, "RdBu_r" if diverging else colormap, clipped, size.size, largest)


def tick_step(n: int) -> int:
    """Every 6, as in the published figure; closer on small models, wider on large ones."""
    return next((s for s in (1, 2, 6, 12, 24, 48) if n <= 6 * s), 2 ** math.ceil(math.log2(n / 6)))


@dataclass(frozen=True)
class Grid:
    """Where the cells of layers × heads lie on a canvas, in inches; ``order`` down puts layer 0 on top."""

    x: float
    y: float
    width: float
    height: float
    layers: int
    heads: int
    order: Order

    @property
    def cell(self) -> Point:
        """Width and height of a cell."""
        return self.width / self.heads, self.height / self.layers

    def edge(self, layer: int) -> float:
        """The y of the edge before a layer (``layer == layers``: after the last)."""
        step = self.height / self.layers
        return self.y + layer * step if self.order == "down" else self.y + self.height - layer * step

    def centre(self, layer: int, head: int) -> Point:
        """The middle of a cell."""
        return self.x + (head + 0.5) * self.cell[0], (self.edge(layer) + self.edge(layer + 1)) / 2

    def outline(self, mask: Bool[np.ndarray, "layer head"], away: float = 0.008) -> Iterator[Segment]:
        """The boundary of the marked cells in runs as long as they go, drawn a little outside of the cells.

        ``away`` keeps the line off the cells, which in small panels are hardly wider than the line.
        """
        padded = np.pad(mask, 1)
        for side in (-1, 1):
            sign = side if self.order == "down" else -side
            open_rows = padded & ~np.roll(padded, -side, axis=0)
            for r, first, last in _all_runs(open_rows):
                a, b = (away * (1 - 2 * padded[r + side, c]) for c in (first - 1, last))
                y, w = self.edge(r - 1 + (side > 0)) + sign * away, self.cell[0]
                yield (self.x + (first - 1) * w - a, y), (self.x + (last - 1) * w + b, y)
            open_columns = (padded & ~np.roll(padded, -side, axis=1)).T
            for c, first, last in _all_runs(open_columns):
                a, b = (away * (1 - 2 * padded[r, c + side]) for r in (first - 1, last))
                x, down = self.x + (c - 1 + (side > 0)) * self.cell[0] + side * away, 1 if self.order == "down" else -1
                yield (x, self.edge(first - 1) - down * a), (x, self.edge(last - 1) + down * b)


def _all_runs(flags: Bool[np.ndarray, "row column"]) -> Iterator[tuple[int, int, int]]:
    for row in np.flatnonzero(flags.any(axis=1)):
        for first, last in _runs(flags[row]):
            yield int(row), first, last


def _runs(flags: Bool[np.ndarray, "cell"]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class Marks:
    """What is marked on a heatmap: outlined regions, and single heads with their names in the block."""

    regions: tuple[np.ndarray, ...] = ()
    heads: tuple[Head, ...] = ()
    block: str | None = None


def draw_cells(canvas: Canvas, grid: Grid, values: Float[np.ndarray, "layer head"], scale: Scale) -> None:
    """The cells, one pixel each, and a hairline frame; absent heads are struck through."""
    pixels = scale.colours(values)
    with canvas.part("cells"):
        canvas.image(pixels if grid.order == "down" else pixels[::-1], grid.x, grid.y, grid.width, grid.height)
    absent = [
        ((grid.x + h * grid.cell[0], max(grid.edge(la), grid.edge(la + 1))),
         (grid.x + (h + 1) * grid.cell[0], min(grid.edge(la), grid.edge(la + 1))))
        for la, h in np.argwhere(np.isnan(values))
    ]  # fmt: skip
    canvas.strokes(absent, ABSENT_LINE, 0.3, 1.5)
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


def _name_head(canvas: Canvas, grid: Grid, head: Head, name: str, size: float, taken: list[Box],
               regions: list[Box]) -> None:  # fmt: skip
    x, y = grid.centre(*head)
    width, height = text_width(name, size) + 0.05, size / 72 * 1.25
    dx, dy = grid.cell[0] / 2 + 0.035, grid.cell[1] / 2 + 0.035
    corners = [(x + dx, y - height / 2), (x - dx - width, y - height / 2), (x - width / 2, y - dy - height),
               (x - width / 2, y + dy), (x + dx, y + dy), (x - dx - width, y - dy - height)]  # fmt: skip
    boxes = [(left, top, left + width, top + height) for left, top in corners]
    frame = (grid.x, grid.y, grid.x + grid.width, grid.y + grid.height)
    loose = (frame[0], frame[1] - height, frame[2], frame[3] + height)
    # Best inside the panel and off the regions; then over a region; then, in a flat panel, over its edge.
    tries = [(frame, [*taken, *regions]), (frame, taken), (loose, taken)]
    fits = (b for around, others in tries for b in boxes if _within(b, around) and not any(_meet(b, o) for o in others))
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


def tick_label(value: float, step: float) -> str:
    """A tick's number with the decimals that the step needs."""
    if step < 1e-6 or step >= 1e7:
        return f"{value:.3g}".replace("-", "−")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += not math.isclose(round(step, digits), step, rel_tol=1e-6)
    return f"{value:.{digits}f}".replace("-", "−")


def draw_colour_bar(canvas: Canvas, scale: Scale, x: float, y: float, height: float, unit: str) -> Box:
    """A vertical colour bar; its upper end (a signed scale: both ends) is open where cells are clipped.

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
    """A horizontal bar per layer on the grid's own layer axis, to the right of it."""
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
