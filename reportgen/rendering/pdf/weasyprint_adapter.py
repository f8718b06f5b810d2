"""What a report needs of WeasyPrint beyond its documented interface.

Tried with WeasyPrint 70.0 and pydyf 0.13. WeasyPrint does not promise what it asks of an image in its cache, the
methods of its PDF stream that place one, ``weasyprint.svg.SVG``, the functions that draw its elements (``TAGS``), and
``generate_rdf_metadata`` of a document's metadata. pyproject.toml bounds the version from above, and
tests/rendering/test_adapters.py fails where one changes.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    import pydyf
    from weasyprint.document import DocumentMetadata
    from weasyprint.pdf.stream import Stream
    from weasyprint.text.fonts import FontConfiguration

_BOX = re.compile(r'viewBox="([^"]*)"')
_UA = (
    b'<rdf:Description xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" rdf:about="" '
    b'xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" pdfuaid:part="1"/>'
    b'<rdf:Description xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" rdf:about="" '
    b'xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" '
    b'xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" '
    b'xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><pdfaExtension:schemas><rdf:Bag>'
    b'<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>'
    b"<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>"
    b"<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>"
    b'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>part</pdfaProperty:name>'
    b"<pdfaProperty:valueType>Integer</pdfaProperty:valueType><pdfaProperty:category>internal</pdfaProperty:category>"
    b"<pdfaProperty:description>Part of ISO 14289</pdfaProperty:description></rdf:li>"
    b"</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description></rdf:RDF>"
)


@dataclass(frozen=True)
class IndexedImage:
    """A PNG that goes into the PDF as it is: WeasyPrint's own way to indexed pixels leads through full colour.

    It stands in for WeasyPrint's image of an address, found in its cache.
    """

    id: str
    png: bytes

    def get_intrinsic_size(self, resolution: float, font_size: float) -> tuple[float, float, float]:
        """Width, height and their ratio, in pixels."""
        width, height = struct.unpack(">II", self._chunks()[b"IHDR"][:8])
        return width / resolution, height / resolution, width / height

    def draw(self, stream: "Stream", width: float, height: float, style: object) -> None:
        """Place the image, each pixel a sharp one, in a rectangle of the page."""
        name = stream.add_image(self, False, 1)
        stream.transform(width, 0, 0, -height, 0, height)
        stream.draw_x_object(name)

    def get_x_object(self, interpolate: bool, ratio: float) -> "pydyf.Stream":
        """Return the image as an object of the PDF, its pixels as the PNG holds them."""
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
class SvgImage:
    """A figure of ours as an image: in the page itself the style sheet would be held against each of its marks."""

    svg: str
    images: Mapping[str, IndexedImage]
    fonts: "FontConfiguration"

    def get_intrinsic_size(self, resolution: float, font_size: float) -> tuple[None, None, float]:
        """Neither width nor height, and their ratio."""
        _, _, width, height = map(float, _BOX.findall(self.svg)[0].split())
        return None, None, width / height

    def draw(self, stream: "Stream", width: float, height: float, style: object) -> None:
        """Draw the marks in a rectangle of the page."""
        from weasyprint.svg import SVG

        drawing = SVG(ElementTree.fromstring(self.svg), None, self.fonts, None)
        with _whole_lines():
            drawing.draw(stream, width, height, None, self)

    def get_image_from_uri(self, url: str, forced_mime_type: str) -> IndexedImage | None:
        """Return an image within the figure, by its address."""
        return self.images.get(url)


class _Line(str):
    """A text that is one letter, for what takes texts letter by letter."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        return iter((str(self),))


class _LineNode:
    """A node of an SVG whose text is one letter."""

    def __init__(self, node: Any) -> None:
        from weasyprint.svg.bounding_box import EMPTY_BOUNDING_BOX

        self.node, self.text, self.text_bounding_box = node, _Line(node.text or ""), EMPTY_BOUNDING_BOX

    def __getattr__(self, name: str) -> object:
        return getattr(self.node, name)


@contextmanager
def _whole_lines() -> Iterator[None]:
    """Have a line of text set as a whole meanwhile: letter by letter, as WeasyPrint does it, Arabic stands backwards
    and unjoined, and Devanagari without its conjuncts.
    """
    from weasyprint.svg import TAGS

    by_letters = TAGS["text"]
    TAGS["text"] = lambda svg, node, font_size: by_letters(svg, _LineNode(node), font_size)
    try:
        yield
    finally:
        TAGS["text"] = by_letters


def claim_pdf_ua(metadata: "DocumentMetadata") -> None:
    """Put the PDF/UA claim into the same RDF block as PDF/A's: in a block of its own both are refused."""
    generate = metadata.generate_rdf_metadata

    def both(variant: str, version: int, conformance: str) -> bytes:
        rdf: bytes = generate(variant, version, conformance)
        return rdf.replace(b"</rdf:RDF>", _UA)

    metadata.generate_rdf_metadata = both
