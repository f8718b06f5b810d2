"""What a run was started with, kept beside its shards, so that a resumed run can say what has changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypedDict, cast

import torch

from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.data.tasks import Row, read_tasks
from reportgen.scoring.run.prepare import versions
from reportgen.storage.json_files import key_of, pretty_json
from reportgen.storage.remote_folders import StorageFolder

RECORD = "run.json"
SCHEMA = "reportgen/run/1"
NOT_COMPARED = {  # where things are and who computes: neither changes a number
    "model": {"path", "device"},
    "tasks": {"path", "groups", "control"},
    "scoring": {"executor", "address"},
}
HINT = (
    "Undo it, choose another folder with -o, or accept it with --force, "
    "which keeps the shards that it leaves as they are"
)
NAMED = 3  # so many changes are named, the rest counted


class RunRecord(TypedDict):
    """``settings`` are the study's by section and key, ``rows`` a hash of each row by task and id, ``order`` a hash of
    their order, ``identity`` the model's and the machine's, ``batch_size`` the one found for "auto" (None: not yet).
    """

    schema: str
    versions: dict[str, str]
    settings: dict[str, dict[str, object]]
    rows: dict[str, dict[str, str]]
    order: str
    threads: int
    batch_size: int | None
    identity: dict[str, str]


def record_of(study: Study) -> RunRecord:
    """Record versions, settings, a hash of every row, and what the last digits depend on.

    That is the number of threads, and the batch size that is found where the study leaves it to be found (None: not
    yet).
    """
    file = read_tasks(study.tasks, answers=False)
    settings = {
        section: getattr(study, section).model_dump(mode="json", exclude=left_out)
        for section, left_out in NOT_COMPARED.items()
    }
    rows = {task: {row.id: _hash(row) for row in rows} for task, rows in file.tasks.items()}
    return {
        "schema": SCHEMA,
        "versions": versions(),
        "settings": settings,
        "rows": rows,
        "order": key_of([list(rows), [list(ids) for ids in rows.values()]]),
        "threads": torch.get_num_threads(),
        "batch_size": None,
        "identity": {},
    }


def _hash(row: Row) -> str:
    return key_of({name: value for name, value in asdict(row).items() if name != "location"})[:16]


def read_record(folder: StorageFolder) -> RunRecord | None:
    """Read what the folder's run was started with; None where none has begun there.

    Raises InputError where the folder's shards are of a version that kept no record.
    """
    content = folder.read(RECORD)
    try:
        record = None if content is None else json.loads(content)
    except ValueError:
        record = {}
    if isinstance(record, dict) and record.get("schema") == SCHEMA:
        return cast(RunRecord, record)
    if record is not None or any(name.endswith(".safetensors") for name in folder.names()):
        raise InputError(
            "the unfinished run in it was started by another version of reportgen",
            str(folder),
            "Finish it with that version, choose another folder with -o, or start anew with --force",
        )
    return None


def continued(old: RunRecord, new: RunRecord) -> RunRecord:
    """Return the new record with what a run that is gone on with computes by: its threads, and the batch size found."""
    asked, before = (of["settings"]["scoring"].get("batch_size") for of in (new, old))
    size = old.get("batch_size") if asked == before == "auto" else None
    return {**new, "threads": old["threads"], "batch_size": size}


def write_record(folder: StorageFolder, record: RunRecord) -> None:
    """Write the record beside the shards."""
    folder.write(RECORD, pretty_json(record))


def refuse_changes(folder: StorageFolder, old: RunRecord, new: RunRecord, study: Study) -> None:
    """Raise InputError, naming what has changed, where a run that was started with other inputs is not finished."""
    found = [f"{name} {_was(now, was)}" for name, was, now in differing(old["versions"], new["versions"])]
    found += [*_settings(old["settings"], new["settings"]), *_rows(old, new, str(study.tasks.path))]
    if new["identity"] and old["identity"]:
        found += [
            f"{name} changed" if name.startswith("the model's") else f"{name} {_was(value, was)}"
            for name, was, value in differing(old["identity"], new["identity"])
        ]
    if old.get("batch_size") and new["batch_size"] and old["batch_size"] != new["batch_size"]:
        found.append(f"the batch size found {_was(new['batch_size'], old['batch_size'])}")
    if found:
        rest = f", and {len(found) - NAMED} other changes" if len(found) > NAMED + 1 else ""
        changes = "; ".join(found[:NAMED] if rest else found)
        raise InputError(f"the unfinished run in it was started with other inputs: {changes}{rest}", str(folder), HINT)


def _was(now: object, was: object) -> str:
    return f"is {'not set' if now is None else now}, was {'not set' if was is None else was}"


def differing(old: Mapping[str, object], new: Mapping[str, object]) -> list[tuple[str, object, object]]:
    """List names whose values differ, with the old and the new one."""
    names = dict.fromkeys([*old, *new])
    return [(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _settings(old: Mapping[str, Mapping[str, object]], new: Mapping[str, Mapping[str, object]]) -> list[str]:
    return [
        f"[{section}] {key} {_was(now, was)}"
        for section in new
        for key, was, now in differing(old.get(section, {}), new[section])
    ]


def _rows(old: RunRecord, new: RunRecord, path: str) -> list[str]:
    """Say what happened to the rows, task by task."""
    found = []
    for task in dict.fromkeys([*old["rows"], *new["rows"]]):
        was, now = old["rows"].get(task), new["rows"].get(task)
        if was is None or now is None:
            found.append(f"task {task} is {'new' if was is None else 'gone'}")
            continue
        found += _named(f"task {task}", "is gone", [i for i in was if i not in now])
        found += _named(f"task {task}", "is new", [i for i in now if i not in was])
        found += _named(f"task {task}", "changed", [i for i in was if i in now and was[i] != now[i]])
    if not found and old["order"] != new["order"]:
        found.append("the rows stand in another order")
    return [f"{path}: {each}" for each in found]


def _named(task: str, what: str, ids: Sequence[str]) -> list[str]:
    if not ids:
        return []
    return [f"{task}: row {ids[0]!r} {what}" + (f", and {len(ids) - 1} others" if ids[1:] else "")]
