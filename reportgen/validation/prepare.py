"""All that interventions stand on: the model, its tasks, the heads' means and norms, and how answers are read."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch, Encoded, Positions
from reportgen.scoring.data.metrics import LANGUAGE, METRICS
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.activation_norm import norms
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.common.references import Means, means
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.run.prepare import Prepared, PreparedTask, prepare
from reportgen.validation.engine import Ground
from reportgen.validation.readout import Readout, readout
from reportgen.validation.sets import Index, Layer

HINT = "Score the study again"


@dataclass(frozen=True)
class Setup:
    """The scored study's model and tasks, and how answers are read; ``means`` (at the study's positions, and at the
    other ones where there are any) and ``norms`` (by head) are those of the discovery half.
    """

    prepared: Prepared
    settings: tuple[Setting, ...]
    index: Index
    means: tuple[Means, ...]
    norms: dict[tuple[int, int], float]
    readout: Readout

    @property
    def neutral(self) -> int | None:
        """The number of the study's control task of neutral text; None where it has none."""
        control = self.prepared.study.tasks.control
        return next((t for t, task in enumerate(self.tasks) if task.name == control), None)

    @property
    def setting(self) -> Setting:
        """How the study knocks out and measures."""
        return self.settings[0]

    @property
    def ground(self) -> Ground:
        """What interventions stand on."""
        return Ground(self.settings, self.means, self.readout.read, self._donors)

    @property
    def tasks(self) -> tuple[PreparedTask, ...]:
        """The tasks in the scores' order."""
        return self.prepared.tasks

    def competence(self, t: int) -> tuple[float | None, float | None]:
        """Return the untouched model's share of right answers in a task, and what guessing gives; None where
        unknown.
        """
        known, described = self.readout.known, self.index.blocks[0].tasks[t]
        return (
            (described.accuracy, described.chance) if known is None else (float(known.correct[t].mean()), known.chance)
        )

    def answer(self, t: int, row: Row) -> str:
        """Return what has to be told of a row: its answer, or, where a probe tells tasks apart, its task."""
        return self.tasks[t].name if self.readout.tells_tasks else row.answer.strip()

    @cached_property
    def guesses(self) -> tuple[float, ...]:
        """Of each task, the mean log-probability of the answer that guessing gives: among its choices, or by how often
        each answer is right.
        """
        return tuple(self._guess(t) for t in range(len(self.tasks)))

    def _guess(self, t: int) -> float:
        if self.readout.tells_tasks:
            return -math.log(len(self.tasks))
        rows = self.tasks[t].rows
        common = Counter(self.answer(t, row) for row in rows)
        return fmean(
            -math.log(len(row.choices)) if row.choices else math.log(common[self.answer(t, row)] / len(rows))
            for row in rows
        )

    @cached_property
    def resampled(self) -> tuple[bool, ...]:
        """Whether every row of a task has rows of another answer to be resampled from."""
        return tuple(
            all(any(self.answer(t, row) != answer for _, answer, _ in self._pool(t)) for row in task.rows)
            for t, task in enumerate(self.tasks)
        )

    def _pool(self, t: int) -> list[tuple[int, str, Encoded]]:
        """Return the discovery rows that may stand in for a task's, each with its length and answer."""
        return self._pools[-1] if self.readout.tells_tasks else self._pools[t]

    @cached_property
    def _pools(self) -> list[list[tuple[int, str, Encoded]]]:
        own = [
            [
                (len(e.inputs), self.answer(t, e.row), e)
                for e, discovery in zip(task.encoded, task.discovery, strict=True)
                if discovery
            ]
            for t, task in enumerate(self.tasks)
        ]
        return [*own, [each for pool in own for each in pool]]

    def _donors(self, batch: Batch, draw: int) -> Batch:
        """Return, for each of a batch's rows, a discovery row of its task with another answer, one of the likest in
        length: the same place in two such texts mostly plays the same part.
        """
        chosen = []
        for row in batch.rows:
            t = self._numbers[row.task]
            fit = [each for each in self._pool(t) if each[1] != self.answer(t, row)]
            order = self.setting.generator(row, "donors of validation").permutation(len(fit))
            length = self._lengths[row.task, row.id]
            chosen.append(sorted((fit[int(i)] for i in order), key=lambda each: abs(each[0] - length)))
        return self.prepared.model.collated([each[draw % len(each)][2] for each in chosen])

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {task.name: t for t, task in enumerate(self.tasks)}

    @cached_property
    def _lengths(self) -> dict[tuple[str, str], int]:
        return {(task.name, e.row.id): len(e.inputs) for task in self.tasks for e in task.encoded}

    def with_rivals(self, t: int, members: Sequence[int]) -> list[Encoded]:
        """Return a task's examples of these numbers, and behind them the rivals of their answers that the model must
        read by themselves, example after example.
        """
        encoded = [self.tasks[t].encoded[i] for i in members]
        return [*encoded, *(rival for example in encoded for rival in example.unlike)]

    def batches(self, encoded: Sequence[Encoded]) -> list[tuple[list[int], Batch]]:
        """Return examples as batches, each with the places that its examples have among them.

        Where texts of unlike lengths may not share a batch, each is one of its own: rows to resample from are of any.
        """
        model, size = self.prepared.model, self.prepared.batch_size
        planned = model.running.planned(encoded, size if model.running.batching == "padded" else 1)
        return [(rows, model.collated([encoded[i] for i in rows])) for rows in planned]


