"""Which importer reads a file: exactly one claims each kind, and an unknown file is told what was seen in it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from files import refusal, written
from safetensors.numpy import save_file

from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores
from reportgen.importers.common import IMPORTERS
from reportgen.storage.scores_file import scores_bytes

MAP = np.ones((2, 3), dtype=np.float32)
TABLE = "task,layer,head,importance\na,0,0,1\n"
KNOWN = "Known formats: " + "; ".join(f"{i.name}: {i.summary}" for i in IMPORTERS.own()) + "."


def sample(folder: Path, name: str) -> Path:
    """A file of this name in the layout that it promises."""
    path = folder / name
    texts = {
        "scores.csv": TABLE,
        "retrieval.json": '\ufeff{"0-0": [1, 2]}',
        "retrieval-of-lists.json": '{"0-0": [[1, 2]]}',
        "mirrors.json": '\ufeff{"Math \\"hard\\"": [[0, 1.5]]}',
        "mirrors-spaced.json": '{\r\n "Math": [\r\n  [0, 1.5]]}',
        "full_attention_heads.tsv": "1.0\t0.5\r\n",
        "full_attention_heads_latest.tsv": "",
        "matrix.tsv": "\ufeff-1.0e-5\t0.5\n",
        "ranking.txt": "layer head score\n0 0 1\n",
        "records.json": '[{"layer": 0, "head": 0, "score": 1}]',
        "maps.json": '{"Math": [[0.5, 1.5, 2.5]]}',
        "lines.jsonl": '{"layer": 0, "head": 0, "score": 1}\n',
        "broken.npz": "no archive",
        "broken.npy": "",
        "broken.pt": "",
        "broken.safetensors": "",
        "broken_indirect_effect.pt": "",
        "broken_head_importance.npy": "",
    }
    if name in texts:
        return written(folder, texts[name], name)
    if path.suffix == ".parquet":
        pd.DataFrame({"task": ["a"], "layer": [0], "head": [0], "importance": [1.0]}).to_parquet(path)
    elif path.suffix == ".npz":
        np.savez(path, **({"importance": MAP} if name == "ours.npz" else {"ioi": MAP, "tasks": MAP}))
    elif path.suffix == ".npy":
        np.save(path, MAP)
    elif path.name == "scores.safetensors":
        path.write_bytes(scores_bytes(HeadScores.from_array(MAP[None], ["a"])))
    elif path.suffix == ".safetensors":
        save_file({"importance": MAP}, path)
    else:
        torch.save(torch.from_numpy(MAP), path)
    return path


@pytest.mark.parametrize(
    ("name", "importer"),
    [
        ("scores.csv", "tidy"),
        ("scores.parquet", "tidy"),
        ("scores.safetensors", "reportgen"),
        ("broken.safetensors", "reportgen"),
        ("theirs.safetensors", "arrays"),
        ("ours.npz", "npz"),
        ("broken.npz", "npz"),
        ("theirs.npz", "arrays"),
        ("a.npy", "arrays"),
        ("broken.npy", "arrays"),
        ("head_importance.npy", "bertology"),
        ("mrpc_head_importance.npy", "bertology"),
        ("broken_head_importance.npy", "bertology"),
        ("a.pt", "arrays"),
        ("A.PT", "arrays"),
        ("a.pth", "arrays"),
        ("broken.pt", "arrays"),
        ("antonym_indirect_effect.pt", "function-vectors"),
        ("broken_indirect_effect.pt", "function-vectors"),
        ("retrieval.json", "retrieval-head"),
        ("retrieval-of-lists.json", "retrieval-head"),
        ("mirrors.json", "cognitive-mirrors"),
        ("mirrors-spaced.json", "cognitive-mirrors"),
        ("full_attention_heads.tsv", "duo-attention"),
        ("full_attention_heads_latest.tsv", "duo-attention"),
        ("matrix.tsv", "tidy"),
        ("ranking.txt", "tidy"),
        ("records.json", "json"),
        ("maps.json", "json"),
        ("lines.jsonl", "json"),
    ],
)
def test_exactly_one_importer_claims_a_file(tmp_path: Path, name: str, importer: str) -> None:
    path = sample(tmp_path, name)
    assert [i.name for i in IMPORTERS.own() if i.claims(path)] == [importer]


@pytest.mark.parametrize(
    ("name", "content", "seen"),
    [
        ("scores.xyz", "hello\r\nworld", "a .xyz file starting 'hello'"),
        ("scores", "\ufeffhello", "a file without extension starting 'hello'"),
        ("scores.txt", "x" * 9000, f"a .txt file starting {'x' * 40!r}"),
        ("a.bin", b"\x80\2\xff\xfe\0\1\2\3\4", "a .bin file starting with the bytes 80 02 ff fe 00 01 02 03"),
        ("a.json", "", "it is empty"),
        ("a.tsv", "\n", "it is empty"),
        ("a.json", '{"Math": 12, "Recall": 9}', "a .json file with the keys 'Math', 'Recall'"),
        ("a.json", '{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}', "a .json file with the keys 'a', 'b', 'c', 'd', …"),
        ("a.json", f'{{"{"k" * 99}": 1}}', f"a .json file with the keys '{'k' * 24}'"),
        ("a.json", '["a", 2]', "a .json file starting '[\"a\", 2]'"),
        ("a.jsonl", "1\n2\n", "a .jsonl file starting '1'"),
    ],
)
def test_an_unknown_file_is_told_what_was_seen_and_what_is_known(
    tmp_path: Path, name: str, content: str | bytes, seen: str
) -> None:
    said = refusal(written(tmp_path, content, name))
    assert said.startswith(f"{name}: no importer knows this file ({seen}). ")
    assert said.endswith(KNOWN) or "index=False)" in said  # a form that is near, made for this very file
    assert len(said) < 1200


def test_an_unknown_format_is_told_the_known_ones(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, TABLE), format="tydi") == (f"[scores] format: no format is called 'tydi'. {KNOWN}")
    assert refusal(tmp_path / "nowhere.csv") == "nowhere.csv: no such file. Check the path."


def test_every_importer_can_be_named_and_says_so_shortly() -> None:
    names = [i.name for i in IMPORTERS.own()]
    assert len(set(names)) == len(names)
    assert all(len(i.summary) <= 120 and not i.summary.endswith(".") for i in IMPORTERS.own())


def test_an_importer_that_fails_is_named_and_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "failing-1.0.dist-info").mkdir(parents=True)
    written(site / "failing-1.0.dist-info", "Metadata-Version: 2.1\nName: failing\nVersion: 1.0\n", "METADATA")
    entries = "[reportgen.importers]\nfailing = failing_importer:IMPORTER\n"
    written(site / "failing-1.0.dist-info", entries, "entry_points.txt")
    code = """
from reportgen.importers.common import Importer
IMPORTER = Importer("failing", "a format", lambda path: 1 / 0, lambda path, section: 0, order=1)
"""
    written(site, code, "failing_importer.py")
    monkeypatch.syspath_prepend(site)
    (failed,) = load_scores(written(tmp_path, TABLE, "scores.csv")).plugins
    assert failed.failure == "The importer failing of failing 1.0 is left out: ZeroDivisionError: division by zero."
    unknown = refusal(written(tmp_path, "x", "unknown.bin"))
    assert "the importer failing of failing 1.0 failed: ZeroDivisionError: division by zero" in str(unknown)
