"""What a finished figure is, and what the figures of a block of heads share."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import title
from reportgen.core.scores import HeadScores
from reportgen.rendering.plots.canvas import Canvas, printable
from reportgen.rendering.plots.grid import Grid, Order
from reportgen.rendering.plots.medium import PAGE, Medium
from reportgen.rendering.plots.scale import Scale, scale_of

Shows = Literal["value", "own", "percentile", "count"]
Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True)
class Panel:
    """A heatmap within a figure: the task whose scores it shows (None: all), where, in shares of the figure, and the
    ends of its colour scale where that is its own.
    """

    task: int | None
    box: Box
    scale: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawing:
    """A finished figure: file name, the report section that shows it, SVG, caption, text alternative and block.

    A figure without a section stands where a template places it. ``alt`` names the figure in a sentence, ``said`` is
    the long description, an item each. ``panels`` are its heatmaps, ``shows`` what their colour stands for (``own``:
    values, each map on a scale of its own), ``bar`` where the colour bar is, in shares of the figure.
    """

    name: str
    section: str
    svg: str
    caption: str
    alt: str
    canvas: Canvas = field(compare=False, repr=False)
    wide: bool = False
    block: str | None = None
    shows: Shows = "value"
    panels: tuple[Panel, ...] = ()
    bar: Box | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlockStyle:
    """What the figures of a block of heads share: the colour scale, the layer order, the scores' unit, the block, and
    what they are drawn for.
    """

    scale: Scale
    order: Order
    unit: str
    block: str | None = None
    medium: Medium = PAGE

    @property
    def sequential(self) -> str:
        """A colour map for what has no sign."""
        return "viridis" if self.scale.signed else self.scale.colormap

    @property
    def layers(self) -> str:
        """Where layer 0 is."""
        return f"layer 0 at the {'top' if self.order == 'down' else 'bottom'}"

    def file(self, name: str) -> str:
        """Return a figure's file name with the block."""
        return f"{name}-{self.block}" if self.block else name

    def of(self, text: str) -> str:
        """Return a caption that says first which block it is about."""
        return f"{title(self.block).capitalize()}. {text}" if self.block else text


def style_of(scores: HeadScores, colormap: str, order: Order) -> BlockStyle:
    """Return the style of all figures of this block's scores."""
    signed = scores.method.signed and scores.reduction == "mean"
    unit = printable(scores.method.unit) or "importance"
    return BlockStyle(scale_of(scores.importance, colormap, signed), order, unit, scores.block)


def panel_of(canvas: Canvas, grid: Grid, task: int | None) -> Panel:
    """Return where a grid lies in its figure."""
    return Panel(task, box_of(canvas, grid.x, grid.y, grid.width, grid.height))


def box_of(canvas: Canvas, x: float, y: float, width: float, height: float) -> Box:
    """Return a rectangle in inches as shares of the figure."""
    return x / canvas.width, y / canvas.height, width / canvas.width, height / canvas.height


def layer_means(values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "layer"]:
    """Return the mean of each layer's heads in float64; NaN where a layer has none."""
    present = ~np.isnan(values)
    total, n = np.where(present, values, 0).sum(axis=1, dtype=float), present.sum(axis=1)
    means: np.ndarray = np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)
    return means
