"""What keeps the PDF small and its writing cheap: images with their palettes, and every stream compressed once."""

import re
import zlib
from base64 import b64decode
from typing import TYPE_CHECKING

from reportgen.rendering.pdf.weasyprint_adapter import IndexedImage, SvgImage

if TYPE_CHECKING:
    import pydyf
    from weasyprint.text.fonts import FontConfiguration

_DATA = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
_FIGURE = re.compile(r'<svg role="img"[^>]*>\s*<title>([^<]*)</title>.*?</svg>', re.S)
# Levels of zlib, and the bytes from which the fast one is taken: at pydyf's level 9 the streams of a large report take
# seconds for 1 % of their size (docs/report-cost.md).
FAST, SMALL, LARGE = 4, 6, 1 << 20
_STREAM, _END = b">>\nstream\n", b"\nendstream"


def images_by_address(html: str, fonts: "FontConfiguration") -> tuple[str, dict[str, IndexedImage | SvgImage]]:
    """Return the page with short addresses in place of its figures and images, and these by address, each once."""
    images, figures = dict[str, IndexedImage](), dict[str, SvgImage]()

    def address(found: re.Match[str]) -> str:
        name = f"image:{len(images)}"
        return images.setdefault(found[1], IndexedImage(name, b64decode(found[1]))).id

    def figure(found: re.Match[str]) -> str:
        name = f"figure:{len(figures)}"
        figures[name] = SvgImage(found[0], held, fonts)
        return f'<img src="{name}" alt="{found[1]}"/>'

    text = _DATA.sub(address, html)
    held = {image.id: image for image in images.values()}
    return _FIGURE.sub(figure, text), {**held, **figures}


def compress_once(_document: object, pdf: "pydyf.PDF") -> None:
    """Put finished bytes in the place of every stream: pydyf would compress each twice, at its slowest level."""
    import pydyf

    for object_ in pdf.objects:
        if isinstance(object_, pydyf.Stream) and object_.compress:
            object_.compress = False
            plain = object_.data.partition(_STREAM)[2].removesuffix(_END)
            object_.stream = [zlib.compress(plain, SMALL if len(plain) < LARGE else FAST)]
            object_.extra = {**object_.extra, "Filter": "/FlateDecode"}
