"""Arrays of the bertology example of transformers."""

from pathlib import Path

import numpy as np
from files import load, refusal

RNG = np.random.default_rng(0)


def test_bertology(tmp_path: Path) -> None:
    values = RNG.uniform(size=(12, 12)).astype(np.float32)
    np.save(tmp_path / "head_importance.npy", values)
    np.save(tmp_path / "mrpc_head_importance.npy", values)
    scores = load(tmp_path / "head_importance.npy", layers=12, heads=12)
    np.testing.assert_array_equal(scores.importance, values[None])
    assert scores.task_names == ("Task 0",)
    assert load(tmp_path / "mrpc_head_importance.npy").task_names == ("mrpc",)
    assert "only then takes the absolute value" in scores.method.meaning
    assert "the result depends on the batch size" in scores.method.meaning
    assert not scores.method.signed


def test_bertology_of_several_tasks(tmp_path: Path) -> None:
    values = RNG.uniform(size=(3, 4, 5)).astype(np.float32)
    np.save(tmp_path / "head_importance.npy", values)
    scores = load(tmp_path / "head_importance.npy", axis="task")
    np.testing.assert_array_equal(scores.importance, values)
    assert scores.task_names == ("Task 0", "Task 1", "Task 2")
    assert refusal(tmp_path / "head_importance.npy") == (
        "head_importance.npy: the file does not tell what the first axis of (3, 4, 5) is. "
        'Give [scores] axis = "example" or "task".'
    )
