"""What is costly to make and the same for every report, in the user's cache, which may be cleared at any time."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from jinja2.bccache import Bucket, FileSystemBytecodeCache

from reportgen import __version__


def cache_folder() -> Path:
    """Return the user's cache: ``REPORTGEN_CACHE``, else ``reportgen`` in the system's folder for caches."""
    own, shared = os.environ.get("REPORTGEN_CACHE"), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    # of os.path, which leaves as it is what stands for no known home
    return Path(os.path.expanduser(own or os.path.join(shared, "reportgen")))


class CompiledTemplates(FileSystemBytecodeCache):
    """Templates as jinja compiled them, by their text and this version; no cache folder is no error.

    What is compiled runs: none is taken from a folder that others than its user may write to.
    """

    def __init__(self, kind: str) -> None:
        folder = cache_folder() / f"{kind}-{__version__}"
        self._own = False
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat()
            self._own = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        super().__init__(str(folder))

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket where its template was compiled before."""
        with suppress(OSError):
            if self._own:
                super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled, where that can be written."""
        with suppress(OSError):
            super().dump_bytecode(bucket)
