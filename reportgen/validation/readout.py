"""How answers are read: off the model's logits; of an encoder, which puts none out, off its states by a probe.

The probe is a multinomial logistic regression from the mean of the last hidden states over a row's tokens to its task.
It is trained on the untouched model's states, all tasks counting alike, and stays as it is while heads are knocked out:
what is lost is lost to a reader who knows the model as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from reportgen.core.trials import ReadoutName
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import Baseline, baseline
from reportgen.scoring.methods.common.method import Setting, TaskExamples
from reportgen.scoring.methods.common.probe_baselines import path
from reportgen.scoring.methods.probe import checked_folds
from reportgen.scoring.model.loaded import LoadedModel, pooled
from reportgen.scoring.run.prepare import PreparedTask
from reportgen.storage.files import sha256

TINY = 1e-12  # stands for the spread of states that are all the same
# Parts of the rows, by group, each read by the probe of the others: a probe that had seen a row, or one of its
# template, would know its label by heart, and of five each is trained on four fifths.
FOLDS = 5
Read = Callable[[Batch], Baseline]


@dataclass(frozen=True)
class Known:
    """What a readout says of the untouched model: which of each task's rows are right, and what guessing gives."""

    correct: tuple[Bool[np.ndarray, "example"], ...]
    chance: float


@dataclass(frozen=True)
class Readout:
    """``read`` says of a batch which examples are right, and the log-probability of each answer.

    ``name`` is that of validation.json; ``known`` is None where the scores say how the model answers; ``identity``
    tells readouts apart that read differently.
    """

    name: ReadoutName
    read: Read
    known: Known | None = None
    identity: str = ""

    @property
    def tells_tasks(self) -> bool:
        """Whether it tells which task a row is of, and not the model's own answer."""
        return self.name == "probe"


def readout(setting: Setting, tasks: Sequence[PreparedTask]) -> Readout:
    """Return the readout: the model's own answers; of an encoder, probes of its pooled states.

    Raises InputError where a probe would have nothing to tell apart, or no other group of rows to learn from, and for a
    classifier that puts out one number.
    """
    model = setting.model
    if model.one_number:
        problem = "the classifier puts out one number, as reward models do: no answer that a knock-out could cost"
        raise InputError(problem, "[model] path", "Set [validation] enabled = false")
    if model.kind == "encoder":
        return _probed(setting, tasks)
    return Readout("answer", lambda batch: baseline(model.answer_logits(batch), batch))


def _probed(setting: Setting, tasks: Sequence[PreparedTask]) -> Readout:
    groups = {row.group for task in tasks for row in task.rows}
    examples = [TaskExamples(task.name, task.encoded, task.batches) for task in tasks]
    fold = checked_folds(examples, min(FOLDS, len(groups)), setting.seed)
    states = np.concatenate([_states(setting.model, task) for task in tasks])
    labels = np.repeat(np.arange(len(tasks)), [len(task.rows) for task in tasks])
    weights = np.stack([_fitted(states, labels, fold, number) for number in range(int(fold.max()) + 1)])
    rows = [(row.task, row.id) for task in tasks for row in task.rows]
    read = _reader(
        setting.model,
        weights,
        dict(zip(rows, fold.tolist(), strict=True)),
        {task.name: t for t, task in enumerate(tasks)},
    )
    logits = np.einsum("ed,edt->et", states, weights[fold, :-1]) + weights[fold, -1]
    right = np.split(logits.argmax(axis=1) == labels, np.flatnonzero(np.diff(labels)) + 1)
    return Readout("probe", read, Known(tuple(right), 1 / len(tasks)), sha256(weights.tobytes()))


def _reader(
    model: LoadedModel,
    weights: Float[np.ndarray, "fold feature task"],
    fold: Mapping[tuple[str, str], int],
    number: Mapping[str, int],
) -> Read:
    """Read every row by the probe of the folds that it does not stand in."""
    probes = torch.from_numpy(weights).to(model.device)

    def read(batch: Batch) -> Baseline:
        mine = probes[torch.tensor([fold[row.task, row.id] for row in batch.rows], device=model.device)]
        wanted = torch.tensor([number[row.task] for row in batch.rows], device=model.device)
        logits = torch.einsum("ed,edt->et", pooled(model, batch), mine[:, :-1]) + mine[:, -1]
        log_probability = logits.log_softmax(dim=1).gather(1, wanted[:, None])[:, 0]
        return Baseline((logits.argmax(dim=1) == wanted).cpu().numpy(), log_probability.cpu().numpy())

    return read


@torch.no_grad()
def _states(model: LoadedModel, task: PreparedTask) -> Float[np.ndarray, "example feature"]:
    """Return the pooled states of a task's rows, in their order."""
    found = dict[int, np.ndarray]()
    for members in task.batches:
        batch = model.collated([task.encoded[i] for i in members])
        found.update(zip(members, pooled(model, batch).cpu().numpy(), strict=True))
    return np.stack([found[i] for i in range(len(task.rows))])


def _fitted(
    states: Float[np.ndarray, "example feature"],
    labels: Int[np.ndarray, "example"],
    fold: Int[np.ndarray, "example"],
    number: int,
) -> Float[np.ndarray, "feature_and_intercept task"]:
    """Return the probe of all folds but one: its penalty is the one under which a fit to the rest gives the next fold's
    rows the highest mean log-probability. States are centred and scaled by the rows it is trained on, all features
    alike: with each in its own unit, a feature that hardly varies would count much as soon as a knock-out moves it.
    """
    outside = fold != number
    inner = fold == (number + 1) % (int(fold.max()) + 1)
    centre = states[outside].mean(axis=0)
    spread = max(float(np.sqrt(states[outside].var(axis=0).mean())), TINY)
    x, classes = (states - centre) / spread, int(labels.max()) + 1
    some = outside & ~inner
    worth = [
        _log_probability(x[inner], labels[inner], weights)
        for weights in path(x[some], labels[some], classes, balanced=True)
    ]
    best = int(np.argmax(worth))
    weights = path(x[outside], labels[outside], classes, best, balanced=True)[-1]
    slopes = weights[:-1] / spread
    return np.vstack([slopes, weights[-1] - centre @ slopes])


def _log_probability(x: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean over tasks of the mean log-probability of their rows' task."""
    logits = torch.from_numpy(x @ weights[:-1] + weights[-1]).log_softmax(dim=1).numpy()
    log_probability = logits[np.arange(len(labels)), labels]
    return float(np.mean([log_probability[labels == task].mean() for task in np.unique(labels)]))