def set_up(study: Study, blocks: Blocks) -> Setup:
    """Load the model and the tasks that the scores are of.

    Raises InputError where they cannot be used any more or are others than those that were scored.
    """
    prepared = prepare(study, _batch_size(blocks))
    refuse_others(prepared, blocks)
    for task in prepared.tasks:
        if task.discovery.all():
            problem = f"task {task.name} has one group of rows, so that none is held out from what heads were found on"
            raise InputError(problem, "[tasks] path", "Give its rows more groups, or set [validation] enabled = false")
    scoring = study.scoring
    settings = tuple(
        Setting(prepared.model, METRICS["log_probability"], "sum", positions, scoring.seed)
        for positions in (scoring.positions, elsewhere(scoring.positions, prepared.model))
        if positions is not None
    )
    discovery = [
        prepared.model.collated([task.encoded[i] for i in members])
        for task in prepared.tasks
        for members in task.discovery_batches()
    ]
    layers = tuple(Layer(site.block, site.layer, site.heads) for site in prepared.model.heads.sites)
    return Setup(
        prepared,
        settings,
        Index(layers, blocks),
        tuple(means(setting, discovery) for setting in settings),
        _norms(settings[0], discovery),
        readout(settings[0], prepared.tasks),
    )


def elsewhere(positions: Positions, model: LoadedModel) -> Positions | None:
    """Return the other positions at which sets are tried: the last one, or all where the study is about that one.

    None where the last position is no place of its own: in models that give no words, and in encoders.
    """
    if model.kind not in LANGUAGE or any(site.block == "enc" for site in model.heads.sites):
        return None
    return "all" if positions == "last" else "last"


def _batch_size(blocks: Blocks) -> int | None:
    """Return the batch size that was found for the scores, if it was to be found."""
    found = blocks[0].method.parameters.get("batch_size")
    return found if isinstance(found, int) else None


def _norms(setting: Setting, batches: Sequence[Batch]) -> dict[tuple[int, int], float]:
    """Each head's mean activation norm over the examples."""
    values = np.concatenate([norms(setting, batch).values for batch in batches])
    mean = values.astype(np.float64).mean(axis=0)
    return {(i, h): float(mean[i, h]) for i, site in enumerate(setting.heads.sites) for h in range(site.heads)}


def refuse_others(prepared: Prepared, blocks: Blocks) -> None:
    """Raise InputError where the model, the heads or the examples are not those of the scores."""
    scored, found = blocks[0].model.weights_sha256, prepared.model.described.weights_sha256
    if scored != found:
        raise InputError("the model's weights are not those that were scored", "[model] path", HINT)
    shapes = {(b.block, int(layer), int(head)) for b in blocks for layer, head in np.argwhere(b.present)}
    here = {(s.block, s.layer, head) for s in prepared.model.heads.sites for head in range(s.heads)}
    if shapes != here:
        raise InputError("the model's heads are not those that were scored", "[model] path", HINT)
    for task, name, examples in zip(prepared.tasks, blocks[0].task_names, blocks[0].examples, strict=False):
        ids = tuple(row.id for row in task.rows)
        if task.name != name or (examples is not None and examples.ids != ids):
            raise InputError(f"the rows of task {task.name} are not those that were scored", "[tasks] path", HINT)
    if len(prepared.tasks) != len(blocks[0].tasks):
        raise InputError("the tasks are not those that were scored", "[tasks] path", HINT)
