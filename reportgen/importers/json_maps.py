"""JSON and JSON lines as people write scores of heads: by head, by layer, as lists, as records, as pandas does.

``{"L3H5": x}``, ``{"3-5": x}``, ``{layer: [x, …]}``, ``{layer: {head: x}}``, ``[[x, …], …]``, records of layer,
head and score, ``[[layer, head, x], …]``, ``[["L3H5", x], …]``, pandas' orientations, lists of heads without scores,
and ``{task: …}`` of any of them. A list of numbers in a head's place is one score an example. Within a larger file the
only such part is found, or the one that ``[scores] key`` names, "results.heads".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import Head
from reportgen.errors import InputError, nearest
from reportgen.importers import circuit_graphs, cognitive_mirrors
from reportgen.importers.common import Importer, beginning, lists_by_head, method_of, scores_from_arrays, unknown_file
from reportgen.importers.common.head_names import parse_head, parse_layer, parse_one
from reportgen.importers.common.rows import LARGEST, Faults, Rows, noted, scores_of
from reportgen.importers.common.tables import CANONICAL, Table, as_rows, plain_name
from reportgen.importers.tidy import load_table
from reportgen.storage.json_files import once, read_json

LINES = (".jsonl", ".ndjson")
UNIT = "score"  # what is measured the file does not say
DEEPEST = 6  # objects within objects that are looked through
MEMBER = "1 for a head of the list, 0 for others"
Found = tuple[str | None, Head, Any, str]  # block, head, what stands for it, and where


@dataclass
class Part:
    """One task's heads, or a table's rows (``records``), or a map as nested lists (``array``)."""

    task: str | None = None
    heads: list[Found] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    array: Sequence[Any] | None = None
    ranking: bool = False
    names: bool = False  # without scores
    flat: bool = False  # heads by one number


def claims(path: Path) -> bool:
    """Return whether the file is JSON or JSON lines that no other importer knows."""
    suffix = path.suffix.lower()
    if suffix in LINES:
        return True
    known = cognitive_mirrors.claims(path) or lists_by_head(path) or circuit_graphs.claims(path)
    return suffix == ".json" and not known and bool(beginning(path, ".json").strip())


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read the scores that a JSON file holds; raises InputError with its keys where none are found in it."""
    return scores_in(path, _read(path), section)


def scores_in(path: Path, content: Any, section: ScoresSection) -> Blocks:
    """Return the scores that a file's content holds; raises InputError with its keys where none are found in it."""
    said = list[str]()
    if section.key is not None:
        content = follow(content, section.key, path)
        said.append(f"key = {section.key}")
    parts = understood(content)
    if parts is None:
        found = list(_within(content, ()))
        if len(found) > 1:
            keys = ", ".join(repr(".".join(key)) for key, _ in found[:8])
            problem = f"several parts of this file hold scores of heads: {keys}"
            raise InputError(problem, str(path), f'Give one: [scores] key = "{".".join(found[0][0])}"')
        if not found and isinstance(content, list) and content and all(isinstance(v, dict) for v in content):
            return load_table(_records(path, content, said), section, UNIT)  # which says what its columns lack
        if not found:
            raise InputError(str(unknown_file(path).problem), str(path), _forms(path, content))
        key, parts = found[0][0], found[0][1]
        said.append(f"key = {'.'.join(key)}")
    return _blocks(path, parts, section, said)


def _read(path: Path) -> Any:
    if path.suffix.lower() not in LINES:
        return read_json(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        read = [json.loads(line, object_pairs_hook=once(str(path))) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON lines ({error})", str(path), "Mend or make the file again") from error
    return read[0] if len(read) == 1 else read


def follow(content: Any, key: str, path: Path) -> Any:
    """Return the part of a file at a path of keys, "results.heads"; raises InputError naming the keys there."""
    rest, here = key.split("."), content
    while rest:
        names = (
            list(here)
            if isinstance(here, dict)
            else [str(i) for i in range(len(here))]
            if isinstance(here, list)
            else []
        )
        taken = next((n for n in range(len(rest), 0, -1) if ".".join(rest[:n]) in names), 0)  # keys hold points too
        if not taken:
            problem = f"there is no {'.'.join(rest)!r} at {key!r} in {path.name}"
            raise InputError(
                problem, "[scores] key", nearest(rest[0], names[:20]) if names else "Give a key of the file"
            )
        name = ".".join(rest[:taken])
        here, rest = here[int(name)] if isinstance(here, list) else here[name], rest[taken:]
    return here


def _within(content: Any, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Part]]]:
    """Yield the parts of a larger file that hold scores of heads, the outermost of each, with their keys."""
    if not isinstance(content, dict) or len(key) >= DEEPEST:
        return
    for name, value in content.items():
        parts = understood(value) if isinstance(value, dict | list) else None
        if parts is not None:
            yield (*key, name), parts
        else:
            yield from _within(value, (*key, name))


