"""A drawing surface measured in inches from the top left, drawn by matplotlib's renderers.

No Axes and a single artist for everything is what keeps figures fast. Texts are placed by their measured width and
always start-anchored, because middle- and end-anchored SVG labels become transparency groups in PDF.
"""

import base64
import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from operator import itemgetter
from typing import Any, Literal, cast

import matplotlib
import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.path import Path as Outline
from matplotlib.textpath import text_to_path
from PIL import Image

from reportgen.core.provenance import epoch
from reportgen.errors import MissingResourceError
from reportgen.rendering.plots.renderer import Dash, Drawn, Mark, Pen

FONT = "DejaVu Sans"
INK, MUTED, HAIR = "#24292f", "#5b6470", "#c4cad2"
PART = "part-"
Point = tuple[float, float]
Align = Literal["left", "center", "right"]
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # start-anchored text: 20 times cheaper than glyph paths, and searchable
    "pdf.fonttype": 42,  # conferences refuse matplotlib's default, Type 3
    "image.composite_image": False,
    "path.simplify": False,
    "font.family": FONT,
}


@cache
def font(size: float, bold: bool = False) -> FontProperties:
    """The figures' one typeface, from the file that matplotlib ships: another of that name may lie on the machine."""
    return FontProperties(family=FONT, size=size, weight="bold" if bold else "normal", fname=_file(bold))


@cache
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width in inches of a line of text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks gets a default width
        width, _, _ = text_to_path.get_text_width_height_descent(text, font(size, bold), ismath=False)
    return float(width) / 72


