"""Files of Retrieval Head: what is read, and what is said of those that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from files import refusal, written

from reportgen.core.config import ScoresSection
from reportgen.importers import load_scores


def test_retrieval_head_on_a_real_model(published: Path) -> None:
    path = published / "retrieval_head" / "llama-2-7b-80k.json"
    raw = json.loads(path.read_text())
    scores = load_scores(path)
    assert scores.importance.shape == (1, 32, 32)
    examples = scores.examples[0]
    assert examples is not None
    assert examples.ordered
    assert len(examples.ids) == 586
    assert scores.importance[0, 16, 19] == pytest.approx(np.mean(raw["16-19"]))
    # contiguous blocks: the halves change sides a few times, not at every probe
    assert (np.diff(examples.discovery.astype(int)) != 0).sum() < 20


def test_a_retrieval_file_that_does_not_fit(tmp_path: Path) -> None:
    uneven = written(tmp_path, '{"0-0": [1, 2], "0-1": [1]}', "a.json")
    assert refusal(uneven) == "a.json: L0H1 has 1 scores, the first head 2. Give every head the same number of scores."
    words = written(tmp_path, '{"0-0": ["x"]}', "b.json")
    assert refusal(words) == "b.json, head 0-0: this is no list of finite numbers. Give one number for each probe."
    cut = written(tmp_path, '{"0-0": [1, 2', "c.json")
    assert refusal(cut).startswith("c.json: this is not JSON")


@pytest.mark.parametrize(
    "content",
    ['{"0-0": [1], "0-0": [2]}', '{"00-0": [1]}', '{"0-0": [true]}', '{"0-0": ["1"]}', '{"0-0": [1' + "0" * 400 + "]}"],
)
def test_retrieval_files_say_each_head_once_in_numbers(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, content, "a.json")).startswith("a.json")


def test_what_is_measured_only_the_study_says(tmp_path: Path) -> None:
    path = written(tmp_path, '{"0-0": [0.5, 1.0], "0-1": [26, 3]}', "probes.json")
    plain = load_scores(path)
    assert (plain.method.name, plain.method.unit, plain.method.meaning) == ("unknown", "score", "")
    assert refusal(path, format="retrieval-head") == (
        "probes.json: scores from 0.5 to 26 are no shares of a sentence’s tokens. "
        "Remove [scores] format, and give method and unit if they are known."
    )
    share = written(tmp_path, '{"0-0": [0.5, 1.0], "0-1": [0.25, 0]}', "probes.json")
    section = ScoresSection(path=share, format="retrieval-head")
    assert "hidden sentence’s tokens" in load_scores(share, section).method.meaning


def test_some_heads_only_are_a_ranking_where_the_study_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, '{"1-1": [0.5, 1.0], "0-1": [0.25, 0]}', "probes.json")
    assert "L0H0 is missing" in refusal(path)
    scores = load_scores(path, ScoresSection(path=path, rest="unknown", layers=3, heads=2))
    assert scores.coverage == (2, 6)
