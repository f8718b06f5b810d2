"""Tasks of lm-evaluation-harness: YAML files with the data that they name, in their plain forms.

What a file makes of a document (``doc_to_text``, ``doc_to_target``, ``doc_to_choice``) are Jinja templates, names of
columns, lists or numbers. They are another's templates, and filled where those are (``core.confined``). What runs code
of the task's own is refused by name.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reportgen.core.config import HUB, HUB_ID, TasksSection
from reportgen.core.confined import Confined, Fill
from reportgen.errors import InputError, MissingResourceError, nearest
from reportgen.scoring.data.sources import SUFFIXES, Record, records, text_of

WRITERS = ("doc_to_text", "doc_to_target", "doc_to_choice")
OUTPUTS = ("multiple_choice", "generate_until", "loglikelihood")
# Keys that change what the model reads or which rows there are, by code or in ways that are not followed here
REFUSED = ("process_docs", "custom_dataset", "doc_to_image", "doc_to_audio", "class", "fewshot_config", "gen_prefix")
SPLITS = ("test_split", "validation_split", "training_split")
FORMATS = {"json": "jsonl", "csv": "csv", "parquet": "parquet"}  # of the library datasets, by file
CODE = "!function"


@dataclass(frozen=True)
class Code:
    """What stands for a function of the task's own: its name."""

    name: str


def task_documents(folder: Path) -> list[Path]:
    """List the YAML files of a folder, or the one that a path is; raises InputError where there is none."""
    found = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*.y*ml") if p.is_file())
    if not found:
        raise InputError("the folder holds no YAML file", str(folder), "Give a task's folder, or its YAML file")
    return found


def lm_eval_records(section: TasksSection) -> Iterator[Record]:
    """Yield the rows of all tasks in a folder, or in one YAML file, with the columns of a task file.

    Raises InputError naming file and key for what is not a task's plain form, and the row for a template that fails.
    """
    tasks = [found for path in task_documents(Path(str(section.path))) if (found := _task(path)) is not None]
    if not tasks:
        raise InputError("no YAML file of it is a task", str(section.path), "Give a folder whose files name a task")
    for path, content in tasks:
        yield from _rows(path, content, section)


