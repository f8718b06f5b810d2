"""An output folder behind an fsspec URL: worked on in a folder of this machine, then put there file by file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reportgen.errors import ReportgenError
from reportgen.storage.files import sha256_file, write_atomic
from reportgen.storage.remote_folders import StorageFolder, is_remote

UNITS = ".units"


class Stage:
    """Where the work is done: ``folder`` on this machine, and ``units``, where units are kept (None: in the folder)."""

    def __init__(self, folder: Path, place: StorageFolder | None = None) -> None:
        self.folder, self.place = folder, place
        self.units = None if place is None else f"{place.where}/{UNITS}"
        self.before = dict[str, str]()
        for name in [] if place is None else place.tree():
            if not name.startswith(f"{UNITS}/"):
                write_atomic(folder / name, (place.read(name) if place else None) or b"")
                self.before[name] = sha256_file(folder / name)

    def publish(self) -> None:
        """Put what has changed behind the URL, the manifest last, so that where it stands all stands; then units go."""
        if self.place is None:
            return
        there = {p.relative_to(self.folder).as_posix(): p for p in self.folder.rglob("*") if p.is_file()}
        for name, path in sorted(there.items(), key=lambda item: (item[0] == "manifest.json", item[0])):
            if self.before.get(name) != sha256_file(path):
                self.place.write(name, path.read_bytes())
        for name in self.before.keys() - there.keys():
            self.place.remove(name)
        StorageFolder(f"{self.place.where}/{UNITS}").remove()


@contextmanager
def staged(output: str) -> Iterator[Stage]:
    """A stage for an output folder, given as a path or as a URL; errors name what was given."""
    if not is_remote(output):
        yield Stage(Path(output.removeprefix("file://")))
        return
    place = StorageFolder(output.rstrip("/"))
    with tempfile.TemporaryDirectory(prefix="reportgen-") as held:
        folder = Path(held) / "report"
        try:
            yield Stage(folder, place)
        except ReportgenError as error:
            told = (text.replace(str(folder), place.where) for text in (error.problem, error.place, error.hint))
            raise type(error)(*told) from error
