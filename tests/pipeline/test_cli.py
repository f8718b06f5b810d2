"""The command line as a user runs it: whole processes, exit codes, messages, files."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import commands
import numpy as np
import pytest

from reportgen.analysis.view import DETECTORS
from reportgen.cli.main import usage_or_internal
from reportgen.core.config_file import load_study, with_overrides
from reportgen.errors import InputError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FIGURE = ROOT / "sample_data" / "figure" / "scores.csv"
SAMPLE = ROOT / "sample_data" / "study.toml"


def run(*arguments: object, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = commands.started if "PYTHONHASHSEED" in environment else commands.run
    return command(*arguments, cwd=cwd, environment=environment)


def small_scores(folder: Path, seed: int = 0, tasks: int = 2, name: str = "scores.csv") -> Path:
    rng = np.random.default_rng(seed)
    rows = [f"Task {t},{i},{j},{rng.lognormal():.5f}" for t in range(tasks) for i in range(10) for j in range(8)]
    path = folder / name
    path.write_text("\n".join(["task,layer,head,importance", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figure") / "report"
    done = run("build", FIGURE, "-o", folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("report.html")
    assert lines[1].endswith("report.pdf")
    numbered = [line.partition(" ")[0] for line in lines[3:] if line[:1].isdigit()]
    assert numbered[:3] == ["1.", "2.", "3."]
    assert "analysis: 1/1" in done.stderr
    return folder


def test_the_figure_report_is_whole(figure: Path) -> None:
    manifest = json.loads((figure / "manifest.json").read_text())
    on_disk = {str(p.relative_to(figure)) for p in figure.rglob("*") if p.is_file()}
    assert on_disk == {*manifest["files"], "manifest.json", "report.pdf", "ro-crate-metadata.json"}
    assert {"report.html", "scores.safetensors", "scores.csv", "findings.json", "heads.json", "cite.txt"} <= on_disk
    assert "Synthetic scores" in (figure / "report.html").read_text()
    assert json.loads((figure / "findings.json").read_text())["schema"] == "reportgen/findings/2"


def test_what_explain_prints_gives_the_same_findings(figure: Path, tmp_path: Path) -> None:
    told = run("explain", figure, "depth/all/2", "--json")  # of task groups, which the study alone names
    analyze, explain = json.loads(told.stdout)["again"]["commands"]
    assert run(*analyze.split()[1:], "--quiet", cwd=tmp_path).returncode == 0
    assert (tmp_path / "NEW" / "findings.json").read_bytes() == (figure / "findings.json").read_bytes()
    assert json.loads(run(*explain.split()[1:], "--json", cwd=tmp_path).stdout)["id"] == "depth/all/2"


def test_an_unchanged_report_is_not_made_again(figure: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in figure.rglob("*") if p.is_file()}
    assert run("build", FIGURE, "-o", figure, "--quiet").returncode == 0
    assert {p: p.stat().st_mtime_ns for p in figure.rglob("*") if p.is_file()} == before


def test_another_study_is_refused_unless_forced(figure: Path, tmp_path: Path) -> None:
    copy = tmp_path / "report"
    shutil.copytree(figure, copy)
    other = small_scores(tmp_path)
    refused = run("build", other, "-o", copy)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        f"reportgen: {copy}: this folder holds the report of another study or other settings. "
        "Choose another folder with -o, or overwrite it with --force."
    )
    assert json.loads((copy / "manifest.json").read_text()) == json.loads((figure / "manifest.json").read_text())
    assert run("build", other, "-o", copy, "--force", "--quiet").returncode == 0
    assert "Knowledge Recall" not in (copy / "report.html").read_text()
    names = {p.name for p in (copy / "figures").iterdir()}
    assert not any("knowledge" in n for n in names)


def test_a_folder_of_other_files_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    refused = run("build", small_scores(tmp_path), "-o", tmp_path / "mine")
    assert refused.returncode == 2
    assert "this folder holds files that reportgen did not write" in refused.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_changed_settings_redo_only_later_stages(tmp_path: Path) -> None:
    scores, folder = small_scores(tmp_path), tmp_path / "report"
    assert run("build", scores, "-o", folder, "--quiet", "--set", 'report.formats=["html"]').returncode == 0
    first = (folder / "scores.safetensors").stat().st_mtime_ns
    again = run(
        "build", scores, "-o", folder, "--quiet", "--set", 'report.formats=["html"]', "--set", "analysis.alpha=0.2"
    )
    assert again.returncode == 0
    assert (folder / "scores.safetensors").stat().st_mtime_ns == first
    assert json.loads((folder / "findings.json").read_text())["alpha"] == 0.2


def test_stage_by_stage_equals_build(tmp_path: Path) -> None:
    scores = small_scores(tmp_path)
    epoch = {"SOURCE_DATE_EPOCH": "1750000000"}
    only = ("--set", 'report.formats=["html"]', "--quiet")
    assert run("build", scores, "-o", tmp_path / "whole", *only, **epoch).returncode == 0
    assert run("analyze", scores, "-o", tmp_path / "steps", "--quiet", **epoch).returncode == 0
    assert run("render", tmp_path / "steps", *only, **epoch).returncode == 0
    for name in ("findings.json", "scores.csv", "scores.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "steps" / name).read_bytes(), name


def test_the_same_inputs_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    scores, epoch = small_scores(tmp_path), {"SOURCE_DATE_EPOCH": "1750000000"}
    folders = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        done = run("build", scores, "-o", "report", "--quiet", cwd=tmp_path / seed, PYTHONHASHSEED=seed, **epoch)
        assert done.returncode == 0, done.stderr
        folders.append(tmp_path / seed / "report")
    for path in folders[0].rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (folders[1] / path.relative_to(folders[0])).read_bytes(), path.name


def test_json_is_one_object(tmp_path: Path) -> None:
    done = run("build", small_scores(tmp_path), "-o", tmp_path / "r", "--json", "--set", 'report.formats=["html"]')
    content = json.loads(done.stdout)
    assert content["files"] == [str(tmp_path / "r" / "report.html")]
    kept = json.loads((tmp_path / "r" / "claims.json").read_text())["claims"]
    assert content["claims"] == kept
    assert kept


def test_explain(figure: Path) -> None:
    done = run("explain", figure, "cluster/decision-making/1")
    assert done.returncode == 0
    for part in (
        "null: heads, or runs of 2 heads, shuffled within each layer",
        "layers 18–25",
        "heads 10–20",
        "family: cluster, 8 tests",
        "reportgen analyze",
    ):
        assert part in done.stdout
    unknown = run("explain", figure, "cluster/nothing/1")
    assert unknown.returncode == 2
    assert "no claim, finding or head is called 'cluster/nothing/1'. Did you mean cluster/" in unknown.stderr


def test_a_shell_completes_commands() -> None:
    asked = {"_REPORTGEN_COMPLETE": "complete_bash", "COMP_WORDS": "reportgen expl", "COMP_CWORD": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("reportgen")], env={**os.environ, **asked}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["explain"], "")


def test_single_values_deep_in_the_study_can_be_set(tmp_path: Path) -> None:
    study = load_study(SAMPLE)
    deep = with_overrides(study, {"scoring.parameters.shapley.pairs": 3, "scoring.seed": 5}, tmp_path)
    assert (deep.scoring.parameters, deep.scoring.seed) == ({"shapley": {"pairs": 3}}, 5)
    assert (study.model_as_written, deep.model_as_written) == ("model", "model")
    assert with_overrides(study, {"model.path": "/a/b/c"}, tmp_path).model_as_written == "…/b/c"
    assert with_overrides(study, {"model.path": "b/c"}, tmp_path).model_as_written == "b/c"
    for name, said in [
        ("scoring.seed.x", "'seed' is no table"),
        ("scoring..x", "names no value"),
        ("seed", "names no value"),
    ]:
        with pytest.raises(InputError, match=said):
            with_overrides(study, {"scoring.seed": 5, name: 1}, tmp_path)


def test_lists_and_schemas() -> None:
    assert "gate_gradient:" in run("methods").stdout
    told = run("methods", "zero_ablation").stdout
    for part in (
        "formula: s(e, l, h) = m(e) − m(e | ",
        "unit: Δ log-odds",
        "sign: baseline minus ablated",
        "cost: ",
        "parameter heads_at_once = 0: ",
        "reference: Michel, P.",
    ):
        assert part in told
    described = json.loads(run("methods", "--json").stdout)
    assert {"formula", "unit", "sign", "cost", "references", "parameters", "models"} <= set(described["shapley"])
    wrong = run("methods", "zero_ablatoin")
    assert (wrong.returncode, "Did you mean 'zero_ablation'?" in wrong.stderr) == (2, True)
    assert list(json.loads(run("detectors", "--json").stdout)) == [d.name for d in DETECTORS.own()]
    for what in ("study", "findings"):
        assert json.loads(run("schema", what).stdout)["type"] == "object"
    assert run("schema", "nothing").returncode == 2
    assert run("--version").stdout.startswith("reportgen 0")


def test_init_writes_a_study_that_is_understood(tmp_path: Path) -> None:
    assert run("init", tmp_path / "new").returncode == 0
    done = run("build", tmp_path / "new", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "path/to/model" in done.stderr  # all that is missing is the model
    assert not (tmp_path / "out").exists()
    assert run("init", tmp_path / "new").returncode == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[scores]\npath = 'scores.csv'\nmetod = 'x'\n", "[scores] metod: unknown key 'metod'. Did you mean 'method'?"),
        ("[scores]\npath = 'scores.csv'\nsigned = 'perhaps'\n", "[scores] signed: Input should be a valid boolean"),
        ("[scores]\npath = 'nowhere.csv'\n", "no such file"),
        (
            "[scores]\npath = 'scores.csv'\n[tasks]\ngroups = { hard = ['Task 9'] }\n",
            "[tasks] groups: no task is called 'Task 9'. The tasks are: Task 0, Task 1.",
        ),
        (
            "[scores]\npath = 'scores.csv'\n[report]\nvenue = 'CHI'\n",
            "[report] venue: this is no venue known here. Known are neurips, icml, iclr, acl",
        ),
        (
            "[scores]\npath = 'scores.csv'\n[validation]\ncontrols = 5\n",
            "[validation] controls: Input should be greater than or equal to 20 (got 5)",
        ),
        ("[scores]\npath = 'scores.csv'\n[analysis]\ndetectors = ['clusters']\n", "no detector is called 'clusters'"),
        ("[scores]\npath = 'scores.csv'\n[report]\nsections = ['sumary']\n", "sumary"),
        ("title = \n", "this is not TOML"),
        (f"[scores]\npath = '{'a' * 300}'\n", "this path cannot be used (File name too long). Check the path."),
        (f"[tasks]\npath = 'x.csv'\n[model]\npath = '{'a' * 300}'\n", "this path cannot be used (File name too long)"),
        ("[scores]\npath = 'scores.csv/x'\n", "no such file"),
        ("[study]\ntitle = 'x'\n", "a study needs [model] path and [tasks] path, or [scores] path"),
    ],
)
def test_a_study_that_does_not_fit(tmp_path: Path, content: str, message: str) -> None:
    small_scores(tmp_path)
    (tmp_path / "study.toml").write_text(content)
    done = run("build", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("tasks", "layers", "heads"), [(1, 4, 4), (1, 1, 1), (3, 1, 12)])
def test_small_and_constant_tensors_make_a_report(tmp_path: Path, tasks: int, layers: int, heads: int) -> None:
    cells = [f"Task {t},{i},{j},0.5" for t in range(tasks) for i in range(layers) for j in range(heads)]
    (tmp_path / "scores.csv").write_text("\n".join(["task,layer,head,importance", *cells]) + "\n")
    done = run("build", tmp_path / "scores.csv", "-o", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())["findings"]
    assert {f["register"] for f in findings} == {"observed"}


def test_a_real_models_heads(published: Path, tmp_path: Path) -> None:
    done = run("build", published / "retrieval_head" / "llama-2-7b-80k.json", "-o", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())["findings"]
    top = next(f for f in findings if f["kind"] == "top_heads")
    assert top["members"][:2] == ["L16H19", "L11H15"]
    assert round(top["data"]["values"][0], 3) == 0.943
    claims = json.loads((tmp_path / "out" / "claims.json").read_text())["claims"]
    assert any(claim["headline"] == "L16H19 is the largest head on llama-2-7b-80k" for claim in claims)


@pytest.mark.parametrize("name", ["file", "file/out", "a" * 300])
def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    done = run("build", small_scores(tmp_path), "-o", tmp_path / name)
    assert done.returncode == 2
    assert "Choose another" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["build", "verify", "analyze"])
def test_a_path_that_is_too_long_is_refused(command: str) -> None:
    done = run(command, "a" * 300)
    assert done.returncode == 2
    assert "this path cannot be used (File name too long). Check the path." in done.stderr


def test_findings_edited_by_hand_are_not_rendered(figure: Path, tmp_path: Path) -> None:
    copy = tmp_path / "report"
    shutil.copytree(figure, copy)
    content = json.loads((copy / "findings.json").read_text())
    content["findings"][1]["layers"] = [0, 99]
    (copy / "findings.json").write_text(json.dumps(content))
    done = run("render", copy)
    assert done.returncode == 2
    assert "is about a task or head that the scores lack" in done.stderr
    assert (copy / "report.html").exists()


def test_a_missing_templates_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    scores = small_scores(tmp_path)
    done = run("build", scores, "-o", tmp_path / "out", "--set", "report.templates=nowhere")
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()
    refused = run("build", scores, "-o", tmp_path / "out", "--method", "zero_ablation")
    assert refused.returncode == 2
    assert "[scores] are scored already" in refused.stderr


def test_an_interrupted_run_says_so_and_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reportgen", "build", str(FIGURE), "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("rendering: figures"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "the same command goes on from there" in rest
    assert (tmp_path / "out" / "findings.json").exists()
    assert not [p for p in (tmp_path / "out").rglob(".*") if p.is_file()]
    before = (tmp_path / "out" / "scores.safetensors").stat().st_mtime_ns
    assert run("build", FIGURE, "-o", tmp_path / "out", "--quiet").returncode == 0
    assert (tmp_path / "out" / "scores.safetensors").stat().st_mtime_ns == before


def test_memory_that_runs_out_anywhere_is_no_fault_to_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_or_internal(MemoryError("std::bad_alloc")) == 3
    told = (
        "reportgen: memory ran out; finished parts are kept, and the same command goes on where there is more of it\n"
    )
    assert capsys.readouterr().err == told
