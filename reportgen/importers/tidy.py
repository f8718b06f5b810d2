"""Tidy tables: CSV or Parquet with the columns task, layer, head, importance and, if known, example, group, block."""

import csv
import difflib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from reportgen.core.blocks import TITLES, Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import Examples, Head, HeadScores, Method, refuse_many
from reportgen.errors import InputError, doubled
from reportgen.importers.common import Importer, as_examples, method_of, scores_from_examples

NEEDED = ["task", "layer", "head", "importance"]
OPTIONAL = ["example", "group", "method", "block"]
HINT = "Save it as a UTF-8 table with a header line"
ONCE = "Give every task, layer and head (and example) exactly one row; nan in all tasks marks a head the model lacks"
LARGEST = 100_000  # a layer or head number beyond this is a mistake, and would take all memory


def claims(path: Path) -> bool:
    """Return whether the file is a .csv or .parquet."""
    return path.suffix.lower() in (".csv", ".parquet")


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read a tidy table, one HeadScores per block; raises InputError naming the row and column that does not fit."""
    table = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    _check_columns(list(table), path)
    task = _text(table, "task", path)
    if not len(task):
        raise InputError("the table has no rows", str(path), "Give at least one row")
    _refuse_several_methods(table, path)
    block = _blocks(table, path)
    columns = _Columns(
        path,
        task,
        _numbers(table, "layer", path),
        _numbers(table, "head", path),
        _values(table, path),
        _text(table, "example", path) if "example" in table else np.array([""] * len(task)),
        _groups(table, path),
    )
    method = method_of(section, table["method"][0] if "method" in table else "unknown")
    names = [name for name in (None, *TITLES) if (block == name).any()]
    return tuple(replace(_of_block(columns, block == name, name, section, method), block=name) for name in names)


@dataclass(frozen=True)
class _Columns:
    """The table's columns, checked one by one."""

    path: Path
    task: np.ndarray
    layer: Int[np.ndarray, "row"]
    head: Int[np.ndarray, "row"]
    value: Float[np.ndarray, "row"]
    example: np.ndarray
    group: np.ndarray | None


def _groups(table: dict[str, list[str]], path: Path) -> np.ndarray | None:
    if "group" not in table:
        return None
    if "example" not in table:
        problem, hint = "groups are of examples, and there is no column 'example'", "Name the examples, or leave it out"
        raise InputError(problem, f"{path}: column group", hint)
    return _text(table, "group", path)


def _refuse_several_methods(table: dict[str, list[str]], path: Path) -> None:
    found = len(set(_text(table, "method", path))) if "method" in table else 1
    if found > 1:
        problem = f"{found} different values in one file"
        raise InputError(problem, f"{path}: column method", "Give one file a method")


def _blocks(table: dict[str, list[str]], path: Path) -> np.ndarray:
    """Return the block of each row, None where the table has no such column."""
    if "block" not in table:
        return np.array([None] * len(table["task"]), dtype=object)
    blocks = _text(table, "block", path)
    for index, name in enumerate(blocks):
        if name not in TITLES:
            hint = f"Give {', '.join(TITLES)}, or leave the column out for heads that are in no block"
            raise InputError(f"no block of heads is called {name!r}", _row(path, index, "block"), hint)
    return blocks


def _of_block(
    columns: _Columns, mine: Bool[np.ndarray, "row"], block: str | None, section: ScoresSection, method: Method
) -> HeadScores:
    """Return the scores of one block's rows; every task of the table must have some."""
    names, layer, head = list(dict.fromkeys(columns.task)), columns.layer, columns.head
    refuse_many(len(names), str(columns.path))  # before each task's rows are looked for
    shape = int(layer[mine].max()) + 1, int(head[mine].max()) + 1
    number = {name: n for n, name in enumerate(names)}
    task = np.array([number[name] for name in columns.task])  # texts, once a task and row, take ten times as long
    parts = []
    for n, name in enumerate(names):
        rows, location = mine & (task == n), f"{columns.path}, task {name}{f', block {block}' if block else ''}"
        _refuse_holes(location, layer[rows], head[rows], shape)
        parts.append(_task(location, rows, layer, head, columns, shape))
    return scores_from_examples(names, [p[0] for p in parts], [p[1] for p in parts], section, method)


def _csv(path: Path) -> dict[str, list[str]]:
    """Read the columns of a CSV file as text; blank lines at its end do not count."""
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"this table cannot be read ({error})", str(path), HINT) from error
    while rows and not any(rows[-1]):
        rows.pop()
    header, *body = rows or [[]]
    for name in doubled(header):
        raise InputError(f"column {name!r} stands twice", str(path), "Give each column its own name")
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            problem = f"{len(row)} cells under {len(header)} columns"
            raise InputError(problem, f"{path}, row {number}", "Give every row one cell a column")
    return {name: [row[i] for row in body] for i, name in enumerate(header)}


def _parquet(path: Path) -> dict[str, list[str]]:
    """Read the columns of a Parquet file as text; what is neither text nor a number becomes an empty cell."""
    import pandas as pd

    def text(cell: object) -> str:
        plain = isinstance(cell, str | int | float | np.integer | np.floating) and not isinstance(cell, bool | np.bool_)
        return str(cell) if plain else ""

    names = {"task", *OPTIONAL}
    try:
        frame = pd.read_parquet(path)
        return {
            str(c): ["" if c in names and pd.api.types.is_scalar(v) and pd.isna(v) else text(v) for v in frame[c]]
            for c in frame.columns
        }
    except InputError:
        raise
    except Exception as error:  # pyarrow raises many kinds for a broken file, of its texts only as they are looked at
        raise InputError(f"this table cannot be read ({str(error).splitlines()[0]})", str(path), HINT) from error


