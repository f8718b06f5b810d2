"""What an importer is: a file format made elsewhere, read into HeadScores."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reportgen.errors import InputError
from reportgen.scores import Examples, Head, HeadScores, Method, Model, Task, reduce_examples, split_halves
from reportgen.study import ScoresSection


@dataclass(frozen=True)
class Importer:
    """A plug-in: ``claims`` says from name and content whether a file is of this format, ``load`` reads it."""

    name: str
    summary: str
    claims: Callable[[Path], bool]
    load: Callable[[Path, ScoresSection], HeadScores]


def model_of(section: ScoresSection, shape: tuple[int, ...]) -> Model:
    """What the section says of the model; raises InputError where it contradicts the scores' shape."""
    for name, said, found in (("layers", section.layers, shape[1]), ("heads", section.heads, shape[2])):
        if said is not None and said != found:
            mend = "Correct the number in study.toml, or remove the key"
            raise InputError(f"{said} {name} expected, but the file holds {found}", f"[scores] {name}", mend)
    if section.kv_groups is not None and shape[2] % section.kv_groups:
        problem = f"{section.kv_groups} key/value heads do not divide {shape[2]} heads"
        raise InputError(problem, "[scores] kv_groups", "Give the model's number of key/value heads")
    return Model(kv_groups=section.kv_groups)


def method_of(section: ScoresSection, default: str) -> Method:
    """The method that the section names, or the importer's own name for it."""
    return Method(section.method or default, unit=section.unit, signed=section.signed)


def scores_from_examples(
    names: list[str],
    examples: list[Examples | None],
    importance: list[np.ndarray],
    section: ScoresSection,
    method: Method,
) -> HeadScores:
    """HeadScores from per-task arrays: the mean over examples where there are any (of |·| for signed scores)."""
    for name, e in zip(names, examples, strict=True):
        if e is not None:
            _refuse_partial(name, e)
    reduction = "mean_abs" if section.signed else "mean"
    maps = [
        reduce_examples(e.values, reduction) if e is not None else values  # type: ignore[arg-type]
        for e, values in zip(examples, importance, strict=True)
    ]
    tensor = np.stack(maps)
    tasks = tuple(Task(n, n=None if e is None else len(e.ids)) for n, e in zip(names, examples, strict=True))
    return HeadScores(
        tensor, tasks, method, model_of(section, tensor.shape), tuple(examples),
        reduction=reduction, synthetic=section.synthetic,  # type: ignore[arg-type]
    )  # fmt: skip


def _refuse_partial(task: str, examples: Examples) -> None:
    """A head that is NaN in some examples only is a fault of the data, not a head that the model lacks."""
    missing = np.isnan(examples.values)
    for e, layer, head in np.argwhere(missing & ~missing.all(axis=0))[:1]:
        place = f"task {task}, example {examples.ids[e]}, {Head(int(layer), int(head))}"
        raise InputError("importance is nan, but not in every example", place, "Give a finite number in every example")


def as_examples(values: np.ndarray, ids: list[str], ordered: bool, seed: int = 0, **rest: Any) -> Examples:
    """Per-example scores with each example its own group, split in halves."""
    return Examples(
        values.astype(np.float32), tuple(ids), tuple(ids), split_halves(ids, seed, ordered), ordered, **rest
    )
