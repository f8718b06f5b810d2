"""Files: written whole or not at all, removed, hashed."""

import errno
import hashlib
import os
import tempfile
from pathlib import Path

from reportgen.errors import InputError, MissingResourceError

HALF = ".half"  # ends the name of a file that is being written; one that stays was a killed run's


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a whole file or nothing: to a temporary neighbour, then rename."""
    data = content.encode() if isinstance(content, str) else content
    try:
        refuse_dangling(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=HALF)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def refuse_dangling(folder: Path) -> None:
    """Raise InputError where a folder, or one that it is to lie in, is a link to nothing: it cannot be made there."""
    for parent in (folder, *folder.parents):
        if parent.exists():
            return
        if parent.is_symlink():
            problem = f"this is a link to {os.readlink(parent)}, which does not exist"
            raise InputError(problem, str(parent), "Make that folder, remove the link, or choose another with -o")


def remove(path: Path) -> None:
    """Remove a file, if it is there; raises MissingResourceError where its folder does not allow it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> MissingResourceError:
    """Return the error for where a file cannot be written or replaced: the disk is full, or the folder is not ours."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    hint = "Free space there, or choose another folder with -o; finished files are complete"
    return MissingResourceError(
        f"cannot write ({error.strerror})", str(path), hint if full else "Choose a writable folder with -o"
    )


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def sha256(data: bytes) -> str:
    """Return the sha256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
