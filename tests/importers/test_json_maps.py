"""JSON and JSON lines: what the corpus of files (test_corpus.py) does not hold, faults told together above all."""

import json
from pathlib import Path

import numpy as np
import pytest
from files import load, refusal, written

from reportgen.core.scores import HeadScores
from reportgen.importers import load_blocks

MAP = np.random.default_rng(0).lognormal(size=(3, 4)).round(4)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    content = {"L0H0": 1e39, "L0H1": 1.5, "L1H0": 10**400, "L1H1": 2.5}
    said = refusal(written(tmp_path, json.dumps(content), "a.json"))
    assert said.startswith("a.json: 2 faults – L0H0: 1e+39 is no finite number (of 32 bits); L1H0: 1000")
    assert said.endswith("Give every head a finite score.")


def test_blocks_are_in_the_names_of_heads(tmp_path: Path) -> None:
    content = {f"{b}.L{i}H{j}": 1.0 + i + j for b in ("enc", "dec") for i in range(2) for j in range(2)}
    blocks = load_blocks(written(tmp_path, json.dumps(content), "a.json"))
    assert [b.block for b in blocks] == ["enc", "dec"]


@pytest.mark.parametrize("base", [0, 1])
def test_a_list_of_heads_is_one_and_zero(tmp_path: Path, base: int) -> None:
    path = written(tmp_path, json.dumps({"induction": [f"L{1 + base}H{2 + base}"]}), "a.json")
    scores = load(path, layers=3, heads=4, index_base=base)
    assert scores.task_names == ("induction",)
    assert np.argwhere(scores.importance[0]).tolist() == [[1, 2]]
    assert refusal(path, layers=1, heads=4, index_base=base).startswith("a.json, entry 0: L")


def test_a_key_may_hold_points_and_numbers(tmp_path: Path) -> None:
    content = {"runs": [{"gpt2.small": {"heads": MAP.tolist()}}, {"seed": 1}]}
    path = written(tmp_path, json.dumps(content), "a.json")
    np.testing.assert_allclose(load(path, key="runs.0.gpt2.small.heads").importance[0], MAP, rtol=1e-6)
    assert refusal(path, key="runs.7") == "[scores] key: there is no '7' at 'runs.7' in a.json. Known here: 0, 1."


def test_what_reportgen_cannot_tell_it_asks(tmp_path: Path) -> None:
    deep = [[[1.5, 2.5], [3.5, 4.5]], [[1.5, 2.5], [3.5, 4.5]], [[0.5, 2.5], [3.5, 4.5]]]
    path = written(tmp_path, json.dumps({"Recall": deep}), "a.json")
    assert '[scores] axis = "example" or "task"' in refusal(path)
    scores: HeadScores = load(path, axis="example")
    assert scores.examples[0] is not None
    assert len(scores.examples[0].ids) == 3
