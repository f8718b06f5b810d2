"""What `reportgen tasks` prints and writes: the suites, one suite, or the task file that one makes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reportgen.core.suites import SUITES
from reportgen.errors import InputError, nearest

ACTIONS = ("list", "show", "make")
WHERE = "reportgen tasks"


def answer(
    action: str,
    name: str | None,
    output: Path | None,
    model: str | None,
    section: Mapping[str, object],
    seed: int,
) -> tuple[object, list[str]]:
    """Do what is asked for; return it as JSON values, and in lines.

    Raises InputError for an action or a suite that there is not, and for a suite that the tokenizer cannot hold.
    """
    if action not in ACTIONS:
        raise InputError(f"tasks cannot {action!r}", WHERE, nearest(action, ACTIONS))
    if action == "list":
        known = {suite.name: suite.doc for suite in SUITES.known()}
        return known, [f"{name}: {doc}" for name, doc in known.items()]
    if name is None:
        raise InputError(f"which suite to {action}?", WHERE, f"Known here: {', '.join(s.name for s in SUITES.known())}")
    if action == "show":
        described = SUITES.get(name, WHERE).described
        return described, list(_lines(described))
    if output is None:
        raise InputError("there is no file to write", f"{WHERE} make", "Give one: -o FILE")
    return _make(name, output, model, section, seed)


def _lines(described: Mapping[str, Any]) -> Iterator[str]:
    for key in ("summary", "measures", "source", "known results", "pitfalls"):
        if described[key]:
            yield f"{key}: {described[key]}"
    if described["lengths"]:
        yield f"usual lengths: {' and '.join(map(str, described['lengths']))} tokens"
    for name, task in described["tasks"].items():
        yield f"task {name}: {task['rows']} rows to choose from, of {task['groups']} groups, such as"
        yield f"  {json.dumps(task['first'], ensure_ascii=False)}"


def _make(
    name: str, output: Path, model: str | None, section: Mapping[str, object], seed: int
) -> tuple[object, list[str]]:
    from reportgen.core.config import ModelSection
    from reportgen.core.config_file import parse_study
    from reportgen.scoring.data.suite_rows import Reader, make_tasks, refuse_empty
    from reportgen.scoring.model.load import read_tokenizer
    from reportgen.storage.files import write_atomic

    asked = {key: value for key, value in section.items() if value}
    raw = {"model": {"path": model or "-"}, "tasks": {"suite": name, **asked}}
    study = parse_study(raw, WHERE, Path.cwd())
    assert isinstance(study.model, ModelSection)
    reader = None if model is None else Reader(*read_tokenizer(study.model, study.tasks), study.tasks)
    made = make_tasks(study.tasks, seed, reader)
    refuse_empty(made)
    rows = (json.dumps(row.columns, ensure_ascii=False) for rows in made.tasks.values() for row in rows)
    write_atomic(output, "".join(f"{row}\n" for row in rows))
    counts = {task: len(rows) for task, rows in made.tasks.items()}
    notes = [*made.notes, *([] if model else ["the rows were fitted to no tokenizer: --model does"])]
    content = {"file": str(output), "tasks": counts, "notes": notes}
    return content, [str(output), *(f"{count} rows of task {task}" for task, count in counts.items()), *notes]
