"""Tables: a row a head, with the columns task, layer, head, importance and, if known, example, group, block; or a
column a task; or a bare matrix of layers × heads.

Separator, encoding, decimal comma, thousands, an index column and other names of columns are recognised and named in
the report; ``[scores] columns``, ``separator`` and ``index_base`` overrule what was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from reportgen.core.blocks import TITLES, Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import Method
from reportgen.errors import InputError
from reportgen.importers import duo_attention
from reportgen.importers.common import Importer, method_of, model_of, scores_from_examples
from reportgen.importers.common.head_names import parse_head, parse_layer, parse_one
from reportgen.importers.common.rows import LARGEST, Faults, Rows, noted, scores_of
from reportgen.importers.common.tables import (
    DECIMAL_COMMA,
    Columns,
    Table,
    columns_of,
    either,
    floats,
    is_numeric,
    is_table,
    read_table,
    recipe,
)

NEEDED = ("task", "layer", "head", "importance")
RANKS = "places from the last of the ranking"


def claims(path: Path) -> bool:
    """Return whether the file is a table, by its extension and of a .txt also by its beginning."""
    return is_table(path) and not duo_attention.claims(path)


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read a table, one HeadScores per block; raises InputError naming all rows and columns that do not fit."""
    return load_table(read_table(path, section), section)


def load_table(table: Table, section: ScoresSection, unit: str | None = None) -> Blocks:
    """Read a table of texts; ``unit`` is that of its scores where the study does not say.

    Raises InputError naming all that does not fit, or with a recipe for this very table where it is none of heads.
    """
    if not len(table.frame):
        raise InputError("the table has no rows", str(table.path), "Give at least one row")
    found = columns_of(table, section)
    if "head" not in found.known:
        matrix = _matrix(table, found, section)
        if matrix is not None:
            return matrix
    missing = [name for name in ("layer", "head") if name not in found.known]
    if "head" in found.known and (_named(table, found) or (section.layers and section.heads)):
        missing = []
    if not missing and not found.tasks and not {"importance", "rank"} & found.known.keys():
        missing = ["importance"]
    if missing:
        names = ", ".join(map(repr, [str(n) for n in table.frame.columns][:12]))
        problem = f"there is no column {missing[0]!r} (seen: {len(table.frame):,} rows under {names})"
        hint = f'The columns are {", ".join(NEEDED)}; [scores] columns = {{{missing[0]} = "…"}} names another. '
        raise InputError(problem, str(table.path), hint + recipe(table, found.known))
    method = _method(table, found, section, unit)
    if found.tasks:
        table = _marked(table, found.tasks)
        parts = [_rows(table, replace(found, known={**found.known, "importance": name}), name) for name in found.tasks]
        return scores_of(_joined(parts), section, method)
    return scores_of(_rows(table, found, table.path.stem, section), section, method)


def _marked(table: Table, columns: Sequence[str]) -> Table:
    """Return the table with the decimal mark that its columns together tell: one alone may not."""
    _, how = floats([cell for name in columns for cell in table.cells(name)])
    return replace(table, decimal=",") if table.decimal is None and DECIMAL_COMMA in how else table


def _named(table: Table, found: Columns) -> bool:
    return "layer" not in found.known and parse_head(table.cells(found.known["head"])[0]) is not None


def _method(table: Table, found: Columns, section: ScoresSection, unit: str | None) -> Method:
    name = "unknown"
    if "method" in found.known:
        cells = table.cells(found.known["method"])
        if len(set(cells)) > 1:
            problem = f"{len(set(cells))} different values in one file"
            raise InputError(problem, f"{table.path}: column method", "Give one file a method")
        name = cells[0]
    method = method_of(section, name)
    ordinal = "importance" not in found.known and not found.tasks
    if "unit" not in section.model_fields_set and (ordinal or unit):
        method = replace(method, unit=RANKS if ordinal else unit or method.unit)
    return replace(method, ordinal=ordinal)


