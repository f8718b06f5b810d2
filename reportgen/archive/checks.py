"""One comparison of a report's, and the report that is compared, opened from its folder or from its PDF alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reportgen.core.plugins import ABSENT, Plugin, recorded_in
from reportgen.errors import InputError
from reportgen.importers.report_pdf import attached, manifest_of
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import read_json
from reportgen.storage.manifest import Manifest, checked_manifest

DAMAGED = (AttributeError, KeyError, TypeError, ValueError, IndexError)  # what a damaged file raises where it is read


@dataclass(frozen=True)
class Check:
    """One thing that was compared: what it is, and what is wrong with it ("" where it holds)."""

    what: str
    wrong: str = ""


@dataclass(frozen=True)
class Opened:
    """A report in a folder: its own, or for a PDF alone one with its attachments."""

    folder: Path
    pdf: Path | None
    manifest: Manifest
    alone: bool


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open the report at a path; a PDF is unpacked for as long as the context lasts."""
    if path.is_dir():
        if not (path / "manifest.json").is_file():
            raise InputError(
                "this folder holds no report (no manifest.json)", str(path), "Give a report's folder or PDF"
            )
        pdf = path / "report.pdf"
        manifest = checked_manifest(read_json(path / "manifest.json"), str(path / "manifest.json"))
        yield Opened(path, pdf if pdf.is_file() else None, manifest, alone=False)
        return
    files = attached(path)
    with tempfile.TemporaryDirectory() as held:
        for name, data in files.items():
            write_atomic(Path(held) / name, data)
        yield Opened(Path(held), path, manifest_of(files, path), alone=True)


def plugins_of(report: Opened) -> list[Plugin]:
    """Return the plug-ins that made what follows from the scores, whether they failed or not."""
    before = ("reportgen.methods", "reportgen.importers")
    return [replace(p, error="") for p in recorded_in(report.manifest) if p.error != ABSENT and p.group not in before]
