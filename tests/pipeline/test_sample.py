"""The sample study: its data, its model, and its report from the model's weights to the PDF."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from test_cli import run

pytestmark = [pytest.mark.slow, pytest.mark.pdf]

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_data"
TASKS = {
    "Knowledge Recall",
    "Retrieval",
    "Logical Reasoning",
    "Decision-making",
    "Semantic Understanding",
    "Syntactic Understanding",
    "Inference",
    "Math Calculation",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "report"
    done = run("build", SAMPLE, "-o", folder, "--limit", 24)
    assert done.returncode == 0, done.stderr
    assert "gate_gradient: " in done.stderr
    return folder


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in (SAMPLE / "tasks.jsonl").read_text().splitlines()]


def test_the_task_file_is_what_its_recipe_writes(tmp_path: Path) -> None:
    command = [sys.executable, str(SAMPLE / "train.py"), "--tasks-only", "--out", str(tmp_path)]
    subprocess.run(command, check=True)
    assert (tmp_path / "tasks.jsonl").read_bytes() == (SAMPLE / "tasks.jsonl").read_bytes()


def test_every_task_has_examples_enough_and_none_was_trained_on() -> None:
    sys.path.insert(0, str(SAMPLE))
    from task_writers import EXERCISES, TrainingStream, evaluation_rows

    counts = {name: sum(r["task"] == name for r in rows()) for name in TASKS}
    assert min(counts.values()) >= 200
    held = evaluation_rows(220, 20261122)
    stream, evaluated = TrainingStream(held, 20261122), {r["prompt"] for r in rows()}
    for task in (*TASKS, *EXERCISES):
        assert not evaluated & {stream.draw(task)["prompt"] for _ in range(3000)}, task


def test_the_model_is_small_and_safe() -> None:
    model = SAMPLE / "model"
    assert sum(p.stat().st_size for p in model.iterdir()) <= 12 * 2**20
    config = json.loads((model / "config.json").read_text())
    assert (config["num_hidden_layers"], config["num_attention_heads"]) == (8, 8)
    assert not [p for p in model.iterdir() if p.suffix in (".bin", ".pt", ".pkl", ".py")]


def test_the_report_says_how_well_the_model_does(report: Path) -> None:
    findings = json.loads((report / "findings.json").read_text())["findings"]
    assert {f["task"] for f in findings if f["kind"] == "competence"} == TASKS
    held_out = [f for f in findings if f["value"] and f["value"]["split"] == "held-out"]
    assert all(f["n_examples"] <= 14 for f in held_out)


def test_importance_can_be_computed_again_from_the_examples(report: Path) -> None:
    from reportgen.storage.scores_file import read_scores

    (scores,), _ = read_scores(report / "scores.safetensors")
    for t, examples in enumerate(scores.examples):
        assert examples is not None
        mean = np.abs(examples.values.astype(float)).mean(axis=0)
        np.testing.assert_allclose(scores.importance[t], mean, rtol=1e-6)


def test_the_pdf_carries_its_evidence(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        attached = {name: pdf.attachments[name].get_file().read_bytes() for name in pdf.attachments}
    assert {"study.toml", "scores.csv", "findings.json", "manifest.json", "scores.safetensors"} <= set(attached)
    for name, content in attached.items():
        assert content == (report / name).read_bytes(), name


def test_a_dry_run_tells_the_cost_and_writes_nothing(tmp_path: Path) -> None:
    done = run(
        "build", SAMPLE, "-o", tmp_path / "out", "--dry-run", "--json", "--set", 'scoring.also=["zero_ablation"]'
    )
    cost = json.loads(done.stdout)
    assert cost["layers"] == cost["heads"] == 8
    assert [m["method"] for m in cost["methods"]] == ["gate_gradient", "zero_ablation", "activation_norm"]
    later = cost["validation"]
    assert (later["runs"], later["budget"]) == (2 * 1760 * 38, 2), "two times exact zero ablation, of all tasks' rows"
    assert 0.1 < later["smallest"] < 1
    assert later["seconds"] > 0
    assert not (tmp_path / "out").exists()


def test_a_further_method_is_scored_beside_the_first(tmp_path: Path) -> None:
    also = ("--set", 'scoring.also=["zero_ablation"]', "--limit", 4, "--quiet")
    assert run("score", SAMPLE, "-o", tmp_path / "out", *also).returncode == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    files = {"scores.safetensors", "scores-zero_ablation.safetensors", "scores-activation_norm.safetensors"}
    assert names == files | {"scores.csv", "study.toml"}  # the norm is the control beside gate_gradient


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--set", "scoring.method=gate_gradients"), "no scoring method is called 'gate_gradients'"),
        (("--set", "model.path=nowhere/model"), "nowhere/model"),
        (("--set", "tasks.path=nowhere.jsonl"), "no such file"),
        (("--set", "scoring.batch_size=0"), "[scoring] batch_size"),
    ],
)
def test_a_study_that_cannot_be_scored(tmp_path: Path, changes: tuple[str, ...], message: str) -> None:
    done = run("build", SAMPLE, "-o", tmp_path / "out", *changes)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
