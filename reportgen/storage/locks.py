"""Locks that keep a second run out of a folder: the operating system's, which fall with the process that holds them."""

import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from reportgen.core.user_cache import cache_folder
from reportgen.errors import InputError, MissingResourceError
from reportgen.storage.files import sha256, unwritable
from reportgen.storage.json_files import canonical_json

BUSY_HINT = "Wait until it has ended, stop it, or choose another folder with -o"


def holder() -> dict[str, str | int]:
    """Return what a lock says of the process that holds it."""
    return {"host": platform.node(), "process": os.getpid()}


def busy(where: object, content: bytes | None) -> InputError:
    """Return the error for a folder at which another run is at work; ``content`` is what its lock says."""
    try:
        owner = json.loads(content or b"")
        who = f" (process {owner['process']} on {owner['host']})"
    except (ValueError, KeyError, TypeError):
        who = ""
    return InputError(f"another run is at work in this folder{who}", str(where), BUSY_HINT)


def acquire(path: Path, folder: Path) -> FileLock | None:
    """Hold the lock file ``path`` of a folder; None where its file system knows no locks.

    Raises InputError where another run holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    lock = FileLock(path, timeout=0, fallback_to_soft=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout as error:
        raise busy(folder, _read(path)) from error
    except PermissionError as error:
        raise unwritable(path, error) from error
    except (OSError, NotImplementedError):  # ENOLCK, ENOSYS: no locks here
        return None
    return lock


def _sign(handle: int) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, canonical_json(holder()).encode())


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # Windows lets no one else read a locked file
        return None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep this user's other runs out of an output folder while it is written.

    The lock lies in the user's cache under a name made of the folder's path, so that the folder itself holds nothing
    but the report; where the cache cannot be written it lies in the machine's folder for temporary files. Where no
    lock can be had there is none. Raises InputError where another run is at work.
    """
    name = f"{sha256(os.fsencode(folder.resolve()))[:32]}.lock"
    lock = None
    for base in (cache_folder(), Path(tempfile.gettempdir()) / "reportgen"):
        with suppress(MissingResourceError, OSError):  # a folder that cannot be written or named: the next one
            lock = acquire(base / "locks" / name, folder)
            break
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