def _check_columns(columns: list[str], path: Path) -> None:
    for name in NEEDED:
        if name not in columns:
            raise InputError(f"there is no column {name!r}", str(path), f"The columns are {', '.join(NEEDED)}")
    for name in columns:
        if name not in (*NEEDED, *OPTIONAL):
            near = difflib.get_close_matches(name, [*NEEDED, *OPTIONAL], n=1)
            hint = f"Did you mean {near[0]!r}" if near else f"Remove it; known are {', '.join([*NEEDED, *OPTIONAL])}"
            raise InputError(f"unknown column {name!r}", str(path), hint)


def _row(path: Path, index: int, column: str) -> str:
    return f"{path}, row {index + (2 if path.suffix.lower() == '.csv' else 0)}, column {column}"


def _text(table: dict[str, list[str]], column: str, path: Path) -> np.ndarray:
    for index, cell in enumerate(table[column]):
        if not cell.strip():
            raise InputError("this cell is empty", _row(path, index, column), "Give a name in every row")
    return np.array(table[column], dtype=object)


def _floats(cells: list[str]) -> Float[np.ndarray, "row"]:
    """Return the cells as numbers, NaN for what is none."""
    try:
        return np.array(cells, dtype=object).astype(float)
    except ValueError:
        return np.array([_float(cell) for cell in cells])


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _numbers(table: dict[str, list[str]], column: str, path: Path) -> np.ndarray:
    numbers = _floats(table[column])
    wrong = ~(np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < LARGEST))
    for index in np.flatnonzero(wrong)[:1]:
        problem = f"{table[column][index]!r} is no {column} number"
        hint = f"Give whole numbers from 0 up to {LARGEST - 1}"
        raise InputError(problem, _row(path, int(index), column), hint)
    whole: np.ndarray = numbers.astype(int)
    return whole


def _values(table: dict[str, list[str]], path: Path) -> np.ndarray:
    cells = table["importance"]
    numbers = _floats(cells)
    written_nan = np.array([cell.strip().lower() in ("nan", "") for cell in cells], dtype=bool)
    too_large = np.abs(numbers) > np.finfo(np.float32).max
    for index in np.flatnonzero((np.isnan(numbers) & ~written_nan) | too_large)[:1]:
        problem = f"{cells[index]!r} is no finite number"
        hint = "Give a number, or nan for a head the model lacks"
        raise InputError(problem, _row(path, int(index), "importance"), hint)
    return numbers


def _refuse_holes(location: str, layer: np.ndarray, head: np.ndarray, shape: tuple[int, int]) -> None:
    """Name the first missing head from the rows alone: one stray number must not claim memory for a huge map."""
    codes = np.unique(layer.astype(np.int64) * shape[1] + head)
    if len(codes) < shape[0] * shape[1]:
        gaps = np.flatnonzero(codes != np.arange(len(codes)))
        first = int(gaps[0]) if len(gaps) else len(codes)
        raise InputError(f"{Head(*divmod(first, shape[1]))} is missing", location, ONCE)


def _task(
    location: str,
    rows: np.ndarray,
    layer: np.ndarray,
    head: np.ndarray,
    columns: _Columns,
    shape: tuple[int, int],
) -> tuple[Examples | None, np.ndarray]:
    example, value = columns.example, columns.value
    ids = list(dict.fromkeys(example[rows]))
    number = {e: i for i, e in enumerate(ids)}
    where = np.array([number[e] for e in example[rows]]), layer[rows], head[rows]
    # from the rows alone: many examples of few heads must not claim memory for those that are not there
    codes, rows_of = np.unique(np.ravel_multi_index(where, (len(ids), *shape)), return_counts=True)
    gaps, twice = np.flatnonzero(codes != np.arange(len(codes))), np.flatnonzero(rows_of > 1)
    gap = int(gaps[0]) if len(gaps) else len(codes)
    wrong = min(gap, int(codes[twice[0]])) if len(twice) else gap
    if wrong < len(ids) * shape[0] * shape[1]:
        e, i, j = (int(n) for n in np.unravel_index(wrong, (len(ids), *shape)))
        what = f"stands in {rows_of[twice[0]]} rows" if wrong != gap else "is missing"
        raise InputError(f"{Head(i, j)} {what}", location + (f", example {ids[e]}" if ids[e] else ""), ONCE)
    values = np.empty((len(ids), *shape))
    values[where] = value[rows]
    if ids == [""]:
        return None, values[0]
    groups = None if columns.group is None else _one_each(location, ids, where[0], columns.group[rows])
    return as_examples(values, ids, ordered=False, groups=groups), values[0]


def _one_each(location: str, ids: list[str], number: np.ndarray, group: np.ndarray) -> list[str]:
    """Return the group of each example; raises InputError where its rows name several."""
    found: dict[int, str] = {}
    for i, name in zip(number, group, strict=True):
        if found.setdefault(int(i), name) != name:
            problem = f"example {ids[i]} is of groups {found[int(i)]!r} and {name!r}"
            raise InputError(problem, f"{location}, column group", "Give all rows of an example one group")
    return [found[i] for i in range(len(ids))]


IMPORTER = Importer(
    "tidy", "CSV or Parquet with the columns task, layer, head, importance (example)", claims, load, order=10
)
