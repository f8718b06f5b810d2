"""compare(): two or more reports side by side, each against the first."""

from collections.abc import Callable, Sequence
from pathlib import Path

from reportgen.archive.compare.compared import page
from reportgen.archive.compare.comparison import Comparison, as_json, comparison, differences_csv
from reportgen.errors import InputError
from reportgen.storage.files import sha256_file, write_atomic
from reportgen.storage.json_files import pretty_json


def compare(
    reports: Sequence[Path | str],
    folder: Path | str | None = None,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Comparison:
    """Compare reports with the first of them; write compare.html, compare.json and differences.csv into ``folder``.

    ``alpha`` bounds the chance of any false head among all searches (run, block, task). Raises InputError for fewer
    than two reports, for runs without a common task, and for a folder that holds anything but a comparison.
    """
    if len(reports) < 2:
        raise InputError("there is nothing to compare it with", "reportgen compare", "Give two reports or more")
    target = None if folder is None else Path(folder)
    if target is not None:
        _refuse_strange(target)
    made = comparison(reports, alpha, seed, progress)
    if target is not None:
        _write(made, target)
    return made


def _refuse_strange(folder: Path) -> None:
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not (folder / "compare.json").is_file():
        raise InputError("this holds something else than a comparison", str(folder), "Choose another folder with -o")


def _write(made: Comparison, folder: Path) -> None:
    write_atomic(folder / "differences.csv", differences_csv(made))
    write_atomic(folder / "compare.html", page(made))
    files = {name: sha256_file(folder / name) for name in ("compare.html", "differences.csv")}
    write_atomic(folder / "compare.json", pretty_json({**as_json(made), "files": files}))
