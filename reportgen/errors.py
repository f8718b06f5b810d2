"""The one exception base: every error says what is wrong, where, and what to do about it."""

import difflib
import errno
from collections import Counter
from collections.abc import Sequence


class ReportgenError(Exception):
    """An error that a user can do something about.

    ``problem`` says what is wrong, ``location`` where (file, row, field), ``hint`` what to do. ``exit_code`` is the
    command line's exit status.
    """

    exit_code = 2

    def __init__(self, problem: str, location: str, hint: str) -> None:
        super().__init__(problem, location, hint)
        self.problem, self.location, self.hint = problem, location, hint

    def __str__(self) -> str:
        code = self.hint.rpartition("\n")[2].startswith(" ")  # lines to copy, which a full stop would break
        end = "" if code or self.hint.endswith(("?", ".")) else "."
        return f"{self.location}: {self.problem}. {self.hint}{end}"


class InputError(ReportgenError):
    """A file, flag or value that the user gave cannot be used."""


MEMORY_SIGNS = ("allocate memory", "out of memory", "bad_alloc", "ALLOC_FAILED")  # of torch, C++ and CUDA's libraries


def ran_out(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, whoever asked for it."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in MEMORY_SIGNS)


def reason(error: BaseException) -> str:
    """Say an exception in one line: the first of its message, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


# What a path itself is to blame for; a missing file is named by whoever looked for it.
UNREACHABLE = frozenset({errno.ENAMETOOLONG, errno.EACCES, errno.ELOOP, errno.ENOTDIR, errno.EISDIR})


def unreachable(error: OSError) -> InputError | None:
    """Return the error for a path that the file system does not follow: too long, a closed folder, a loop of links.

    None for other errors, and where no path is named.
    """
    if error.errno not in UNREACHABLE or error.filename is None:
        return None
    name = str(error.filename)
    short = name if len(name) < 200 else f"{name[:100]}…{name[-50:]}"
    return InputError(f"this path cannot be used ({error.strerror})", short, "Check the path")


class MissingResourceError(ReportgenError):
    """The machine lacks a library, a worker or space; what was finished is complete."""

    exit_code = 3


def doubled(names: Sequence[str]) -> list[str]:
    """Return the names that stand more than once, in their order; in time that grows as their number does."""
    return [name for name, times in Counter(names).items() if times > 1]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}"
