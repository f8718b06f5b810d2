"""What a PDF says: its pages' letters, links, outline, and what it says of itself; and where sentences stand."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from reportgen.importers.report_pdf import reading


def unlike_pdf(recorded: Path, again: Path) -> str:
    """Return where what a PDF says first differs from the same one made again, "" where it does not.

    Where on a page a letter stands, its font and its colour are not compared.
    """
    with reading(recorded) as old, reading(again) as new:
        if len(old.pages) != len(new.pages):
            return f"it has {len(old.pages)} pages, made again {len(new.pages)}"
        for (what, stood), (_, made) in zip(_contents(old), _contents(new), strict=True):
            if stood != made:
                return f"its {what} differ from those made again"
    return ""


def _contents(reader: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a document says of itself, then what stands on each page."""
    catalogue = reader.trailer["/Root"]
    yield "metadata", {k: str(v) for k, v in (reader.metadata or {}).items()}
    yield "metadata (XMP)", catalogue["/Metadata"].get_data() if "/Metadata" in catalogue else b""
    yield "entries", sorted(catalogue)
    yield "entries in the outline", list(_titles(reader.outline))
    yield "attachments", dict(reader.attachments.items())
    for i, page in enumerate(reader.pages, 1):
        yield f"letters on page {i}", letters(page.extract_text())
        yield f"sizes of page {i}", [float(x) for x in page.mediabox]
        yield f"links on page {i}", [_target(each.get_object()) for each in page.get("/Annots") or ()]


def _titles(outline: Sequence[Any]) -> Iterator[Any]:
    for entry in outline:
        yield list(_titles(entry)) if isinstance(entry, list) else str(entry.title)


def _target(annotation: Any) -> tuple[str, ...]:
    """Return where a link leads, and what it says."""
    action = annotation.get("/A", {})
    return tuple(
        str(x)
        for x in (
            annotation.get("/Subtype"),
            annotation.get("/Contents"),
            action.get("/URI"),
            action.get("/S"),
            annotation.get("/Dest"),
        )
    )


def letters(text: str) -> str:
    """Return letters and digits alone: lines, hyphens and ligatures of a typeset page fall out of the comparison."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())


def page_letters(pdf: Path) -> list[str]:
    """Read the letters of each page."""
    with reading(pdf) as reader:
        return [letters(page.extract_text()) for page in reader.pages]


def stands(sought: str, pages: Sequence[str]) -> bool:
    """Return whether the letters stand on a page, or begin on one and end on the next."""
    return any(sought in page for page in pages) or any(
        sought[:cut] in page and sought[cut:] in following
        for page, following in pairwise(pages)
        for cut in range(1, len(sought))
    )
