"""matplotlib's renderers and fonts: all that depends on how one version of it writes.

Tried with matplotlib 3.11. No private name is used; but the text of its SVG, which ``_tidy`` rewrites, the arguments of
``RendererSVG`` and ``text_to_path`` are no promise of matplotlib's: pyproject.toml bounds the version from above, and
tests/rendering/test_adapters.py fails where one of them changes.
"""

import io
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from html import escape
from typing import Any, Literal, cast

import matplotlib
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.textpath import text_to_path

from reportgen.core.provenance import epoch
from reportgen.errors import MissingResourceError
from reportgen.rendering.plots.renderer import Drawn, Run
from reportgen.rendering.plots.system_fonts import BOX, font_with, lacking

# What figures are set in: on page and PDF, and for a paper, whose venues set their text in Times, which STIX resembles
FACES = {
    "DejaVu Sans": ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    "STIXGeneral": ("STIXGeneral.ttf", "STIXGeneralBol.ttf"),
}
FONT, PAPER = FACES
_face = ContextVar("typeface", default=FONT)
PART = "part-"
Draw = Callable[..., None]  # of a renderer, its dots an inch, and whether images are black
_SETTINGS: dict[str, object] = {
    "svg.fonttype": "none",  # start-anchored text: 20 times cheaper than glyph paths, and searchable
    "pdf.fonttype": 42,  # conferences refuse matplotlib's default, Type 3
    "image.composite_image": False,
    "path.simplify": False,
    "font.family": FONT,
}


@contextmanager
def typeface(name: str) -> Iterator[None]:
    """Measure and draw in another of the typefaces meanwhile."""
    token = _face.set(name)
    try:
        yield
    finally:
        _face.reset(token)


@cache
def font(size: float, bold: bool = False, path: str | None = None) -> FontProperties:
    """Return the figures' own typeface, from the file that matplotlib ships: another of that name may lie on the
    machine; or the one of another file.
    """
    weight = "bold" if bold else "normal"
    return FontProperties(family=FONT, size=size, weight=weight, fname=path or _file(FONT, bold))


def runs(text: str, size: float, bold: bool = False) -> list[Run]:
    """Return the text in parts of one font each, with the place in inches where each begins: in the typeface, in
    DejaVu Sans, which has most letters, or in a font of this machine; with a box for what none has.
    """
    return _runs(_face.get(), text, size, bold)


