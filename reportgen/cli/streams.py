"""Standard output and error as a command finds them: closed, full, cut off by ``head``, or of ASCII alone."""

import contextlib
import errno
import io
import os
import sys
from typing import TextIO

from reportgen.errors import MissingResourceError

# What a stream answers that takes no more: disk, quota or file size used up, a broken device, or closed.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def ready() -> None:
    """Open what the caller closed, so that no file of ours gets its number; write what its letters lack as escapes."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
        setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def holds(text: str) -> bool:
    """Return whether standard output can hold every letter of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def out(text: str) -> None:
    """Print on standard output; raises MissingResourceError where it takes no more. A closed pipe is no error."""
    try:
        print(text, flush=True)
    except OSError as error:
        lost(error)


def say(text: str) -> None:
    """Print on standard error; nothing can be printed where that fails."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def lost(error: OSError) -> None:
    """Answer an error in writing to standard output, to which nothing more is written hereafter.

    A pipe that its reader closed, as ``head`` does, took what was wanted; raises MissingResourceError for all else.
    """
    _drop(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        hint = "Free space there, or send it elsewhere; files that were written are complete"
        raise MissingResourceError(f"cannot write ({error.strerror})", "standard output", hint) from error


def _drop(stream: TextIO) -> None:
    """Let what a stream still holds, and all that follows, go nowhere: Python would try it again at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
