"""Export: a report's heads and claims as the files of other tools, each read back the way its tool would."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from reportgen.archive.export import FORMATS, export
from reportgen.core.scores import HeadScores
from reportgen.errors import InputError
from reportgen.importers import load_scores
from reportgen.pipeline.artifacts import FindingsArtifact, Run, ScoresArtifact
from reportgen.pipeline.source import open_source
from reportgen.storage.scores_file import scores_csv

NAMES = ["Recall | all_of it", "Math & <more>"]


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scores and findings, of a map with a block of strong heads and one without."""
    folder = tmp_path_factory.mktemp("analyzed")
    tensor = np.random.default_rng(0).lognormal(-6, 0.4, (2, 8, 10)).astype(np.float32)
    tensor[0, 2:5, 1:5] *= 8
    (folder / "scores.csv").write_text(scores_csv(HeadScores.from_array(tensor, NAMES)), encoding="utf-8")
    run = Run(folder / "out", open_source(folder / "scores.csv", {"analysis.permutations": 999}))
    FindingsArtifact(run, ScoresArtifact(run).obtain()).obtain()
    return folder / "out"


@pytest.fixture(scope="module")
def files(analyzed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    assert export(analyzed, out, tuple(name for name in FORMATS if name != "heads"), top=3)
    return out


@pytest.fixture(scope="module")
def scores(analyzed: Path) -> HeadScores:
    return load_scores(analyzed / "scores.safetensors")


def test_the_tidy_table_is_read_back_exactly(files: Path, scores: HeadScores) -> None:
    np.testing.assert_array_equal(load_scores(files / "scores.parquet").importance, scores.importance)


def test_masks_hold_the_found_sets_and_the_leading_heads(files: Path, scores: HeadScores) -> None:
    masks = load_file(files / "masks.safetensors")
    top = masks[f"top/{NAMES[0]}"]
    assert top.sum() == 3
    assert scores.importance[0][top].min() > scores.importance[0][~top].max()
    (cluster,) = (mask for name, mask in masks.items() if name.startswith("cluster/"))
    assert cluster[2:5, 1:5].all()
    for name, kept in load_file(files / "head_mask.safetensors").items():
        np.testing.assert_array_equal(kept, 1.0 - masks[name])


def test_the_hooks_take_out_the_heads_of_a_set(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    held: dict[str, Any] = {}
    exec(compile((files / "use_masks.py").read_text(), "use_masks.py", "exec"), held)
    name = f"top/{NAMES[0]}"
    mask = load_file(files / "masks.safetensors")[name]
    hooks = held["transformer_lens_hooks"](name)
    assert [where for where, _ in hooks] == [f"blocks.{i}.attn.hook_z" for i in np.flatnonzero(mask.any(axis=1))]
    layer = int(np.flatnonzero(mask.any(axis=1))[0])
    z = hooks[0][1](torch.ones(1, 2, 10, 4), SimpleNamespace(layer=lambda: layer))
    assert (z.sum(dim=(0, 1, 3)) == 0).numpy().tolist() == mask[layer].tolist()
    outputs = [SimpleNamespace(input=torch.ones(1, 2, 40)) for _ in range(8)]
    held["nnsight_zero"](outputs, name, 4)
    zeroed = np.stack([(o.input.reshape(1, 2, 10, 4).sum(dim=(0, 1, 3)) == 0).numpy() for o in outputs])
    np.testing.assert_array_equal(zeroed, mask)


def test_a_graph_of_mib_is_read_back(files: Path, scores: HeadScores) -> None:
    path = next((files / "mib").glob("0-*.json"))
    nodes = json.loads(path.read_text())["nodes"]
    assert sum(node["in_graph"] for node in nodes.values()) == 3
    np.testing.assert_array_equal(load_scores(path).importance[0], scores.importance[0])


def test_the_table_of_wandb_holds_every_head(files: Path) -> None:
    table = json.loads((files / "wandb" / "heads.table.json").read_text())
    assert len(table["data"]) == 160
    assert all(len(row) == len(table["columns"]) for row in table["data"])
    assert json.loads((files / "wandb" / "artifact.json").read_text())["claims"]
    compile((files / "wandb" / "log_to_wandb.py").read_text(), "log_to_wandb.py", "exec")


def test_claims_are_tables_of_which_nothing_is_taken_for_marks(files: Path) -> None:
    lines = (files / "claims.md").read_text().splitlines()
    assert len(lines) > 2
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)
    card = (files / "model_card.md").read_text()
    assert card.startswith("## Attention heads\n")
    assert lines[2] in card
    assert "Recall \\| all\\_of it" in card
    latex = (files / "claims.tex").read_text()
    assert latex.count("\\\\\n") == len(lines) - 1


def test_what_cannot_be_exported_leaves_nothing(analyzed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no heads\.json in it\. Run `reportgen render`"):
        export(analyzed, tmp_path / "out", ("parquet", "heads"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"no form is called 'mibs'\. Did you mean 'mib'\?"):
        export(analyzed, tmp_path / "out", ("mibs",))
    with pytest.raises(InputError, match="this is the report's own folder"):
        export(analyzed, analyzed, ("parquet",))
