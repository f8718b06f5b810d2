"""The archival PDF: PDF/A-3a and PDF/UA-1 at once, printed from the page's own HTML, its data attached."""

import gc
import io
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reportgen.errors import MissingResourceError
from reportgen.rendering.canvas import font_files, unprintable
from reportgen.rendering.compact import compress_once, lifted
from reportgen.store import sha256, too_large

# Families of the print style sheet and the files of them that matplotlib's package ships.
FONTS = {
    "Report Serif": {"STIXGeneral.ttf": "", "STIXGeneralBol.ttf": "font-weight:bold", "STIXGeneralItalic.ttf":
                     "font-style:italic", "STIXGeneralBolIta.ttf": "font-weight:bold;font-style:italic"},
    "DejaVu Sans": {"DejaVuSans.ttf": "", "DejaVuSans-Bold.ttf": "font-weight:bold"},
    "Report Mono": {"DejaVuSansMono.ttf": ""},
}  # fmt: skip
ATTACHED = ("study.toml", "scores.csv", "findings.json", "manifest.json", "validation.json", "patterns.json")
UNSEALED = b"0" * 64  # the identifier that a PDF is hashed with
SEAL = re.compile(rb"/ID ?\[ ?\(([0-9a-f]{64})\)")
INSTALL = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
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


def moment() -> datetime:
    """The time of rendering, or SOURCE_DATE_EPOCH where that is set."""
    stamp = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(stamp), UTC) if stamp else datetime.now(UTC).replace(microsecond=0)


def attachments(folder: Path) -> dict[str, bytes]:
    """The files of a report folder that its PDF carries, by name and in the order of names, as PDF wants them."""
    left_out = unattached(folder)
    files = [folder / name for name in ATTACHED if (folder / name).exists()]
    files += [p for p in folder.glob("scores*.safetensors") if p.name not in left_out]
    files += [p for p in folder.glob("templates/**/*") if p.is_file()]
    return {name: (folder / name).read_bytes() for name in sorted(f.relative_to(folder).as_posix() for f in files)}


def unattached(folder: Path) -> dict[str, int]:
    """The scores files that the PDF has no room for, with their sizes; ``scores.csv`` holds the first method's maps."""
    return too_large({path.name: path.stat().st_size for path in folder.glob("scores*.safetensors")})


def sealed(document: bytes) -> bytes:
    """The PDF with the sha256 of its bytes as its identifier: one changed byte anywhere breaks it."""
    return document.replace(UNSEALED, sha256(document).encode(), 1)


def is_sealed(document: bytes) -> bool | None:
    """Whether a PDF is, byte for byte, as it was sealed; None where it never was: reportgen did not write it."""
    found = SEAL.search(document)
    if found is None:
        return None
    return sha256(document[: found.start(1)] + UNSEALED + document[found.end(1) :]).encode() == found[1]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the cyclic garbage collector off: layout makes many long-lived boxes, and walking them costs a quarter."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_no_collection()
def pdf(html: str, files: Mapping[str, bytes]) -> bytes:
    """The page as a sealed PDF that carries ``files``; raises MissingResourceError where Pango is missing."""
    weasyprint = _weasyprint()
    fetcher = _closed_fetcher(weasyprint)
    config = weasyprint.text.fonts.FontConfiguration()
    faces = weasyprint.CSS(string=_faces(), font_config=config, url_fetcher=fetcher)
    text, images = lifted(spelled(html))
    page = weasyprint.HTML(string=text, url_fetcher=fetcher, base_url=None)
    document = page.render(font_config=config, stylesheets=[faces], pdf_variant="pdf/a-3a", cache={**images})
    document.metadata.created = document.metadata.modified = moment().strftime("%Y-%m-%dT%H:%M:%SZ")
    document.metadata.attachments = [_attachment(weasyprint, *file) for file in files.items()]
    _claim_ua(document.metadata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # WeasyPrint leaves its colour profile open
        written = document.write_pdf(pdf_variant="pdf/a-3a", pdf_identifier=UNSEALED, finisher=compress_once)
    return sealed(written)


def spelled(html: str) -> str:
    """Characters that our fonts lack as their code points: a missing glyph would break the archival standard.

    The machine's own fonts are not asked for them, so that the same report is the same file everywhere.
    """
    return re.sub("|".join(map(re.escape, sorted(unprintable(html)))) or "(?!)", lambda m: f"[U+{ord(m[0]):04X}]", html)


def _weasyprint() -> Any:
    try:
        with redirect_stdout(io.StringIO()):  # its banner about missing libraries has no place in what we print
            import weasyprint
            import weasyprint.text.fonts
    except (ImportError, OSError) as error:
        problem = f"the PDF cannot be made: WeasyPrint does not load ({str(error).splitlines()[0]})"
        raise MissingResourceError(
            problem, "report.pdf", f"Run `{INSTALL}` and render again; every other file is complete"
        ) from error
    # Unsupported screen-only CSS is not worth a line on the user's terminal.
    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return weasyprint


def _font_paths() -> dict[str, Path]:
    return {Path(path).name: Path(path) for path in font_files()}


def _faces() -> str:
    paths = _font_paths()
    for name in (name for members in FONTS.values() for name in members if name not in paths):
        mend = "Run `pip install --force-reinstall matplotlib` and render again; every other file is complete"
        raise MissingResourceError(f"the PDF cannot be made: matplotlib’s font {name} is missing", "report.pdf", mend)
    return "".join(
        f'@font-face{{font-family:"{family}";src:url("{paths[name].as_uri()}");{style}}}'
        for family, members in FONTS.items()
        for name, style in members.items()
    )


def _closed_fetcher(weasyprint: Any) -> Any:
    allowed = {path.as_uri() for path in _font_paths().values()}

    class Closed(weasyprint.urls.URLFetcher):  # type: ignore[misc]
        """Reads the shipped fonts and data URLs, nothing else."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            if url in allowed or url.startswith("data:"):
                return super().fetch(url, headers)
            raise ValueError(f"a report loads nothing from outside: {url}")

    return Closed()


def _attachment(weasyprint: Any, name: str, content: bytes) -> Any:
    source = name == "study.toml" or name.endswith((".safetensors", ".j2"))
    return weasyprint.Attachment(
        string=content, name=name, relationship="Source" if source else "Data", created=moment(),
        modified=moment(), description=f"{name} of this report",
    )  # fmt: skip


def _claim_ua(metadata: Any) -> None:
    """Put the PDF/UA claim into the same RDF block as PDF/A's: in a block of its own both are refused."""
    generate = metadata.generate_rdf_metadata

    def both(variant: str, version: int, conformance: str) -> bytes:
        rdf: bytes = generate(variant, version, conformance)
        return rdf.replace(b"</rdf:RDF>", _UA)

    metadata.generate_rdf_metadata = both
