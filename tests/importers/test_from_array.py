"""Scores from arrays in memory: what HeadScores.from_array takes, and what it says of the rest."""

import numpy as np
import pytest
import torch

from reportgen.core.scores import HeadScores, Model
from reportgen.errors import InputError
from reportgen.importers.common import as_examples

CUBE = np.random.default_rng(0).uniform(0.1, 1, size=(2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize(
    "given", [CUBE, CUBE.astype(float), CUBE.tolist(), torch.from_numpy(CUBE)], ids=lambda g: type(g).__name__
)
def test_tasks_layers_and_heads(given: object) -> None:
    scores = HeadScores.from_array(given, ["a", "b"], "ours", model=Model(kv_groups=2), seed=3)
    np.testing.assert_array_equal(scores.importance, CUBE)
    assert scores.importance.dtype == np.float32
    assert (scores.task_names, scores.method.name, scores.model.kv_groups, scores.seed) == (("a", "b"), "ours", 2, 3)


def test_examples_travel_with_the_map() -> None:
    values = np.stack([CUBE[0], CUBE[1]])
    examples = as_examples(values, ["x", "y"], ordered=False)
    scores = HeadScores.from_array(values.mean(0)[None], ["a"], examples=(examples,), reduction="mean")
    assert scores.examples == (examples,)
    assert scores.reduction == "mean"


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        (CUBE, ["a"], "importance: 2 tasks of scores but 1 names. Name every task once."),
        (CUBE, ["a", "a"], "importance: task name 'a' is empty or not unique. Give each task its own name."),
        (
            np.zeros((0, 2, 2)),
            [],
            "importance: shape (0, 2, 2) is not (task, layer, head). Give a non-empty 3-d array.",
        ),
        (CUBE[0, 0], ["a"], "importance: shape (4,) is not (task, layer, head). Give a non-empty 3-d array."),
        (
            np.full((1, 2, 2), np.inf),
            ["a"],
            "task a, L0H0: importance is inf. Give every head of the model a finite number on every task.",
        ),
    ],
)
def test_arrays_that_do_not_fit(given: object, names: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        HeadScores.from_array(given, names)
    assert str(caught.value) == message


def test_examples_of_another_model_are_refused() -> None:
    examples = as_examples(np.ones((5, 2, 2)), [str(i) for i in range(5)], ordered=False)
    with pytest.raises(InputError) as caught:
        HeadScores.from_array(CUBE[:1], ["a"], examples=(examples,))
    assert str(caught.value) == (
        "task a: (2, 2) layers × heads per example, (3, 4) overall. Score every task on one model."
    )
