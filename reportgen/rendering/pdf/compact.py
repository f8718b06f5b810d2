"""What keeps the PDF small and its writing cheap: images with their palettes, and every stream compressed once."""

import re
import struct
import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

_DATA = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
_FIGURE = re.compile(r'<svg role="img"[^>]*>\s*<title>([^<]*)</title>.*?</svg>', re.S)
_BOX = re.compile(r'viewBox="([^"]*)"')
FAST, SMALL, LARGE = 4, 6, 1 << 20  # levels of zlib, and the bytes from which the fast one is taken


@dataclass(frozen=True)
class Palette:
    """A PNG that goes into the PDF as it is: WeasyPrint's own way to indexed pixels leads through full colour.

    It stands in for WeasyPrint's image of an address, found in its cache.
    """

    id: str
    png: bytes

    def get_intrinsic_size(self, resolution: float, font_size: float) -> tuple[float, float, float]:
        """Width, height and their ratio, in pixels."""
        width, height = struct.unpack(">II", self._chunks()[b"IHDR"][:8])
        return width / resolution, height / resolution, width / height

    def draw(self, stream: Any, width: float, height: float, style: Any) -> None:
        """Place the image, each pixel a sharp one, in a rectangle of the page."""
        name = stream.add_image(self, False, 1)
        stream.transform(width, 0, 0, -height, 0, height)
        stream.draw_x_object(name)

    def get_x_object(self, interpolate: bool, ratio: float) -> Any:
        """The image as an object of the PDF, its pixels as the PNG holds them."""
        import pydyf

        chunks = self._chunks()
        width, height, bits, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        palette = chunks.get(b"PLTE", b"")
        indexed = pydyf.Array(["/Indexed", "/DeviceRGB", len(palette) // 3 - 1, f"<{palette.hex()}>"])
        parameters = {"Predictor": 15, "Columns": width, "Colors": 3 if kind == 2 else 1, "BitsPerComponent": bits}
        extra = {
            "Type": "/XObject",
            "Subtype": "/Image",
            "Width": width,
            "Height": height,
            "BitsPerComponent": bits,
            "ColorSpace": indexed if palette else "/DeviceRGB",
            "Interpolate": "false",
            "Filter": "/FlateDecode",
            "DecodeParms": pydyf.Dictionary(parameters),
        }
        return pydyf.Stream([chunks[b"IDAT"]], pydyf.Dictionary(extra))

    def _chunks(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        at = 8
        while at < len(self.png):
            size, kind = struct.unpack(">I4s", self.png[at : at + 8])
            found[kind] = found.get(kind, b"") + self.png[at + 8 : at + 8 + size]
            at += size + 12
        return found


@dataclass(frozen=True)
class Figure:
    """A figure of ours as an image: in the page itself the style sheet would be held against each of its marks."""

    svg: str
    images: Mapping[str, Palette]
    fonts: Any

    def get_intrinsic_size(self, resolution: float, font_size: float) -> tuple[None, None, float]:
        """Neither width nor height, and their ratio."""
        _, _, width, height = map(float, _BOX.findall(self.svg)[0].split())
        return None, None, width / height

    def draw(self, stream: Any, width: float, height: float, style: Any) -> None:
        """Draw the marks in a rectangle of the page."""
        from weasyprint.svg import SVG

        drawing = SVG(ElementTree.fromstring(self.svg), None, self.fonts, None)
        drawing.draw(stream, width, height, None, self)

    def get_image_from_uri(self, url: str, forced_mime_type: str) -> Palette | None:
        """An image within the figure, by its address."""
        return self.images.get(url)


def lifted(html: str, fonts: Any) -> tuple[str, dict[str, Any]]:
    """The page with short addresses in place of its figures and images, and these by address, each image once."""
    images, figures = dict[str, Palette](), dict[str, Figure]()

    def address(found: re.Match[str]) -> str:
        name = f"image:{len(images)}"
        return images.setdefault(found[1], Palette(name, b64decode(found[1]))).id

    def figure(found: re.Match[str]) -> str:
        name = f"figure:{len(figures)}"
        figures[name] = Figure(found[0], held, fonts)
        return f'<img src="{name}" alt="{found[1]}"/>'

    text = _DATA.sub(address, html)
    held = {image.id: image for image in images.values()}
    return _FIGURE.sub(figure, text), {**held, **figures}


def compress_once(_document: Any, pdf: Any) -> None:
    """Put finished bytes in the place of every stream: pydyf would compress each twice, at its slowest level."""
    import pydyf

    for object_ in pdf.objects:
        if isinstance(object_, pydyf.Stream) and object_.compress:
            plain = b"\n".join(pydyf._to_bytes(part) for part in object_.stream)
            object_.stream = [zlib.compress(plain, SMALL if len(plain) < LARGE else FAST)]
            object_.extra = {**object_.extra, "Filter": "/FlateDecode"}
            object_.compress = False
