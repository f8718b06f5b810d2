"""One row a head: what tables, records and lists of heads come down to, and the maps that are made of it.

All faults of a file are told at once. Heads without a row are a fault, but of a ranking, or where ``[scores] rest``
says that they were not scored: that is another state than a head which the model lacks (nan in every task).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from reportgen.core.blocks import TITLES, Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import READ, Examples, Head, HeadScores, Method, refuse_many
from reportgen.errors import InputError
from reportgen.importers.common import MOST_HEADS, as_examples, scores_from_examples

ONCE = "Give every task, layer and head (and example) exactly one row; nan in all tasks marks a head the model lacks"
REST = 'If they were not scored, [scores] rest = "unknown" (or "below": they rank below the others) reads the rest'
LARGEST = 100_000  # a layer or head number beyond this is a mistake, and would take all memory
MOST_LAYERS = 1024
SHOWN = 8  # faults of a file that are told one by one


@dataclass
class Faults:
    """What is wrong with a file, gathered so that one message tells all of it."""

    path: Path
    found: list[InputError] = field(default_factory=list)

    def add(self, problem: str, location: str, hint: str) -> None:
        """Note a fault."""
        self.found.append(InputError(problem, location, hint))

    def check(self) -> None:
        """Raise InputError where there are faults: the only one as it is, of several a list with all their hints."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            whole = str(self.path)
            told = [f"{f.location.removeprefix(whole).lstrip(', :')}: {f.problem}" for f in self.found[:SHOWN]]
            more = f"; and {len(self.found) - SHOWN:,} more" if len(self.found) > SHOWN else ""
            hints = dict.fromkeys(f.hint for f in self.found)
            raise InputError(f"{len(self.found):,} faults – {'; '.join(told)}{more}", whole, ". ".join(hints))


@dataclass(frozen=True)
class Rows:
    """A file's rows, checked one by one: a task, a head and a value each; ``where`` names the place of a row.

    ``example`` is "" and ``group``, ``block`` None where the file has none. ``ranking``: the file lists heads by rank,
    so that those it does not list are no fault.
    """

    path: Path
    task: np.ndarray
    layer: Int[np.ndarray, "row"]
    head: Int[np.ndarray, "row"]
    value: Float[np.ndarray, "row"]
    example: np.ndarray
    group: np.ndarray | None = None
    block: np.ndarray | None = None
    ranking: bool = False
    said: tuple[str, ...] = ()

    @property
    def ranked(self) -> bool:
        """Whether the rows go from the largest score to the smallest, as those of a ranking do."""
        size = np.abs(self.value)
        return self.ranking or (len(size) > 4 and size[0] > size[-1] and bool((np.diff(size) <= 0).all()))


def scores_of(rows: Rows, section: ScoresSection, method: Method) -> Blocks:
    """Make scores of rows, one HeadScores a block; raises InputError telling all that does not fit."""
    rows = _from_zero(rows, section)
    block = np.array([None] * len(rows.task), dtype=object) if rows.block is None else rows.block
    names = [name for name in (None, *TITLES) if (block == name).any()]
    made = []
    for name in names:
        scores = _of_block(rows, block == name, name, section, method)
        made.append(replace(scores, block=name, model=noted(scores, rows.said).model))
    return tuple(made)


def noted(scores: HeadScores, said: Sequence[str]) -> HeadScores:
    """Return the scores with a note of how their file was read, where that had to be recognised."""
    if not said:
        return scores
    model = scores.model
    return replace(scores, model=replace(model, notes=[f"{READ}{', '.join(said)}", *model.notes]))


