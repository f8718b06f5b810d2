"""What a file would take once it is unpacked: few bytes can promise gigabytes."""

import zipfile
from pathlib import Path

from reportgen.errors import InputError

FREE = 64 * 2**20  # bytes that may come of any file
MOST = 200  # times its own size, where a file unpacks to more: scores of which nine in ten are 0 pack to a tenth
FREE_ROWS = 200_000  # a table of so many rows is read whatever its size
ROWS_A_BYTE = 10  # beyond them: scores of which most are 0 take a byte a row


def refuse_bomb(path: Path) -> None:
    """Raise InputError for a zip archive or a Parquet table that unpacks to a multiple of its size no scores have.

    Files of any other kind pass, and so do broken ones, which their reader refuses.
    """
    with path.open("rb") as file:
        start = file.read(4)
    size = path.stat().st_size
    if start == b"PAR1":
        from pyarrow import parquet

        rows = parquet.read_metadata(path).num_rows
        if rows > max(FREE_ROWS, ROWS_A_BYTE * size):
            raise _bomb(path, f"{rows:,} rows in {size:,} bytes")
    elif start[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > max(FREE, MOST * size):
            raise _bomb(path, f"{size:,} bytes that unpack to {unpacked:,}")


def _bomb(path: Path, what: str) -> InputError:
    return InputError(
        f"{what} are no scores or tasks", str(path), "Save the arrays or the table again, without the rest"
    )
