"""Lists of heads without scores; whole ones are in the corpus (test_corpus.py)."""

from pathlib import Path

import numpy as np
from files import load, refusal, written


def test_several_lists_of_one_yaml_are_tasks(tmp_path: Path) -> None:
    path = written(tmp_path, "induction: [L0H1, L1H0]\nprevious: 0-0, 1-1\n", "a.yaml")
    scores = load(path, layers=2, heads=2)
    assert scores.task_names == ("induction", "previous")
    np.testing.assert_array_equal(scores.importance, [[[0, 1], [1, 0]], [[1, 0], [0, 1]]])


def test_a_list_asks_for_the_models_size(tmp_path: Path) -> None:
    asked = "which does not tell the model's layers and heads. Give [scores] layers and heads"
    assert asked in refusal(written(tmp_path, "L0H1\nL1H0\n", "a.txt"))
    assert refusal(written(tmp_path, "L0H1\nL0H1\n", "a.txt"), layers=2, heads=2).startswith(
        "a.txt: a head stands twice"
    )
    assert refusal(written(tmp_path, "a: [1\n", "a.yml")).startswith("a.yml: this is no YAML (")