def _from_zero(rows: Rows, section: ScoresSection) -> Rows:
    """Return the rows with layers and heads counted from zero; raises InputError where they seem to count from one."""
    base = section.index_base or 0
    if base:
        low = min(int(rows.layer.min()), int(rows.head.min()))
        if low < base:
            problem = f"there is a number {low}, so that layers and heads do not count from {base}"
            raise InputError(problem, f"[scores] index_base = {base}", "Remove the key")
        said = (*rows.said, f"layers and heads counted from {base}")
        return replace(rows, layer=rows.layer - base, head=rows.head - base, said=said)
    ends = [(int(n.min()), int(n.max())) for n in (rows.layer, rows.head)]
    beyond = [s is not None and high == s for s, (_, high) in zip((section.layers, section.heads), ends, strict=True)]
    if section.index_base is not None or any(low != 1 for low, _ in ends):
        return rows
    complete = len(np.unique(rows.layer * LARGEST + rows.head)) == ends[0][1] * ends[1][1]
    if complete or any(beyond):
        (_, layers), (_, heads) = ends
        problem = f"layers run from 1 to {layers} and heads from 1 to {heads}: they seem to be counted from one"
        hint = "Give [scores] index_base = 1, or 0 if layer 0 and head 0 are really not among them"
        raise InputError(problem, str(rows.path), hint)
    return rows


def _of_block(
    rows: Rows, mine: Bool[np.ndarray, "row"], block: str | None, section: ScoresSection, method: Method
) -> HeadScores:
    """Return the scores of one block's rows; every task of the file must have some."""
    names, layer, head = list(dict.fromkeys(rows.task)), rows.layer, rows.head
    refuse_many(len(names), str(rows.path))  # before each task's rows are looked for
    shape = int(layer[mine].max()) + 1, int(head[mine].max()) + 1
    number = {name: n for n, name in enumerate(names)}
    task = np.array([number[name] for name in rows.task])  # texts, once a task and row, take ten times as long
    places = [f"{rows.path}, task {name}{f', block {block}' if block else ''}" for name in names]
    codes = [
        np.unique(layer[r].astype(np.int64) * shape[1] + head[r])
        for n in range(len(names))
        for r in [mine & (task == n)]
    ]
    whole = all(len(each) == shape[0] * shape[1] for each in codes)
    stated = (section.layers or shape[0], section.heads or shape[1])
    faults = Faults(rows.path)
    if section.rest is None and not (rows.ranked and not whole):
        for place, each in zip(places, codes, strict=True):
            _hole(faults, place, each, shape)
        faults.check()
        parts = [_task(faults, place, mine & (task == n), rows, shape) for n, place in enumerate(places)]
        faults.check()
        return scores_from_examples(names, [p[0] for p in parts], [p[1] for p in parts], section, method)
    _refuse_other_heads(rows, names, codes, shape)
    shape = _stated(rows.path, shape, stated)
    parts = [_task(faults, place, mine & (task == n), rows, shape, partly=True) for n, place in enumerate(places)]
    faults.check()
    scored = np.zeros(shape, dtype=bool)
    where = mine & (task == 0)
    scored[layer[where], head[where]] = True
    made = scores_from_examples(names, [p[0] for p in parts], [p[1] for p in parts], section, method)
    if scored.all():
        return made
    made = replace(made, unscored=~scored, rest=section.rest or "unknown")
    guessed = section.layers is None or section.heads is None
    size = f"{shape[0]} layers × {shape[1]} heads, as far as the file names them ([scores] layers, heads)"
    return noted(made, [size] if guessed else [])


def _hole(faults: Faults, location: str, codes: Int[np.ndarray, "head"], shape: tuple[int, int]) -> None:
    """Name the first missing head from the rows alone: one stray number must not claim memory for a huge map."""
    missing = shape[0] * shape[1] - len(codes)
    if missing > 0:
        gaps = np.flatnonzero(codes != np.arange(len(codes)))
        first = Head(*divmod(int(gaps[0]) if len(gaps) else len(codes), shape[1]))
        more = f". {missing:,} of {shape[0]:,} layers × {shape[1]:,} heads have no row. {REST}" if missing > 1 else ""
        faults.add(f"{first} is missing", location, ONCE + more)


