"""What computes shards: one loaded model, whichever process it is in."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import Baseline, baseline, beat
from reportgen.scoring.methods.common.method import AnySetting, BatchScores, Setting, TaskExamples
from reportgen.scoring.run.memory import halved
from reportgen.scoring.run.prepare import Chosen, Prepared, PreparedTask
from reportgen.scoring.run.race import TaskRace
from reportgen.scoring.run.shards import Shard, ShardScores, concatenated, flattened

Done = Callable[[int], None]  # called with the number of a shard's examples that are done
Members = tuple[int, ...]


class Worker:
    """Computes shards of a prepared study, one at a time."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        # by method, with the batch size of its references
        self.settings: dict[str, tuple[AnySetting, int]] = {}
        # by task and example: the log-probabilities of its answer's rivals, which are the same for every method
        self.rivals: dict[str, dict[int, list[float]]] = {}

    def score(self, shard: Shard, done: Done, size: int = 0, reference_size: int = 0) -> ShardScores:
        """Score a shard. Where memory runs out, begin it again with batches half as large.

        That depends on the shard and the machine's memory alone, not on what was computed before. ``done`` is called
        with the number of examples scored so far. ``size`` and ``reference_size`` are batch sizes to begin with, where
        an earlier run knows them (0: as planned).
        Raises InputError where a batch of one example does not fit, or where numbers are not finite.
        """
        chosen = shard.chosen
        if shard.task is None:
            return self._score_tasks(chosen, done)
        setting, reference_size = self._setting(chosen, reference_size)
        task = self.prepared.tasks[shard.task]
        size = size or max(map(len, shard.batches))
        while True:
            batches = [batch[i : i + size] for batch in shard.batches for i in range(0, len(batch), size)]
            try:
                if self.prepared.races(chosen):
                    scores = TaskRace(self.prepared, shard, setting, size, self.score_batch).run(done)
                else:
                    assert chosen.method.score is not None, "methods of all tasks are scored in _score_tasks"
                    parts, count = list[ShardScores](), 0
                    for members in batches:
                        batch = self.prepared.model.collated([task.encoded[i] for i in members])
                        parts.append(self._checked(setting, task, members, batch, chosen.method.score(setting, batch)))
                        count += len(members)
                        done(count)
                    scores = concatenated(parts)
                return replace(scores, batch_size=size, reference_size=reference_size)
            except (RuntimeError, MemoryError) as error:
                size = halved(size, error, f"task {task.name}")

    def score_batch(self, setting: AnySetting, chosen: Chosen, task: PreparedTask, members: Members) -> ShardScores:
        """Score one batch; raises InputError where numbers are not finite."""
        batch = self.prepared.model.collated([task.encoded[i] for i in members])
        assert chosen.method.score is not None, "methods of all tasks are scored in _score_tasks"
        return self._checked(setting, task, members, batch, chosen.method.score(setting, batch))

    def _checked(
        self, setting: AnySetting, task: PreparedTask, members: Members, batch: Batch, scored: BatchScores
    ) -> ShardScores:
        """Return a batch's scores with the unchanged model's answers."""
        _refuse_nan(setting, task, members, scored.logits, batch)
        _refuse_nonfinite(setting, task, members, scored.values)
        logits = None if self.prepared.model.one_number else scored.logits  # one number is neither right nor wrong
        plain = None if logits is None else self._judged(baseline(logits, batch), task, members)
        return ShardScores(scored.values, plain, scored.errors, scored.checks)

    @torch.no_grad()
    def _judged(self, plain: Baseline, task: PreparedTask, members: Members) -> Baseline:
        """Hold the unchanged model's answers against the rivals too that it must read by themselves."""
        model, known = self.prepared.model, self.rivals.setdefault(task.name, {})
        asked = [(m, rival) for m in members if m not in known for rival in task.encoded[m].unlike]
        found = np.zeros(len(asked))
        for chosen in model.running.planned([rival for _, rival in asked], len(members)):
            batch = model.collated([asked[i][1] for i in chosen])
            found[chosen] = baseline(model.answer_logits(batch), batch).log_probability
        for (m, _), value in zip(asked, found, strict=True):
            known.setdefault(m, []).append(float(value))
        rivals = [value for m in members for value in known.get(m, [])]
        if not rivals:
            return plain
        log_probability = np.array([*plain.log_probability, *rivals])
        examples, reduction = [task.encoded[m] for m in members], self.prepared.study.scoring.answer_reduction
        correct = beat(plain.correct, log_probability, examples, reduction)
        return Baseline(correct, plain.log_probability, plain.by_argmax)

    def _setting(self, chosen: Chosen, size: int) -> tuple[AnySetting, int]:
        """Return what the method works with, its references from the discovery half of all tasks among it."""
        name = chosen.method.name
        if name not in self.settings:
            self.settings[name] = self._fresh_setting(chosen, size or self.prepared.batch_size)
        return self.settings[name]

    def _fresh_setting(self, chosen: Chosen, size: int) -> tuple[AnySetting, int]:
        setting = self.prepared.setting(chosen)
        if chosen.method.prepare is None:
            return setting, 0
        while True:
            tasks = self.prepared.in_batches(size).tasks
            halves = [[t.encoded[i] for i in members] for t in tasks for members in t.discovery_batches()]
            batches = list(map(self.prepared.model.collated, halves))
            try:
                return self.prepared.setting(chosen, chosen.method.prepare(setting, batches)), size
            except (RuntimeError, MemoryError) as error:
                size = halved(size, error, f"the references of {chosen.method.name}")

    def _score_tasks(self, chosen: Chosen, done: Done) -> ShardScores:
        """Score all tasks in one go."""
        tasks, sizes = self.prepared.tasks, [len(batch) for t in self.prepared.tasks for batch in t.batches]
        ends = np.cumsum(sizes)
        assert chosen.method.together is not None, "only methods of all tasks have shards without one"
        examples = [TaskExamples(t.name, t.encoded, t.batches) for t in tasks]
        made = chosen.method.together(
            self.prepared.setting(chosen), examples, lambda batches: done(int(ends[min(batches, len(ends)) - 1]))
        )
        values = np.concatenate([made.values[t.name] for t in tasks])
        return ShardScores(values, None, None, flattened(made), max(sizes))


def _refuse_nan(
    setting: Setting, task: PreparedTask, members: Members, logits: torch.Tensor | None, batch: Batch
) -> None:
    bad = torch.empty(0) if logits is None else batch.owner[torch.isnan(logits).any(dim=1)]
    if len(bad):
        example = int(bad[0])
        row, layer = task.rows[members[example]], setting.model.first_nan(batch.taken([example]))
        raise InputError(
            f"the model's logits hold NaN, first in {layer}",
            f"task {task.name}, example {row.id!r} ({row.location})",
            'Check the weights, or compute in dtype = "float32"',
        )


def _refuse_nonfinite(setting: Setting, task: PreparedTask, members: Members, values: np.ndarray) -> None:
    for index, site in enumerate(setting.heads.sites):
        wanted = np.ones(site.heads, dtype=bool) if setting.wanted is None else setting.wanted[index, : site.heads]
        bad = np.argwhere(~np.isfinite(values[:, index, : site.heads]) & wanted)
        if len(bad):
            row = task.rows[members[int(bad[0, 0])]]
            name = f"{f'{site.block}.' if site.block else ''}L{site.layer}H{bad[0, 1]}"
            raise InputError(
                "the score is not finite",
                f"task {task.name}, example {row.id!r} ({row.location}), {name}",
                'Compute in dtype = "float32", or change the metric',
            )
