"""Indirect effects of Function Vectors: what is read, and what is said of those that do not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from files import load, refusal

RNG = np.random.default_rng(0)


def test_function_vectors(tmp_path: Path) -> None:
    effects = torch.from_numpy(RNG.normal(scale=0.01, size=(25, 4, 6)).astype(np.float32))
    torch.save(effects, tmp_path / "antonym_indirect_effect.pt")
    scores = load(tmp_path / "antonym_indirect_effect.pt")
    assert scores.task_names == ("antonym",)
    np.testing.assert_allclose(scores.importance[0], effects.double().mean(0), rtol=1e-5, atol=1e-9)
    examples = scores.examples[0]
    assert examples is not None
    np.testing.assert_array_equal(examples.values, effects)
    assert (examples.ids[24], examples.ordered, scores.reduction) == ("trial 24", False, "mean")
    assert (scores.method.name, scores.method.unit, scores.method.signed) == ("indirect effect", "probability", True)
    assert scores.tasks[0].n == 25


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        (
            torch.ones(5, 4, 6, 10),
            "a_indirect_effect.pt: a tensor of shape (5, 4, 6, 10) is not (trial, layer, head). "
            "Save the effects of one token position, such as effects[..., -1].",
        ),
        (
            torch.ones(4, 6),
            "a_indirect_effect.pt: a tensor of shape (4, 6) is not (trial, layer, head). "
            "Save the effects of all trials, as compute_indirect_effect.py does.",
        ),
        (
            torch.full((3, 2, 2), float("inf")),
            "a_indirect_effect.pt: inf at (0, 0, 0) is no finite number (of 32 bits). "
            "Give finite numbers, or nan for a head the model lacks.",
        ),
        (
            torch.tensor([[[float("nan"), 1.0]], [[1.0, 1.0]]]),
            "task a, example trial 0, L0H0: importance is nan, but not in every example. "
            "Give a finite number in every example.",
        ),
        (
            {"a": torch.ones(3, 2, 2)},
            "a_indirect_effect.pt: this is no tensor, but a dict. Save tensors and nothing beside them.",
        ),
    ],
)
def test_effects_that_do_not_fit(tmp_path: Path, effects: object, message: str) -> None:
    torch.save(effects, tmp_path / "a_indirect_effect.pt")
    assert refusal(tmp_path / "a_indirect_effect.pt") == message


def test_a_head_the_model_lacks_is_nan_in_all_trials(tmp_path: Path) -> None:
    effects = torch.ones(4, 2, 3)
    effects[:, 1, 2] = float("nan")
    torch.save(effects, tmp_path / "a_indirect_effect.pt")
    assert load(tmp_path / "a_indirect_effect.pt").present.tolist() == [[True, True, True], [True, True, False]]
