"""Marks in inches from the top left corner, drawn by matplotlib's renderer of a format."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D

Dash = tuple[float, tuple[float, ...]] | None
Run = tuple[str, FontProperties, float]  # a part of a text, its font, and where it begins in inches
Mark = Callable[["InchRenderer"], None]


class Drawn(Artist):
    """All marks of a canvas as one artist: an Axes and an artist a mark would take most of the time."""

    def __init__(self, draw: Callable[[RendererBase, float], None]) -> None:
        super().__init__()
        self._draw = draw

    def draw(self, renderer: RendererBase) -> None:
        """Draw each mark with the renderer of a format."""
        assert self.figure is not None
        self._draw(renderer, self.figure.get_figure(root=True).dpi)


class PathStyle(TypedDict, total=False):
    """Fill and edge of a path: colours or "none", the line's width in points, its dashes and ends."""

    fill: str
    edge: str
    line: float
    dash: Dash
    cap: Literal["butt", "projecting"]


@dataclass(frozen=True)
class InchRenderer:
    """A renderer of matplotlib's to which positions are given in inches from the top left corner."""

    renderer: RendererBase
    dots: float  # an inch
    height: float  # of the figure, in dots
    vector: bool = False  # an SVG: images are black, which is quick to encode, as it gets its own; texts stay whole

    def _context(self, part: str | None) -> GraphicsContextBase:
        context = self.renderer.new_gc()
        if part is not None:
            context.set_gid(cast(Any, part))
        return context

    @contextmanager
    def _group(self, part: str | None) -> Iterator[None]:
        if part is None:
            yield
            return
        self.renderer.open_group("part", gid=part)
        yield
        self.renderer.close_group("part")

    def path(
        self, outline: Outline, *, closed: bool = False, part: str | None = None, **style: Unpack[PathStyle]
    ) -> None:
        """Draw a path of straight lines."""
        fill, edge, line = style.get("fill", "none"), style.get("edge", "none"), style.get("line", 0.0)
        dash = style.get("dash")
        context = self._context(None)
        context.set_foreground(to_rgba(edge if line else "none"), isRGBA=True)
        context.set_linewidth(line)
        context.set_capstyle(style.get("cap", "butt"))
        context.set_joinstyle("miter" if closed else "round")
        if dash is not None:
            context.set_dashes(dash[0], [line * length for length in dash[1]])
        transform = Affine2D.from_values(self.dots, 0, 0, -self.dots, 0, self.height)
        with self._group(part):
            self.renderer.draw_path(context, outline, transform, None if fill == "none" else to_rgba(fill))
        context.restore()

    def text(
        self, x: float, y: float, text: str, runs: Sequence[Run], color: str, angle: float, part: str | None
    ) -> None:
        """Draw a line of text from where its baseline begins, font by font; an SVG's viewer chooses its own fonts."""
        context = self._context(None)
        context.set_foreground(color)
        with self._group(part):
            for said, face, at in [(text, runs[0][1], 0.0)] if self.vector else runs:
                across, down = (x, y - at) if angle else (x + at, y)
                place = down * self.dots if self.renderer.flipy() else self.height - down * self.dots
                self.renderer.draw_text(context, across * self.dots, place, said, face, angle)
        context.restore()

    def image(self, pixels: np.ndarray, x: float, y: float, width: float, height: float, part: str | None) -> None:
        """Draw an image that fills a rectangle, each pixel a sharp one."""
        context = self._context(part)
        left, low, across, up = (v * self.dots for v in (x, -y - height, width, height))
        whole = np.dstack([pixels * (not self.vector), np.full(pixels.shape[:2], 255, np.uint8)])
        if self.renderer.option_scale_image():
            turned = Affine2D.from_values(across, 0, 0, -up, 0, up)
            self.renderer.draw_image(context, left, self.height + low, whole, turned)
        else:
            rows, columns = (
                np.arange(max(1, round(size))) * n // max(1, round(size))
                for size, n in ((up, pixels.shape[0]), (across, pixels.shape[1]))
            )
            self.renderer.draw_image(context, round(left), round(self.height + low), whole[rows][:, columns][::-1])
        context.restore()