def _refuse_other_heads(
    rows: Rows, names: Sequence[str], codes: Sequence[Int[np.ndarray, "head"]], shape: tuple[int, int]
) -> None:
    """Refuse tasks that list different heads: no sentence on several tasks would be true of such a file."""
    for name, each in zip(names, codes, strict=True):
        if not np.array_equal(each, codes[0]):
            shared = len(np.intersect1d(each, codes[0]))
            lists = f"task {names[0]} lists {len(codes[0])} heads and task {name} {len(each)}"
            problem = f"{lists}, of which {shared} are in both"
            hint = (
                "Make a report of each task, from a file of its own:\n    import pandas as pd\n"
                f'    for task, rows in pd.read_csv({rows.path.name!r}).groupby("task"): '
                'rows.to_csv(f"{task}.csv", index=False)'
            )
            raise InputError(problem, str(rows.path), hint)


def _stated(path: Path, found: tuple[int, int], stated: tuple[int, int]) -> tuple[int, int]:
    """Return the model's layers and heads, as stated or as the largest numbers tell; raises InputError beyond them."""
    for name, there, said in zip(("layers", "heads"), found, stated, strict=True):
        if there > said:
            problem = f"{said} {name} expected, but the file names {name[:-1]} {there - 1}"
            hint = "Correct the number, or give [scores] index_base = 1 if the file counts from one"
            raise InputError(problem, f"[scores] {name}", hint)
    if stated[0] > MOST_LAYERS or stated[1] > MOST_HEADS:
        problem = f"{stated[0]:,} layers × {stated[1]:,} heads are hard to believe"
        raise InputError(problem, str(path), "Correct the numbers of layers and heads")
    return stated


def _task(
    faults: Faults,
    location: str,
    mine: Bool[np.ndarray, "row"],
    rows: Rows,
    shape: tuple[int, int],
    partly: bool = False,
) -> tuple[Examples | None, np.ndarray]:
    """Return a task's examples, where there are any, and its map; notes a head that stands twice or is missing."""
    example, value = rows.example[mine], rows.value[mine]
    ids = list(dict.fromkeys(example))
    number = {e: i for i, e in enumerate(ids)}
    where = np.array([number[e] for e in example]), rows.layer[mine], rows.head[mine]
    # from the rows alone: many examples of few heads must not claim memory for those that are not there
    codes, rows_of = np.unique(np.ravel_multi_index(where, (len(ids), *shape)), return_counts=True)
    heads = len(np.unique(where[1] * shape[1] + where[2])) if partly else shape[0] * shape[1]
    gaps, twice = np.flatnonzero(codes != np.arange(len(codes))), np.flatnonzero(rows_of > 1)
    gap = int(gaps[0]) if len(gaps) else len(codes)
    holes = len(codes) < len(ids) * heads
    empty = None, np.full(shape, np.nan)
    for code in codes[twice][:SHOWN]:
        e, i, j = (int(n) for n in np.unravel_index(code, (len(ids), *shape)))
        times = int(rows_of[codes == code][0])
        faults.add(f"{Head(i, j)} stands in {times} rows", location + _of(ids[e]), ONCE)
    if len(twice):
        return empty
    if holes:
        e, i, j = (int(n) for n in np.unravel_index(gap, (len(ids), *shape)))
        faults.add(f"{Head(i, j)} is missing", location + _of(ids[e]), ONCE)
        return empty
    values = np.full((len(ids), *shape), np.nan) if partly else np.empty((len(ids), *shape))
    values[where] = value
    if ids == [""]:
        return None, values[0]
    groups = None if rows.group is None else _one_each(location, ids, where[0], rows.group[mine])
    return as_examples(values, ids, ordered=False, groups=groups), values[0]


def _of(example: str) -> str:
    return f", example {example}" if example else ""


def _one_each(location: str, ids: list[str], number: np.ndarray, group: np.ndarray) -> list[str]:
    """Return the group of each example; raises InputError where its rows name several."""
    found: dict[int, str] = {}
    for i, name in zip(number, group, strict=True):
        if found.setdefault(int(i), name) != name:
            problem = f"example {ids[i]} is of groups {found[int(i)]!r} and {name!r}"
            raise InputError(problem, f"{location}, column group", "Give all rows of an example one group")
    return [found[i] for i in range(len(ids))]