def _joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several tasks as one."""
    first = parts[0]
    said = tuple(dict.fromkeys(s for part in parts for s in part.said))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return replace(
        first,
        task=joined("task"),
        layer=joined("layer"),
        head=joined("head"),
        value=joined("value"),
        example=joined("example"),
        group=None if first.group is None else joined("group"),
        block=None if first.block is None else joined("block"),
        said=said,
    )


def _rows(table: Table, found: Columns, task: str, section: ScoresSection | None = None) -> Rows:
    """Return the rows of a long table, each column checked; ``task`` is the task where no column says."""
    faults, known, said = Faults(table.path), found.known, [*table.said, *found.said]
    n = len(table.frame)
    tasks = _texts(table, known["task"], faults) if "task" in known else np.array([task] * n, dtype=object)
    layer, head, block = _heads(table, known, faults, section)
    value, how = _values(table, known, faults)
    example = _texts(table, known["example"], faults) if "example" in known else np.array([""] * n, dtype=object)
    group = _groups(table, known, faults)
    if "block" in known:
        block = _texts(table, known["block"], faults)
        for index, name in enumerate(block):
            if name.strip() and name not in TITLES:
                hint = f"Give {', '.join(TITLES)}, or leave the column out for heads that are in no block"
                faults.add(f"no block of heads is called {name!r}", table.where(index, "block"), hint)
    faults.check()
    ranks = "rank" in known
    if ranks and "importance" in known:
        said += _order_said(table, known, value)
    return Rows(table.path, tasks, layer, head, value, example, group, block, ranks, (*said, *how))


def _order_said(table: Table, known: Mapping[str, str], value: np.ndarray) -> list[str]:
    """Refuse a file whose first rank has the smallest score; say it where its ranks follow another order."""
    ranks, _ = floats(table.cells(known["rank"]))
    if "task" in known or np.isnan(ranks).any():
        return []
    ordered = value[np.argsort(ranks, kind="stable")]
    if (np.diff(np.abs(ordered)) <= 0).all() or len(ordered) < 3:
        return []
    if (np.diff(ordered) >= 0).all():
        problem = f"the first rank has the smallest score ({ordered[0]:g}) and the last the largest ({ordered[-1]:g})"
        hint = "Give scores of which larger ones matter more, such as their negatives, or ranks alone"
        raise InputError(problem, str(table.path), hint)
    return ["ranked by score, which its ranks do not follow"]


def _groups(table: Table, known: Mapping[str, str], faults: Faults) -> np.ndarray | None:
    if "group" not in known:
        return None
    if "example" not in known:
        problem, hint = "groups are of examples, and there is no column 'example'", "Name the examples, or leave it out"
        faults.add(problem, f"{table.path}: column group", hint)
        return None
    return _texts(table, known["group"], faults)


def _texts(table: Table, column: str, faults: Faults) -> np.ndarray:
    cells = table.cells(column)
    for index in [i for i, cell in enumerate(cells) if not cell.strip()]:
        faults.add("this cell is empty", table.where(index, column), "Give a name in every row")
    return np.array(cells, dtype=object)


def _heads(
    table: Table, known: Mapping[str, str], faults: Faults, section: ScoresSection | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return each row's layer, head and, where its name says it, block."""
    if "layer" in known:
        return _numbers(table, known["layer"], "layer", faults), _numbers(table, known["head"], "head", faults), None
    cells = table.cells(known["head"])
    named = [parse_head(cell) for cell in cells]
    if section is not None and section.layers and section.heads and named[0] is None:
        flat = _numbers(table, known["head"], "head", faults)
        return flat // section.heads, flat % section.heads, None
    for index in [i for i, head in enumerate(named) if head is None]:
        hint = "Write heads as L6H24 (zero-based layer and head)"
        faults.add(f"{cells[index]!r} is no head", table.where(index, known["head"]), hint)
    faults.check()
    found = [head for head in named if head is not None]
    blocks = [block for block, _ in found]
    layers, heads = np.array([h.layer for _, h in found]), np.array([h.head for _, h in found])
    for name, each in (("layer", layers), ("head", heads)):
        for index in map(int, np.flatnonzero(each >= LARGEST)):
            hint = f"Give whole numbers from 0 up to {LARGEST - 1}"
            faults.add(f"{cells[index]!r} is no {name} number", table.where(index, known["head"]), hint)
    return layers, heads, np.array(blocks, dtype=object) if any(blocks) else None


