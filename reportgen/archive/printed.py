"""What a PDF says: its sheets' letters, links, outline, and what it says of itself; and where sentences stand."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from reportgen.importers.report_pdf import reading


def unlike_pdf(recorded: Path, again: Path) -> str:
    """Where what a PDF says first differs from the same one made again, "" where it does not.

    Where on a sheet a letter stands, its font and its colour are not compared.
    """
    with reading(recorded) as old, reading(again) as new:
        if len(old.pages) != len(new.pages):
            return f"it has {len(old.pages)} pages, made again {len(new.pages)}"
        for (what, stood), (_, made) in zip(_told(old), _told(new), strict=True):
            if stood != made:
                return f"its {what} differ from those made again"
    return ""


def _told(reader: Any) -> Iterator[tuple[str, Any]]:
    """What a document says of itself, then what stands on each sheet."""
    catalogue = reader.trailer["/Root"]
    yield "metadata", {k: str(v) for k, v in (reader.metadata or {}).items()}
    yield "metadata (XMP)", catalogue["/Metadata"].get_data() if "/Metadata" in catalogue else b""
    yield "entries", sorted(catalogue)
    yield "entries in the outline", list(_titles(reader.outline))
    yield "attachments", dict(reader.attachments.items())
    for i, sheet in enumerate(reader.pages, 1):
        yield f"letters on page {i}", letters(sheet.extract_text())
        yield f"sizes of page {i}", [float(x) for x in sheet.mediabox]
        yield f"links on page {i}", [_target(each.get_object()) for each in sheet.get("/Annots") or ()]


def _titles(outline: Sequence[Any]) -> Iterator[Any]:
    for entry in outline:
        yield list(_titles(entry)) if isinstance(entry, list) else str(entry.title)


def _target(annotation: Any) -> tuple[str, ...]:
    """Where a link leads, and what it says."""
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
    """Letters and digits alone: lines, hyphens and ligatures of a typeset page fall out of the comparison."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())


def sheets(pdf: Path) -> list[str]:
    """The letters of each sheet."""
    with reading(pdf) as reader:
        return [letters(sheet.extract_text()) for sheet in reader.pages]


def stands(sought: str, sheets: Sequence[str]) -> bool:
    """Whether the letters stand on a sheet, or begin on one and end on the next."""
    return any(sought in sheet for sheet in sheets) or any(
        sought[:cut] in sheet and sought[cut:] in following
        for sheet, following in pairwise(sheets)
        for cut in range(1, len(sought))
    )