@cache
def _runs(face: str, text: str, size: float, bold: bool) -> list[Run]:
    parts = list[tuple[str, str]]()
    for char in text:
        path = _path(face, char, bold)
        if parts and (char.isspace() or unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf")):
            path = parts[-1][1]
        elif path is None:
            char, path = BOX, _file(FONT, bold)
        if parts and path == parts[-1][1]:
            parts[-1] = parts[-1][0] + char, path
        else:
            parts.append((char, path or _file(FONT, bold)))
    made, at = list[Run](), 0.0
    for part, path in parts:
        made.append((part, font(size, bold, path), at))
        at += _width(part, made[-1][1])
    return made


@cache
def _path(face: str, char: str, bold: bool) -> str | None:
    shipped = (name for name in dict.fromkeys((face, FONT)) if ord(char) in _covered(name))
    name = next(shipped, None)
    return _file(name, bold) if name else font_with(char)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return width in inches of a line of text."""
    parts = runs(text, size, bold)
    return parts[-1][2] + _width(*parts[-1][:2]) if parts else 0.0


@cache
def _width(text: str, face: FontProperties) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks, as a control, gets a default width
        width, _, _ = text_to_path.get_text_width_height_descent(text, face, ismath=False)
    return float(width) / 72


def svg_of(draw: Draw, width: float, height: float, name: str, title: str, images: Sequence[str]) -> str:
    """Return what ``draw`` draws, ``width`` × ``height`` inches, as SVG; ``images`` as in ``_tidy``."""
    with _settings({"svg.hashsalt": f"reportgen/{name}"}):
        buffer = io.StringIO()
        nothing = dict.fromkeys(["Date", "Creator", "Format", "Type"])
        renderer = cast(Any, RendererSVG)(72 * width, 72 * height, buffer, image_dpi=72, metadata=nothing)
        draw(renderer, 72, True)
        renderer.finalize()
    return _tidy(buffer.getvalue(), title, images)


def file_of(draw: Draw, width: float, height: float, form: Literal["pdf", "png"]) -> bytes:
    """Return what ``draw`` draws as a PDF or a PNG."""
    # A whole Figure, for its file's metadata; loading what it knows of axes takes as long as drawing ten SVGs.
    from matplotlib.figure import Figure

    with _settings({}):
        buffer = io.BytesIO()
        described = {"Producer": None, "CreationDate": epoch()} if form == "pdf" else {"Software": None}
        figure = Figure(figsize=(width, height))
        figure.patch.set_visible(form == "png")
        figure.add_artist(Drawn(draw))
        figure.savefig(buffer, format=form, dpi=300, metadata=described, facecolor="white")
    return buffer.getvalue()


@contextmanager
def _settings(extra: dict[str, object]) -> Iterator[None]:
    """Hold matplotlib's settings for one drawing, and silence its warnings about missing glyphs."""
    with matplotlib.rc_context(cast(Any, {**_SETTINGS, **extra})), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*[Gg]lyph.*")
        yield


def _tidy(svg: str, title: str, images: Sequence[str]) -> str:
    """matplotlib's SVG made fit to be inlined: several on one page, in PDF/A, with a text alternative.

    ``images`` are PNGs with palettes, in base64, in place of matplotlib's of the same pixels: a third of the bytes.
    """
    svg = svg[svg.index("<svg") :]
    coded = iter(images)
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]+", lambda _: next(coded), svg)
    svg = re.sub(r"\s*<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", "", svg, count=1, flags=re.S)
    svg = re.sub(rf'(<(?:g|image)\b[^>]*?) id="{PART}([a-z-]+)"', r'\1 class="\2"', svg)
    # A text that begins from right to left is set so as a whole; its end is then where it was put, on the left.
    svg = re.sub(r"<text([^>]*>)([^<]*)", lambda m: f"<text{LEFTWARDS if _leftwards(m[2]) else ''}{m[1]}{m[2]}", svg)
    # A thousandth of a point is finer than any printer; six decimals are a third of a figure's bytes.
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d{3})\d+", r"\1", path[0]), svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same on every figure: duplicates in a page
    svg = re.sub(r'(<image [^>]*?) id="image[^"]*"', r"\1", svg, flags=re.S)
    svg = re.sub(r'(<text[^>]*?) transform="translate\(([-\d.]+) ([-\d.]+)\)"', r'\1 x="\2" y="\3"', svg)
    # Attributes instead of styles: a page with them needs no leave for inline styles, and it is the attribute
    # image-rendering that keeps /Interpolate out of the PDF.
    svg = svg.replace("image-rendering:crisp-edges;image-rendering:pixelated", "image-rendering: pixelated")
    svg = re.sub(r'style="([^"]*)"', _attributes, svg)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)  # those of the figure, which come first
    svg = svg.replace(f" font-family=\"'{FONT}'\"", "")
    family = f"'{FONT}', Verdana, sans-serif" if _face.get() == FONT else "STIXGeneral, 'STIX Two Text', Times, serif"
    head = f'<svg role="img" stroke-linejoin="round" font-family="{family}"'
    svg = svg.replace("<svg", head, 1).replace(">", f">\n <title>{escape(title)}</title>", 1)
    return svg.strip() + "\n"


LEFTWARDS = ' direction="rtl" text-anchor="end"'


def _leftwards(text: str) -> bool:
    """Return whether the first letter that has a direction is written from right to left (UAX 9, P2)."""
    strong = (d for char in text if (d := unicodedata.bidirectional(char)) in ("L", "R", "AL"))
    return next(strong, "L") != "L"


def _attributes(style: re.Match[str]) -> str:
    """Return ``style="fill: none; stroke-width: 1"`` as ``fill="none" stroke-width="1"``."""
    pairs = (declaration.split(":", 1) for declaration in style[1].strip("; ").split(";"))
    return " ".join(f'{name.strip()}="{value.strip()}"' for name, value in pairs)


@cache
def _covered(face: str) -> frozenset[int]:
    return frozenset.intersection(*(frozenset(get_font(_file(face, bold)).get_charmap()) for bold in (False, True)))


@cache
def _file(face: str, bold: bool) -> str:
    """Return where a typeface lies; raises MissingResourceError where it is missing."""
    name = FACES[face][bold]
    found = next((path for path in font_files() if os.path.basename(path) == name), None)
    if found is None:
        hint = "Run `pip install --force-reinstall matplotlib` and build again"
        raise MissingResourceError(f"no figure can be drawn: matplotlib’s font {name} is missing", "figures", hint)
    return found


def unprintable(text: str) -> str:
    """Return the characters of a text that neither the shipped sans-serif font has nor any of this machine, sorted."""
    return lacking(c for c in set(text) if ord(c) not in _covered(FONT) and not c.isspace())


def font_files() -> list[str]:
    """Files of the fonts that matplotlib's package ships, for the PDF."""
    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".ttf"))
