"""Scores as reportgen writes them."""

from pathlib import Path

import numpy as np
from files import refusal, written

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores
from reportgen.storage.scores_file import scores_bytes


def test_our_safetensors(tmp_path: Path) -> None:
    scores = HeadScores.from_array(np.ones((1, 2, 2)), ["a"])
    path = written(tmp_path, scores_bytes(scores, "key"), "scores.safetensors")
    assert load_scores(path).task_names == ("a",)
    assert load_scores(path, ScoresSection(path=path, kv_groups=1)).model.kv_groups == 1
    assert "not a readable safetensors file" in refusal(written(tmp_path, b"\x00" * 20, "broken.safetensors"))
