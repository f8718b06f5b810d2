"""Put finished shards together into HeadScores, one for each block of heads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from reportgen.core.scores import Examples, HeadScores, Method, Reduction, Task, reduce_examples
from reportgen.scoring.data.tasks import chance
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.run.prepare import SIGNED, Chosen, Prepared, PreparedTask, versions
from reportgen.scoring.run.race import race_result
from reportgen.scoring.run.shards import SUMMARIES, Shard, ShardScores, concatenated, unflattened

SMALLER = "batch size after memory ran out"  # a diagnostic of the tasks to which it happened


@dataclass(frozen=True)
class Scored:
    """All tasks' results of one method, in the order of the tasks, and its numbers of each task and of all together, as
    in ``StudyScores``.
    """

    chosen: Chosen
    tasks: tuple[ShardScores, ...]
    diagnostics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    overall: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


def assemble(
    prepared: Prepared, shards: Sequence[Shard], results: Mapping[str, ShardScores], notify: Callable[[str], None]
) -> dict[str, tuple[HeadScores, ...]]:
    """Return each method's scores, one HeadScores per block; ``notify`` gets a sentence on how each race ended."""
    scored = [_of_method(prepared, chosen, shards, results, notify) for chosen in prepared.methods]
    tasks = described_tasks(prepared, scored)
    blocks = prepared.model.heads.blocks
    return {each.chosen.method.name: tuple(_block(prepared, each, tasks, b) for b in blocks) for each in scored}


def _of_method(
    prepared: Prepared,
    chosen: Chosen,
    shards: Sequence[Shard],
    results: Mapping[str, ShardScores],
    notify: Callable[[str], None],
) -> Scored:
    """Return a method's scores task by task, each in file order."""
    own = [shard for shard in shards if shard.method == chosen.method.name]
    if chosen.method.together is not None:
        stored = results[own[0].key]
        parts = np.split(stored.values, np.cumsum([len(t.encoded) for t in prepared.tasks])[:-1])
        tasks = tuple(ShardScores(part, None) for part in parts)
        return Scored(chosen, tasks, *(unflattened(stored.checks, summary) for summary in SUMMARIES))
    by_task: list[list[Shard]] = [[] for _ in prepared.tasks]
    for shard in own:
        assert shard.task is not None, "only methods of all tasks have shards without one"
        by_task[shard.task].append(shard)
    joined = tuple(_joined(of_task, results) for of_task in by_task)
    overall: dict[str, dict[str, float | None]] = {}
    if prepared.races(chosen):
        ended = [race_result(prepared, chosen, task, raced) for task, raced in zip(prepared.tasks, joined, strict=True)]
        joined = tuple(scores for _, scores, _ in ended)
        for sentence, _, effects in ended:
            notify(sentence)
            overall |= {title: dict(of) for title, of in effects.items()}
    return Scored(chosen, joined, _shrunk(prepared, own, results), overall)


def smaller_batches(prepared: Prepared, shard: Shard, scores: ShardScores) -> str | None:
    """Return a sentence on a shard that memory was too small for, None where it was not."""
    if shard.task is None or scores.batch_size == max(map(len, shard.batches)):
        return None
    return f"memory ran out in task {prepared.tasks[shard.task].name}: going on with batches of {scores.batch_size}"


def _shrunk(
    prepared: Prepared, own: Sequence[Shard], results: Mapping[str, ShardScores]
) -> dict[str, dict[str, float | None]]:
    """Return the smallest batch of each task that memory was too small for: the last digits depend on it."""
    found: dict[str, float | None] = {}
    for shard in own:
        if shard.task is not None and smaller_batches(prepared, shard, results[shard.key]):
            name, size = prepared.tasks[shard.task].name, results[shard.key].batch_size
            found[name] = min(size, found.get(name) or size)
    return {SMALLER: found} if found else {}


def _joined(shards: Sequence[Shard], results: Mapping[str, ShardScores]) -> ShardScores:
    """Join a task's shards: they go by length, the result by the examples' order in the file."""
    order = np.argsort([i for shard in shards for batch in shard.batches for i in batch])
    whole = concatenated([results[shard.key] for shard in shards])
    baseline = whole.baseline
    return ShardScores(
        whole.values[order],
        None if baseline is None else baseline.taken(order),
        None if whole.errors is None else whole.errors[order],
        {name: numbers[order] for name, numbers in whole.checks.items()},
    )


