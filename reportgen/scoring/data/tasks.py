"""The rows of a study's tasks: from tables of any source, and from CogQA's nested JSON."""

import json
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reportgen.core.config import TasksSection
from reportgen.core.scores import refuse_many
from reportgen.errors import InputError, doubled, nearest
from reportgen.scoring.data.eap import eap_records
from reportgen.scoring.data.lm_eval import lm_eval_records
from reportgen.scoring.data.sources import Record, Values, records, text_of
from reportgen.scoring.data.sources import fingerprint as content_of
from reportgen.storage.json_files import key_of, once

REQUIRED = ("task", "prompt", "answer")
TEXTS = (*REQUIRED, "foil", "corrupted", "prompt_pair", "image", "audio")
LISTS = ("answers", "choices")
NAMES = ("id", "group")
COLUMNS = (*REQUIRED, *LISTS, *TEXTS[3:], *NAMES)
FOREIGN: Mapping[str, Callable[[TasksSection], Iterator[Record]]] = {"lm_eval": lm_eval_records, "eap": eap_records}
HOPELESS = 24  # rows of one template that a tokenizer reads wrongly, one after the other
COGQA_SKILLS = (
    "Knowledge Recall",
    "Retrieval",
    "Logical Reasoning",
    "Decision-making",
    "Semantic Understanding",
    "Syntactic Understanding",
    "Inference",
    "Math Calculation",
)


@dataclass(frozen=True)
class Row:
    """One example of a task file.

    ``answers`` are accepted alternatives, ``choices`` what the answer is chosen from, ``foil`` a wrong answer,
    ``corrupted`` a counterfactual prompt, ``prompt_pair`` a second text for models of pairs, ``image`` and ``audio``
    files. ``group`` names the rows that share a template or a parent question (default: the row's id). ``location``
    says where the row stands, for error messages.
    """

    task: str
    prompt: str
    answer: str
    id: str
    group: str
    location: str
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    foil: str | None = None
    corrupted: str | None = None
    prompt_pair: str | None = None
    image: str | None = None
    audio: str | None = None

    @property
    def columns(self) -> dict[str, object]:
        """The row as a line of a task file holds it."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v not in (None, ())}


@dataclass(frozen=True)
class TaskFile:
    """The rows of each task, tasks and rows in file order; ``notes`` say what was left out or reinterpreted.

    ``left_out`` are tasks of suites that the model's tokenizer cannot hold.
    """

    tasks: dict[str, tuple[Row, ...]]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_tasks(section: TasksSection, answers: bool = True) -> TaskFile:
    """Read the rows behind [tasks] path, of each task at most ``section.limit``, of its groups in turn (``in_turn``).

    Without a path there are none. ``answers`` says whether every row must have an answer. Raises InputError naming the
    file, the line and the column that does not fit, and MissingResourceError where a data set needs the library
    ``datasets`` and it is not there.
    """
    notes, location = list[str](), str(section.path)
    if section.path is None:
        return TaskFile({})
    if section.format == "cogqa" and not Path(location).is_dir():
        rows = list(_cogqa(text_of(Path(location)), Path(location), notes))
    elif (foreign := _foreign(section)) is not None:
        rows = [row_of(record.fields, record.location, record.name) for record in foreign]
    else:
        rows = _rows(section, answers, notes)
    if not rows:
        raise InputError("the task file holds no rows", location, "Give at least one row with task, prompt and answer")
    _refuse_duplicates(rows)
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        tasks.setdefault(row.task, []).append(row)
    refuse_many(len(tasks), location)
    if section.limit is not None:
        notes += _limited(tasks, section.limit)
    return TaskFile({name: tuple(members) for name, members in tasks.items()}, tuple(notes))


def fingerprint(section: TasksSection) -> str:
    """Hash all the content that ``read_tasks`` reads: of other tools' tasks the rows that are made of it."""
    foreign = _foreign(section)
    return content_of(section) if foreign is None else key_of([dict(record.fields) for record in foreign])


def _foreign(section: TasksSection) -> Iterator[Record] | None:
    """Return the rows of another tool's tasks (None: it is not of that format)."""
    read = FOREIGN.get(section.format or "")
    return None if read is None else read(section)


def _limited(tasks: dict[str, list[Row]], limit: int) -> Iterator[str]:
    """Keep so many rows of each task, and say of which tasks not all."""
    cut = [f"{limit} of {len(rows)} rows of task {name}" for name, rows in tasks.items() if len(rows) > limit]
    for name, rows in tasks.items():
        tasks[name] = in_turn(rows, limit)
    if cut:
        yield f"[tasks] limit keeps {', '.join(cut)}, from all groups in turn"


