"""Tables as people save them: separators, encodings, decimal commas, index columns and other names for columns.

Text becomes a table of texts, whose dialect is recognised or what ``[scores] separator`` says; which column is which,
its name tells or ``[scores] columns``. Whatever had to be recognised is said, in ``Table.said``.
"""

import csv
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from reportgen.core.config import ScoresSection
from reportgen.errors import InputError, doubled, nearest
from reportgen.importers.common.head_names import parse_head

if TYPE_CHECKING:
    import pandas as pd

DECIMAL_COMMA = "decimal comma"
HINT = "Save it as a UTF-8 table with a header line"
SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".xlsx")
TEXTS = (".txt", ".dat")  # of any content
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
START = 65_536  # characters that a dialect is recognised by
# Column names that people use, in lower case with _ for other marks, by what reportgen calls the column
NAMES: Mapping[str, tuple[str, ...]] = {
    "task": ("task_name", "tasks", "function", "skill", "category", "dataset"),
    "layer": ("layers", "layer_idx", "layer_index", "layer_id", "layer_no", "layer_num", "layer_number", "l"),
    "head": (
        "heads",
        "head_idx",
        "head_index",
        "head_id",
        "head_no",
        "head_num",
        "head_number",
        "h",
        "head_name",
        "attention_head",
        "attn_head",
    ),
    "importance": (
        "importance_score",
        "head_importance",
        "score",
        "scores",
        "value",
        "values",
        "head_score",
        "mean_score",
        "score_mean",
        "effect",
        "attribution",
        "weight",
    ),
    "rank": ("ranking", "place"),
    "example": ("example_id", "sample", "sample_id", "prompt_id", "example_idx", "probe"),
    "group": ("example_group",),
    "method": (),
    "block": (),
}
CANONICAL = {other: name for name, others in NAMES.items() for other in (name, *others)}
INDEX = ("", "index", "unnamed_0", "level_0")  # what a column of row numbers is called that pandas wrote
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
COMMA = re.compile(r"[+-]?(\d+(,\d*)?|,\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
GROUPED = re.compile(r"[+-]?\d{1,3}([ \u00a0\u2009\u202f'’.,])\d{3}(?:\1\d{3})*((?!\1)[.,]\d+)?", re.ASCII)


@dataclass(frozen=True)
class Table:
    """A table of texts by column, and what was recognised to read it.

    ``first`` is the number that the file's own counting gives to the first row; ``named`` says whether the file names
    its columns (else it is a bare matrix); ``row`` what a row is called. ``decimal`` is
    the decimal mark as the study says it, ``commas`` whether a comma in a number may as well be one as separate
    thousands: not where it separates the cells.
    """

    path: Path
    frame: "pd.DataFrame"
    first: int = 0
    named: bool = True
    said: tuple[str, ...] = ()
    row: str = "row"
    decimal: str | None = None
    commas: bool = False
    pandas: str = field(default="pd.read_csv({path!r})")

    def where(self, index: int, column: str) -> str:
        """Return the location of a cell, as the file's reader would count."""
        return f"{self.path}, {self.row} {index + self.first}, column {column}"

    def cells(self, column: str) -> list[str]:
        """Return a column's texts."""
        return [str(cell) for cell in self.frame[column].tolist()]


def is_table(path: Path) -> bool:
    """Return whether the extension is one of tables, and of general texts the beginning one of heads."""
    suffix = path.suffix.lower()
    if suffix not in TEXTS:
        return suffix in SUFFIXES and (suffix != ".tsv" or bool(path.read_bytes()[:START].strip()))
    try:
        text, _ = decoded(path)
        rows = split_rows(path, "\n".join(text[:START].splitlines()[:40]), separator_of(text))
    except InputError:
        return False
    names = {CANONICAL.get(plain_name(cell)) for cell in rows[0][1]}
    return len(rows[0][1]) > 1 and (_is_matrix(rows) or {"layer", "head"} <= names)


def read_table(path: Path, section: ScoresSection) -> Table:
    """Read any table as texts; raises InputError for what is none."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _columnar(path, "pd.read_parquet({path!r})")
    if suffix == ".xlsx":
        return _columnar(path, "pd.read_excel({path!r})")
    return _text_table(path, section)


def _columnar(path: Path, how: str) -> Table:
    """Read a Parquet file or the first sheet of a workbook as texts; what is neither text nor number becomes empty."""
    import pandas as pd

    excel = "excel" in how
    try:
        frame = pd.read_excel(path) if excel else pd.read_parquet(path)
        return Table(path, texts(frame), 2 if excel else 0, pandas=how)
    except InputError:
        raise
    except ImportError as error:
        hint = 'pip install "reportgen[excel]", or save the sheet as CSV'
        raise InputError(f"a workbook needs a library that is not installed ({error})", str(path), hint) from error
    except Exception as error:  # their readers raise many kinds for a broken file, of its texts only as these are read
        raise InputError(f"this table cannot be read ({str(error).splitlines()[0]})", str(path), HINT) from error


def texts(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame of texts: whole numbers without a point, "" for what is missing, neither text nor a number."""
    import pandas as pd

    index = frame.index
    if any(name is not None for name in index.names):
        frame = frame.reset_index()
    columns = {}
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        if column.dtype == np.float32:
            cells = column.to_numpy().astype(str).tolist()
        else:
            cells = [_text(cell) for cell in column.tolist()]
        columns[position] = (str(name), cells)
    for twice in doubled([name for name, _ in columns.values()]):
        raise InputError(f"column {twice!r} stands twice", "the table", "Give each column its own name")
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.values()})


