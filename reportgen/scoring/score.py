"""Score every head of a model on every task: the first of the three stages."""

import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reportgen.errors import InputError
from reportgen.scores import Examples, HeadScores, Method, Reduction, Task, reduce_examples, split_halves
from reportgen.scoring.decoder import Decoder, load, nearest
from reportgen.scoring.method import Measure, ScoringMethod
from reportgen.scoring.methods import METHODS
from reportgen.scoring.metrics import METRICS, Baseline, baseline, measure
from reportgen.scoring.tasks import Row, chance, read_tasks
from reportgen.scoring.tokens import Batch, Encoded, collate, encode, plan_batches
from reportgen.scoring.units import UnitScores, read_unit, unit_path, write_unit
from reportgen.store import key_of
from reportgen.study import Study

Progress = Callable[[str, int, int], None]
UNIT_FORMAT = 1  # raised when the same inputs come to mean other numbers
REDUCTION: Reduction = "mean_abs"


@dataclass(frozen=True)
class PreparedTask:
    """A task's tokenised rows in file order, and the indices of each batch's examples."""

    name: str
    rows: tuple[Row, ...]
    encoded: tuple[Encoded, ...]
    batches: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Prepared:
    """All that scoring needs, read and checked: the methods with their parameters, the model and the tasks."""

    study: Study
    methods: tuple[tuple[ScoringMethod, Mapping[str, int]], ...]
    decoder: Decoder
    tasks: tuple[PreparedTask, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MethodCost:
    """What one method will cost: work in plain forwards of one batch each, and a rough time in seconds."""

    method: str
    forwards: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run will cost, before it is run: ``examples`` per task, batches, work per method, memory in bytes."""

    examples: dict[str, int]
    batches: int
    layers: int
    heads: int
    methods: tuple[MethodCost, ...]
    memory_bytes: int
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Rough time of all methods together."""
        return sum(method.seconds for method in self.methods)


def _silent(*_: Any) -> None:
    pass


def score(
    study: Study, *, progress: Progress = _silent, units: Path | None = None, notify: Callable[[str], None] = _silent
) -> dict[str, HeadScores]:
    """Score the study's model on its tasks with each of its methods, the first method first.

    ``progress(method, done, total)`` is called before the first and after each batch. ``units`` is a folder in which
    every finished (method, task) is kept and from which it is taken again. ``notify`` gets a sentence for each thing a
    reader should know. Examples hold signed values, importance is the mean over examples of their absolute value.
    Raises InputError for whatever in the study, the task file or the model folder cannot be used, before any unit is
    written (but for a model that puts out NaN, which shows only when it runs).
    """
    prepared = prepare(study)
    for note in prepared.notes:
        notify(note)
    results: dict[str, list[UnitScores]] = {}
    for method, parameters in prepared.methods:
        results[method.name] = _score_tasks(prepared, method, parameters, progress, units)
    tasks = _described_tasks(prepared, results[prepared.methods[0][0].name])
    return {m.name: _assemble(prepared, m, parameters, results[m.name], tasks) for m, parameters in prepared.methods}


def prepare(study: Study) -> Prepared:
    """Read and check all inputs, cheapest first; raises InputError for the first that cannot be used."""
    if study.model is None or study.tasks.path is None:
        raise InputError("the study names no model to score", "[model]", "Give [model] and [tasks]")
    methods = _chosen(study)
    file = read_tasks(study.tasks.path, study.tasks.format, study.tasks.limit)
    # the groups' own check, on scores that hold nothing yet: it should not wait for the model
    HeadScores.from_array(np.zeros((len(file.tasks), 1, 1)), list(file.tasks)).with_groups(study.tasks.groups)
    decoder = load(study.model, _path_as_given(study))
    notes = [*file.notes]
    tasks = tuple(_prepare_task(study, decoder, name, rows, notes) for name, rows in file.tasks.items())
    if not decoder.resumes:
        notes.append("this model's layers cannot be resumed one by one: ablation runs the whole model for every head")
    return Prepared(study, methods, decoder, tasks, tuple(notes))


def _chosen(study: Study) -> tuple[tuple[ScoringMethod, Mapping[str, int]], ...]:
    known = {method.name: method for method in METHODS}
    names = list(dict.fromkeys([study.scoring.method, *study.scoring.also]))
    for name, key in [*((n, "method" if n == names[0] else "also") for n in names),
                      *((n, "parameters") for n in study.scoring.parameters)]:  # fmt: skip
        if name not in known:
            raise InputError(f"no scoring method is called {name!r}", f"[scoring] {key}", nearest(name, list(known)))
    return tuple((known[n], _parameters(known[n], study.scoring.parameters.get(n, {}))) for n in names)


def _parameters(method: ScoringMethod, given: dict[str, Any]) -> Mapping[str, int]:
    place = f"[scoring] parameters.{method.name}"
    for name, value in given.items():
        if name not in method.defaults:
            mend = nearest(name, list(method.defaults)) if method.defaults else "Remove it: this method has none"
            raise InputError(f"unknown parameter {name!r}", place, mend)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is {value!r}", place, "Give a whole number from 1")
    return {**method.defaults, **given}


def _path_as_given(study: Study) -> str | None:
    raw = tomllib.loads(study.source).get("model", {}) if study.source else {}
    path = raw.get("path")
    return path if isinstance(path, str) else None


def _prepare_task(study: Study, decoder: Decoder, name: str, rows: tuple[Row, ...], notes: list[str]) -> PreparedTask:
    foils = METRICS[study.scoring.metric].needs_foil
    encoded = tuple(encode(decoder.tokenizer, r, study.tasks.delimiter, decoder.context, foils) for r in rows)
    unknown = sum(decoder.tokenizer.unk_token_id in e.answer for e in encoded)
    # many byte-level tokenizers name an end-of-text token as their unknown one, and never put it out
    if unknown:
        notes.append(f"task {name}: the tokenizer does not know a word of the answer in {unknown} of {len(rows)} rows")
    batches = plan_batches(encoded, study.scoring.batch_size)
    return PreparedTask(name, rows, encoded, tuple(tuple(batch) for batch in batches))


def _score_tasks(
    prepared: Prepared, method: ScoringMethod, parameters: Mapping[str, int], progress: Progress, units: Path | None
) -> list[UnitScores]:
    total, done, results = sum(len(task.batches) for task in prepared.tasks), 0, []
    progress(method.name, 0, total)
    for task in prepared.tasks:
        key = _unit_key(prepared, method, parameters, task)
        path = None if units is None else unit_path(units, method.name, key)
        unit = None if path is None else read_unit(path, key)
        if unit is None:
            unit = _score_unit(
                prepared, method, parameters, task, partial(_advance, progress, method.name, done, total)
            )
            if path is not None:
                write_unit(path, key, unit)
        done += len(task.batches)
        progress(method.name, done, total)
        results.append(unit)
    return results


def _advance(progress: Progress, stage: str, before: int, total: int, done: int) -> None:
    progress(stage, before + done, total)


def _unit_key(prepared: Prepared, method: ScoringMethod, parameters: Mapping[str, int], task: PreparedTask) -> str:
    """A hash of all that a unit's numbers depend on, the composition of its batches among it."""
    study, scoring = prepared.study, prepared.study.scoring
    assert study.model is not None, "checked in prepare"
    decoder, dtype = prepared.decoder, study.model.dtype
    model = [decoder.described.weights_sha256, dtype, decoder.device.type, decoder.model.config.to_json_string()]
    metric = [scoring.metric, scoring.answer_reduction]
    examples = [[e.ids, e.start, e.foil] for e in task.encoded]
    return key_of([UNIT_FORMAT, method.name, dict(parameters), metric, model, _versions(), examples, task.batches])


def _score_unit(
    prepared: Prepared, method: ScoringMethod, parameters: Mapping[str, int], task: PreparedTask,
    progress: Callable[[int], None],
) -> UnitScores:  # fmt: skip
    decoder, n = prepared.decoder, len(task.encoded)
    values = np.empty((n, *decoder.heads.shape), dtype=np.float32)
    correct, log_probability = np.empty(n, dtype=bool), np.empty(n)
    for done, members in enumerate(task.batches):
        if done:  # the task's end is reported once it is kept
            progress(done)
        batch = _batch(decoder, task, members)
        scored = method.score(decoder, batch, _measure(prepared.study), parameters)
        _refuse_nan(task, members, scored.logits, batch)
        plain = baseline(scored.logits, batch)
        where = list(members)  # batches go by length, results by place in the file
        values[where], correct[where], log_probability[where] = scored.values, plain.correct, plain.log_probability
        _refuse_nonfinite(prepared, task, members, scored.values)
    return UnitScores(values, Baseline(correct, log_probability))


def _batch(decoder: Decoder, task: PreparedTask, members: tuple[int, ...]) -> Batch:
    pad = decoder.tokenizer.pad_token_id or 0
    return collate([task.encoded[i] for i in members], pad, decoder.device)


def _measure(study: Study) -> Measure:
    metric, reduction = METRICS[study.scoring.metric], study.scoring.answer_reduction
    return lambda logits, batch: measure(metric, logits, batch, reduction)


def _refuse_nan(task: PreparedTask, members: tuple[int, ...], logits: torch.Tensor, batch: Batch) -> None:
    bad = batch.owner[torch.isnan(logits).any(dim=1)]
    if len(bad):
        row = task.rows[members[int(bad[0])]]
        mend = 'Check the weights, or compute in dtype = "float32"'
        raise InputError("the model's logits hold NaN", f"task {task.name}, example {row.id!r} ({row.place})", mend)


def _refuse_nonfinite(prepared: Prepared, task: PreparedTask, members: tuple[int, ...], values: np.ndarray) -> None:
    layers = prepared.decoder.heads.layers
    for index in prepared.decoder.heads.attending:
        bad = np.argwhere(~np.isfinite(values[:, index, : layers[index].heads]))
        if len(bad):
            row = task.rows[members[int(bad[0, 0])]]
            place = f"task {task.name}, example {row.id!r} ({row.place}), L{index}H{bad[0, 1]}"
            raise InputError("the score is not finite", place, 'Compute in dtype = "float32", or change the metric')


def _described_tasks(prepared: Prepared, results: list[UnitScores]) -> tuple[Task, ...]:
    owner = {name: group for group, names in prepared.study.tasks.groups.items() for name in names}
    return tuple(
        Task(
            task.name, owner.get(task.name), len(task.rows),
            accuracy=float(unit.baseline.correct.mean()), chance=chance(task.rows),
            log_probability=float(unit.baseline.log_probability.mean()), miss=float(unit.baseline.miss.mean()),
        )
        for task, unit in zip(prepared.tasks, results, strict=True)
    )  # fmt: skip


def _assemble(
    prepared: Prepared, method: ScoringMethod, parameters: Mapping[str, int], results: list[UnitScores],
    tasks: tuple[Task, ...],
) -> HeadScores:  # fmt: skip
    scoring = prepared.study.scoring
    metric = METRICS[scoring.metric]
    described = Method(method.name, method.unit.format(label=metric.label), metric.name, signed=False,
                       parameters={**parameters, "answer_reduction": scoring.answer_reduction},
                       formula=method.formula, meaning=method.meaning, references=list(method.references))  # fmt: skip
    return HeadScores(
        importance=np.stack([reduce_examples(unit.values, REDUCTION) for unit in results]).astype(np.float32),
        tasks=tasks, method=described, model=prepared.decoder.described, reduction=REDUCTION, seed=scoring.seed,
        examples=tuple(_examples(t, u, scoring.seed) for t, u in zip(prepared.tasks, results, strict=True)),
        versions=_versions(),
    )  # fmt: skip


def _examples(task: PreparedTask, unit: UnitScores, seed: int) -> Examples:
    groups = tuple(row.group for row in task.rows)
    return Examples(unit.values, tuple(row.id for row in task.rows), groups, split_halves(groups, seed))


def _versions() -> dict[str, str]:
    import transformers

    try:
        own = version("reportgen")
    except PackageNotFoundError:
        own = "unknown"
    return {"torch": str(torch.__version__), "transformers": str(transformers.__version__), "reportgen": own}


def plan(study: Study) -> Plan:
    """What ``score(study)`` would cost: reads and checks all inputs and times one plain forward of a middling batch."""
    prepared = prepare(study)
    tasks, (layers, heads) = prepared.tasks, prepared.decoder.heads.shape
    batches = [(task, members) for task in tasks for members in task.batches]
    tokens = sorted(batches, key=lambda b: max(len(b[0].encoded[i].ids) for i in b[1]) * len(b[1]))
    each = _seconds_per_forward(prepared.decoder, _batch(prepared.decoder, *tokens[len(tokens) // 2]))
    works = [(m.name, m.forwards(prepared.decoder.heads) * len(batches)) for m, _ in prepared.methods]
    costs = tuple(MethodCost(name, work, work * each) for name, work in works)
    copies = max(parameters.get("heads_at_once", 1) for _, parameters in prepared.methods)
    memory = _memory(prepared.decoder, _batch(prepared.decoder, *tokens[-1]), max(layers, copies))
    return Plan({t.name: len(t.rows) for t in tasks}, len(batches), layers, heads, costs, memory, prepared.notes)


@torch.no_grad()
def _seconds_per_forward(decoder: Decoder, batch: Batch) -> float:
    decoder.answer_logits(batch)  # the first run allocates
    start = time.perf_counter()
    decoder.answer_logits(batch).sum().item()  # .item() waits for an accelerator
    return time.perf_counter() - start


def _memory(decoder: Decoder, batch: Batch, copies: int) -> int:
    """Bytes, roughly: the weights, some 16 activations per token and layer (or copy), three copies of the logits."""
    weights = sum(p.numel() * p.element_size() for p in decoder.model.parameters())
    size, width = decoder.model.get_input_embeddings().weight.shape
    activations = batch.input_ids.numel() * width * 16 * copies * decoder.model.dtype.itemsize
    return int(weights + activations + 3 * 4 * len(batch.target) * copies * size)
