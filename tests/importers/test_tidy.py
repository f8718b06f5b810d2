"""Tables with a row for each head: what is read, and what is said of those that do not fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from files import refusal, written

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores
from reportgen.storage.scores_file import scores_csv

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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "layer,importance\n0,1\n",
            "scores.csv: there is no column 'head' (seen: 1 rows under 'layer', 'importance'). "
            'The columns are task, layer, head, importance; [scores] columns = {head = "…"} names another. In pandas:\n'
            "    import pandas as pd\n    pd.read_csv('scores.csv').rename(columns={}).assign(task='scores', head=…)"
            '.to_csv("scores.csv", index=False)',
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


def test_parquet_with_an_empty_or_odd_cell(tmp_path: Path) -> None:
    frame = pd.DataFrame({"task": ["a", None], "layer": [0, 0], "head": [0, 1], "importance": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert (
        refusal(tmp_path / "a.parquet")
        == "a.parquet, row 1, column task: this cell is empty. Give a name in every row."
    )


def test_a_workbook_is_a_table(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    frame = pd.read_csv(written(tmp_path, GOOD))
    frame.to_excel(tmp_path / "scores.xlsx", index=False)
    from_excel, from_csv = load_scores(tmp_path / "scores.xlsx"), load_scores(tmp_path / "scores.csv")
    np.testing.assert_array_equal(from_excel.importance, from_csv.importance)
    assert from_excel.task_names == from_csv.task_names


def test_a_commas_meaning_is_read_from_the_whole_column(tmp_path: Path) -> None:
    """Thousands stand in threes and never begin with 0: one cell that does not tells that all are decimals."""
    header, rows = "layer;head;score\n", ("0;0;1,250\n", "0;1;2,500\n")
    assert load_scores(written(tmp_path, header + "".join(rows) + "0;2;0,125\n")).importance.ravel().tolist() == [
        1.25,
        2.5,
        0.125,
    ]
    unclear = written(tmp_path, header + "".join(rows))
    assert refusal(unclear) == (
        "scores.csv, column score: '1,250' and all others like it may have a decimal comma, or separated thousands. "
        'Give [scores] decimal = "," or ".".'
    )
    for mark, first in ((",", 1.25), (".", 1250)):
        section = ScoresSection.model_validate({"path": unclear, "decimal": mark})
        assert load_scores(unclear, section).importance[0, 0, 0] == first
    english = 'layer,head,score\n0,0,"1,250"\n0,1,"2,500"\n'
    assert load_scores(written(tmp_path, english)).importance.ravel().tolist() == [1250, 2500]
