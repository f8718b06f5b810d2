"""Gates of DuoAttention: what is read, and what is said of those that do not fit."""

from pathlib import Path

import numpy as np
import pytest
from files import load, refusal, written

RNG = np.random.default_rng(0)


def tsv(gates: np.ndarray) -> str:
    """The layout of numpy.savetxt with tabs: a row per layer, 18 digits."""
    return "".join("\t".join(f"{g:.18e}" for g in row) + "\n" for row in gates)


def test_duo_attention_keeps_key_value_heads(tmp_path: Path) -> None:
    gates = RNG.uniform(0.001, 0.999, size=(4, 8)).astype(np.float32)
    raw = gates.copy()
    raw[0, 0], raw[1, 1] = -5.7e-5, 1.004  # as the last step of training leaves them
    gates[0, 0], gates[1, 1] = 0, 1
    path = written(tmp_path, b"\xef\xbb\xbf" + tsv(raw).replace("\n", "\r\n").encode(), "full_attention_heads.tsv")
    for given in ({}, {"heads": 8, "layers": 4}, {"kv_groups": 8}):
        scores = load(path, **given)
        np.testing.assert_array_equal(scores.importance, gates[None])
        assert scores.model.kv_groups == 8
        said = "Heads are key/value heads, not query heads: L6H3 is key/value head 3 of layer 6."
        assert scores.model.notes == [said]
        assert said in scores.method.meaning
        assert scores.method.unit == "key/value-head gate"
        assert not scores.method.signed


def test_duo_attention_is_never_expanded_to_query_heads(tmp_path: Path) -> None:
    path = written(tmp_path, tsv(np.full((2, 8), 0.5)), "full_attention_heads.tsv")
    assert refusal(path, heads=32) == (
        "[scores] heads: the file holds 8 key/value heads per layer, not 32 query heads. "
        "A gate is never copied to the query heads that share it; remove the key."
    )
    assert refusal(path, kv_groups=4) == (
        "[scores] kv_groups: 4 key/value heads expected, but the file holds 8. "
        "Correct the number in study.toml, or remove the key."
    )
    assert refusal(path, layers=3) == (
        "[scores] layers: 3 layers expected, but the file holds 2. Correct the number in study.toml, or remove the key."
    )
    assert refusal(path, signed=True) == (
        "[scores] signed = true: this format's scores are not signed. Remove the key."
    )


GATES = "Separate gates by tabs, a row for each layer; DuoAttention's lie between 0 and 1."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "full_attention_heads.tsv: the file is empty. Give a row of gates for each layer."),
        ("\n\n", "full_attention_heads.tsv: the file is empty. Give a row of gates for each layer."),
        (
            "1\t0.5\n1\n",
            "full_attention_heads.tsv, row 2: 1 gates, but the first row has 2. "
            "Give one gate for each key/value head in every row.",
        ),
        ("1\t0.5\n\n1\t1\n", f"full_attention_heads.tsv, row 2, column 1: '' is no gate. {GATES}"),
        ("1\tx\n", f"full_attention_heads.tsv, row 1, column 2: 'x' is no gate. {GATES}"),
        ("1 0.5\n", f"full_attention_heads.tsv, row 1, column 1: '1 0.5' is no gate. {GATES}"),
        ("1\tnan\n", f"full_attention_heads.tsv, row 1, column 2: 'nan' is no gate. {GATES}"),
        ("1\tinf\n", f"full_attention_heads.tsv, row 1, column 2: 'inf' is no gate. {GATES}"),
        ("1\t0_1\n", f"full_attention_heads.tsv, row 1, column 2: '0_1' is no gate. {GATES}"),
        ("1\t1.2\n", f"full_attention_heads.tsv, row 1, column 2: '1.2' is no gate. {GATES}"),
        ("1\t1e400\n", f"full_attention_heads.tsv, row 1, column 2: '1e400' is no gate. {GATES}"),
        ("9" * 400, f"full_attention_heads.tsv, row 1, column 1: '{'9' * 37}...' is no gate. {GATES}"),
    ],
)
def test_gates_that_do_not_fit(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(written(tmp_path, content, "full_attention_heads.tsv")) == message


def test_gates_that_are_no_text(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, b"\xff\xfe\x00", "full_attention_heads.tsv"), format="duo-attention")
    assert said.startswith("full_attention_heads.tsv: this table cannot be read (")
    assert said.endswith("Give a text file of numbers.")
