"""What a file would take once it is read: few bytes can promise gigabytes.

A file's claims are checked against its size before anything of it is read; while it is read, the process may take
``SPARE`` bytes and ``FACTOR`` times the checked size more than it holds, and no more.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reportgen.errors import InputError, ran_out

FREE = 64 * 2**20  # bytes that may come of any file: 64 tasks × 126 layers × 128 heads take 4 MB
MOST = 200  # times its own size, where a file unpacks to more: scores of which nine in ten are 0 pack to a tenth
FREE_ROWS = 200_000  # a table of so many rows is read whatever its size
ROWS_A_BYTE = 10  # beyond them: scores of which most are 0 take a byte a row
SPARE = 2**30  # bytes of memory that reading any file may take
FACTOR = 40  # times its checked size beyond that: a cell of a table, of two letters, becomes a text of sixty bytes


def refuse_bomb(path: Path) -> int:
    """Return the bytes that a file holds once unpacked: its size, or what a zip archive or a Parquet table says.

    Raises InputError where an archive or a table unpacks to a multiple of its size that no scores have. Broken files
    are left to their reader; what they raise is not caught.
    """
    with path.open("rb") as file:
        start = file.read(4)
    size = path.stat().st_size
    if start == b"PAR1":
        from pyarrow import parquet

        about = parquet.read_metadata(path)
        if about.num_rows > max(FREE_ROWS, ROWS_A_BYTE * size):
            raise _bomb(path, f"{about.num_rows:,} rows in {size:,} bytes")
        return _within(path, size, sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)))
    if start[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            return _within(path, size, sum(entry.file_size for entry in archive.infolist()))
    return size


def most_of(size: int) -> int:
    """Return the bytes that a file of some size may unpack to."""
    return max(FREE, MOST * size)


def _within(path: Path, size: int, unpacked: int) -> int:
    if unpacked > most_of(size):
        raise _bomb(path, f"{size:,} bytes that unpack to {unpacked:,}")
    return max(size, unpacked)


def _bomb(path: Path, what: str) -> InputError:
    return InputError(
        f"{what} are no scores or tasks", str(path), "Save the arrays or the table again, without the rest"
    )


@contextmanager
def bounded(path: Path, size: int) -> Iterator[None]:
    """Raise InputError, within the context, where reading a file of that checked size takes more memory than it may.

    Libraries that the reading needs are to be loaded before. The bound is the kernel's, on what the process may hold
    of its own; where the kernel does not say how much that is, or a closer bound is set, there is none of ours.
    """
    before = _lowered(SPARE + FACTOR * size)
    try:
        yield
    except Exception as error:
        if before is None or not ran_out(error):
            raise
        problem = f"reading its {size:,} bytes takes more memory than scores or tasks of that size do"
        raise InputError(problem, str(path), "Save the arrays or the table again, without the rest") from error
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)


def _lowered(more: int) -> tuple[int, int] | None:
    """Let this process hold that many bytes more than now; the limits before, None where nothing was changed."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError, IndexError, ValueError):  # Windows has no such module, other systems no such file
        return None
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = pages * resource.getpagesize() + more
    if any(limit != resource.RLIM_INFINITY and limit <= most for limit in before):
        return None
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    return before