def in_turn(rows: Sequence[Row], limit: int, fits: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """Keep so many rows at most, in their order: the first of each group, then the second of each, and so on.

    The first rows of a file are often those of one template, and a template is no task. A row that does not fit makes
    room for the next one of its group; a group of which so many in a row do not fit is given up.
    """
    groups: dict[str, deque[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.group, deque()).append(number)
    kept, failed = list[int](), Counter[str]()
    while groups and len(kept) < limit:
        for group, left in [*groups.items()]:
            while left and len(kept) < limit:
                number = left.popleft()
                if fits(rows[number]):
                    kept.append(number)
                    failed[group] = 0
                    break
                failed[group] += 1
                if failed[group] == HOPELESS:
                    left.clear()
            if not left:
                del groups[group]
    return [rows[number] for number in sorted(kept)]


def row_of(fields: Mapping[str, object], location: str, name: str) -> Row:
    """Make a row of its columns, as a line of a task file holds them; ``name`` is its id where it has none.

    Raises InputError naming the column that does not fit.
    """
    return _Columns(TasksSection(), REQUIRED).row(Record(fields, location, name))


def rivals(row: Row) -> tuple[tuple[str, str], ...]:
    """Return what the answer is chosen against, each with its column: the other choices, or without any the foil."""
    if row.choices:
        accepted = {text.strip() for text in (row.answer, *row.answers)}
        others = {text.strip(): text for text in row.choices if text.strip() not in accepted}
        return tuple((text, "choices") for text in others.values())
    return () if row.foil is None else ((row.foil, "foil"),)


def chance(rows: tuple[Row, ...]) -> float:
    """Return the accuracy of guessing: the mean over rows of the share of right ones among the choices.

    Of a row with a foil alone that is a half, of one that is answered freely the commonest answer's share.
    """
    free = Counter(row.answer for row in rows if not rivals(row))
    commonest = max(free.values()) / free.total() if free else 0.0
    return sum(_share_of_right(row) if rivals(row) else commonest for row in rows) / len(rows)


def _share_of_right(row: Row) -> float:
    """Return the share of right ones among a row's choices; an answer that is not among them is one more."""
    count = len({text.strip() for text in (row.answer, *row.choices)}) if row.choices else 2
    return (count - len(rivals(row))) / count


def _rows(section: TasksSection, answers: bool, notes: list[str]) -> list[Row]:
    named = _Columns(section, (*REQUIRED,) if answers else REQUIRED[:2])
    rows = [named.row(record) for record in records(section, named.heading)]
    unseen = [theirs for theirs in section.columns.values() if rows and theirs not in named.seen]
    if unseen:
        raise InputError(
            f"no row has a column {unseen[0]!r}",
            f"[tasks] columns, {section.path}",
            nearest(unseen[0], sorted(named.seen)),
        )
    if named.numbers:
        notes.append(f"{section.path}: read {named.numbers} numbers as text")
    return rows


class _Columns:
    """Makes rows of records whose columns may bear other names: ``required`` are those that every row must fill.

    ``seen`` are the names met so far, ``numbers`` the values of typed columns that were read as text.
    """

    def __init__(self, section: TasksSection, required: tuple[str, ...]) -> None:
        for name in section.columns:
            _known(name, "[tasks] columns")
        self.section, self.seen, self.numbers = section, set[str](), 0
        self.required = tuple(n for n in required if n != "task" or section.task_name is None)
        # under a mapping what it does not name is passed over, but for what every row needs
        self.theirs = {**{n: n for n in REQUIRED}, **section.columns} if section.columns else {n: n for n in COLUMNS}

    def heading(self, names: list[str], location: str, values: Values) -> None:
        """Refuse a table that lacks a column, has one twice or, without a mapping, one that is unknown."""
        foreign = values == "typed" and not self.section.columns
        if foreign and not {*self.required} <= {*names} <= {*COLUMNS}:
            raise InputError(
                f"the columns are {', '.join(names)}",
                location,
                'Say which of them are task, prompt and answer: [tasks] columns = {prompt = "…", …}',
            )
        for name in names:
            self._known(name, location)
        for name in doubled(names):
            raise InputError(f"column {name!r} stands twice", location, "Keep one of them")
        for name in self.required:
            if self.theirs[name] not in names:
                needed = ", ".join(self.theirs[n] for n in self.required)
                raise InputError(f"column {self.theirs[name]!r} is missing", location, f"Add it; needed are {needed}")

    def _known(self, name: str, location: str) -> None:
        if not self.section.columns:
            _known(name, location)

    def row(self, record: Record) -> Row:
        """Make the record's row; raise InputError naming the column that does not fit."""
        fields, location = record.fields, record.location
        for name in fields:
            self._known(name, location)
        self.seen |= fields.keys()
        values = {ours: fields[theirs] for ours, theirs in self.theirs.items() if fields.get(theirs) is not None}
        for name in self.required:
            if name not in values:
                needed = ", ".join(self.theirs[n] for n in self.required)
                raise InputError(f"{self.theirs[name]!r} is missing", location, f"Give every row {needed}")
        if self.section.task_name is not None:
            values.setdefault("task", self.section.task_name)
        where = {ours: f"{location}, column {theirs}" for ours, theirs in self.theirs.items()}
        return _row(
            {name: self._read(name, value, record, where[name]) for name, value in values.items()}, where, record
        )

    def _read(self, name: str, value: object, record: Record, where: str) -> object:
        if record.values == "typed" and name in TEXTS and isinstance(value, int | float):
            self.numbers += 1
            # a column of whole numbers with gaps is often stored as one of fractions
            return str(int(value) if isinstance(value, float) and value.is_integer() else value)
        return _list_of(str(value), where) if record.values == "cells" and name in LISTS else value


def _list_of(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise InputError(f"{text!r} is no list", where, 'Write a JSON list into the cell: ["yes", "no"]') from error


def _row(values: dict[str, object], where: dict[str, str], record: Record) -> Row:
    for name, value in values.items():
        if any("\ud800" <= c <= "\udfff" for c in str(value)):
            raise InputError("the text holds half a character", where[name], "Write it in UTF-8")
    texts = {name: _string(values[name], name, where[name]) for name in TEXTS if name in values}
    lists = {name: _strings(values[name], where[name]) for name in LISTS if name in values}
    identity = _name(values.get("id"), where.get("id", "")) or record.name
    group = _name(values.get("group"), where.get("group", "")) or identity
    if "foil" in texts and texts["foil"].strip() == texts.get("answer", "").strip():
        raise InputError("the foil is the answer itself", where["foil"], "Give a wrong answer, or none")
    return Row(**{"answer": "", **texts}, **lists, id=identity, group=group, location=record.location)  # type: ignore[arg-type]


def _known(name: str, location: str) -> None:
    if name not in COLUMNS:
        if name in ("image", "audio"):
            hint = "Remove the column: a model that reads images or sound too is scored on rows of text"
            raise InputError(f"rows with a column {name!r} are not scored", location, hint)
        raise InputError(f"unknown column {name!r}", location, nearest(name, list(COLUMNS)))


def _string(value: object, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{value!r} is not text", where, "Write it in quotes")
    if not value.strip():
        raise InputError(f"the {name} is empty", where, "Give it a text, or remove the row")
    if name != "task":
        return value
    if any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in value):
        raise InputError(f"the task's name {value!r} holds a control character", where, "Remove the character")
    return value.strip()


def _strings(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise InputError(f"{value!r} is no list of texts", where, 'Write a list of texts: ["yes", "no"]')
    return tuple(value)


def _name(value: object, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(f"{value!r} is no name", where, "Give a text or a whole number")
    return str(value)


def _refuse_duplicates(rows: list[Row]) -> None:
    seen: dict[str, Row] = {}
    for row in rows:
        if row.id in seen:
            raise InputError(
                f"the id {row.id!r} stands already at {seen[row.id].location}",
                row.location,
                "Give every row an id of its own",
            )
        seen[row.id] = row


def _cogqa(text: str, path: Path, notes: list[str]) -> Iterator[Row]:
    """Read CogQA: each sub-question a row after its parent question, which is its group. Stray labels become notes."""
    strays, numbers = Counter[str](), 0
    for q, question in enumerate(_cogqa_list(text, path)):
        for s, sub in enumerate(question["generated"]):
            location = f"{path}, question {q}, sub-question {s}"
            skill = _cogqa_field(sub, "cognitive_skill", location)
            if skill not in COGQA_SKILLS:
                strays[skill] += 1
                continue
            numbers += not isinstance(sub.get("answer"), str)
            prompt = f"{question['question']}\n{_cogqa_field(sub, 'subquestion', location)}"
            answer = _cogqa_field({"answer": str(sub.get("answer") or "")}, "answer", location)
            yield Row(skill, prompt, answer, f"{q}.{s}", str(q), location)
    for skill, count in strays.items():
        rows = f"{count} row" if count == 1 else f"{count} rows"
        notes.append(f"{path}: dropped {rows} labelled {skill!r}, which is none of CogQA's eight skills")
    if numbers:
        notes.append(f"{path}: read {numbers} numeric answers as text")


def _cogqa_list(text: str, path: Path) -> list[dict[str, Any]]:
    hint = "Give CogQA's list of {question, answer, generated: [{subquestion, answer, cognitive_skill}]}"
    try:
        content = json.loads(text, object_pairs_hook=once(str(path))) if text.strip() else []
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise InputError(f"this is not JSON ({error})", str(path), hint) from error
    if not isinstance(content, list):
        raise InputError("this is no list of questions", str(path), hint)
    for q, question in enumerate(content):
        fits = isinstance(question, dict) and isinstance(question.get("question"), str)
        if not fits or not isinstance(question.get("generated"), list):
            raise InputError("this is no CogQA question", f"{path}, question {q}", hint)
    return content


def _cogqa_field(sub: object, name: str, location: str) -> str:
    value = sub.get(name) if isinstance(sub, dict) else None
    if value is None:
        raise InputError(f"{name!r} is missing", location, "Give subquestion, answer and cognitive_skill")
    return _string(value, name, f"{location}, column {name}")
