"""All that interventions stand on: the model, its tasks, the heads' means and norms, and how answers are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import METRICS
from reportgen.scoring.methods.activation_norm import norms
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.common.references import Means, means
from reportgen.scoring.run.prepare import Prepared, PreparedTask, prepare
from reportgen.validation.readout import Readout, readout
from reportgen.validation.sets import Index, Layer

HINT = "Score the study again"


@dataclass(frozen=True)
class Setup:
    """The scored study's model and tasks, and how answers are read; ``means`` and ``norms`` (by head) are those of the
    discovery half.
    """

    prepared: Prepared
    setting: Setting
    index: Index
    means: Means
    norms: dict[tuple[int, int], float]
    readout: Readout

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

    def batches(self, t: int, members: Sequence[int]) -> list[tuple[list[int], Batch]]:
        """Return a task's examples of these numbers as batches, each with the places that its examples have among
        them.

        Behind them stand the rivals of their answers that the model must read by themselves, example after example.
        """
        encoded, model = [self.tasks[t].encoded[i] for i in members], self.prepared.model
        encoded += [rival for example in encoded for rival in example.unlike]
        planned = model.running.planned(encoded, self.prepared.batch_size)
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
    setting = Setting(prepared.model, METRICS["log_probability"], "sum", scoring.positions, scoring.seed)
    discovery = [
        prepared.model.collated([task.encoded[i] for i in members])
        for task in prepared.tasks
        for members in task.discovery_batches()
    ]
    layers = tuple(Layer(site.block, site.layer, site.heads) for site in prepared.model.heads.sites)
    return Setup(
        prepared,
        setting,
        Index(layers, blocks),
        means(setting, discovery),
        _norms(setting, discovery),
        readout(setting, prepared.tasks),
    )


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