def described_tasks(prepared: Prepared, scored: list[Scored]) -> tuple[Task, ...]:
    """Describe the tasks with the unchanged model's performance, from the first method that asked it for answers."""
    owner = {name: group for group, names in prepared.study.tasks.groups.items() for name in names}
    asked = next((s.tasks for s in scored if all(task.baseline is not None for task in s.tasks)), None)
    return tuple(
        _task(task, owner.get(task.name), None if asked is None else asked[t]) for t, task in enumerate(prepared.tasks)
    )


def _task(task: PreparedTask, group: str | None, scores: ShardScores | None) -> Task:
    if scores is None or scores.baseline is None:
        return Task(task.name, group, len(task.rows))
    plain = scores.baseline
    return Task(
        task.name,
        group,
        len(task.rows),
        accuracy=float(plain.correct.mean()),
        chance=chance(task.rows),
        log_probability=float(plain.log_probability.mean()),
        miss=float(plain.miss.mean()),
        argmax=None if plain.argmax is None else float(plain.argmax.mean()),
    )


def _block(prepared: Prepared, scored: Scored, tasks: tuple[Task, ...], block: str | None) -> HeadScores:
    scoring, heads = prepared.study.scoring, prepared.model.heads
    reduction: Reduction = "mean" if scored.chosen.signed else scored.chosen.method.reduction
    maps = [scattered(heads, task.values, block) for task in scored.tasks]
    errors = [None if task.errors is None else scattered(heads, task.errors, block) for task in scored.tasks]
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
        plugins=prepared.plugins,
    )


def reduced(values: Float[np.ndarray, "example layer head"], how: Reduction) -> Float[np.ndarray, "layer head"]:
    """Reduce each head over the examples that it was scored on: all of them, but for heads that left a race."""
    result = reduce_examples(values, how)
    for layer, head in np.argwhere(np.isnan(result)):
        scored = values[~np.isnan(values[:, layer, head]), layer, head]
        if len(scored):
            result[layer, head] = reduce_examples(scored[:, None, None], how)[0, 0]
    return result


def scattered(
    heads: Heads, values: Float[np.ndarray, "example site head"], block: str | None
) -> Float[np.ndarray, "example layer head"]:
    """Return the scores of one block by layer, NaN where a layer has no such head."""
    widest = max(site.heads for site in heads.sites if site.block == block)
    result = np.full((len(values), heads.depth[block], widest), np.nan, dtype=np.float32)
    for index, site in enumerate(heads.sites):
        if site.block == block:
            result[:, site.layer, : site.heads] = values[:, index, : site.heads]
    return result


def _examples(task: PreparedTask, values: np.ndarray, errors: np.ndarray | None) -> Examples:
    """Return the examples on which every head was scored: of a race those fixed beforehand."""
    ids, groups, scored = tuple(row.id for row in task.rows), tuple(row.group for row in task.rows), ~np.isnan(values)
    whole = np.flatnonzero(scored[:, scored.any(axis=0)].all(axis=1))
    if len(whole) == len(ids):
        return Examples(values, ids, groups, task.discovery, errors=errors)
    return Examples(values[whole], tuple(ids[i] for i in whole), tuple(groups[i] for i in whole), task.discovery[whole])


def _method(prepared: Prepared, scored: Scored, reduction: Reduction) -> Method:
    method, scoring, metric = scored.chosen.method, prepared.study.scoring, prepared.metric
    unit = method.unit.format(label=metric.label)
    measured = "{label}" in method.unit or "m(e" in method.formula
    settings: dict[str, object] = scored.chosen.parameters.model_dump()
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
        family=method.family,
        limit=method.limit,
    )


def _diagnostics(prepared: Prepared, scored: Scored) -> dict[str, dict[str, float | None]]:
    """Return what a method says of all tasks, and the mean of what it says of each example (NaN: nothing)."""
    found = {check: dict(by_task) for check, by_task in scored.diagnostics.items()}
    for task, scores in zip(prepared.tasks, scored.tasks, strict=True):
        for check, values in scores.checks.items():
            found.setdefault(check, {})[task.name] = float(np.nanmean(values))
    return {check: found[check] for check in sorted(found)}


def _in_order(overall: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Sort by name, as files keep them: a page made from a file must be the page made at first."""
    return {check: {name: numbers[name] for name in sorted(numbers)} for check, numbers in sorted(overall.items())}
