"""An output folder behind an fsspec URL: worked on in a folder of this machine, then put there file by file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reportgen.errors import ReportgenError
from reportgen.storage.files import sha256_file, write_atomic
from reportgen.storage.remote_folders import StorageFolder, is_remote

CHECKPOINTS = ".checkpoints"


class Stage:
    """Where the work is done: ``folder`` on this machine; ``checkpoints`` is where shards are written (None: in it)."""

    def __init__(self, folder: Path, remote: StorageFolder | None = None) -> None:
        self.folder, self.remote = folder, remote
        self.checkpoints = None if remote is None else f"{remote.where}/{CHECKPOINTS}"
        self.before = dict[str, str]()
        for name in [] if remote is None else remote.tree():
            if not name.startswith(f"{CHECKPOINTS}/"):
                write_atomic(folder / name, (remote.read(name) if remote else None) or b"")
                self.before[name] = sha256_file(folder / name)

    def publish(self) -> None:
        """Put what has changed behind the URL, the manifest last: where it stands all stands. Then shards go."""
        if self.remote is None:
            return
        there = {p.relative_to(self.folder).as_posix(): p for p in self.folder.rglob("*") if p.is_file()}
        for name, path in sorted(there.items(), key=lambda item: (item[0] == "manifest.json", item[0])):
            if self.before.get(name) != sha256_file(path):
                self.remote.write(name, path.read_bytes())
        for name in self.before.keys() - there.keys():
            self.remote.remove(name)
        StorageFolder(f"{self.remote.where}/{CHECKPOINTS}").remove()


@contextmanager
def staged(output: str) -> Iterator[Stage]:
    """Open a stage for an output folder, a path or a URL; errors name the folder as the caller wrote it."""
    if not is_remote(output):
        yield Stage(Path(output.removeprefix("file://")))
        return
    remote = StorageFolder(output.rstrip("/"))
    with tempfile.TemporaryDirectory(prefix="reportgen-") as held:
        folder = Path(held) / "report"
        try:
            yield Stage(folder, remote)
        except ReportgenError as error:
            parts = (text.replace(str(folder), remote.where) for text in (error.problem, error.location, error.hint))
            raise type(error)(*parts) from error
