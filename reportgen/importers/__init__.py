"""Scores made elsewhere: one file per format, the first that claims a file reads it."""

from pathlib import Path

from reportgen.errors import InputError
from reportgen.importers import native, npz, retrieval_head, tidy
from reportgen.importers.record import Importer
from reportgen.scores import HeadScores
from reportgen.study import ScoresSection

IMPORTERS: tuple[Importer, ...] = (native.IMPORTER, tidy.IMPORTER, npz.IMPORTER, retrieval_head.IMPORTER)


def load_scores(path: Path | str, section: ScoresSection | None = None) -> HeadScores:
    """Read scores in any known format; raises InputError telling the known formats where none fits."""
    path = Path(path)
    section = section or ScoresSection(path=path)
    if not path.is_file():
        raise InputError("no such file", str(path), "Check the path")
    known = "; ".join(f"{i.name}: {i.summary}" for i in IMPORTERS)
    for importer in IMPORTERS:
        if section.format == importer.name or (section.format is None and importer.claims(path)):
            return importer.load(path, section)
    seen = (
        f"format {section.format!r}"
        if section.format
        else f"a {path.suffix or 'nameless'} file starting {_start(path)!r}"
    )
    raise InputError(f"no importer knows this file ({seen})", str(path), f"Known formats: {known}")


def _start(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(24).decode("utf-8", "replace")
