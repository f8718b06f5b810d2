"""Where task rows come from: files, folders of files, and data sets of the hub or saved by `datasets`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from reportgen.core.config import HUB, TasksSection
from reportgen.errors import InputError, MissingResourceError
from reportgen.storage.decompression import bounded, refuse_bomb
from reportgen.storage.files import sha256_file
from reportgen.storage.json_files import key_of, once

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra

SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
SPLITS = ("train", "validation", "valid", "dev", "test")
SAVED = ("dataset_dict.json", "dataset_info.json")  # what save_to_disk writes beside the data
INSTALL = "Install it with: pip install 'reportgen[datasets]'"

Values = Literal["json", "cells", "typed"]
Heading = Callable[[list[str], str, Values], None]  # refuses a table's column names, with their location


@dataclass(frozen=True)
class Record:
    """One row as it stands in its source: ``fields`` by column, ``location`` for messages, ``name`` where it has no id.

    ``values`` are those of JSON, the text of a table's cells, or of types that a source fixes for each column, so that
    numbers cannot be put in quotes.
    """

    fields: Mapping[str, object]
    location: str
    name: str
    values: Values = "json"


def records(section: TasksSection, heading: Heading) -> Iterator[Record]:
    """Yield the rows of [tasks] path in order; ``heading`` checks a table's columns before its rows are read.

    Raises InputError naming what cannot be read and where, and MissingResourceError where ``datasets`` is missing.
    """
    if (data := _dataset(section)) is not None:
        heading(list(data.column_names), str(section.path), "typed")
        yield from _from_dataset(data, f"{section.path} ({data.split})" if data.split else str(section.path))
        return
    files, folder = task_files(section), Path(str(section.path))
    for file in files:
        prefix = f"{file.relative_to(folder)} " if file != folder else ""
        for record in _from_file(file, section.format or _format_of(file), heading):
            yield replace(record, name=prefix + record.name)


def fingerprint(section: TasksSection) -> str:
    """Hash all the content that ``records`` reads: the file's own, that of every file, or of a data set's rows."""
    if _on_hub(section):
        data = _dataset(section)
        return key_of([[json.dumps(row, sort_keys=True, default=repr) for row in _chosen_columns(data, section)]])
    path = Path(str(section.path))
    if section.path is None or not path.exists():
        raise InputError("no such file", f"[tasks] path {section.path}", "Give the path of the task file")
    if path.is_file():
        return sha256_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if _is_saved(path) else task_files(section)
    return key_of({str(file.relative_to(path)): sha256_file(file) for file in files})


def task_files(section: TasksSection) -> tuple[Path, ...]:
    """List the files behind [tasks] path: itself, or those of a folder, by name, of the study's split."""
    path = Path(str(section.path))
    if not path.is_dir():
        if section.split is not None:
            raise InputError("a file has no splits", "[tasks] split", "Remove the key, or give a folder or a data set")
        return (path,)
    if section.format == "cogqa":
        raise InputError("CogQA is one file and this is a folder", str(path), "Give the file's path")
    kinds = SUFFIXES if section.format is None else {s: k for s, k in SUFFIXES.items() if k == section.format}
    found = [
        p
        for p in sorted(path.rglob("*"))
        if p.suffix.lower() in kinds
        and p.is_file()
        and not any(part.startswith(".") for part in p.relative_to(path).parts)
    ]
    if not found:
        raise InputError(f"the folder holds no {', '.join(kinds)} file", str(path), "Put the task files there")
    return _of_split(path, found, section.split)


def _of_split(folder: Path, files: list[Path], split: str | None) -> tuple[Path, ...]:
    names = {file: str(file.relative_to(folder)) for file in files}
    if split is None:
        there = [s for s in SPLITS if any(_names_split(name, s) for name in names.values())]
        if len(there) > 1:
            raise InputError(
                f"the folder holds the splits {', '.join(there)}", str(folder), "Choose one with [tasks] split"
            )
        return tuple(files)
    chosen = tuple(file for file in files if _names_split(names[file], split))
    if not chosen:
        raise InputError(
            f"the folder holds no file of the split {split!r}", str(folder), f"It holds {', '.join(names.values())}"
        )
    return chosen


def _names_split(name: str, split: str) -> bool:
    """Whether a file's path names a split, as in ``test.jsonl``, ``data/test-00000-of-00001.parquet``."""
    return re.search(rf"(?<![a-z0-9]){re.escape(split.lower())}(?![a-z0-9])", name.lower()) is not None


