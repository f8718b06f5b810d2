"""What computes units: one loaded model, whichever process it is in."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.data.metrics import Baseline, baseline
from reportgen.scoring.methods.common.method import BatchScores, Setting, TaskExamples
from reportgen.scoring.run.memory import halved
from reportgen.scoring.run.prepare import Chosen, Prepared, PreparedTask
from reportgen.scoring.run.racing import Racing
from reportgen.scoring.run.shards import Unit, UnitScores, flattened

Done = Callable[[int], None]  # told the number of a unit's examples that are done
Members = tuple[int, ...]


class Worker:
    """Computes units of a prepared study, one at a time."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.settings: dict[str, tuple[Setting, int]] = {}  # by method: what it works with, and its references' batches

    def run(self, unit: Unit, done: Done, size: int = 0, reference_size: int = 0) -> UnitScores:
        """The unit's scores. Where memory runs out, the unit begins again with batches half as large.

        That depends on the unit and the machine's memory alone, not on what was computed before. ``size`` and
        ``reference_size`` are batch sizes to begin with, where a run that went before knows them (0: as planned).
        Raises InputError where a batch of one example does not fit, or where numbers are not finite.
        """
        chosen = unit.chosen
        if unit.task is None:
            return self._together(chosen, done)
        setting, references = self._setting(chosen, reference_size)
        task = self.prepared.tasks[unit.task]
        size = size or max(map(len, unit.batches))
        while True:
            batches = [batch[i : i + size] for batch in unit.batches for i in range(0, len(batch), size)]
            try:
                if self.prepared.races(chosen):
                    scores = Racing(self.prepared, unit, setting, size, self.scored).run(done)
                else:
                    scores = self._batches(setting, chosen, task, batches, done)
                return replace(scores, batch_size=size, reference_size=references)
            except (RuntimeError, MemoryError) as error:
                size = halved(size, error, f"task {task.name}")

    def _setting(self, chosen: Chosen, size: int) -> tuple[Setting, int]:
        """What the method works with, its references from the discovery half of all tasks among it."""
        name = chosen.method.name
        if name not in self.settings:
            self.settings[name] = self._fresh_setting(chosen, size or self.prepared.batch_size)
        return self.settings[name]

    def _fresh_setting(self, chosen: Chosen, size: int) -> tuple[Setting, int]:
        setting = self.prepared.setting(chosen)
        if chosen.method.prepare is None:
            return setting, 0
        while True:
            tasks = [task.in_batches(size) for task in self.prepared.tasks]
            batches = [self._batch(task, members) for task in tasks for members in task.discovery_batches()]
            try:
                return self.prepared.setting(chosen, chosen.method.prepare(setting, batches)), size
            except (RuntimeError, MemoryError) as error:
                size = halved(size, error, f"the references of {chosen.method.name}")

    def _batches(
        self, setting: Setting, chosen: Chosen, task: PreparedTask, batches: list[Members], done: Done
    ) -> UnitScores:
        parts, count = list[tuple[BatchScores, Baseline | None]](), 0
        for members in batches:
            parts.append(self.scored(setting, chosen, task, members))
            count += len(members)
            done(count)
        return _joined(parts)

    def scored(
        self, setting: Setting, chosen: Chosen, task: PreparedTask, members: Members
    ) -> tuple[BatchScores, Baseline | None]:
        """One batch's scores and the unchanged model's baseline; raises InputError where numbers are not finite."""
        batch = self._batch(task, members)
        assert chosen.method.score is not None, "methods of all tasks are scored in _together"
        scored = chosen.method.score(setting, batch)
        _refuse_nan(setting, task, members, scored.logits, batch)
        _refuse_nonfinite(setting, task, members, scored.values)
        return scored, None if scored.logits is None else baseline(scored.logits, batch)

    def _batch(self, task: PreparedTask, members: Members) -> Batch:
        model = self.prepared.model
        return collate([task.encoded[i] for i in members], model.tokenizer.pad_token_id or 0, model.device)

    def _together(self, chosen: Chosen, done: Done) -> UnitScores:
        tasks, sizes = self.prepared.tasks, [len(batch) for t in self.prepared.tasks for batch in t.batches]
        ends = np.cumsum(sizes)
        assert chosen.method.together is not None, "only methods of all tasks have units without one"
        given = [TaskExamples(t.name, t.encoded, t.batches) for t in tasks]
        made = chosen.method.together(
            self.prepared.setting(chosen), given, lambda batches: done(int(ends[min(batches, len(ends)) - 1]))
        )
        values = np.concatenate([made.values[t.name] for t in tasks])
        return UnitScores(values, None, None, flattened(made), max(sizes))


def _joined(parts: list[tuple[BatchScores, Baseline | None]]) -> UnitScores:
    scored, plain = [s for s, _ in parts], [b for _, b in parts if b is not None]
    errors = [s.errors for s in scored if s.errors is not None]
    return UnitScores(
        np.concatenate([s.values for s in scored]),
        Baseline(np.concatenate([b.correct for b in plain]), np.concatenate([b.log_probability for b in plain]))
        if plain
        else None,
        np.concatenate(errors) if errors else None,
        {name: np.concatenate([s.checks[name] for s in scored]) for name in scored[0].checks},
    )


def _refuse_nan(
    setting: Setting, task: PreparedTask, members: Members, logits: torch.Tensor | None, batch: Batch
) -> None:
    bad = torch.empty(0) if logits is None else batch.owner[torch.isnan(logits).any(dim=1)]
    if len(bad):
        example = int(bad[0])
        row, layer = task.rows[members[example]], setting.model.first_nan(batch.taken([example]))
        hint = 'Check the weights, or compute in dtype = "float32"'
        place = f"task {task.name}, example {row.id!r} ({row.place})"
        raise InputError(f"the model's logits hold NaN, first in {layer}", place, hint)


def _refuse_nonfinite(setting: Setting, task: PreparedTask, members: Members, values: np.ndarray) -> None:
    for index, site in enumerate(setting.heads.sites):
        wanted = np.ones(site.heads, dtype=bool) if setting.wanted is None else setting.wanted[index, : site.heads]
        bad = np.argwhere(~np.isfinite(values[:, index, : site.heads]) & wanted)
        if len(bad):
            row = task.rows[members[int(bad[0, 0])]]
            name = f"{f'{site.block}.' if site.block else ''}L{site.layer}H{bad[0, 1]}"
            place = f"task {task.name}, example {row.id!r} ({row.place}), {name}"
            raise InputError("the score is not finite", place, 'Compute in dtype = "float32", or change the metric')
