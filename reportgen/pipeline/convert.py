"""Files of scores, turned into what the user can look at: the tidy table that was understood, and a study of it."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w

from reportgen.core.blocks import Blocks
from reportgen.core.scores import HeadScores, read_as
from reportgen.core.sentences import significant
from reportgen.errors import InputError
from reportgen.pipeline.artifacts import imported
from reportgen.pipeline.source import open_source
from reportgen.storage.files import write_atomic
from reportgen.storage.scores_file import tidy_csv

STUDY = "study.toml"


@dataclass(frozen=True)
class Understood:
    """What a file of scores was understood to hold, and the keys of ``[scores]`` that said how."""

    path: Path
    blocks: Blocks
    stated: Mapping[str, object]

    @property
    def lines(self) -> Iterator[str]:
        """Say in lines how the file was read, and what is in it."""
        first = self.blocks[0]
        yield from (f"read as: {told}" for told in read_as(first))
        for block in self.blocks:
            yield _described(block)
        if first.tasks[0].n is not None:
            yield f"examples: {', '.join(f'{t.name} {t.n:,}' for t in first.tasks[:8] if t.n is not None)}"

    @property
    def asked(self) -> Iterator[tuple[str, str, str]]:
        """Yield what the file does not say, as a key of ``[scores]``, an example of its value, and what it is."""
        first, given = self.blocks[0], self.stated
        if "method" not in given and first.method.name == "unknown":
            yield "method", '"…"', "how the scores were measured"
        if "unit" not in given:
            yield "unit", f'"{first.method.unit}"', "what they are in"
        if "bounds" not in given:
            yield "bounds", "[0, 1]", "the smallest and the largest value that is possible"
        if first.unscored is not None:
            if "layers" not in given or "heads" not in given:
                yield "layers", str(first.n_layers), "of the model, where it has more than the file names"
                yield "heads", str(first.n_heads), "of a layer, where it has more than the file names"
            if "rest" not in given:
                yield "rest", '"unknown"', 'or "below", where the heads that are not listed rank below those that are'
        if first.model.kv_groups is None:
            yield "kv_groups", "8", "key/value heads of a layer, under grouped-query attention"


def _described(scores: HeadScores) -> str:
    values = scores.importance[:, scores.present]
    scored, total = scores.coverage
    part = f"{scored:,} of {total:,} heads were scored" if scored < total else f"{scored:,} heads"
    tasks = f"{len(scores.tasks):,} task{'s' if len(scores.tasks) > 1 else ''}"
    named = ", ".join(scores.task_names[:4]) + (", …" if len(scores.tasks) > 4 else "")
    low, high = float(np.min(values)), float(np.max(values))
    where = f"{scores.block}: " if scores.block else ""
    size = f"{scores.n_layers} layers × {scores.n_heads} heads"
    return f"{where}{tasks} ({named}), {size}, {part}, from {significant(low)} to {significant(high)}"


def understood(path: Path, overrides: Mapping[str, object]) -> Understood:
    """Read a file of scores, by the study.toml beside it where that names it; raises InputError as reading does."""
    study = open_source(path, overrides).study
    if study.scores is None:
        raise InputError("this is no file of scores", str(path), "Give the file itself, not a study of a model")
    section = study.scores
    stated = {n: getattr(section, n) for n in section.model_fields_set if n != "path"}
    return Understood(path, imported(study).blocks, stated)


def convert(path: Path, output: Path, overrides: Mapping[str, object]) -> Understood:
    """Write the tidy table that a file of scores was understood to hold."""
    if output.exists() and path.resolve() == output.resolve():
        raise InputError("this is the file itself", str(output), "Choose another name with -o")
    found = understood(path, overrides)
    write_atomic(output, tidy_csv(found.blocks))
    return found


def init_from(path: Path, folder: Path, overrides: Mapping[str, object]) -> Understood:
    """Write the study.toml of a file of scores: how it was read, and as comments what only the user can say."""
    if (folder / STUDY).exists():
        raise InputError("this file exists already", str(folder / STUDY), "Choose another folder")
    found = understood(path, overrides)
    name = Path(os.path.relpath(path, folder)).as_posix()
    title = tomli_w.dumps({"study": {"title": f"Attention-head importance: {path.stem}"}})
    stated = {n: list(v) if isinstance(v, tuple) else v for n, v in found.stated.items() if v is not None}
    scores = tomli_w.dumps({"scores": {"path": name, **stated}})
    lines = [*(f"# {line}" for line in found.lines), "", title, scores.rstrip()]
    asked = list(found.asked)
    if asked:
        lines += ["", "# What the file does not say, and no report guesses; they belong to [scores]:"]
        lines += [f"# {key} = {value}".ljust(28) + f"# {what}" for key, value, what in asked]
    tasks = ", ".join(json.dumps(task, ensure_ascii=False) for task in found.blocks[0].task_names[:2])
    if len(found.blocks[0].tasks) > 1:
        lines += ["", "# [tasks]", f"# groups = {{ some = [{tasks}] }}"]
    write_atomic(folder / STUDY, "\n".join(lines) + "\n")
    return found