def text_of(path: Path) -> str:
    """Read a task file's text; raise InputError where it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the task file is not UTF-8 ({error.reason})", str(path), "Save it as UTF-8") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError("no such task file", str(path), "Check [tasks] path in the study file")
    return InputError(
        f"the task file cannot be read ({error.strerror})", str(path), "Give the path of a readable task file"
    )


def _format_of(path: Path) -> str:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        if not path.exists():
            raise InputError("no such task file", str(path), "Check [tasks] path in the study file")
        raise InputError(
            f"the suffix {path.suffix!r} does not tell the task file's format",
            str(path),
            'Set [tasks] format to "jsonl", "csv" or "cogqa"',
        )
    return kind


def _from_file(path: Path, kind: str, heading: Heading) -> Iterator[Record]:
    if kind == "parquet":
        return _parquet(path, heading)
    if kind == "jsonl":
        return _jsonl(text_of(path), path)
    return _table(text_of(path), path, "\t" if kind == "tsv" else ",", heading)


def _jsonl(text: str, path: Path) -> Iterator[Record]:
    # str.splitlines would also cut at U+2028 and its like, which may stand inside a JSON string
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            fields = json.loads(content, object_pairs_hook=once(f"{path}, line {line}"))
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits
            raise InputError(
                f"this is not JSON ({error})", f"{path}, line {line}", "Write one JSON object on each line"
            ) from error
        if not isinstance(fields, dict):
            raise InputError(
                "the line holds no JSON object", f"{path}, line {line}", 'Write {"task": …, "prompt": …, "answer": …}'
            )
        yield Record(fields, f"{path}, line {line}", f"line {line}")


def _table(text: str, path: Path, separator: str, heading: Heading) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        header = next(reader, [])
        if header:
            heading(header, f"{path}, line 1", "cells")
        line = reader.line_num + 1
        for cells in reader:
            # a quoted cell may hold line breaks: name the line on which the row begins
            start, line = line, reader.line_num + 1
            location = f"{path}, line {start}"
            if cells and len(cells) != len(header):
                between = "commas" if separator == "," else "tabs"
                raise InputError(
                    f"the row has {len(cells)} cells and the header {len(header)}",
                    location,
                    f"Give every row the header's columns, with quotes around {between}",
                )
            if cells:
                fields = {k: v for k, v in zip(header, cells, strict=True) if v != ""}
                yield Record(fields, location, f"line {start}", "cells")
    except csv.Error as error:
        raise InputError(f"this is not CSV ({error})", f"{path}, line {reader.line_num}", "Mend the line") from error


def _parquet(path: Path, heading: Heading) -> Iterator[Record]:
    from pyarrow import parquet

    try:
        with bounded(path, refuse_bomb(path)):
            table = parquet.read_table(path)
            rows = table.to_pylist()
    except InputError:
        raise
    except FileNotFoundError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # pyarrow raises many kinds for a broken file
        raise InputError("this is not Parquet", str(path), "Save the table again") from error
    heading(table.column_names, str(path), "typed")
    for number, fields in enumerate(rows, start=1):
        yield Record(fields, f"{path}, row {number}", f"row {number}", "typed")


def _on_hub(section: TasksSection) -> bool:
    return str(section.path).startswith(HUB)


def _is_saved(path: Path) -> bool:
    return any((path / name).is_file() for name in SAVED)


def _dataset(section: TasksSection) -> Dataset | None:
    """Return the data set behind [tasks] path: on the hub or saved to disk; None for files."""
    hub = _on_hub(section)
    for key in () if hub else ("config", "revision"):
        if getattr(section, key) is not None:
            raise InputError(
                "only a data set of the hub has one",
                f"[tasks] {key}",
                'Remove the key, or give path = "hf://owner/name"',
            )
    if not hub and not _is_saved(Path(str(section.path))):
        return None
    try:
        import datasets  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra
    except ImportError as error:
        raise MissingResourceError(
            "the library datasets is not installed", f"[tasks] path {section.path}", INSTALL
        ) from error
    data = _from_hub(datasets, section) if hub else _from_disk(datasets, section)
    return data if hub and section.split is not None else _one_split(data, section)


def _one_split(data: Dataset, section: TasksSection) -> Dataset:
    known = data if isinstance(data, dict) else {str(data.split or "all"): data}
    if section.split is None and len(known) > 1:
        raise InputError(
            f"the data set has the splits {', '.join(known)}",
            f"[tasks] path {section.path}",
            "Choose one with [tasks] split",
        )
    chosen = section.split or next(iter(known))
    if chosen not in known:
        raise InputError(
            f"the data set has no split {chosen!r}", f"[tasks] path {section.path}", f"It has {', '.join(known)}"
        )
    return known[chosen]


def _from_hub(datasets: ModuleType, section: TasksSection) -> Dataset:
    name, shown = str(section.path).removeprefix(HUB), datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(name, section.config, split=section.split, revision=section.revision)
    except Exception as error:  # the hub's client raises some twenty kinds, from HTTP to name validation
        hint = "Check path, config, split and revision, and the network unless the data set is in the local cache"
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"no such file or folder, and the hub gave no such data set ({lines[0].rstrip('.')})",
            f"[tasks] path {section.path}",
            hint,
        ) from error
    finally:
        if shown:
            datasets.enable_progress_bars()


def _from_disk(datasets: ModuleType, section: TasksSection) -> Dataset:
    try:
        return datasets.load_from_disk(str(section.path))
    except Exception as error:  # a damaged folder shows itself as any of a dozen exceptions
        raise InputError(
            "the saved data set cannot be read", str(section.path), "Save the data set again with save_to_disk"
        ) from error


def _chosen_columns(data: Dataset, section: TasksSection) -> Dataset:
    wanted = {*section.columns.values(), *(c for c in ("task", "prompt", "answer") if c not in section.columns)}
    return data.select_columns([c for c in data.column_names if c in wanted]) if section.columns else data


def _from_dataset(data: Dataset, location: str) -> Iterator[Record]:
    names = {c: f.names for c, f in data.features.items() if type(f).__name__ == "ClassLabel"}
    for number, row in enumerate(data, start=1):
        fields = dict(row)
        for column, labels in names.items():  # a class is stored as its number, a missing one as -1
            value = fields[column]
            fields[column] = labels[value] if value is not None and value >= 0 else None
        yield Record(fields, f"{location}, row {number}", f"row {number}", "typed")
