"""Scores on disk: every tensor and every field comes back, block by block."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task
from reportgen.errors import InputError
from reportgen.importers import load_blocks, load_scores
from reportgen.storage.scores_file import (
    read_methods,
    read_scores,
    scored_together,
    scores_bytes,
    scores_csv,
    write_methods,
)

SHAPES = {"enc": (4, 4), "dec": (6, 4), "cross": (6, 4)}
DIAGNOSTICS = {"completeness gap": {"a": 0.07, "b": None}}


def made(names: tuple[str | None, ...] = ("enc", "dec", "cross"), method: str = "m", errors: bool = True) -> Blocks:
    """Two tasks, the second without examples; the decoder's third layer has no heads."""
    rng, ids, blocks = np.random.default_rng(0), ("1", "2", "3"), []
    for name in names:
        shape = SHAPES.get(name or "enc", (4, 4))
        values = rng.normal(size=(3, *shape)).astype(np.float32)
        if name == "dec":
            values[:, 2] = np.nan
        sampled = np.full_like(values, 0.25) if errors else None
        half = np.array([True, False, True])
        examples = Examples(values, ids, ("g", "g", "h"), half, ordered=True, errors=sampled)
        importance = np.stack([np.abs(values).mean(axis=0), np.where(np.isnan(values[0]), np.nan, 1.0)])
        blocks.append(
            HeadScores(
                importance,
                (Task("a", "x", 3, 0.5, 0.25), Task("b")),
                Method(method, diagnostics=DIAGNOSTICS),
                Model("t5", kv_groups=4, notes=["a note"]),
                (examples, None),
                seed=3,
                synthetic=True,
                block=name,
                versions={"torch": "2"},
            )
        )
    return tuple(blocks)


def same(a: HeadScores, b: HeadScores) -> None:
    for field in ("tasks", "method", "model", "reduction", "seed", "synthetic", "block", "versions"):
        assert getattr(a, field) == getattr(b, field), field
    np.testing.assert_array_equal(a.importance, b.importance)
    for one, other in zip(a.examples, b.examples, strict=True):
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        assert (one.ids, one.groups, one.ordered) == (other.ids, other.groups, other.ordered)
        np.testing.assert_array_equal(one.discovery, other.discovery)
        np.testing.assert_array_equal(one.values, other.values)
        assert (one.errors is None) == (other.errors is None)
        if one.errors is not None and other.errors is not None:
            np.testing.assert_array_equal(one.errors, other.errors)


@pytest.mark.parametrize("names", [(None,), ("cross",), ("enc", "dec", "cross")])
@pytest.mark.parametrize("errors", [True, False])
def test_blocks_come_back(tmp_path: Path, names: tuple[str | None, ...], errors: bool) -> None:
    blocks = made(names, errors=errors)
    (tmp_path / "s.safetensors").write_bytes(scores_bytes(blocks, "key"))
    again, key = read_scores(tmp_path / "s.safetensors")
    assert key == "key"
    assert [b.block for b in again] == list(names)
    for one, other in zip(blocks, again, strict=True):
        same(one, other)
    assert scores_bytes(again, "key") == scores_bytes(blocks, "key")


