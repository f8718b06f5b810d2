"""Read task files: JSON lines, CSV with the same columns, and CogQA's nested JSON."""

import csv
import difflib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reportgen.errors import InputError

REQUIRED = ("task", "prompt", "answer")
TEXTS = ("foil", "corrupted")
LISTS = ("answers", "choices")
NAMES = ("id", "group")
COLUMNS = (*REQUIRED, *LISTS, *TEXTS, *NAMES)
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
COGQA_SKILLS = (
    "Knowledge Recall", "Retrieval", "Logical Reasoning", "Decision-making",
    "Semantic Understanding", "Syntactic Understanding", "Inference", "Math Calculation",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One example of a task file.

    ``answers`` are accepted alternatives, ``choices`` what the answer is chosen from, ``foil`` a wrong answer,
    ``corrupted`` a counterfactual prompt. ``group`` names the rows that share a template or a parent question (default:
    the row's id). ``place`` says where the row stands, for error messages.
    """

    task: str
    prompt: str
    answer: str
    id: str
    group: str
    place: str
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    foil: str | None = None
    corrupted: str | None = None


@dataclass(frozen=True)
class TaskFile:
    """The rows of each task, tasks and rows in file order; ``notes`` say what was left out or reinterpreted."""

    tasks: dict[str, tuple[Row, ...]]
    notes: tuple[str, ...] = ()


def read_tasks(path: Path, format: str | None = None, limit: int | None = None) -> TaskFile:
    """Read a task file, keeping the first ``limit`` rows of each task.

    ``format`` is ``jsonl``, ``csv`` or ``cogqa`` (None: by the file's suffix). Raises InputError naming the file, the
    line and the column that does not fit.
    """
    text, notes = _text(path), list[str]()
    kind = format or _format_of(path)
    rows = list(_cogqa(text, path, notes) if kind == "cogqa" else _flat(text, path, kind))
    if not rows:
        mend = "Give at least one row with task, prompt and answer"
        raise InputError("the task file holds no rows", str(path), mend)
    _refuse_duplicates(rows)
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        members = tasks.setdefault(row.task, [])
        if limit is None or len(members) < limit:
            members.append(row)
    if any(row.answers for row in rows):
        notes.append("the column 'answers' (accepted alternatives) is not scored: only 'answer' is")
    return TaskFile({name: tuple(members) for name, members in tasks.items()}, tuple(notes))


def chance(rows: tuple[Row, ...]) -> float:
    """The accuracy of guessing: the mean of 1 / choices (for rows without: the commonest answer's share)."""
    open_ended = Counter(row.answer for row in rows if not row.choices)
    commonest = max(open_ended.values()) / open_ended.total() if open_ended else 0.0
    return sum(1 / len(row.choices) if row.choices else commonest for row in rows) / len(rows)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("no such task file", str(path), "Check [tasks] path in the study file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the task file is not UTF-8 ({error.reason})", str(path), "Save it as UTF-8") from error
    except OSError as error:
        mend = "Give the path of a readable task file"
        raise InputError(f"the task file cannot be read ({error.strerror})", str(path), mend) from error


def _format_of(path: Path) -> str:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        mend = 'Set [tasks] format to "jsonl", "csv" or "cogqa"'
        raise InputError(f"the suffix {path.suffix!r} does not tell the task file's format", str(path), mend)
    return kind


def _flat(text: str, path: Path, kind: str) -> Iterator[Row]:
    for line, fields in _csv(text, path) if kind == "csv" else _jsonl(text, path):
        yield _row(fields, line, f"{path}, line {line}")


def _jsonl(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # str.splitlines would also cut at U+2028 and its like, which may stand inside a JSON string
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            fields = json.loads(content)
        except (json.JSONDecodeError, RecursionError) as error:
            mend = "Write one JSON object on each line"
            raise InputError(f"this is not JSON ({error})", f"{path}, line {line}", mend) from error
        if not isinstance(fields, dict):
            mend = 'Write {"task": …, "prompt": …, "answer": …}'
            raise InputError("the line holds no JSON object", f"{path}, line {line}", mend)
        yield line, fields


def _csv(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(header, path)
        line = reader.line_num + 1
        for cells in reader:
            # a quoted cell may hold line breaks: name the line on which the row begins
            start, line = line, reader.line_num + 1
            place = f"{path}, line {start}"
            if cells and len(cells) != len(header):
                mend = "Give every row the header's columns, with quotes around commas"
                raise InputError(f"the row has {len(cells)} cells and the header {len(header)}", place, mend)
            if cells:
                yield start, {k: _cell(k, v, place) for k, v in zip(header, cells, strict=True) if v != ""}
    except csv.Error as error:
        raise InputError(f"this is not CSV ({error})", f"{path}, line {reader.line_num}", "Mend the line") from error


def _check_header(names: list[str], path: Path) -> None:
    place = f"{path}, line 1"
    for name in names:
        _known(name, place)
        if names.count(name) > 1:
            raise InputError(f"column {name!r} stands twice", place, "Keep one of them")
    for name in REQUIRED:
        if names and name not in names:
            raise InputError(f"column {name!r} is missing", place, f"Add it; needed are {', '.join(REQUIRED)}")


def _cell(name: str, text: str, place: str) -> Any:
    if name not in LISTS:
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        mend = 'Write a JSON list into the cell: ["yes", "no"]'
        raise InputError(f"{text!r} is no list", f"{place}, column {name}", mend) from error


def _row(fields: dict[str, Any], line: int, place: str) -> Row:
    for name in fields:
        _known(name, place)
    for name in REQUIRED:
        if fields.get(name) is None:
            raise InputError(f"{name!r} is missing", place, f"Give every row {', '.join(REQUIRED)}")
    for name, value in fields.items():
        if any("\ud800" <= c <= "\udfff" for c in str(value)):
            raise InputError("the text holds half a character", f"{place}, column {name}", "Write it in UTF-8")
    texts = {name: _string(fields[name], name, place) for name in (*REQUIRED, *TEXTS) if fields.get(name) is not None}
    lists = {name: _strings(fields[name], name, place) for name in LISTS if fields.get(name) is not None}
    identity = _name(fields.get("id"), "id", place) or f"line {line}"
    group = _name(fields.get("group"), "group", place) or identity
    if texts.get("foil", "").strip() == texts["answer"].strip():
        raise InputError("the foil is the answer itself", f"{place}, column foil", "Give a wrong answer, or none")
    return Row(**texts, **lists, id=identity, group=group, place=place)  # type: ignore[arg-type]


def _known(name: str, place: str) -> None:
    if name not in COLUMNS:
        near = difflib.get_close_matches(str(name), COLUMNS, n=1, cutoff=0.5)
        mend = f"The nearest known one is {near[0]!r}" if near else f"Known here: {', '.join(COLUMNS)}"
        raise InputError(f"unknown column {name!r}", place, mend)


def _string(value: Any, name: str, place: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{value!r} is not text", f"{place}, column {name}", "Write it in quotes")
    if not value.strip():
        raise InputError(f"the {name} is empty", f"{place}, column {name}", "Give it a text, or remove the row")
    return value.strip() if name == "task" else value


def _strings(value: Any, name: str, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        mend = 'Write a list of texts: ["yes", "no"]'
        raise InputError(f"{value!r} is no list of texts", f"{place}, column {name}", mend)
    return tuple(value)


def _name(value: Any, name: str, place: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(f"{value!r} is no name", f"{place}, column {name}", "Give a text or a whole number")
    return str(value)


def _refuse_duplicates(rows: list[Row]) -> None:
    seen: dict[str, Row] = {}
    for row in rows:
        if row.id in seen:
            mend = "Give every row an id of its own"
            raise InputError(f"the id {row.id!r} stands already at {seen[row.id].place}", row.place, mend)
        seen[row.id] = row


def _cogqa(text: str, path: Path, notes: list[str]) -> Iterator[Row]:
    """CogQA: each sub-question a row after its parent question, which is its group. Stray labels become notes."""
    strays, numbers = Counter[str](), 0
    for q, question in enumerate(_cogqa_list(text, path)):
        for s, sub in enumerate(question["generated"]):
            place = f"{path}, question {q}, sub-question {s}"
            skill = _cogqa_field(sub, "cognitive_skill", place)
            if skill not in COGQA_SKILLS:
                strays[skill] += 1
                continue
            numbers += not isinstance(sub.get("answer"), str)
            prompt = f"{question['question']}\n{_cogqa_field(sub, 'subquestion', place)}"
            answer = _cogqa_field({"answer": str(sub.get("answer") or "")}, "answer", place)
            yield Row(skill, prompt, answer, f"{q}.{s}", str(q), place)
    for skill, count in strays.items():
        rows = f"{count} row" if count == 1 else f"{count} rows"
        notes.append(f"{path}: dropped {rows} labelled {skill!r}, which is none of CogQA's eight skills")
    if numbers:
        notes.append(f"{path}: read {numbers} numeric answers as text")


def _cogqa_list(text: str, path: Path) -> list[dict[str, Any]]:
    mend = "Give CogQA's list of {question, answer, generated: [{subquestion, answer, cognitive_skill}]}"
    try:
        content = json.loads(text) if text.strip() else []
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"this is not JSON ({error})", str(path), mend) from error
    if not isinstance(content, list):
        raise InputError("this is no list of questions", str(path), mend)
    for q, question in enumerate(content):
        fits = isinstance(question, dict) and isinstance(question.get("question"), str)
        if not fits or not isinstance(question.get("generated"), list):
            raise InputError("this is no CogQA question", f"{path}, question {q}", mend)
    return content


def _cogqa_field(sub: Any, name: str, place: str) -> str:
    value = sub.get(name) if isinstance(sub, dict) else None
    if value is None:
        raise InputError(f"{name!r} is missing", place, "Give subquestion, answer and cognitive_skill")
    return _string(value, name, place)
