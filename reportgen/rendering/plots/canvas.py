"""A drawing surface measured in inches from the top left, drawn by matplotlib's renderers.

No Axes and a single artist for everything is what keeps figures fast. Texts are placed by their measured width and
always start-anchored, because middle- and end-anchored SVG labels become transparency groups in PDF.
"""

import base64
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Literal, Unpack

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.path import Path as Outline
from PIL import Image

from reportgen.core.display_names import middle_cut, pieces, told_apart
from reportgen.rendering.plots.matplotlib_adapter import PART, file_of, runs, svg_of, text_width
from reportgen.rendering.plots.renderer import Dash, InchRenderer, Mark, PathStyle

INK, MUTED, HAIR = "#24292f", "#5b6470", "#c4cad2"
Point = tuple[float, float]
Align = Literal["left", "center", "right"]


def printable(text: str) -> str:
    """Return the text on one line without control characters and lone surrogates, which XML cannot hold."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r"\s+", " ", plain).strip()


def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """Return the text, its middle left out where it is wider than ``width`` inches."""
    return middle_cut(printable(text), lambda shorter: text_width(shorter, size, bold) <= width)


def wrapped(text: str, width: float, size: float, bold: bool = False, lines: int = 2) -> list[str]:
    """Return the text on at most ``lines`` lines, broken behind spaces and marks, the last one cut where it must be."""
    rows = _broken(printable(text), width, size, bold)
    return [fitted(row, width, size, bold) for row in [*rows[: lines - 1], "".join(rows[lines - 1 :])] if row]


def labelled(
    names: Sequence[str], width: float, size: float, bold: bool = False, lines: int = 2
) -> dict[str, list[str]]:
    """Return every name on at most ``lines`` lines of ``width`` inches, in a form that tells it from the others."""

    def fits(text: str) -> bool:
        rows = _broken(text, width, size, bold)
        return len(rows) <= lines and all(text_width(row.rstrip(), size, bold) <= width for row in rows)

    made = told_apart([printable(name) for name in names], fits)
    rows = {name: _broken(made[printable(name)], width, size, bold) for name in names}
    return {name: [row.strip() for row in each[:lines]] for name, each in rows.items()}


def labels(names: Sequence[str], width: float, size: float) -> dict[str, str]:
    """Return every name on a line of ``width`` inches, in a form that tells it from the others."""
    return {name: "".join(rows) for name, rows in labelled(names, width, size, lines=1).items()}


def _broken(text: str, width: float, size: float, bold: bool) -> list[str]:
    """Return the text in lines that are no wider than ``width`` inches, but for parts that cannot be broken."""
    rows = [""]
    for piece in pieces(text):
        if rows[-1] and text_width((rows[-1] + piece).rstrip(), size, bold) > width:
            rows.append(piece)
        else:
            rows[-1] += piece
    return rows


class Canvas:
    """A figure of ``width`` × ``height`` inches; all positions are inches from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._marks: list[tuple[float, Mark]] = []
        self._images: list[np.ndarray] = []
        self._part: str | None = None

    def __reduce__(self) -> tuple[type["Canvas"], tuple[float, float]]:
        return Canvas, (self.width, self.height)  # templates that are not ours are filled elsewhere, with the SVG alone

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Put what is drawn meanwhile into a named part of the figure: a class in the SVG, for the page's script."""
        self._part = PART + name
        yield
        self._part = None

    def _add(self, mark: Mark, order: float) -> None:
        self._marks.append((order, mark))

    def image(self, pixels: np.ndarray, x: float, y: float, width: float, height: float) -> None:
        """Draw an image with one pixel per cell (RGB bytes), its first row on top."""
        part = self._part
        self._images.append(pixels)
        self._add(lambda surface: surface.image(pixels, x, y, width, height, part), 1)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 7,
        align: Align = "left",
        *,
        color: str = INK,
        bold: bool = False,
        order: float = 6,
    ) -> None:
        """Draw a line of text whose baseline is at ``y``."""
        left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * text_width(text, size, bold)
        part, parts = self._part, runs(text, size, bold)
        if parts:
            self._add(lambda surface: surface.text(left, y, text, parts, color, 0, part), order)

    def text_up(self, x: float, y: float, text: str, size: float = 7, color: str = MUTED) -> None:
        """Draw a line of text read upwards, centred on (x, y)."""
        # From the middle of the line to its baseline is about a third of the type's size.
        right, low = x + 0.34 * size / 72, y + text_width(text, size) / 2
        parts = runs(text, size)
        if parts:
            self._add(lambda surface: surface.text(right, low, text, parts, color, 90, None), 3)

    def lines(
        self,
        segments: Sequence[Sequence[Point]],
        color: str = INK,
        width: float = 0.6,
        order: float = 3,
        style: Dash = None,
    ) -> None:
        """Straight or broken lines, all alike, as one path; ``style`` is an offset and lengths in line widths."""
        self._path(segments, order, edge=color, line=width, dash=style)

    def polygon(
        self, points: Sequence[Point], fill: str, edge: str = "none", width: float = 0.0, order: float = 2
    ) -> None:
        """Draw a filled polygon."""
        self._path([points], order, fill=fill, edge=edge, line=width, closed=True)

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        edge: str = "none",
        line: float = 0.0,
        order: float = 2,
    ) -> None:
        """Draw a filled rectangle."""
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        self.polygon(corners, fill, edge, line, order)

    def strokes(
        self, segments: Iterable[tuple[Point, Point]], color: str, width: float, order: float, style: Dash = None
    ) -> None:
        """Separate strokes as one path with square ends, so that strokes that meet close their corner."""
        self._path([*segments], order, edge=color, line=width, dash=style, cap="butt" if style else "projecting")

    def _path(
        self, lines: Sequence[Sequence[Point]], order: float, *, closed: bool = False, **style: Unpack[PathStyle]
    ) -> None:
        points = [point for line in lines for point in line]
        if not points:
            return
        codes = [code for line in lines for code in (Outline.MOVETO, *[Outline.LINETO] * (len(line) - 1))]
        outline = Outline([*points, lines[0][0]], [*codes, Outline.CLOSEPOLY]) if closed else Outline(points, codes)
        outline.should_simplify = False
        part = self._part
        self._add(lambda surface: surface.path(outline, closed=closed, part=part, **style), order)

    def _draw(self, renderer: RendererBase, dots: float, vector: bool = False) -> None:
        surface = InchRenderer(renderer, dots, dots * self.height, vector)
        for _, mark in sorted(self._marks, key=itemgetter(0)):
            mark(surface)

    def svg(self, name: str, title: str) -> str:
        """Return the figure as SVG, the same bytes in every process; ``title`` is its text alternative."""
        images = [base64.b64encode(png(pixels)).decode() for pixels in self._images]
        return svg_of(self._draw, self.width, self.height, name, printable(title), images)

    def sized(self, svg: str) -> str:
        """Return the figure's SVG with its size, as a paper includes it; a page gives its figures the room that there
        is.
        """
        size = f'<svg width="{72 * self.width:.6g}pt" height="{72 * self.height:.6g}pt"'
        return svg.replace("<svg", size, 1)

    def bitmap(self, form: Literal["pdf", "png"]) -> bytes:
        """Return the figure as PDF (TrueType fonts) or PNG (300 dots an inch)."""
        return file_of(self._draw, self.width, self.height, form)


def png(pixels: np.ndarray) -> bytes:
    """RGB bytes (row, column, 3) as a PNG, with a palette where there are at most 256 colours."""
    coded = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, index = np.unique(coded, return_inverse=True)
    picture = Image.fromarray(pixels)
    if len(colours) <= 256:
        picture = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), "P")
        picture.putpalette(np.stack([colours >> 16, colours >> 8, colours], axis=1).astype(np.uint8).tobytes())
    out = io.BytesIO()
    picture.save(out, "png", compress_level=9)
    return out.getvalue()
