"""A report's PDF: everything that made the report is attached to it."""

import io
import json
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.errors import InputError
from reportgen.importers import native
from reportgen.importers.common import Importer
from reportgen.storage.decompression import bounded, most_of
from reportgen.storage.files import sha256, write_atomic
from reportgen.storage.manifest import FileEntry, Manifest, checked_manifest
from reportgen.storage.scores_file import MOST_ATTACHED, SCORES, too_large

if TYPE_CHECKING:
    from pypdf import PdfReader

HINT = "Give the report.pdf of a report"
WHOLE = "Ask for the file as it was first written, or build from the scores"
SCORES_FILE = re.compile(r"scores(-\w+)?\.safetensors")
OURS = re.compile(
    r"(study\.toml|scores\.csv|(findings|manifest|validation|patterns|claims)\.json|scores(-\w+)?\.safetensors|"
    r"templates/[\w./-]+)"
)


def claims(path: Path) -> bool:
    """Return whether the file is a .pdf."""
    return path.suffix.lower() == ".pdf"


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read the first method's scores; raises InputError as ``unpack``."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(path, Path(folder))
        return native.load(Path(folder) / SCORES, section)


@contextmanager
def reading(path: Path) -> Iterator["PdfReader"]:
    """Open a pypdf reader; within the context, whatever is wrong with the file raises InputError."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it would log is raised here
    try:
        data = path.read_bytes()
        with bounded(path, len(data)):
            # strict: a broken file is refused at once, not searched for minutes for what may be left of it
            yield PdfReader(io.BytesIO(data), strict=True)
    except OSError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"this PDF cannot be read ({reason})", str(path), HINT) from error


def attached(path: Path) -> dict[str, bytes]:
    """Read the files that a report's PDF carries, by name.

    Raises InputError for a file that is no PDF or no report of ours, and for one whose attachments were stripped.
    """
    location = str(path)
    with reading(path) as reader:
        made_by = reader.metadata.creator if reader.metadata else None
        known = _ours(reader, path) if made_by == "reportgen" else {}
    if made_by != "reportgen":
        raise InputError("reportgen did not write this PDF", location, HINT)
    for name in ("manifest.json", "findings.json"):
        if name not in known:
            raise InputError(f"it does not carry {name}: its attachments were stripped", location, WHOLE)
    if SCORES not in known and SCORES not in not_carried(manifest_of(known, path)):
        raise InputError(f"it does not carry {SCORES}: its attachments were stripped", location, WHOLE)
    return known


def _ours(reader: "PdfReader", path: Path) -> dict[str, bytes]:
    """Unpack the attachments that a report carries one by one; raises InputError where together they are a bomb."""
    found, left = dict[str, bytes](), most_of(path.stat().st_size)
    for name, contents in reader.attachments.items():
        if OURS.fullmatch(name) and ".." not in PurePosixPath(name).parts:
            found[name] = contents[0]
            left -= len(found[name])
            if left < 0:
                raise InputError("its attachments unpack to more than those of a report do", str(path), HINT)
    return found


def not_carried(manifest: Manifest) -> dict[str, int]:
    """Return the scores files that a report's PDF has no room for, with their sizes in bytes, by its manifest."""
    sizes = {name: entry.get("size") for name, entry in manifest["files"].items() if SCORES_FILE.fullmatch(name)}
    return too_large({name: size for name, size in sizes.items() if isinstance(size, int)})


def manifest_of(files: dict[str, bytes], path: Path) -> Manifest:
    """Read the attached manifest; raises InputError where it is damaged or of a newer version."""
    try:
        content = json.loads(files["manifest.json"])
    except (ValueError, RecursionError) as error:
        raise InputError(f"its attachment manifest.json is damaged ({error})", str(path), WHOLE) from error
    return checked_manifest(content, str(path))


def unpack(path: Path, folder: Path) -> None:
    """Write the attachments of a report's PDF into ``folder``.

    Raises InputError as ``attached``, and where the manifest does not record them or was made by a newer version.
    """
    files = attached(path)
    manifest = manifest_of(files, path)
    missing = [f"{name} ({size / 1e6:,.1f} MB)" for name, size in not_carried(manifest).items() if name not in files]
    if missing:
        hint = "Give the report's folder; scores.csv, which the PDF carries, holds the importance of every head"
        problem = f"{', '.join(missing)} did not fit into the PDF, which carries {MOST_ATTACHED / 1e6:.0f} MB of scores"
        raise InputError(problem, str(path), hint)
    for name, data in files.items():
        write_atomic(folder / name, data)
    for name, data in files.items():
        recorded = manifest["files"].get(name, FileEntry()).get("sha256")
        if name != "manifest.json" and recorded != sha256(data):
            hint = f"{WHOLE}; `reportgen verify {path}` lists every difference"
            raise InputError(f"its attachment {name} is not the one that its manifest records", str(path), hint)


IMPORTER = Importer("report_pdf", "a report's PDF, whose scores are attached", claims, load, order=100)