def _numbers(table: Table, column: str, noun: str, faults: Faults) -> np.ndarray:
    cells = table.cells(column)
    numbers, _ = floats(cells)
    if np.isnan(numbers).any():
        parse = parse_layer if noun == "layer" else parse_one
        read = [parse(cell) if np.isnan(value) else value for cell, value in zip(cells, numbers, strict=True)]
        numbers = np.array([np.nan if value is None else float(value) for value in read])
    wrong = ~(np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < LARGEST))
    for index in np.flatnonzero(wrong):
        hint = f"Give whole numbers from 0 up to {LARGEST - 1}"
        faults.add(f"{cells[index]!r} is no {noun} number", table.where(int(index), column), hint)
    whole: np.ndarray = np.where(wrong, 0, numbers).astype(int)
    return whole


def _values(table: Table, known: Mapping[str, str], faults: Faults) -> tuple[np.ndarray, tuple[str, ...]]:
    if "importance" not in known:
        return _from_ranks(table, known["rank"], faults)
    cells = table.cells(known["importance"])
    unclear = either(cells) if table.commas and table.decimal is None else None
    if unclear is not None:
        problem = f"{unclear!r} and all others like it may have a decimal comma, or separated thousands"
        faults.add(problem, f"{table.path}, column {known['importance']}", 'Give [scores] decimal = "," or "."')
    numbers, said = floats(cells, table.decimal)
    nan = np.isnan(numbers)
    none = np.array([cell.strip().lower() in NONE for cell in cells], dtype=bool) if nan.any() else nan
    too_large = np.abs(numbers) > np.finfo(np.float32).max
    for index in np.flatnonzero((nan & ~none) | too_large):
        hint = "Give a number, or nan for a head the model lacks"
        faults.add(f"{cells[index]!r} is no finite number", table.where(int(index), known["importance"]), hint)
    return numbers, said


NONE = ("nan", "", "na", "n/a", "null", "none", "-", "<na>")


def _from_ranks(table: Table, column: str, faults: Faults) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return ranks turned round, so that the first has the largest number."""
    cells = table.cells(column)
    ranks, _ = floats(cells)
    for index in np.flatnonzero(~np.isfinite(ranks) | (ranks < 0)):
        faults.add(f"{cells[index]!r} is no rank", table.where(int(index), column), "Give ranks from 1, the first")
    return float(np.nanmax(ranks, initial=0)) + 1 - ranks, ("ranks without scores, turned round",)


def _matrix(table: Table, found: Columns, section: ScoresSection) -> Blocks | None:
    """Return a bare matrix's scores, a row a layer and a column a head; None where the table is none."""
    names = [str(name) for name in table.frame.columns]
    labels = found.known.get("layer")
    if labels is None and table.named and not is_numeric(table.cells(names[0])):
        labels = names[0]
    columns = [name for name in names if name != labels]
    if labels is None and table.named and names[0].strip().lower() in ("", "index"):
        labels, columns = names[0], names[1:]
    heads = [parse_one(name) for name in columns]
    if not columns or (table.named and heads != [*range(len(heads))]):
        return None
    if labels is not None:
        layers = [parse_layer(cell) for cell in table.cells(labels)]
        if layers != [*range(len(layers))]:
            return None
    table = _marked(table, columns)
    faults, values, said = Faults(table.path), [], list(table.said)
    for name in columns:
        shown = {"importance": name}
        column, how = _values(table, shown, faults)
        values.append(column)
        said += [each for each in how if each not in said]
    faults.check()
    scores = np.stack(values, axis=1)
    if section.index_base:
        raise InputError("a matrix has no numbers of layers and heads", "[scores] index_base = 1", "Remove the key")
    model_of(section, (1, *scores.shape))
    said.append(f"a matrix of {scores.shape[0]} layers (rows) × {scores.shape[1]} heads (columns)")
    made = scores_from_examples([table.path.stem], [None], [scores], section, method_of(section, "unknown"))
    return (noted(made, said),)


IMPORTER = Importer(
    "tidy",
    "tables (CSV, TSV, Parquet, Excel): task, layer, head, importance (example); a matrix",
    claims,
    load,
    order=10,
)