def _text(cell: object) -> str:
    if isinstance(cell, float) and np.isnan(cell):
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    plain = isinstance(cell, str | int | float | np.integer | np.floating) and not isinstance(cell, bool | np.bool_)
    return str(cell) if plain else ""


def _text_table(path: Path, section: ScoresSection) -> Table:
    import pandas as pd

    text, said = decoded(path)
    separator = section.separator or separator_of(text)
    separator = {"\\t": "\t", "tab": "\t"}.get(separator, separator)
    if separator not in (",", "\t") or section.separator:
        said.append(f"{SEPARATORS.get(separator, repr(separator))} separated")
    rows = split_rows(path, text, separator)
    named = not _is_matrix(rows)
    header, body = (rows[0][1], rows[1:]) if named else ([str(i) for i in range(len(rows[0][1]))], rows)
    header = [cell.strip() for cell in header]
    if body and all(len(row) == len(header) + 1 and row[0] == str(i) for i, (_, row) in enumerate(body, 1)):
        header = ["", *header]  # R writes no name over the column of row names
    for name in doubled(header):
        raise InputError(f"column {name!r} stands twice", str(path), "Give each column its own name")
    wrong = [(number, len(row)) for number, row in body if len(row) != len(header)]
    if wrong:
        what = f"{wrong[0][1]} cells under {len(header)} columns"
        raise InputError(what + _more(len(wrong)), f"{path}, row {wrong[0][0]}", "Give every row one cell a column")
    frame = pd.DataFrame([row for _, row in body], columns=header, dtype=object)
    options = "" if separator == "," else f", sep={separator!r}"
    options += "" if named else ", header=None"
    if any("Windows-1252" in s for s in said):
        options += ', encoding="cp1252"'
    table = Table(path, frame, 2 if named else 1, named, tuple(said), pandas=f"pd.read_csv({{path!r}}{options})")
    return replace(table, decimal=section.decimal, commas=separator != ",")


def _more(count: int) -> str:
    return f", and {count - 1:,} more rows like it" if count > 2 else ", and one more row like it" if count == 2 else ""


def decoded(path: Path) -> tuple[str, list[str]]:
    """Return a file's text in the encoding that its first bytes or its content tell, and what was recognised."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"this table cannot be read ({error})", str(path), HINT) from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    elif raw[:4].count(0) == 2 and len(raw) % 2 == 0:  # letters of Latin scripts, half of whose bytes are zero
        encodings = ["utf-16-le" if raw[1] == 0 else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    problem: Exception | None = None
    for name in encodings:
        try:
            text = raw.decode(name)
        except UnicodeDecodeError as error:
            problem = problem or error
            continue
        if re.search(r"[\x00-\x08\x0e-\x1f]", text) and name != "utf-8-sig":
            break
        said = {"cp1252": ["Windows-1252 letters"]}.get(name, ["UTF-16"] if name.startswith("utf-16") else [])
        return text, said
    raise InputError(f"this table cannot be read ({problem or 'it is no text'})", str(path), HINT)


def separator_of(text: str) -> str:
    """Return the separator under which most lines of a text's beginning have as many cells as the first, and many.

    A semicolon before a comma, which may stand for the decimal point; a comma where nothing separates.
    """
    lines = [line for line in text[:START].splitlines() if line.strip() and not line.lstrip().startswith("#")][:40]
    best = (0.0, 0, ",")
    for order, separator in enumerate((";", "\t", "|", ",", " ")):
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=separator, skipinitialspace=separator == " ")]
        except csv.Error:
            continue
        if not counts or max(counts) < 2:
            continue
        alike = sum(count == counts[-1] and count > 1 for count in counts) / len(counts)
        known = sum(plain_name(cell) in CANONICAL for cell in _cells(lines[0], separator))
        best = max(best, (alike + known, -order, separator))
    return best[2]


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def split_rows(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Return the cells of every row with its number in the file; comments and blank lines at both ends do not count."""
    if len(separator) != 1:
        raise InputError(f"{separator!r} is no single character", "[scores] separator", 'Give one, as ";" or "\\t"')
    try:
        source = io.StringIO(text, newline="")
        rows = list(
            enumerate(csv.reader(source, strict=True, delimiter=separator, skipinitialspace=separator == " "), 1)
        )
    except csv.Error as error:
        raise InputError(f"this table cannot be read ({error})", str(path), HINT) from error
    while rows and (not any(rows[-1][1])):
        rows.pop()
    while rows and (not any(rows[0][1]) or rows[0][1][0].lstrip().startswith("#")):
        rows.pop(0)
    if separator == " ":  # a run of spaces is one separator
        rows = [(number, [cell for cell in row if cell]) for number, row in rows]
    if not rows:
        raise InputError("the table has no rows", str(path), "Give at least one row")
    return rows