def understood(content: Any, depth: int = 0) -> list[Part] | None:
    """Return the tasks that a JSON value holds; None where it is no form of scores of heads."""
    part = _one(content)
    if part is not None:
        return [part]
    if isinstance(content, dict) and content and depth < 2:
        tasks = list[Part]()
        for name, value in content.items():
            inner = understood(value, depth + 1)
            if inner is None:
                return None
            tasks += [replace(p, task=name if p.task is None else f"{name}: {p.task}") for p in inner]
        return tasks
    return None


def _one(content: Any) -> Part | None:
    """Return one task's heads."""
    if isinstance(content, dict) and content:
        return _of_object(content)
    if isinstance(content, list) and content:
        return _of_list(content)
    return None


def _of_object(content: Mapping[str, Any]) -> Part | None:
    named = [parse_head(key) for key in content]
    values = list(content.values())
    if all(named) and all(_is_score(v) for v in values):
        return Part(heads=[(*head, content[key], key) for key, head in zip(content, named, strict=True) if head])
    if all(isinstance(v, dict) for v in values) and all(_has_score(v) for v in values):  # pandas' orientation "index"
        rows = [{**({} if _is_record(v) else {"head": key}), **v} for key, v in content.items()]
        if all(named) or all(_is_record(v) for v in values):
            return Part(records=rows)
    if {"columns", "data"} <= content.keys() and _rectangle(content["data"]):
        names = [str(name) for name in content["columns"]]
        return Part(records=[dict(zip(names, row, strict=False)) for row in content["data"]])
    if "data" in content and "schema" in content and isinstance(content["data"], list):
        return _of_list(content["data"])
    if _is_record(content) and all(isinstance(v, list | dict) for v in values):
        columns = {k: list(v.values()) if isinstance(v, dict) else v for k, v in content.items()}
        if len({len(v) for v in columns.values()}) == 1:
            return Part(records=[dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    layers = [parse_layer(key) for key in content]
    if all(layer is not None for layer in layers):
        return _of_layers(content, [layer for layer in layers if layer is not None])
    return None


def _of_layers(content: Mapping[str, Any], layers: Sequence[int]) -> Part | None:
    """Return the heads of an object of layers, or of flat numbers of heads."""
    if all(_is_number(v) for v in content.values()):
        numbers: list[Found] = [
            (None, Head(0, layer), content[key], key) for key, layer in zip(content, layers, strict=True)
        ]
        return Part(heads=numbers, flat=True)
    found = list[Found]()
    for key, layer in zip(content, layers, strict=True):
        value = content[key]
        if isinstance(value, list) and value and all(_is_number(v) for v in value):
            found += [(None, Head(layer, h), v, f"{key}, number {h}") for h, v in enumerate(value)]
        elif isinstance(value, dict) and value and all(_is_score(v) for v in value.values()):
            heads = [parse_one(head) for head in value]
            if any(head is None for head in heads):
                return None
            found += [(None, Head(layer, h or 0), value[k], f"{key}, {k}") for k, h in zip(value, heads, strict=True)]
        else:
            return None
    return Part(heads=found)


def _of_list(content: Sequence[Any]) -> Part | None:
    if all(isinstance(v, dict) for v in content):
        return Part(records=list(content)) if any(_is_record(v) for v in content) else None
    names = [parse_head(v) for v in content]
    if all(names):
        return Part(heads=[(*n, 1.0, f"entry {i}") for i, n in enumerate(names) if n], names=True)
    if not all(isinstance(v, list) and v for v in content):
        return None
    if all(len(v) == 2 and parse_head(v[0]) and _is_score(v[1]) for v in content):
        read = [(parse_head(v[0]), v[1]) for v in content]
        return Part(heads=[(*n, v, f"entry {i}") for i, (n, v) in enumerate(read) if n], ranking=True)
    if all(len(v) == 2 and _is_pair(v[0]) and _is_score(v[1]) for v in content):
        return Part(heads=[(None, Head(*v[0]), v[1], f"entry {i}") for i, v in enumerate(content)], ranking=True)
    whole = all(_is_pair(v[:2]) for v in content)
    if whole and all(len(v) == 2 for v in content) and len({tuple(v) for v in content}) == len(content) > 1:
        return Part(heads=[(None, Head(*v), 1.0, f"entry {i}") for i, v in enumerate(content)], names=True)
    if (
        whole
        and all(len(v) == 3 and _is_score(v[2]) for v in content)
        and len({tuple(v[:2]) for v in content}) == len(content)
        and not all(type(v[2]) is int for v in content)
    ):
        return Part(heads=[(None, Head(*v[:2]), v[2], f"entry {i}") for i, v in enumerate(content)], ranking=True)
    return Part(array=content) if _rectangle(content) or all(_rectangle(v) for v in content) else None


def _rectangle(content: Any) -> bool:
    """Return whether it is a list of lists of numbers; of unequal ones too, which are refused with a reason."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(
            isinstance(row, list) and row and all(_is_number(v) or isinstance(v, str) for v in row) for row in content
        )
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) is int and v >= 0 for v in value)


def _is_number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def _is_score(value: Any) -> bool:
    """Return whether it stands for a head's scores: a number, or one an example."""
    return _is_number(value) or (isinstance(value, list) and bool(value) and all(_is_number(v) for v in value))


def _has_score(record: Mapping[str, Any]) -> bool:
    return any(_is_number(value) and plain_name(name) not in ("layer", "head") for name, value in record.items())


def _is_record(record: Mapping[str, Any]) -> bool:
    """Return whether an object names a layer and a head, or a head by its name, among its keys."""
    names = {CANONICAL.get(plain_name(name)) for name in record}
    return {"layer", "head"} <= names or any(parse_head(value) for value in record.values() if isinstance(value, str))


def _blocks(path: Path, parts: Sequence[Part], section: ScoresSection, said: list[str]) -> Blocks:
    """Make scores of the tasks, which must be of one form."""
    name = path.stem
    if all(part.records for part in parts):
        rows = [{**({"task": part.task} if part.task else {}), **row} for part in parts for row in part.records]
        return load_table(_records(path, rows, said), section, UNIT)
    method = method_of(section, "unknown")
    if "unit" not in section.model_fields_set:
        method = replace(method, unit=MEMBER if any(p.names for p in parts) else UNIT)
    if all(part.array is not None for part in parts):
        arrays = {part.task or name: _array(path, part) for part in parts}
        return (noted(scores_from_arrays(path, arrays, section, method), said),)
    if any(part.array is not None or part.records for part in parts):
        hint = "Give all tasks in one form, or one by [scores] key"
        raise InputError("its tasks are written in different forms", str(path), hint)
    return scores_of(_rows(path, parts, section, said), section, method)


def _records(path: Path, rows: Sequence[Mapping[str, Any]], said: Sequence[str]) -> Table:
    import pandas as pd

    options = ", lines=True" if path.suffix.lower() in LINES else ""
    return replace(as_rows(path, pd.DataFrame(rows), "record", said), pandas=f"pd.read_json({{path!r}}{options})")


def _forms(path: Path, content: Any) -> str:
    """Return the forms that are read, and two lines that make one of them of the file's largest list or object."""
    key, _ = max(_lists(content, ()), key=lambda item: item[1], default=((), 0))
    part = "".join(f"[{name!r}]" for name in key)
    return (
        'Write {"L0H0": score, …}, [[score, …], …] with a row a layer, records of layer, head and score, or {task: …} '
        'of these; [scores] key = "…" names the part of a larger file. In pandas, with the names that fit:\n'
        f"    import json, pandas as pd\n    pd.DataFrame(json.load(open({path.name!r})){part}).rename(columns="
        "{'…': 'layer', '…': 'head', '…': 'score'}).to_csv('scores.csv', index=False)"
    )


def _lists(content: Any, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the lists and objects of a file with their lengths, by their keys."""
    if isinstance(content, dict | list) and len(key) < DEEPEST:
        yield key, len(content)
    if isinstance(content, dict) and len(key) < DEEPEST:
        for name, value in content.items():
            yield from _lists(value, (*key, name))


def _array(path: Path, part: Part) -> np.ndarray:
    try:
        return np.array(part.array, dtype=float)
    except (ValueError, TypeError, OverflowError) as error:
        problem = f"its rows are no map of numbers ({str(error).split('. ')[0]})"
        hint = "Give rows of one length, a row a layer; null marks a head that a layer lacks"
        raise InputError(problem, f"{path}{f', {part.task}' if part.task else ''}", hint) from error


def _rows(path: Path, parts: Sequence[Part], section: ScoresSection, said: list[str]) -> Rows:
    faults, heads = Faults(path), section.heads
    if any(part.names for part in parts):
        parts = [_as_members(path, part, section) for part in parts]
        said.append("listed heads 1, all others 0")
    columns: dict[str, list[Any]] = {n: [] for n in ("task", "layer", "head", "value", "example", "block")}
    for part in parts:
        lists = any(isinstance(value, list) and len(value) > 1 for _, _, value, _ in part.heads)
        for block, (layer, head), value, where in part.heads:
            if part.flat:
                if not (section.layers and heads):
                    problem = "heads are named by one number each, which does not tell layers from heads"
                    raise InputError(problem, str(path), "Give [scores] layers and heads")
                layer, head = divmod(head if layer == 0 else layer, heads)
            location = f"{path}, {f'{part.task}, ' if part.task else ''}{where}"
            if max(layer, head) >= LARGEST:
                faults.add(f"there is no layer {layer} and head {head}", location, f"Give numbers below {LARGEST}")
                continue
            numbers = value if isinstance(value, list) else [value]
            for e, each in enumerate(numbers):
                columns["task"].append(part.task or path.stem)
                columns["layer"].append(layer)
                columns["head"].append(head)
                columns["value"].append(_finite(each, location, faults))
                columns["example"].append(str(e) if lists else "")
                columns["block"].append(block)
    faults.check()
    return Rows(
        path,
        np.array(columns["task"], dtype=object),
        np.array(columns["layer"], dtype=np.int64),
        np.array(columns["head"], dtype=np.int64),
        np.array(columns["value"], dtype=float),
        np.array(columns["example"], dtype=object),
        block=np.array(columns["block"], dtype=object) if any(columns["block"]) else None,
        ranking=any(part.ranking for part in parts),
        said=tuple(said),
    )


def _finite(value: Any, location: str, faults: Faults) -> float:
    if value is None or value != value:
        return float("nan")
    if not abs(value) <= float(np.finfo(np.float32).max):  # compares whole numbers of any length
        shown = f"{str(value)[:37]}…" if len(str(value)) > 40 else str(value)
        faults.add(f"{shown} is no finite number (of 32 bits)", location, "Give every head a finite score")
        return 0.0
    return float(value)


def _as_members(path: Path, part: Part, section: ScoresSection) -> Part:
    """Return a list of heads without scores as 1 for those listed and 0 for all others of the model."""
    base = section.index_base or 0
    if section.layers is None or section.heads is None:
        problem = f"a list of {len(part.heads)} heads without scores, which does not tell the model's layers and heads"
        hint = "Give [scores] layers and heads: listed heads are then read as 1, all others as 0"
        raise InputError(problem, f"{path}{f', {part.task}' if part.task else ''}", hint)
    if not part.names:
        return part
    listed = {head: where for _, head, _, where in part.heads}
    if len(listed) < len(part.heads):
        raise InputError("a head stands twice in a list of heads", str(path), "List every head once")
    for head, where in listed.items():
        if head.layer - base >= section.layers or head.head - base >= section.heads:
            problem = f"{head} is beyond {section.layers} layers × {section.heads} heads"
            raise InputError(problem, f"{path}, {where}", "Correct [scores] layers and heads")
    grid = [Head(i + base, j + base) for i in range(section.layers) for j in range(section.heads)]
    return replace(part, heads=[(None, h, float(h in listed), listed.get(h, "")) for h in grid])


IMPORTER = Importer(
    "json",
    "JSON (lines): scores by head, by layer, as lists, as records, as pandas does",
    claims,
    load,
    order=65,
    axis=True,
)
