"""Tables of an encoder-decoder's blocks of heads: what reportgen writes, it reads."""

from pathlib import Path

import numpy as np
import pytest

from reportgen.core.scores import HeadScores
from reportgen.errors import InputError
from reportgen.importers import load_blocks, load_scores
from reportgen.storage.scores_file import scores_csv

SHAPES = {"enc": (3, 4), "dec": (2, 4), "cross": (2, 2)}


def made() -> list[HeadScores]:
    rng = np.random.default_rng(0)
    return [
        HeadScores.from_array(rng.random((2, *shape)).astype(np.float32), ["a", "b"], block=name)
        for name, shape in SHAPES.items()
    ]


def table(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = scores_csv(made())
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "scores.csv"
    path.write_text(text)
    return path


def test_a_table_of_blocks_is_read_as_it_was_written(tmp_path: Path) -> None:
    blocks = load_blocks(table(tmp_path))
    assert [b.block for b in blocks] == ["enc", "dec", "cross"]
    for found, expected in zip(blocks, made(), strict=True):
        np.testing.assert_array_equal(found.importance, expected.importance)
        assert found.task_names == ("a", "b")
    assert load_scores(table(tmp_path), block="dec").importance.shape == (2, 2, 4)
    with pytest.raises(InputError, match="this file holds several blocks of heads"):
        load_scores(table(tmp_path))


def test_rows_may_stand_in_any_order(tmp_path: Path) -> None:
    path = table(tmp_path)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *rows[::-1]]))
    blocks = load_blocks(path)
    assert [(b.block, b.task_names) for b in blocks] == [(name, ("b", "a")) for name in SHAPES]
    np.testing.assert_array_equal(blocks[1].importance[::-1], made()[1].importance)


@pytest.mark.parametrize(
    ("cell", "instead", "said"),
    [
        (",enc\n", ",encoder\n", ", row 2, column block: no block of heads is called 'encoder'. Give enc, dec, cross"),
        (",enc\n", ",\n", ", row 2, column block: this cell is empty. Give a name in every row."),
        (",enc\n", ",dec\n", ", task a, block enc: L0H0 is missing."),
    ],
)
def test_rows_that_fit_no_block_are_named(tmp_path: Path, cell: str, instead: str, said: str) -> None:
    path = table(tmp_path, (cell, instead))
    with pytest.raises(InputError) as error:
        load_blocks(path)
    assert str(error.value).startswith(f"{path}{said}")


def test_a_task_must_have_heads_in_every_block(tmp_path: Path) -> None:
    path = table(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not (line.startswith("b,") and line.endswith(",dec"))))
    with pytest.raises(InputError) as error:
        load_blocks(path)
    assert str(error.value).startswith(f"{path}, task b, block dec: L0H0 is missing.")