def printable(text: str) -> str:
    """The text on one line without control characters and lone surrogates, which XML cannot hold."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r"\s+", " ", plain).strip()


def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text, shortened with an ellipsis where it is wider than ``width`` inches."""
    text = printable(text)[:200]
    if text_width(text, size, bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(text[:middle].rstrip() + "…", size, bold) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "…"


def wrapped(text: str, width: float, size: float, bold: bool = False, lines: int = 2) -> list[str]:
    """The text broken at spaces into at most ``lines`` lines, the last one shortened where it must be."""
    words, rows = printable(text).split(" "), [""]
    while words:
        longer = f"{rows[-1]} {words[0]}".strip()
        if not rows[-1] or text_width(longer[:200], size, bold) <= width:
            rows[-1] = longer
        elif len(rows) < lines:
            rows.append(words[0])
        else:
            rows[-1] = " ".join([rows[-1], *words])
            break
        words.pop(0)
    return [fitted(row, width, size, bold) for row in rows]


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
        """What is drawn meanwhile belongs to a named part of the figure: a class in the SVG, for the page's script."""
        self._part = PART + name
        yield
        self._part = None

    def _add(self, mark: Mark, order: float) -> None:
        self._marks.append((order, mark))

    def image(self, pixels: np.ndarray, x: float, y: float, width: float, height: float) -> None:
        """An image with one pixel per cell (RGB bytes), its first row on top."""
        part = self._part
        self._images.append(pixels)
        self._add(lambda pen: pen.image(pixels, x, y, width, height, part), 1)

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
        """A line of text whose baseline is at ``y``."""
        left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * text_width(text, size, bold)
        part = self._part
        self._add(lambda pen: pen.text(left, y, text, font(size, bold), color, 0, part), order)

    def text_up(self, x: float, y: float, text: str, size: float = 7, color: str = MUTED) -> None:
        """A line of text read upwards, centred on (x, y)."""
        # From the middle of the line to its baseline is about a third of the type's size.
        right, low = x + 0.34 * size / 72, y + text_width(text, size) / 2
        self._add(lambda pen: pen.text(right, low, text, font(size), color, 90, None), 3)

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
        """A filled polygon."""
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
        """A filled rectangle."""
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        self.polygon(corners, fill, edge, line, order)

    def strokes(self, segments: Iterable[tuple[Point, Point]], color: str, width: float, order: float) -> None:
        """Separate strokes as one path with square ends, so that strokes that meet close their corner."""
        self._path([*segments], order, edge=color, line=width, cap="projecting")

    def _path(self, lines: Sequence[Sequence[Point]], order: float, *, closed: bool = False, **look: Any) -> None:
        points = [point for line in lines for point in line]
        if not points:
            return
        codes = [code for line in lines for code in (Outline.MOVETO, *[Outline.LINETO] * (len(line) - 1))]
        outline = Outline([*points, lines[0][0]], [*codes, Outline.CLOSEPOLY]) if closed else Outline(points, codes)
        outline.should_simplify = False
        part = self._part
        self._add(lambda pen: pen.path(outline, closed=closed, part=part, **look), order)

    def _draw(self, renderer: RendererBase, dots: float, blank: bool = False) -> None:
        pen = Pen(renderer, dots, dots * self.height, blank)
        for _, mark in sorted(self._marks, key=itemgetter(0)):
            mark(pen)

    def svg(self, name: str, title: str) -> str:
        """The figure as SVG, the same bytes in every process; ``title`` is its text alternative."""
        with _settings({"svg.hashsalt": f"reportgen/{name}"}):
            buffer = io.StringIO()
            nothing = dict.fromkeys(["Date", "Creator", "Format", "Type"])
            renderer = cast(Any, RendererSVG)(72 * self.width, 72 * self.height, buffer, image_dpi=72, metadata=nothing)
            self._draw(renderer, 72, blank=True)
            renderer.finalize()
        return _tidy(buffer.getvalue(), title, [base64.b64encode(png(pixels)).decode() for pixels in self._images])

    def sized(self, svg: str) -> str:
        """The figure's SVG with its size, as a paper includes it; a page gives its figures the room that there is."""
        size = f'<svg width="{72 * self.width:.6g}pt" height="{72 * self.height:.6g}pt"'
        return svg.replace("<svg", size, 1)

    def bitmap(self, form: Literal["pdf", "png"]) -> bytes:
        """The figure as PDF (TrueType fonts) or PNG (300 dots an inch)."""
        # A whole Figure, for its file's metadata; loading what it knows of axes takes as long as drawing ten SVGs.
        from matplotlib.figure import Figure

        with _settings({}):
            buffer = io.BytesIO()
            kept: dict[str, Any] = {"Producer": None, "CreationDate": epoch()} if form == "pdf" else {"Software": None}
            figure = Figure(figsize=(self.width, self.height))
            figure.patch.set_visible(form == "png")
            figure.add_artist(Drawn(self._draw))
            figure.savefig(buffer, format=form, dpi=300, metadata=kept, facecolor="white")
        return buffer.getvalue()


class _settings:  # noqa: N801 (reads as a function)
    """matplotlib's settings for one drawing, with its warnings about missing glyphs silenced."""

    def __init__(self, extra: dict[str, Any]) -> None:
        self._rc = matplotlib.rc_context(cast(Any, {**_SETTINGS, **extra}))
        self._quiet = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._rc.__enter__()
        self._quiet.__enter__()
        warnings.filterwarnings("ignore", message=r"(?s).*[Gg]lyph.*")

    def __exit__(self, *error: Any) -> None:
        self._quiet.__exit__(*error)
        self._rc.__exit__(*error)


def _tidy(svg: str, title: str, images: Sequence[str]) -> str:
    """matplotlib's SVG made fit to be inlined: several on one page, in PDF/A, with a text alternative.

    ``images`` are PNGs with palettes, in base64, in place of matplotlib's of the same pixels: a third of the bytes.
    """
    svg = svg[svg.index("<svg") :]
    coded = iter(images)
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]+", lambda _: next(coded), svg)
    svg = re.sub(r"\s*<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", "", svg, count=1, flags=re.S)
    svg = re.sub(rf'(<(?:g|image)\b[^>]*?) id="{PART}([a-z-]+)"', r'\1 class="\2"', svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same on every figure: duplicates in a page
    svg = re.sub(r'(<image [^>]*?) id="image[^"]*"', r"\1", svg, flags=re.S)
    svg = re.sub(r'(<text[^>]*?) transform="translate\(([-\d.]+) ([-\d.]+)\)"', r'\1 x="\2" y="\3"', svg)
    # Attributes instead of styles: a page with them needs no leave for inline styles, and it is the attribute
    # image-rendering that keeps /Interpolate out of the PDF.
    svg = svg.replace("image-rendering:crisp-edges;image-rendering:pixelated", "image-rendering: pixelated")
    svg = re.sub(r'style="([^"]*)"', _attributes, svg)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)  # those of the figure, which come first
    svg = svg.replace(f" font-family=\"'{FONT}'\"", "")
    head = f'<svg role="img" stroke-linejoin="round" font-family="\'{FONT}\', Verdana, sans-serif"'
    svg = svg.replace("<svg", head, 1).replace(">", f">\n <title>{escape(printable(title))}</title>", 1)
    return svg.strip() + "\n"


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


def _attributes(style: re.Match[str]) -> str:
    """``style="fill: none; stroke-width: 1"`` as ``fill="none" stroke-width="1"``."""
    pairs = (declaration.split(":", 1) for declaration in style[1].strip("; ").split(";"))
    return " ".join(f'{name.strip()}="{value.strip()}"' for name, value in pairs)


@cache
def _covered() -> frozenset[int]:
    return frozenset.intersection(*(frozenset(get_font(_file(bold)).get_charmap()) for bold in (False, True)))


@cache
def _file(bold: bool) -> str:
    """Where the typeface lies; raises MissingResourceError where it is missing."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    found = next((path for path in font_files() if os.path.basename(path) == name), None)
    if found is None:
        hint = "Run `pip install --force-reinstall matplotlib` and build again"
        raise MissingResourceError(f"no figure can be drawn: matplotlib’s font {name} is missing", "figures", hint)
    return found


def unprintable(text: str) -> set[str]:
    """The characters of a text that the shipped sans-serif fonts have no glyph for."""
    return {c for c in set(text) if ord(c) not in _covered() and not c.isspace()}


def font_files() -> list[str]:
    """Files of the fonts that matplotlib's package ships, for the PDF."""
    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".ttf"))
