"""convert and init --from: the table and the study of a file of scores, which say what was understood."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reportgen.cli.main import app
from reportgen.core.config_file import load_study
from reportgen.errors import InputError
from reportgen.importers import load_scores
from reportgen.pipeline.convert import STUDY, convert, init_from
from reportgen.pipeline.source import open_source

CORPUS = Path(__file__).parents[1] / "data" / "files"
STATED = {"scores.layers": 3, "scores.heads": 4}


@pytest.mark.parametrize(
    "name", ["semicolon_decimal_comma.csv", "tasks_of_heads.json", "absent_heads.csv", "probes.json"]
)
def test_the_table_holds_what_was_understood(tmp_path: Path, name: str) -> None:
    found = convert(CORPUS / name, tmp_path / "scores.csv", {})
    again = load_scores(tmp_path / "scores.csv")
    np.testing.assert_allclose(again.importance, found.blocks[0].importance, rtol=1e-6)
    assert again.task_names == found.blocks[0].task_names
    assert (again.examples[0] is None) == (found.blocks[0].examples[0] is None)
    assert not again.model.notes  # a tidy table needs no recognising


def test_what_was_not_scored_has_no_row(tmp_path: Path) -> None:
    found = convert(CORPUS / "top_k.csv", tmp_path / "scores.csv", STATED)
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 7
    assert "7 of 12 heads were scored" in list(found.lines)[-1]


def test_a_study_is_written_that_reads_the_file_alike(tmp_path: Path) -> None:
    found = init_from(CORPUS / "by_key.json", tmp_path / "study", {"scores.key": "b.heads"})
    study = load_study(tmp_path / "study" / STUDY)
    assert study.scores is not None
    assert study.scores.key == "b.heads"
    assert study.scores.path.resolve() == CORPUS / "by_key.json"
    assert open_source(tmp_path / "study", {}).study.scores == study.scores
    assert [key for key, _, _ in found.asked] == ["method", "unit", "bounds", "kv_groups"]
    text = (tmp_path / "study" / STUDY).read_text()
    assert "# read as: key = b.heads" in text
    assert "# bounds = [0, 1]" in text
    with pytest.raises(InputError, match="this file exists already"):
        init_from(CORPUS / "lists.json", tmp_path / "study", {})


def test_a_ranking_is_asked_for_the_models_size(tmp_path: Path) -> None:
    found = init_from(CORPUS / "top_k.csv", tmp_path, {})
    assert {"layers", "heads", "rest"} <= {key for key, _, _ in found.asked}


def test_the_file_itself_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([[1.5, 2.5]]))
    with pytest.raises(InputError, match="this is the file itself"):
        convert(path, path, {})


def test_the_commands_say_what_was_understood(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["convert", str(CORPUS / "top_k.csv"), "-o", str(tmp_path / "a.csv"), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["blocks"][0]["scored"] == [7, 12]
    assert told["read"][0].startswith("read as: layer_idx → layer")
    done = CliRunner().invoke(app, ["init", "--from", str(CORPUS / "matrix.csv"), str(tmp_path)])
    assert done.exit_code == 0
    assert "read as: a matrix of 3 layers (rows) × 4 heads (columns)" in done.stdout
    assert "not in the file: how the scores were measured ([scores] method)" in done.stdout
