"""matplotlib's renderers and fonts: all that depends on how one version of it writes.

Tried with matplotlib 3.11. No private name is used; but the text of its SVG, which ``_tidy`` rewrites, the arguments of
``RendererSVG`` and ``text_to_path`` are no promise of matplotlib's: pyproject.toml bounds the version from above, and
tests/rendering/test_adapters.py fails where one of them changes.
"""

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import Any, Literal, cast

import matplotlib
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.textpath import text_to_path

from reportgen.core.provenance import epoch
from reportgen.errors import MissingResourceError
from reportgen.rendering.plots.renderer import Drawn

FONT = "DejaVu Sans"
PART = "part-"
Draw = Callable[..., None]  # of a renderer, its dots an inch, and whether images are black
_SETTINGS: dict[str, object] = {
    "svg.fonttype": "none",  # start-anchored text: 20 times cheaper than glyph paths, and searchable
    "pdf.fonttype": 42,  # conferences refuse matplotlib's default, Type 3
    "image.composite_image": False,
    "path.simplify": False,
    "font.family": FONT,
}


@cache
def font(size: float, bold: bool = False) -> FontProperties:
    """Return the figures' one typeface, from the file that matplotlib ships: another of that name may lie on the
    machine.
    """
    return FontProperties(family=FONT, size=size, weight="bold" if bold else "normal", fname=_file(bold))


@cache
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return width in inches of a line of text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks gets a default width
        width, _, _ = text_to_path.get_text_width_height_descent(text, font(size, bold), ismath=False)
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
    svg = svg.replace("<svg", head, 1).replace(">", f">\n <title>{escape(title)}</title>", 1)
    return svg.strip() + "\n"


def _attributes(style: re.Match[str]) -> str:
    """Return ``style="fill: none; stroke-width: 1"`` as ``fill="none" stroke-width="1"``."""
    pairs = (declaration.split(":", 1) for declaration in style[1].strip("; ").split(";"))
    return " ".join(f'{name.strip()}="{value.strip()}"' for name, value in pairs)


@cache
def _covered() -> frozenset[int]:
    return frozenset.intersection(*(frozenset(get_font(_file(bold)).get_charmap()) for bold in (False, True)))


@cache
def _file(bold: bool) -> str:
    """Return where the typeface lies; raises MissingResourceError where it is missing."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    found = next((path for path in font_files() if os.path.basename(path) == name), None)
    if found is None:
        hint = "Run `pip install --force-reinstall matplotlib` and build again"
        raise MissingResourceError(f"no figure can be drawn: matplotlib’s font {name} is missing", "figures", hint)
    return found


def unprintable(text: str) -> set[str]:
    """Return the characters of a text that the shipped sans-serif fonts have no glyph for."""
    return {c for c in set(text) if ord(c) not in _covered() and not c.isspace()}


def font_files() -> list[str]:
    """Files of the fonts that matplotlib's package ships, for the PDF."""
    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".ttf"))
