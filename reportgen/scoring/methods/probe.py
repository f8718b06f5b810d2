"""Probe: a classifier of the tasks, read by gradient × input: what heads let decode, not what the model does with it.

Formula: s(e, l, h) = mean over the 64 dimensions of ∂y(e) / ∂p(e, l, h) · p(e, l, h). p is a projection, shared by the
heads, of the mean over the scored positions of what head h of layer l puts out, joined to the mean of the layer's
heads; y is the logit of example e's own task in a probe (flatten, Linear → 512, ReLU, Dropout 0.3, Linear → tasks) that
was trained on other groups of rows. Unit: that of the logit. Sign: positive where the feature raises the own task's
logit. Cost: one forward, and the training of two probes for each fold.
Source: "Cognitive Mirrors" (arXiv 2512.10978), whose architecture, AdamW at 1e-4 and reading are kept; with ``signed``
importance is the signed mean, as there. Changed: examples are read by probes that saw none of their group, in folds,
where the published code reads the split on which it later ablates; mini-batches of 32 in a seeded order, where it takes
single examples in file order; inputs standardised by the training rows. Beside the probe stand simpler separations of
the same rows in the same folds, and a control task (Hewitt & Liang 2019, arXiv 1909.03368). The published positions are
selected tokens of the answer: ``positions = "answer"`` comes nearest in causal models. Encoders read the prompt alone.
The layer's mean lends every head of a layer some of what one of them holds: ``layer_mean = false`` leaves it out.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field

from reportgen.errors import InputError
from reportgen.scoring.methods.common.method import (
    ANY,
    MethodParameters,
    MethodSetting,
    ScoringMethod,
    StudyScores,
    TaskExamples,
    absent,
)
from reportgen.scoring.methods.common.probe_baselines import (
    bag_of_words,
    compared,
    length_and_number,
    recalls,
    separated,
    shuffled_between_groups,
    standardised,
)
from reportgen.scoring.methods.common.probing import Features, Probe, collect, folds_of, refuse_too_large, splits

MIRRORS = (
    "Ma, X., Wang, J., Jiang, Y., Erfani, S. M., Liu, T. & Bailey, J. (2025). Cognitive Mirrors: exploring the diverse "
    "functional roles of attention heads in LLM reasoning. NeurIPS 38. arXiv:2512.10978."
)
HEWITT = "Hewitt, J. & Liang, P. (2019). Designing and interpreting probes with control tasks. EMNLP. arXiv:1909.03368."
LOCATION = "[scoring] parameters.probe"


class Parameters(MethodParameters):
    """The settings of the method."""

    # three at the least: baselines choose their penalty on one fold, fit on another, and are read on a third
    folds: int = Field(5, ge=3, description="parts of the rows, by group; each is read by a probe of the others")
    epochs: int = Field(30, ge=1, description="passes over the rows in training a probe")
    layer_mean: bool = Field(
        True,
        description="join the layer's mean to each head's output, as published; it lends every head of a "
        "layer some of what one of them holds",
    )


def _together(
    setting: MethodSetting[Parameters, None], tasks: Sequence[TaskExamples], progress: Callable[[int], None]
) -> StudyScores:
    encoded = [example for task in tasks for example in task.encoded]
    labels = np.repeat(np.arange(len(tasks)), [len(task.encoded) for task in tasks])
    groups = [example.row.group for example in encoded]
    fold = checked_folds(tasks, setting.parameters.folds, setting.seed)
    refuse_too_large(setting.heads, len(encoded))
    features = collect(setting, tasks, progress)
    importance, predicted = cross_fitted(setting, features, labels, fold)
    shuffled = shuffled_between_groups(labels, groups, setting.seed)
    guesses = {
        "probe": (predicted, labels),
        "length and place": (separated(length_and_number(encoded), labels, fold), labels),
        "bag of words": (separated(bag_of_words(encoded), labels, fold), labels),
        "input embeddings": (separated(standardised(features.embedded), labels, fold), labels),
        "shuffled labels": (cross_fitted(setting, features, shuffled, fold, "control")[1], shuffled),
    }
    values = absent(setting.heads, len(encoded))
    for column, (site, head) in enumerate(head for bundle in features.bundles for head in bundle.heads_of):
        values[:, site, head] = importance[:, column]
    parts = np.split(values, np.flatnonzero(np.diff(labels)) + 1)
    names = [task.name for task in tasks]
    values_by_task = dict(zip(names, parts, strict=True))
    return StudyScores(values_by_task, recalls(guesses, names), compared(guesses, groups))


def checked_folds(tasks: Sequence[TaskExamples], folds: int, seed: int) -> Int[np.ndarray, "example"]:
    """Return the fold of each example, task after task; raise InputError where a probe would lack a task to learn."""
    if len(tasks) < 2:
        raise InputError("a probe separates tasks, and there is one alone", "[tasks]", "Give two or more tasks")
    groups = [example.row.group for task in tasks for example in task.encoded]
    labels = np.repeat(np.arange(len(tasks)), [len(task.encoded) for task in tasks])
    count = len(set(groups))
    if count < folds:
        raise InputError(
            f"{count} groups of rows cannot fill {folds} folds",
            f"{LOCATION} folds",
            "Give more groups of rows, or fewer folds",
        )
    fold = folds_of(labels, groups, folds, seed)
    for number, task in enumerate(tasks):
        if len(set(fold[labels == number])) < 2:
            raise InputError(
                "all of its rows stand in one fold, so that no probe could learn it without them",
                f"task {task.name}",
                "Give it rows of two or more groups",
            )
    return fold


def cross_fitted(
    setting: MethodSetting[Parameters, None],
    features: Features,
    labels: Int[np.ndarray, "example"],
    fold: Int[np.ndarray, "example"],
    purpose: str = "probe",
) -> tuple[Float[np.ndarray, "example head"], Int[np.ndarray, "example"]]:
    """Return each example's importance of heads (bundle after bundle) and predicted task, by the other folds' probe."""
    heads = sum(len(bundle.heads_of) for bundle in features.bundles)
    importance, predicted = np.empty((len(labels), heads), dtype=np.float32), np.empty_like(labels)
    wanted, tasks, parameters = torch.from_numpy(labels), int(labels.max()) + 1, setting.parameters
    for number, outside, inside in splits(fold):
        seed = int.from_bytes(hashlib.sha256(f"{setting.seed}\n{purpose}\n{number}".encode()).digest()[:6])
        probe = Probe(features.bundles, outside, tasks, seed, setting.model.device, parameters.layer_mean)
        probe.train(wanted, parameters.epochs)
        importance[inside] = probe.importance(inside, wanted)
        predicted[inside] = probe.predict(inside)
    return importance, predicted


METHOD = ScoringMethod(
    name="probe",
    order=150,
    family="probing",
    summary="gradient × input of a probe that separates the tasks by all heads' outputs",
    unit="probe gradient × input (logit)",
    sign="positive: the feature raises the logit of the example's own task",
    cost="one forward, and the training of two probes for each fold",
    formula="s(e, l, h) = mean over d of ∂y(e) / ∂p(e, l, h, d) · p(e, l, h, d)",
    meaning="p are 64 projected features of head h of layer l, made from the mean of its output over the scored "
    "positions and the mean over the layer’s heads; y is the logit of example e’s own task in a probe of all heads, "
    "trained on other groups of rows. The probe separates the tasks’ labels: it reads what can be decoded from heads, "
    "not what the model does with it. Length, place or words alone may separate them as well: compare the recalls. "
    "Rows that one probe reads have trained others, so intervals and halves do not cover another training.",
    limit="A probe separates the tasks’ labels by what can be decoded from heads. That does not show that the model "
    "makes use of it; where words, length or place separate the labels as well, the map may be no more than a map of "
    "where these can be read.",
    references=(MIRRORS, HEWITT),
    together=_together,
    forwards=lambda *_: 1.0,
    parameters=Parameters,
    kinds=ANY,
    cheap=True,
)
