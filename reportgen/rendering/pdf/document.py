"""The archival PDF: PDF/A-3a and PDF/UA-1 at once, printed from the page's own HTML, its data attached."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from reportgen.core.provenance import epoch
from reportgen.errors import MissingResourceError
from reportgen.rendering.pdf.typeset import UNSEALED, Typesetter
from reportgen.rendering.plots.matplotlib_adapter import font_files, unprintable
from reportgen.rendering.plots.system_fonts import BOX, advice
from reportgen.storage.files import sha256
from reportgen.storage.scores_file import too_large

# Families of the print style sheet and the files of them that matplotlib's package ships.
FONTS = {
    "Report Serif": {
        "STIXGeneral.ttf": "",
        "STIXGeneralBol.ttf": "font-weight:bold",
        "STIXGeneralItalic.ttf": "font-style:italic",
        "STIXGeneralBolIta.ttf": "font-weight:bold;font-style:italic",
    },
    "DejaVu Sans": {"DejaVuSans.ttf": "", "DejaVuSans-Bold.ttf": "font-weight:bold"},
    "Report Mono": {"DejaVuSansMono.ttf": ""},
}
ATTACHED = (
    "study.toml",
    "scores.csv",
    "findings.json",
    "manifest.json",
    "validation.json",
    "patterns.json",
    "claims.json",
)
SEAL = re.compile(rb"/ID ?\[ ?\(([0-9a-f]{64})\)")


def moment() -> datetime:
    """Return the time of rendering, or SOURCE_DATE_EPOCH where that is set."""
    return epoch() or datetime.now(UTC).replace(microsecond=0)


def attachments(folder: Path) -> dict[str, bytes]:
    """Return the files of a report folder that its PDF carries, by name, in the order of names as PDF wants them."""
    left_out = unattached(folder)
    files = [folder / name for name in ATTACHED if (folder / name).exists()]
    files += [p for p in folder.glob("scores*.safetensors") if p.name not in left_out]
    files += [p for p in folder.glob("templates/**/*") if p.is_file()]
    return {name: (folder / name).read_bytes() for name in sorted(f.relative_to(folder).as_posix() for f in files)}


def unattached(folder: Path) -> dict[str, int]:
    """Return the scores files that the PDF has no room for, with their sizes; ``scores.csv`` holds the first method's
    maps.
    """
    return too_large({path.name: path.stat().st_size for path in folder.glob("scores*.safetensors")})


def sealed(document: bytes) -> bytes:
    """Return the PDF with the sha256 of its bytes as its identifier: one changed byte anywhere breaks it."""
    return document.replace(UNSEALED, sha256(document).encode(), 1)


def is_sealed(document: bytes) -> bool | None:
    """Return whether a PDF is, byte for byte, as it was sealed; None where it never was: reportgen did not write it."""
    found = SEAL.search(document)
    if found is None:
        return None
    return sha256(document[: found.start(1)] + UNSEALED + document[found.end(1) :]).encode() == found[1]


def pdf(html: str, files: Mapping[str, bytes]) -> bytes:
    """Return the page as a sealed PDF that carries ``files``; raises MissingResourceError where Pango is missing."""
    typesetter = Typesetter(faces(), set(font_paths().values()))
    return sealed(typesetter.written(typesetter.laid_out(boxed(html)), files, moment()))


def boxed(html: str) -> str:
    """Return the page with a box for each character that no font has, and with a note that says so: a missing glyph
    would break the archival standard.
    """
    lacked = unprintable(html)
    if not lacked:
        return html
    html = re.sub("|".join(map(re.escape, lacked)), BOX, html)
    note = f'<p class="banner" role="note">{advice(lacked)}</p>'
    return re.sub(r"<body\b[^>]*>", lambda body: body[0] + note, html, count=1)


def font_paths() -> dict[str, Path]:
    """Return the fonts that matplotlib's package ships, by the names of their files."""
    return {Path(path).name: Path(path) for path in font_files()}


def faces() -> str:
    """Return the style sheet that names the fonts; raises MissingResourceError where one is missing."""
    paths = font_paths()
    for name in (name for members in FONTS.values() for name in members if name not in paths):
        hint = "Run `pip install --force-reinstall matplotlib` and render again; every other file is complete"
        raise MissingResourceError(f"the PDF cannot be made: matplotlib’s font {name} is missing", "report.pdf", hint)
    return "".join(
        f'@font-face{{font-family:"{family}";src:url("{paths[name].as_uri()}");{style}}}'
        for family, members in FONTS.items()
        for name, style in members.items()
    )
