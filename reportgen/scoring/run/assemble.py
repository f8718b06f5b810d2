"""Put finished units together into HeadScores, one for each block of heads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from reportgen.core.scores import Examples, HeadScores, Method, Reduction, Task, reduce_examples
from reportgen.scoring.data.tasks import chance
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.run.prepare import SIGNED, Chosen, Prepared, PreparedTask, versions
from reportgen.scoring.run.shards import UnitScores


@dataclass(frozen=True)
class Scored:
    """All tasks' results of one method, in the order of the tasks, and what it says of each task and of all together,
    as in ``StudyScores``.
    """

    chosen: Chosen
    units: tuple[UnitScores, ...]
    diagnostics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    overall: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


def assemble(prepared: Prepared, scored: Scored, tasks: tuple[Task, ...]) -> tuple[HeadScores, ...]:
    """One HeadScores per block."""
    return tuple(_block(prepared, scored, tasks, block) for block in prepared.model.heads.blocks)


def described_tasks(prepared: Prepared, scored: list[Scored]) -> tuple[Task, ...]:
    """The tasks with the unchanged model's performance, from the first method that asked it for answers."""
    owner = {name: group for group, names in prepared.study.tasks.groups.items() for name in names}
    asked = next((s.units for s in scored if all(unit.baseline is not None for unit in s.units)), None)
    return tuple(
        _task(task, owner.get(task.name), None if asked is None else asked[t]) for t, task in enumerate(prepared.tasks)
    )


def _task(task: PreparedTask, group: str | None, unit: UnitScores | None) -> Task:
    if unit is None or unit.baseline is None:
        return Task(task.name, group, len(task.rows))
    plain = unit.baseline
    return Task(
        task.name,
        group,
        len(task.rows),
        accuracy=float(plain.correct.mean()),
        chance=chance(task.rows),
        log_probability=float(plain.log_probability.mean()),
        miss=float(plain.miss.mean()),
    )


def _block(prepared: Prepared, scored: Scored, tasks: tuple[Task, ...], block: str | None) -> HeadScores:
    scoring, heads = prepared.study.scoring, prepared.model.heads
    reduction: Reduction = "mean" if scored.chosen.signed else scored.chosen.method.reduction
    maps = [scattered(heads, unit.values, block) for unit in scored.units]
    errors = [None if unit.errors is None else scattered(heads, unit.errors, block) for unit in scored.units]
    return HeadScores(
        importance=np.stack([reduced(values, reduction) for values in maps]).astype(np.float32),
        tasks=tasks,
        method=_method(prepared, scored, reduction),
        model=prepared.model.described,
        reduction=reduction,
        seed=scoring.seed,
        block=block,
        versions=versions(),
        examples=tuple(_examples(t, v, e) for t, v, e in zip(prepared.tasks, maps, errors, strict=True)),
    )


def reduced(values: Float[np.ndarray, "example layer head"], how: Reduction) -> Float[np.ndarray, "layer head"]:
    """Of each head, over the examples that it was scored on: all of them, but for heads that left a race."""
    result = reduce_examples(values, how)
    for layer, head in np.argwhere(np.isnan(result)):
        scored = values[~np.isnan(values[:, layer, head]), layer, head]
        if len(scored):
            result[layer, head] = reduce_examples(scored[:, None, None], how)[0, 0]
    return result


def scattered(
    heads: Heads, values: Float[np.ndarray, "example site head"], block: str | None
) -> Float[np.ndarray, "example layer head"]:
    """The scores of one block by layer, NaN where a layer has no such head."""
    widest = max(site.heads for site in heads.sites if site.block == block)
    result = np.full((len(values), heads.depth[block], widest), np.nan, dtype=np.float32)
    for index, site in enumerate(heads.sites):
        if site.block == block:
            result[:, site.layer, : site.heads] = values[:, index, : site.heads]
    return result


def _examples(task: PreparedTask, values: np.ndarray, errors: np.ndarray | None) -> Examples:
    """The examples on which every head was scored: of a race those fixed beforehand."""
    ids, groups, scored = tuple(row.id for row in task.rows), tuple(row.group for row in task.rows), ~np.isnan(values)
    whole = np.flatnonzero(scored[:, scored.any(axis=0)].all(axis=1))
    if len(whole) == len(ids):
        return Examples(values, ids, groups, task.discovery, errors=errors)
    return Examples(values[whole], tuple(ids[i] for i in whole), tuple(groups[i] for i in whole), task.discovery[whole])


def _method(prepared: Prepared, scored: Scored, reduction: Reduction) -> Method:
    method, scoring, metric = scored.chosen.method, prepared.study.scoring, prepared.metric
    unit = method.unit.format(label=metric.label)
    measured = "{label}" in method.unit or "m(e" in method.formula
    settings: dict[str, object] = {**scored.chosen.parameters}
    if measured:
        settings["answer_reduction"] = scoring.answer_reduction
    if scoring.batch_size == "auto":
        settings["batch_size"] = prepared.batch_size
    if prepared.races(scored.chosen):
        settings |= {name: getattr(scoring, name) for name in ("examples", "confidence", "exact_top")} | {
            "top_k": prepared.top
        }
    if scoring.positions != "all":
        settings["positions"] = scoring.positions
    if method.reduction == "mean_abs":
        settings[SIGNED] = scored.chosen.signed
    return Method(
        method.name,
        f"|{unit}|" if reduction == "mean_abs" else unit,
        metric.name if measured else None,
        signed=scored.chosen.signed,
        parameters=settings,
        formula=method.formula,
        meaning=method.meaning,
        references=list(method.references),
        diagnostics=_diagnostics(prepared, scored),
        overall=_in_order(scored.overall),
    )


def _diagnostics(prepared: Prepared, scored: Scored) -> dict[str, dict[str, float | None]]:
    """What a method says of all tasks, and the mean of what it says of each example (NaN: nothing)."""
    found = {check: dict(by_task) for check, by_task in scored.diagnostics.items()}
    for task, unit in zip(prepared.tasks, scored.units, strict=True):
        for check, values in unit.checks.items():
            found.setdefault(check, {})[task.name] = float(np.nanmean(values))
    return {check: found[check] for check in sorted(found)}


def _in_order(overall: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """By name, as files keep them: a page made from a file must be the page made at first."""
    return {check: {name: numbers[name] for name in sorted(numbers)} for check, numbers in sorted(overall.items())}
