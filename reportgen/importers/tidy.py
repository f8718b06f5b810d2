"""Tidy tables: CSV or Parquet with the columns task, layer, head, importance and, optionally, example."""

import difflib
from pathlib import Path
from typing import Any

import numpy as np

from reportgen.errors import InputError
from reportgen.importers.record import Importer, as_examples, method_of, scores_from_examples
from reportgen.scores import Examples, Head, HeadScores
from reportgen.study import ScoresSection

NEEDED = ["task", "layer", "head", "importance"]
OPTIONAL = ["example", "method", "block"]
LARGEST = 100_000  # a layer or head number beyond this is a mistake, and would take all memory


def claims(path: Path) -> bool:
    """By extension."""
    return path.suffix.lower() in (".csv", ".parquet")


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read a tidy table; raises InputError naming the row and column that does not fit."""
    table = _read(path)
    _check_columns(list(table.columns), path)
    for column in ("method", "block"):
        if column in table and table[column].nunique() > 1:
            mend = f"Give one file for each {column}"
            raise InputError(
                f"{table[column].nunique()} different values in one file", f"{path}: column {column}", mend
            )
    task = _text(table, "task", path)
    layer, head = (_numbers(table, c, path) for c in ("layer", "head"))
    value = _values(table, path)
    example = _text(table, "example", path) if "example" in table else np.array([""] * len(table))
    names = list(dict.fromkeys(task))
    if not names:
        raise InputError("the table has no rows", str(path), "Give at least one row")
    shape = int(layer.max()) + 1, int(head.max()) + 1
    parts = [_task(path, name, task == name, layer, head, example, value, shape) for name in names]
    method = method_of(section, str(table["method"].iloc[0]) if "method" in table else "unknown")
    return scores_from_examples(names, [p[0] for p in parts], [p[1] for p in parts], section, method)


def _read(path: Path) -> Any:
    import pandas as pd

    mend = "Save it as a UTF-8 table with a header line"
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False)
    except FileNotFoundError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        raise InputError(f"this table cannot be read ({str(error).splitlines()[0]})", str(path), mend) from error


def _check_columns(columns: list[str], path: Path) -> None:
    for name in NEEDED:
        if name not in columns:
            raise InputError(f"there is no column {name!r}", str(path), f"The columns are {', '.join(NEEDED)}")
    for name in columns:
        if name not in (*NEEDED, *OPTIONAL):
            near = difflib.get_close_matches(str(name), [*NEEDED, *OPTIONAL], n=1)
            mend = f"Did you mean {near[0]!r}" if near else f"Remove it; known are {', '.join([*NEEDED, *OPTIONAL])}"
            raise InputError(f"unknown column {str(name)!r}", str(path), mend)


def _row(path: Path, index: int, column: str) -> str:
    return f"{path}, row {index + 2}, column {column}" if path.suffix.lower() == ".csv" else (
        f"{path}, row {index}, column {column}")  # fmt: skip


def _text(table: Any, column: str, path: Path) -> np.ndarray:
    values = table[column].astype(str).to_numpy(dtype=object)
    for index in np.flatnonzero([not v.strip() for v in values])[:1]:
        raise InputError("this cell is empty", _row(path, int(index), column), "Give a name in every row")
    return np.asarray(values)


def _numbers(table: Any, column: str, path: Path) -> np.ndarray:
    import pandas as pd

    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    wrong = ~(np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < LARGEST))
    for index in np.flatnonzero(wrong)[:1]:
        problem = f"{table[column].iloc[index]!r} is no {column} number"
        mend = f"Give whole numbers from 0 up to {LARGEST - 1}"
        raise InputError(problem, _row(path, int(index), column), mend)
    whole: np.ndarray = numbers.astype(int)
    return whole


def _values(table: Any, path: Path) -> np.ndarray:
    import pandas as pd

    cells = table["importance"]
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    said_nan = cells.astype(str).str.strip().str.lower().isin(["nan", ""]).to_numpy()
    for index in np.flatnonzero((np.isnan(numbers) & ~said_nan) | np.isinf(numbers))[:1]:
        problem, mend = f"{cells.iloc[index]!r} is no finite number", "Give a number, or nan for a head the model lacks"
        raise InputError(problem, _row(path, int(index), "importance"), mend)
    finite: np.ndarray = numbers
    return finite


def _task(path: Path, name: str, rows: np.ndarray, layer: np.ndarray, head: np.ndarray, example: np.ndarray,
          value: np.ndarray, shape: tuple[int, int]) -> tuple[Examples | None, np.ndarray]:  # fmt: skip
    ids = list(dict.fromkeys(example[rows]))
    number = {e: i for i, e in enumerate(ids)}
    where = np.array([number[e] for e in example[rows]]), layer[rows], head[rows]
    seen = np.zeros((len(ids), *shape), dtype=np.int32)
    np.add.at(seen, where, 1)
    mend = (
        "Give every task, layer and head (and example) exactly one row; nan in all tasks marks a head the model lacks"
    )
    for e, i, j in np.argwhere(seen != 1)[:1]:
        what = "is missing" if seen[e, i, j] == 0 else f"stands in {seen[e, i, j]} rows"
        place = f"{path}, task {name}" + (f", example {ids[e]}" if ids[e] else "")
        raise InputError(f"{Head(int(i), int(j))} {what}", place, mend)
    values = np.empty((len(ids), *shape))
    values[where] = value[rows]
    return (as_examples(values, ids, ordered=False) if ids != [""] else None), values[0]


IMPORTER = Importer("tidy", "CSV or Parquet with the columns task, layer, head, importance (example)", claims, load)
