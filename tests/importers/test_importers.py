"""Scores made elsewhere: what is read, and what is said of files that cannot be."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from files import refusal, written

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores
from reportgen.storage.scores_file import scores_bytes, scores_csv

HEADER = "task,layer,head,importance\n"
GOOD = HEADER + "".join(f"{t},{i},{j},{0.1 * (i + 2 * j) + 0.01}\n" for t in "ab" for i in range(3) for j in range(2))


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    frame = pd.read_csv(path)
    frame.to_parquet(tmp_path / "scores.parquet")
    from_csv, from_parquet = load_scores(path), load_scores(tmp_path / "scores.parquet")
    np.testing.assert_array_equal(from_csv.importance, from_parquet.importance)
    assert from_csv.importance.shape == (2, 3, 2)
    assert from_csv.importance[0, 2, 1] == pytest.approx(0.41)


def test_byte_order_marks_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_scores(path).task_names == ("a", "b")


def test_our_own_table_is_read_back_exactly(tmp_path: Path) -> None:
    tensor = np.random.default_rng(0).lognormal(size=(2, 4, 5)).astype(np.float32)
    tensor[:, 1, 3:] = np.nan
    scores = HeadScores.from_array(tensor, ["one", "two, quoted"])
    np.testing.assert_array_equal(load_scores(written(tmp_path, scores_csv(scores))).importance, tensor)


def test_an_example_column_gives_intervals(tmp_path: Path) -> None:
    rows = "".join(f"a,e{e},{i},{j},{e + i + j}\n" for e in range(4) for i in range(2) for j in range(2))
    scores = load_scores(written(tmp_path, "task,example,layer,head,importance\n" + rows))
    examples = scores.examples[0]
    assert examples is not None
    assert examples.ids == ("e0", "e1", "e2", "e3")
    assert scores.importance[0, 1, 1] == pytest.approx(3.5)


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


def test_our_safetensors(tmp_path: Path) -> None:
    scores = HeadScores.from_array(np.ones((1, 2, 2)), ["a"])
    path = written(tmp_path, scores_bytes(scores, "key"), "scores.safetensors")
    assert load_scores(path).task_names == ("a",)
    assert load_scores(path, ScoresSection(path=path, kv_groups=1)).model.kv_groups == 1
    assert "not a readable safetensors file" in refusal(written(tmp_path, b"\x00" * 20, "broken.safetensors"))


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "layer,head,importance\n0,0,1\n",
            "scores.csv: there is no column 'task'. The columns are task, layer, head, importance.",
        ),
        ("task,layer,head,importance,laier\na,0,0,1,1\n", "scores.csv: unknown column 'laier'. Did you mean 'layer'."),
        (
            HEADER + "a,zero,0,1\n",
            "scores.csv, row 2, column layer: 'zero' is no layer number. Give whole numbers from 0 up to 99999.",
        ),
        (
            HEADER + "a,0,0,1\na,-1,0,1\n",
            "scores.csv, row 3, column layer: '-1' is no layer number. Give whole numbers from 0 up to 99999.",
        ),
        (
            HEADER + "a,0,2147483648,1\n",
            "scores.csv, row 2, column head: '2147483648' is no head number. Give whole numbers from 0 up to 99999.",
        ),
        (
            HEADER + "a,0,0,1\na,0,0,2\n",
            "scores.csv, task a: L0H0 stands in 2 rows. Give every task, layer and head (and example) exactly one row; "
            "nan in all tasks marks a head the model lacks.",
        ),
        (
            HEADER + "a,0,0,1\na,1,1,1\na,1,0,1\n",
            "scores.csv, task a: L0H1 is missing. Give every task, layer and head (and example) exactly one row; "
            "nan in all tasks marks a head the model lacks.",
        ),
        (
            HEADER + "a,0,0,inf\n",
            "scores.csv, row 2, column importance: 'inf' is no finite number. "
            "Give a number, or nan for a head the model lacks.",
        ),
        (
            HEADER + "a,0,0,large\n",
            "scores.csv, row 2, column importance: 'large' is no finite number. "
            "Give a number, or nan for a head the model lacks.",
        ),
        (
            HEADER + "a,0,0,nan\nb,0,0,1\n",
            "task a, L0H0: importance is nan, but not in every task. "
            "Give every head of the model a finite number on every task.",
        ),
        (
            HEADER + "a,0,0,nan\n",
            "importance: every head is NaN. Give every head of the model a finite number on every task.",
        ),
        (HEADER, "scores.csv: the table has no rows. Give at least one row."),
        (HEADER + ",0,0,1\n", "scores.csv, row 2, column task: this cell is empty. Give a name in every row."),
    ],
)
def test_a_table_that_does_not_fit_is_told_where(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(written(tmp_path, content)) == message


def test_a_retrieval_file_that_does_not_fit(tmp_path: Path) -> None:
    uneven = written(tmp_path, '{"0-0": [1, 2], "0-1": [1]}', "a.json")
    assert refusal(uneven) == "a.json: L0H1 has 1 scores, the first head 2. Give every head the same number of scores."
    words = written(tmp_path, '{"0-0": ["x"]}', "b.json")
    assert refusal(words) == "b.json, head 0-0: this is no list of finite numbers. Give one number for each probe."
    cut = written(tmp_path, '{"0-0": [1, 2', "c.json")
    assert refusal(cut).startswith("c.json: this is not JSON")


def test_what_the_study_says_must_agree_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert refusal(path, heads=8) == (
        "[scores] heads: 8 heads expected, but the file holds 2. Correct the number in study.toml, or remove the key."
    )
    assert refusal(path, kv_groups=3) == (
        "[scores] kv_groups: 3 key/value heads do not divide 2 heads. Give the model's number of key/value heads."
    )


def test_nan_in_some_examples_is_no_absent_head(tmp_path: Path) -> None:
    cells = "".join(f"a,e{e},{i},0,{'nan' if (e, i) == (0, 1) else 0.5}\n" for e in range(3) for i in range(2))
    assert refusal(written(tmp_path, "task,example,layer,head,importance\n" + cells)) == (
        "task a, example e0, L1H0: importance is nan, but not in every example. Give a finite number in every example."
    )


def test_one_stray_number_claims_no_memory(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, HEADER + "a,99999,99999,1\n"))
    assert said.startswith("scores.csv, task a: L0H0 is missing.")


def test_cells_that_are_too_many_and_columns_that_stand_twice(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, HEADER + "a,0,0,1,9\n")) == (
        "scores.csv, row 2: 5 cells under 4 columns. Give every row one cell a column."
    )
    assert refusal(written(tmp_path, "task,layer,head,importance,head\na,0,0,1,0\n")) == (
        "scores.csv: column 'head' stands twice. Give each column its own name."
    )
    assert load_scores(written(tmp_path, GOOD + "\n\n")).task_names == ("a", "b")


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


@pytest.mark.parametrize(
    "content",
    ['{"0-0": [1], "0-0": [2]}', '{"00-0": [1]}', '{"0-0": [true]}', '{"0-0": ["1"]}', '{"0-0": [1' + "0" * 400 + "]}"],
)
def test_retrieval_files_say_each_head_once_in_numbers(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, content, "a.json")).startswith("a.json")


def test_parquet_with_an_empty_or_odd_cell(tmp_path: Path) -> None:
    frame = pd.DataFrame({"task": ["a", None], "layer": [0, 0], "head": [0, 1], "importance": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert (
        refusal(tmp_path / "a.parquet")
        == "a.parquet, row 1, column task: this cell is empty. Give a name in every row."
    )
