"""The CSV files of EAP-IG and MIB: a clean and a corrupted prompt, and what follows the clean one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.sources import Record, Values, records

COLUMNS = ("clean", "corrupted", "label")
INDICES = ("correct_idx", "incorrect_idx")


def eap_records(section: TasksSection) -> Iterator[Record]:
    """Yield the rows of the files behind [tasks] path with the columns of a task file; a file is a task.

    ``label`` is the answer, or a list of the answer and the foil. Raises InputError for labels that are numbers of
    tokens: only the tokenizer that they were written by knows what they say.
    """
    read = section.model_copy(update={"format": "csv"})
    for record in records(read, _heading):
        name = section.task_name or Path(record.location.rpartition(", line")[0]).stem
        answer, *foil = _labels(str(record.fields.get("label", "")), record.location)
        texts = {"prompt": record.fields.get("clean"), "corrupted": record.fields.get("corrupted")}
        fields = {"task": name, **texts, "answer": answer, **({"foil": foil[0]} if foil else {})}
        yield Record({k: v for k, v in fields.items() if v is not None}, record.location, f"{name} {record.name}")


def _heading(names: list[str], location: str, values: Values) -> None:
    for name in COLUMNS:
        if name not in names:
            if name == "label" and {*INDICES} & {*names}:
                raise InputError(f"its answers are numbers of tokens ({', '.join(INDICES)})", location, TEXTS)
            raise InputError(f"column {name!r} is missing", location, f"Needed are {', '.join(COLUMNS)}")


TEXTS = "Write the texts that they stand for into a column label: Mary, or ['Mary', 'John'] with the wrong answer"


def _labels(text: str, location: str) -> list[str]:
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = text
    labels = list(found) if isinstance(found, list | tuple) else [found]
    # a year or a sum is a number too; more than one are numbers of tokens, which is what the files with lists hold
    if len(labels) > 1 and not all(isinstance(label, str) for label in labels):
        raise InputError(f"the label {text} holds numbers of tokens", f"{location}, column label", TEXTS)
    if not 1 <= len(labels) <= 2:
        raise InputError(
            f"the label {text} is neither an answer nor answer and foil", f"{location}, column label", TEXTS
        )
    return [label if isinstance(label, str) else text.strip() for label in labels]
