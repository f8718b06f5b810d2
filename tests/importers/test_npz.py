"""Archives of named arrays: what is read, and what is said of those that do not fit."""

from pathlib import Path

import numpy as np
import pytest
from files import refusal, written

from reportgen.importers import load_scores


def test_npz(tmp_path: Path) -> None:
    tensor = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "a.npz", importance=tensor, tasks=np.array(["x", "y"]))
    np.savez(tmp_path / "b.npz", importance=tensor[0])
    np.savez(tmp_path / "c.npz", importance=tensor, other=tensor)
    np.savez(tmp_path / "d.npz", importance=np.array([{"a": 1}], dtype=object))
    assert load_scores(tmp_path / "a.npz").task_names == ("x", "y")
    assert load_scores(tmp_path / "b.npz").importance.shape == (1, 3, 4)
    assert refusal(tmp_path / "c.npz") == (
        "c.npz: unknown array 'other' for 2 tasks. Known arrays: importance (task, layer, head), tasks (names), "
        "examples_0, examples_1, … (example, layer, head)."
    )
    assert "Object arrays cannot be loaded" in refusal(tmp_path / "d.npz")
    assert "no archive of plain arrays" in refusal(written(tmp_path, "nothing", "e.npz"))


@pytest.mark.parametrize(
    "arrays",
    [
        {"importance": np.zeros((0, 2, 2))},
        {"importance": np.ones((1, 2, 2)), "tasks": np.array("a")},
        {"importance": np.ones((1, 2, 2)), "examples_0": np.array([["x"]])},
        {"importance": np.ones((1, 2, 2)), "examples_7": np.ones((3, 2, 2))},
        {"importance": np.ones((1, 2, 2)), "examples_0": np.ones((0, 2, 2))},
        {"importance": np.ones((1, 2, 2)), "examples_0": np.ones((3, 2, 2), dtype=complex)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert refusal(tmp_path / "a.npz").startswith("a.npz")