def test_the_tensors_have_the_documented_names(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    path.write_bytes(scores_bytes(made((None,)), "key"))
    assert set(load_file(path)) == {"importance", "examples/0", "errors/0"}
    path.write_bytes(scores_bytes(made(), "key"))
    assert set(load_file(path)) == {
        f"{kind}/{b}{t}" for b in SHAPES for kind, t in (("importance", ""), ("examples", "/0"), ("errors", "/0"))
    }
    with safe_open(path, framework="numpy") as file:
        assert list(file.metadata()) == ["reportgen"]
        meta = json.loads(file.metadata()["reportgen"])
    assert meta["blocks"] == ["enc", "dec", "cross"]
    assert meta["model"]["layers"] == {"enc": 4, "dec": 6, "cross": 6}


def test_a_file_of_one_block_from_before_blocks_had_tensors_is_read(tmp_path: Path) -> None:
    (block,), path = made((None,), errors=False), tmp_path / "old.safetensors"
    path.write_bytes(scores_bytes(block, "key"))
    with safe_open(path, framework="numpy") as file:
        meta = json.loads(file.metadata()["reportgen"])
    meta["block"] = "enc"
    del meta["method"]["diagnostics"], meta["model"]["notes"], meta["sha256"]
    save_file(load_file(path), path, metadata={"reportgen": json.dumps(meta)})
    (again,), _ = read_scores(path)
    assert again.block == "enc"
    np.testing.assert_array_equal(again.importance, block.importance)


def test_a_flipped_bit_is_not_read_as_a_score(tmp_path: Path) -> None:
    (block,), path = made((None,)), tmp_path / "s.safetensors"
    whole = bytearray(scores_bytes(block, "key"))
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in (start, len(whole) - 1, whole.index(b"reportgen/scores") - 20):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(InputError):
            read_scores(path)


def test_what_could_not_be_computed_is_null(tmp_path: Path) -> None:
    (block,) = made((None,))
    unknown = replace(block, method=Method("m", diagnostics={"gap": {"a": float("nan"), "b": 1.0}}))
    (tmp_path / "s.safetensors").write_bytes(scores_bytes(unknown))
    assert read_scores(tmp_path / "s.safetensors")[0][0].method.diagnostics == {"gap": {"a": None, "b": 1.0}}


def test_the_table_has_a_column_for_blocks_only_where_they_are_named() -> None:
    rows = list(csv.reader(scores_csv(made()).splitlines()))
    assert rows[0] == ["task", "layer", "head", "importance", "block"]
    assert len(rows) == 1 + 2 * (16 + 24 + 24)
    assert rows[1][-1] == "enc"
    assert rows[-1] == ["b", "5", "3", "1.0", "cross"]
    assert ["a", "2", "0", "nan", "dec"] in rows
    assert scores_csv(made((None,))).splitlines()[0] == "task,layer,head,importance"


@pytest.mark.parametrize(
    ("names", "block", "message"),
    [
        (
            ("enc", "dec", "cross"),
            None,
            "this file holds several blocks of heads. Give block as one of: enc, dec, cross.",
        ),
        (("enc", "dec", "cross"), "encoder", "this file holds no block 'encoder'. Its blocks are: enc, dec, cross."),
        ((None,), "enc", "this file holds no block 'enc'. Leave block out: its heads are in no block."),
    ],
)
def test_one_block_is_asked_for_by_name(
    tmp_path: Path, names: tuple[str | None, ...], block: str | None, message: str
) -> None:
    path = tmp_path / "s.safetensors"
    path.write_bytes(scores_bytes(made(names)))
    with pytest.raises(InputError) as error:
        load_scores(path, block=block)
    assert str(error.value) == f"{path}: {message}"


def test_blocks_are_loaded_one_or_all(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    path.write_bytes(scores_bytes(made()))
    same(load_scores(path, block="cross"), made()[2])
    assert [b.block for b in load_blocks(path)] == ["enc", "dec", "cross"]
    path.write_bytes(scores_bytes([replace(b, model=Model()) for b in made()]))
    loaded = load_blocks(path, ScoresSection(path=path, kv_groups=2))
    assert [b.model.kv_groups for b in loaded] == [2, 2, 2]


def test_methods_are_written_and_read_together(tmp_path: Path) -> None:
    methods = {name: made(method=name) for name in ("first", "activation_norm")}
    (tmp_path / "scores-stale.safetensors").write_bytes(scores_bytes(made(method="stale"), "other"))
    write_methods(tmp_path, methods, "key")
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"scores.safetensors", "scores-activation_norm.safetensors"}
    stored, key = read_methods(tmp_path)
    assert (list(stored), key) == (["first", "activation_norm"], "key")
    assert scored_together(tmp_path / "scores-activation_norm.safetensors") == ("first", "activation_norm")


def test_a_missing_method_or_one_of_another_run_is_refused(tmp_path: Path) -> None:
    write_methods(tmp_path, {name: made(method=name) for name in ("first", "second")}, "key")
    second = tmp_path / "scores-second.safetensors"
    second.write_bytes(scores_bytes(made(method="second"), "another key"))
    with pytest.raises(InputError, match="the scores of its methods were not made together"):
        read_methods(tmp_path)
    second.unlink()
    with pytest.raises(InputError, match=r"scores-second.safetensors: no such file"):
        read_methods(tmp_path)


def test_a_file_that_does_not_say_is_read_with_those_beside_it(tmp_path: Path) -> None:
    (tmp_path / "scores.safetensors").write_bytes(scores_bytes(made(method="a"), "key"))
    (tmp_path / "scores-b.safetensors").write_bytes(scores_bytes(made(method="b"), "key"))
    assert list(read_methods(tmp_path)[0]) == ["a", "b"]


@pytest.mark.parametrize("meta", ["[]", "no JSON", '{"format": 1}', '{"blocks": 3, "key": ""}'])
def test_broken_metadata_is_refused(tmp_path: Path, meta: str) -> None:
    path = tmp_path / "s.safetensors"
    save_file({"importance": np.zeros((1, 2, 2), np.float32)}, path, metadata={"reportgen": meta})
    with pytest.raises(InputError, match="its metadata does not fit"):
        read_scores(path)