def _is_matrix(rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Return whether a table begins with numbers in place of names, and they do not count its columns."""
    first = [cell.strip() for cell in rows[0][1]]
    if not all(NUMBER.fullmatch(c) or COMMA.fullmatch(c) for c in first):
        return False
    return not (len(rows) > 1 and len(first) > 1 and first == [str(i) for i in range(len(first))])


def plain_name(name: str) -> str:
    """Return a column's name in lower case, words joined by _: ``layerIdx`` and ``Layer Index`` alike."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\W_]+", "_", spaced).strip("_").lower()


@dataclass(frozen=True)
class Columns:
    """Which of a table's columns is which: ours to theirs; ``tasks`` are those that hold a task's scores each."""

    known: Mapping[str, str]
    tasks: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def columns_of(table: Table, section: ScoresSection) -> Columns:
    """Return which column is which, by the section or by name; raises InputError with a recipe where that is not told.

    Columns that no score needs are passed over and named; one whose name is nearly that of a known column is refused.
    """
    names = [str(name) for name in table.frame.columns]
    known = _as_stated(table, names, section)
    if not table.named:
        return Columns(known)
    rest = [name for name in names if name not in known.values()]
    for name in rest:
        ours = CANONICAL.get(plain_name(name))
        exact = ours is not None and plain_name(name) == ours
        if ours is not None and (ours not in known or exact):
            if ours in known and known[ours] in section.columns.values():
                continue
            known[ours] = name
    rest = [name for name in rest if name not in known.values() and not _counts_rows(table, name)]
    if "layer" not in known and "head" not in known:
        rest, known = _named_heads(table, rest, known)
    said = [f"{theirs} → {ours}" for ours, theirs in known.items() if theirs != ours]
    if "importance" in known or "rank" in known or "head" not in known:
        _refuse_nearly(table, rest)
        said += [f"without the column{'s' if len(rest) > 1 else ''} {', '.join(rest)}"] if rest else []
        return Columns(known, said=tuple(said))
    numeric = [name for name in rest if is_numeric(table.cells(name))]
    left = [name for name in rest if name not in numeric]
    _refuse_nearly(table, rest)
    if len(numeric) > 1:
        said.append(f"a task a column: {', '.join(numeric[:4])}{', …' if len(numeric) > 4 else ''}")
    elif numeric:
        said.append(f"{numeric[0]} → importance")
        known["importance"] = numeric[0]
    said += [f"without the column{'s' if len(left) > 1 else ''} {', '.join(left)}"] if left else []
    return Columns(known, tuple(numeric) if len(numeric) > 1 else (), tuple(said))


def _as_stated(table: Table, names: list[str], section: ScoresSection) -> dict[str, str]:
    for ours, theirs in section.columns.items():
        if ours not in NAMES:
            raise InputError(f"unknown column {ours!r}", "[scores] columns", nearest(ours, list(NAMES)))
        if theirs not in names:
            raise InputError(f"{table.path.name} has no column {theirs!r}", "[scores] columns", nearest(theirs, names))
    return dict(section.columns)


def _counts_rows(table: Table, name: str) -> bool:
    """Return whether a column numbers the rows, as pandas writes its index."""
    cells = table.cells(name)
    return plain_name(name) in INDEX and (cells == [str(i) for i in range(len(cells))] or not name.strip())


def _named_heads(table: Table, rest: list[str], known: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the columns with the one that holds heads by name, such as L3H5, as the column of heads."""
    for name in rest:
        cells = table.cells(name)
        if cells and not is_numeric(cells) and all(parse_head(cell) is not None for cell in cells[:50]):
            return [other for other in rest if other != name], {**known, "head": name}
    return rest, known


def is_numeric(cells: Sequence[str]) -> bool:
    """Return whether the first cells that are not empty are all numbers, however they are written."""
    some = [cell.strip() for cell in cells if cell.strip()][:50]
    return bool(some) and all(NUMBER.fullmatch(c) or COMMA.fullmatch(c) or GROUPED.fullmatch(c) for c in some)


def _refuse_nearly(table: Table, rest: Sequence[str]) -> None:
    """Refuse a column whose name is one or two letters from a known one, which may have been meant."""
    for name in rest:
        alike = [known for known in NAMES if abs(len(known) - len(plain_name(name))) <= 1]
        near = difflib.get_close_matches(plain_name(name), alike, n=1, cutoff=0.75)
        if near and plain_name(name) not in CANONICAL:
            raise InputError(f"unknown column {name!r}", str(table.path), f"Did you mean {near[0]!r}")


def either(cells: Sequence[str]) -> str | None:
    """Return a number that is one thing with a decimal comma and another with separated thousands, where all are so."""
    odd = [c for cell in cells if (c := cell.strip()) and not NUMBER.fullmatch(c)]
    some = [c for c in odd if "," in c]
    return some[0] if some and all(COMMA.fullmatch(c) for c in odd) and _threes(odd) else None


def floats(cells: Sequence[str], mark: str | None = None) -> tuple[Float[np.ndarray, "row"], tuple[str, ...]]:
    """Return a column's numbers, NaN for what is none, and how they are written where it is not the plain way.

    A decimal comma is told from separated thousands by the column as a whole: thousands never begin with 0, and stand
    in threes; or ``mark`` says which the decimal mark is.
    """
    try:
        return np.array(cells, dtype=object).astype(float), ()
    except ValueError:
        pass
    plain = [cell.strip().replace("\u2212", "-") for cell in cells]
    odd = [c for c in plain if c and not NUMBER.fullmatch(c)]
    grouped = [m for c in odd if (m := GROUPED.fullmatch(c))]
    decimal, thousands = ".", ""
    if odd and all(COMMA.fullmatch(c) for c in odd) and (mark == "," or (mark is None and not _threes(odd))):
        decimal = ","
    elif grouped and any(m[2] for m in grouped):
        both = next(m for m in grouped if m[2])
        thousands, decimal = both[1], both[2][0]
    elif grouped:
        thousands = grouped[0][1]
    said = []
    if decimal == ",":
        said.append(DECIMAL_COMMA)
    if thousands:
        shown = {" ": "space", "\u00a0": "space", "\u2009": "space", "\u202f": "space", ",": "comma", ".": "point"}
        said.append(f"thousands separated by {shown.get(thousands, 'apostrophe')}")
    turned = [c.replace(thousands, "") if thousands and _is_grouped(c, thousands) else c for c in plain]
    turned = [c.replace(",", ".") if decimal == "," else c for c in turned]
    return np.array([number(c) for c in turned]), tuple(said)


def _threes(cells: Sequence[str]) -> bool:
    """Return whether all commas can separate thousands: each before three digits, none after a leading 0."""
    return all(re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", c) for c in cells if "," in c)


def _is_grouped(cell: str, mark: str) -> bool:
    found = GROUPED.fullmatch(cell)
    return found is not None and found[1] == mark


def number(cell: str) -> float:
    """Return a text's number, NaN for what is none."""
    try:
        return float(cell) if "_" not in cell else float("nan")
    except ValueError:
        return float("nan")


def recipe(table: Table, known: Mapping[str, str]) -> str:
    """Return two lines of pandas that make a tidy table of this very file, as far as its columns are known."""
    names = [str(name) for name in table.frame.columns]
    lacking = [name for name in ("layer", "head", "importance") if name not in known]
    free = [name for name in names if name not in known.values()]
    guess = {theirs: ours for ours, theirs in known.items() if theirs != ours}
    guess |= dict(zip(free, lacking, strict=False))
    short = list(lacking[len(free) :])
    added = "".join(f", {name}=…" for name in short)
    task = "" if "task" in known else f"task={table.path.stem!r}"
    extra = f".assign({(task + added).removeprefix(', ')})" if task or added else ""
    read = table.pandas.format(path=table.path.name)
    return (
        f"In pandas:\n    import pandas as pd\n    {read}.rename(columns={guess!r}){extra}.to_csv"
        f'("scores.csv", index=False)'
    )


def as_rows(path: Path, frame: "pd.DataFrame", row: str, said: Sequence[str] = ()) -> Table:
    """Return records or columns read from another format as a table; ``row`` is what its rows are called there."""
    return replace(Table(path, texts(frame), row=row), said=tuple(said))