def _task(path: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Return a file's content where it is a task's, None for groups of tasks and what others include."""
    content = _read(path)
    if not isinstance(content.get("task"), str):
        return None
    for key, value in content.items():
        if isinstance(value, Code):
            raise InputError(f"{value.name} is code of the task's own, which is not run", f"{path}, {key}", PLAIN)
        if key in REFUSED and value not in (None, False):
            raise InputError("what it asks for is not followed", f"{path}, {key}", PLAIN)
    output = content.get("output_type", "generate_until")
    if output not in OUTPUTS:
        raise InputError(f"{output!r} is no question with an answer", f"{path}, output_type", PLAIN)
    return path, content


PLAIN = "Write the rows into a task file yourself (reference/files), or remove the task's file"


def _read(path: Path, within: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML file, over the one that it includes; no tag makes anything but ``!function`` a name."""
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        hint = "Install it with: pip install 'reportgen[lm-eval]'"
        raise MissingResourceError("the library pyyaml is not installed", str(path), hint) from error

    class Loader(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]
        pass

    Loader.add_constructor(CODE, lambda loader, node: Code(str(loader.construct_scalar(node))))
    try:
        content = yaml.load(text_of(path), Loader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"this is not YAML ({problem})", str(path), "Mend the file") from error
    if not isinstance(content, dict):
        raise InputError("the file holds no task", str(path), "Write keys and values: task: …")
    included = content.pop("include", None)
    if included is None:
        return content
    base = (path.parent / str(included)).resolve()
    if base in (path.resolve(), *within):
        raise InputError("the files include each other", f"{path}, include", "Remove one of the keys")
    return {**_read(base, (*within, path.resolve())), **content}


def _rows(path: Path, content: Mapping[str, Any], section: TasksSection) -> Iterator[Record]:
    name, choosing = str(content["task"]), content.get("output_type") == "multiple_choice"
    _refuse_another_form(path, content, section)
    texts = {key: content[key] for key in WRITERS if content.get(key) is not None}
    for key in (*WRITERS[:2], *(WRITERS[2:] if choosing else ())):
        if key not in texts:
            raise InputError(f"{key!r} is missing", str(path), PLAIN)
    templates = {key: value for key, value in texts.items() if isinstance(value, str)}
    fill: Fill = Confined(
        "reportgen.scoring.data.lm_eval:filling", templates, str(path), f"the task {name}'s templates"
    )
    for number, record in enumerate(records(_data(path, content, section), lambda *_: None)):
        location = f"{record.location}, as {path.name} reads it"
        try:
            written = json.loads(fill("", dict(record.fields)))
        except InputError as error:
            raise InputError(error.problem, location, "Mend the template or the row") from error
        row = _row({**texts, **written}, str(content.get("description") or ""), location)
        yield Record({"task": name, **row}, location, f"{name} {number}")


def _row(written: Mapping[str, Any], description: str, location: str) -> dict[str, object]:
    """Make a row's columns of what the templates wrote."""
    prompt, target = description + str(written["doc_to_text"]), written["doc_to_target"]
    if "doc_to_choice" not in written:
        return {"prompt": prompt.rstrip(" "), "answer": str(target)}
    choices = _literal(written["doc_to_choice"])
    choices = list(choices.values()) if isinstance(choices, dict) else choices
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise InputError("doc_to_choice writes no list of texts", location, 'Write ["yes", "no"]')
    wanted = target if isinstance(target, str) and target in choices else _literal(target)
    right = [_chosen(each, choices, location) for each in (wanted if isinstance(wanted, list) else [wanted])]
    if not right:
        raise InputError("doc_to_target names no choice", location, "Give the number of the right one")
    more = {"answers": right[1:]} if right[1:] else {}
    return {"prompt": prompt.rstrip(" "), "answer": right[0], "choices": choices, **more}


def _chosen(target: object, choices: list[str], location: str) -> str:
    """Return the choice that a target names, by its number or its text."""
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(choices):
        return choices[target]
    if isinstance(target, str) and target in choices:
        return target
    hint = f"The choices are {', '.join(map(repr, choices))}, numbered from 0"
    raise InputError(f"doc_to_target is {target!r}, which is no choice", location, hint)


def _literal(value: object) -> object:
    """Return what a text writes as Python writes it, as the harness reads it; other texts as they are."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _refuse_another_form(path: Path, content: Mapping[str, Any], section: TasksSection) -> None:
    """Raise InputError where the task joins prompt and answer, or shows examples, otherwise than the study."""
    asked = content.get("target_delimiter", " ")
    if asked != section.between:
        raise InputError(
            f"the task puts {asked!r} between prompt and answer, and the study {section.between!r}",
            f"{path}, target_delimiter",
            f"Give [tasks] delimiter = {json.dumps(asked)}",
        )
    shots = content.get("num_fewshot") or 0
    if shots != section.shots:
        raise InputError(
            f"the task shows {shots} examples before each prompt, and the study {section.shots}",
            f"{path}, num_fewshot",
            f"Give [tasks] shots = {shots}, or change the task's file",
        )


def _data(path: Path, content: Mapping[str, Any], section: TasksSection) -> TasksSection:
    """Return where the task's documents lie: files beside its own, or a data set of the hub."""
    split = section.split or next((content[key] for key in SPLITS if content.get(key)), None)
    source, asked = content.get("dataset_path"), content.get("dataset_kwargs") or {}
    location = f"{path}, dataset_path"
    if not isinstance(source, str):
        raise InputError("the task names no data", location, "Write dataset_path: json, and the file")
    if source in FORMATS or source == "text":
        files = asked.get("data_files") if isinstance(asked, dict) else None
        if isinstance(files, dict):
            if split not in files:
                hint = nearest(str(split), list(map(str, files)))
                raise InputError(f"the task has no file of the split {split!r}", f"{path}, data_files", hint)
            files = files[split]
        files = files[0] if isinstance(files, list) and len(files) == 1 else files
        if not isinstance(files, str) or source not in FORMATS:
            raise InputError("the task's data are not one file", f"{path}, data_files", PLAIN)
        return TasksSection(path=_beside(path, files), format=FORMATS[source])  # type: ignore[arg-type]
    if Path(source).suffix.lower() in SUFFIXES or (path.parent / source).exists():
        return TasksSection(path=_beside(path, source), split=split if (path.parent / source).is_dir() else None)
    if not HUB_ID.fullmatch(source):
        raise InputError(f"{source!r} is neither a file beside it nor a data set of the hub", location, PLAIN)
    return TasksSection(path=f"{HUB}{source}", config=content.get("dataset_name"), split=split)


def _beside(path: Path, name: str) -> Path:
    """Return a file of the task's folder; raises InputError for one that lies elsewhere."""
    folder = path.parent.resolve()
    if not (folder / name).resolve().is_relative_to(folder):
        raise InputError(f"{name!r} lies outside the task's folder", str(path), "Put the file beside the task's own")
    return path.parent / name


def filling(templates: Mapping[str, str]) -> Fill:
    """Return what fills a task's templates with a document: JSON of each key's text; it loads no torch.

    A template that is a column's name stands for the document's value.
    """
    from jinja2 import StrictUndefined

    from reportgen.core.sandbox import Strict

    sandbox = Strict(undefined=StrictUndefined, keep_trailing_newline=True)
    ready = {key: sandbox.from_string(text) for key, text in templates.items()}

    def fill(name: str, document: Mapping[str, Any]) -> str:
        written: dict[str, object] = {}
        for key, template in ready.items():
            try:
                text = templates[key]
                written[key] = document[text] if text in document else template.render(**document)
            except (MemoryError, InputError):
                raise
            except Exception as error:
                raise InputError(
                    f"{key} fails ({type(error).__name__}: {str(error)[:300].rstrip('.')})", "", ""
                ) from error
        return json.dumps(written)

    return fill
