"""Score every head on every task: each method, task by task, so that finished parts are kept."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from reportgen.errors import InputError
from reportgen.scores import HeadScores
from reportgen.scoring.assemble import Scored, assemble, described_tasks
from reportgen.scoring.method import BatchScores, ScoringMethod, Setting, StudyScores, TaskExamples
from reportgen.scoring.metrics import Baseline, baseline
from reportgen.scoring.prepare import Chosen, Prepared, PreparedTask, prepare
from reportgen.scoring.tokens import Batch, collate
from reportgen.scoring.units import UnitScores, read_unit, unit_path, write_unit
from reportgen.study import Study

Progress = Callable[[str, int, int], None]
Notify = Callable[[str], None]
SAID = ("diagnostics", "overall")  # what a method of all tasks says beside its scores


def _silent(*_: object) -> None:
    pass


def score(
    study: Study, *, progress: Progress = _silent, units: Path | None = None, notify: Notify = _silent
) -> dict[str, tuple[HeadScores, ...]]:
    """Score the study's model on its tasks with each of its methods, the first method first.

    Each method gives one HeadScores, an encoder-decoder's one for each of its blocks ``enc``, ``dec`` and ``cross``.
    The activation norm, their control, is added to cheap methods. ``progress(method, done, total)`` is called before
    the first and after each batch. ``units`` is a folder in which every finished (method, task) is kept and from which
    it is taken again. ``notify`` gets a sentence for each thing a reader should know.
    Raises InputError for whatever in the study, the task file or the model folder cannot be used, before any unit is
    written (but for a model that puts out NaN, which shows only when it runs).
    """
    prepared = prepare(study)
    for note in prepared.notes:
        notify(note)
    run = _Run(prepared, progress, units, notify)
    scored = [run.method(chosen) for chosen in prepared.methods]
    tasks = described_tasks(prepared, scored)
    return {each.chosen.method.name: assemble(prepared, each, tasks) for each in scored}


class _Run:
    """One call of ``score``: what it reports to, and the batch size once memory has run out."""

    def __init__(self, prepared: Prepared, progress: Progress, units: Path | None, notify: Notify) -> None:
        self.prepared, self.progress, self.units, self.notify = prepared, progress, units, notify
        self.size = prepared.study.scoring.batch_size

    def method(self, chosen: Chosen) -> Scored:
        """All tasks of one method, from finished units where there are any."""
        tasks, name = self.prepared.tasks, chosen.method.name
        total, done, results = sum(len(task.batches) for task in tasks), 0, list[UnitScores]()
        self.progress(name, 0, total)
        if chosen.method.together is not None:
            return self._together(chosen, total)
        setting: Setting | None = None
        for task in tasks:
            unit = self._stored(chosen, task)
            if unit is None:
                setting = setting or self._setting(chosen)
                unit = self._fresh(setting, chosen, task, done, total)
            done += len(task.batches)
            self.progress(name, done, total)
            results.append(unit)
        return Scored(chosen, tuple(results))

    def _setting(self, chosen: Chosen) -> Setting:
        """What the method works with, and its references from the discovery half of all tasks."""
        setting = self.prepared.setting(chosen)
        while chosen.method.prepare is not None:
            planned = [task.in_batches(self.size) for task in self.prepared.tasks]
            batches = [self._batch(task, members) for task in planned for members in task.discovery_batches()]
            try:
                return self.prepared.setting(chosen, chosen.method.prepare(setting, batches))
            except RuntimeError as error:
                self._shrink(error, max(planned, key=lambda task: max(len(e.inputs) for e in task.encoded)))
        return setting

    def _stored(self, chosen: Chosen, task: PreparedTask) -> UnitScores | None:
        """A finished unit, also one of the smaller batches that a run went on with when memory had run out."""
        if self.units is None:
            return None
        size = self.prepared.study.scoring.batch_size
        for planned in (task.in_batches(size >> halvings) for halvings in range(size.bit_length())):
            key = self.prepared.unit_key(chosen, planned)
            unit = read_unit(unit_path(self.units, chosen.method.name, key), key)
            if unit is not None:
                return unit
        return None

    def _fresh(self, setting: Setting, chosen: Chosen, task: PreparedTask, done: int, total: int) -> UnitScores:
        while True:
            planned = task.in_batches(self.size)
            share = len(task.batches) / len(planned.batches)
            try:
                unit = self._unit(setting, chosen.method, planned, lambda n, d=done, s=share: self.progress(
                    chosen.method.name, d + int(n * s), total))  # type: ignore[misc]  # fmt: skip
                break
            except RuntimeError as error:
                self._shrink(error, task)
        if self.units is not None:
            key = self.prepared.unit_key(chosen, planned)
            write_unit(unit_path(self.units, chosen.method.name, key), key, unit)
        return unit

    def _shrink(self, error: RuntimeError, task: PreparedTask) -> None:
        """Halve the batches after memory has run out; raise what is another fault, or cannot be mended so."""
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise error
        if self.size == 1:
            mend = "Use a smaller model or shorter prompts, a narrower dtype, or a machine with more memory"
            raise InputError("out of memory with batches of one example", f"task {task.name}", mend) from error
        self.size = max(1, min(self.size, max(map(len, task.in_batches(self.size).batches))) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.notify(f"memory ran out in task {task.name}: going on with batches of {self.size}")

    def _unit(
        self, setting: Setting, method: ScoringMethod, task: PreparedTask, progress: Callable[[int], None]
    ) -> UnitScores:
        parts: list[tuple[list[int], BatchScores, Baseline | None]] = []
        for done, members in enumerate(task.batches):
            if done:  # the task's end is reported once it is kept
                progress(done)
            batch = self._batch(task, members)
            assert method.score is not None, "methods of all tasks are scored in _together"
            scored = method.score(setting, batch)
            _refuse_nan(setting, task, members, scored.logits, batch)
            _refuse_nonfinite(setting, task, members, scored.values)
            plain = None if scored.logits is None else baseline(scored.logits, batch)
            parts.append((list(members), scored, plain))
        return _joined(parts, len(task.encoded))

    def _batch(self, task: PreparedTask, members: tuple[int, ...]) -> Batch:
        model = self.prepared.model
        return collate([task.encoded[i] for i in members], model.tokenizer.pad_token_id or 0, model.device)

    def _together(self, chosen: Chosen, total: int) -> Scored:
        key = self.prepared.study_key(chosen)
        path = None if self.units is None else unit_path(self.units, chosen.method.name, key)
        assert chosen.method.together is not None
        stored = None if path is None else read_unit(path, key)
        sizes = [len(task.encoded) for task in self.prepared.tasks]
        if stored is None:
            tasks = [TaskExamples(t.name, t.encoded, t.batches) for t in self.prepared.tasks]
            report = partial(self._step, chosen.method.name, total)
            made = chosen.method.together(self.prepared.setting(chosen), tasks, report)
            values = np.concatenate([made.values[t.name] for t in self.prepared.tasks])
            stored = UnitScores(values, None, None, _flattened(made))
            if path is not None:
                write_unit(path, key, stored)
        self.progress(chosen.method.name, total, total)
        parts = np.split(stored.values, np.cumsum(sizes)[:-1])
        units = tuple(UnitScores(part, None) for part in parts)
        return Scored(chosen, units, *(_unflattened(stored.checks, said) for said in SAID))

    def _step(self, name: str, total: int, done: int) -> None:
        self.progress(name, min(done, total), total)


def _flattened(made: StudyScores) -> dict[str, np.ndarray]:
    """What is said of each task and of all, as a unit can hold it."""
    return {f"{said}\n{check}\n{name}": np.array([np.nan if value is None else value])
            for said in SAID for check, of in getattr(made, said).items() for name, value in of.items()}  # fmt: skip


def _unflattened(stored: Mapping[str, np.ndarray], wanted: str) -> dict[str, dict[str, float | None]]:
    """One part of it again, in an order of its own, which a file does not keep."""
    result: dict[str, dict[str, float | None]] = {}
    for key in sorted(stored):
        said, check, name = key.split("\n", 2)
        if said == wanted:
            value = float(stored[key][0])
            result.setdefault(check, {})[name] = None if np.isnan(value) else value
    return result


def _joined(parts: list[tuple[list[int], BatchScores, Baseline | None]], n: int) -> UnitScores:
    """Batches go by length, results by place in the file."""
    order = np.argsort([i for members, _, _ in parts for i in members])
    assert len(order) == n, "every example is in one batch"

    def together(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)[order]

    scored, plain = [s for _, s, _ in parts], [b for _, _, b in parts if b is not None]
    errors = [s.errors for s in scored if s.errors is not None]
    return UnitScores(
        together([s.values for s in scored]),
        Baseline(together([b.correct for b in plain]), together([b.log_probability for b in plain])) if plain else None,
        together(errors) if errors else None,
        {name: together([s.checks[name] for s in scored]) for name in scored[0].checks},
    )


def _refuse_nan(
    setting: Setting, task: PreparedTask, members: tuple[int, ...], logits: torch.Tensor | None, batch: Batch
) -> None:
    bad = torch.empty(0) if logits is None else batch.owner[torch.isnan(logits).any(dim=1)]
    if len(bad):
        example = int(bad[0])
        row, layer = task.rows[members[example]], setting.model.first_nan(batch.taken([example]))
        mend = 'Check the weights, or compute in dtype = "float32"'
        place = f"task {task.name}, example {row.id!r} ({row.place})"
        raise InputError(f"the model's logits hold NaN, first in {layer}", place, mend)


def _refuse_nonfinite(setting: Setting, task: PreparedTask, members: tuple[int, ...], values: np.ndarray) -> None:
    for index, site in enumerate(setting.heads.sites):
        bad = np.argwhere(~np.isfinite(values[:, index, : site.heads]))
        if len(bad):
            row = task.rows[members[int(bad[0, 0])]]
            name = f"{f'{site.block}.' if site.block else ''}L{site.layer}H{bad[0, 1]}"
            place = f"task {task.name}, example {row.id!r} ({row.place}), {name}"
            raise InputError("the score is not finite", place, 'Compute in dtype = "float32", or change the metric')
