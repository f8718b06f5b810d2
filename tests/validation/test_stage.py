"""The stage in the pipeline: what is run again and what is not, what is written, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from cases import copying_case
from directory_stages import obtain_scores, render_folder

from reportgen.archive.verify import verify
from reportgen.core.findings import Finding
from reportgen.core.listener import Listener
from reportgen.core.trials import Trials
from reportgen.errors import InputError
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.options import Options
from reportgen.pipeline.reading import open_folder, read_findings, read_trials
from reportgen.pipeline.source import open_source
from reportgen.validation import engine
from reportgen.validation.recorded import recorded_differences, recorded_disagreements

pytestmark = pytest.mark.slow

STUDY = """[study]
title = "Tiny"
[model]
path = "model"
[tasks]
path = "tasks.jsonl"
[scoring]
method = "zero_ablation"
[validation]
budget = 60
[report]
formats = ["html"]
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    copying_case(folder, 3, True)
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "report"
    said: list[str] = []
    pipeline.build(source, folder, options=Options(listener=Listener(notify=said.append)))
    assert any(line.startswith("validation: ") and "× exact zero ablation of the study" in line for line in said)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "report"))


def found(folder: Path) -> list[Finding]:
    """The folder's findings, joined with what interventions say."""
    return joined_in(folder).findings.findings


def joined_in(folder: Path) -> Trials:
    """The folder's trials, derived anew."""
    return read_trials(folder, read_findings(folder, open_folder(folder)[0]))


def steps(source: Path, folder: Path, **overrides: Any) -> set[str]:
    seen: set[str] = set()
    pipeline.build(
        source,
        folder,
        overrides=overrides,
        options=Options(listener=Listener(progress=lambda name, *_: seen.add(name.partition(":")[0]))),
    )
    return seen


def test_verdicts_are_joined_to_the_findings_and_stand_on_the_page(built: Path) -> None:
    assert {(f.verdict, f.specific) for f in found(built) if f.kind == "anomaly"} == {("necessary", True)}
    own = [f for f in found(built) if f.kind == "causal_validation" and f.verdict]
    assert [f.test.null for f in own if f.test] == ["under some voting intervention the loss is at most the margin"]
    stored = json.loads((built / "findings.json").read_text())["findings"]
    assert not [f for f in stored if "verdict" in f or f["kind"] == "causal_validation" or "Needed" in f["sentence"]]
    kept = json.loads((built / "validation.json").read_text())
    assert {"necessary"} <= {each["verdict"] for each in kept["verdicts"].values()}
    assert [f["id"] for f in kept["findings"]] == [f.id for f in found(built) if f.kind == "causal_validation"]
    page = (built / "report.html").read_text()
    assert 'id="validation"' in page
    assert "Random heads → found heads" in page
    assert {p.name for p in (built / "tables").glob("validation-*.tex")} >= {"validation-tasks.tex"}
    manifest = json.loads((built / "manifest.json").read_text())
    assert "validation.json" in manifest["files"]
    assert not list(built.glob(".validation")), "finished parts are of no more use"


def test_nothing_is_run_again_until_something_changes(source: Path, folder: Path) -> None:
    before = {p.name: p.read_bytes() for p in folder.glob("*.json")}
    assert steps(source, folder) == set()
    assert {p.name: p.read_bytes() for p in folder.glob("*.json")} == before
    assert "validation" in steps(source, folder, **{"validation.controls": 30})


def test_turned_off_it_leaves_no_verdict(source: Path, folder: Path) -> None:
    assert "validation" not in steps(source, folder, **{"validation.enabled": False})
    assert [f for f in found(folder) if f.verdict or f.kind == "causal_validation"] == []
    assert not (folder / "validation.json").exists()
    assert 'id="validation"' not in (folder / "report.html").read_text()


def test_a_killed_run_goes_on_where_it_stopped(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, kept, done = (folder / "validation.json").read_bytes(), folder / ".validation", list[Any]()
    (folder / "validation.json").unlink()
    together = engine._together

    def run(*given: Any) -> list[Any]:
        """Which rows were run under which interventions."""
        *_, batch, _, some = given
        return [(tuple(row.id for row in batch.rows), each) for each in some]

    def dying(*given: Any) -> Any:
        if kept.is_dir() and len(list(kept.iterdir())) >= 3:  # the third part is finished
            raise KeyboardInterrupt
        done.extend(run(*given))
        return together(*given)

    def counting(*given: Any) -> Any:
        again.extend(run(*given))
        return together(*given)

    monkeypatch.setattr(engine, "_together", dying)
    with pytest.raises(KeyboardInterrupt):
        pipeline.build(source, folder)
    again: list[Any] = []
    monkeypatch.setattr(engine, "_together", counting)
    pipeline.build(source, folder)
    assert 32 < len(done) < 100, "a file holds no more than 32"
    assert len(again) > 100
    assert set(done).isdisjoint(again), "what was finished is not run again"
    assert (folder / "validation.json").read_bytes() == whole
    assert not kept.exists()


def test_a_model_that_is_gone_leaves_scores_standing_and_findings_untested(source: Path, tmp_path: Path) -> None:
    study, report = Path(shutil.copytree(source, tmp_path / "study")), tmp_path / "report"
    obtain_scores(open_source(study, {}), report)
    before = (report / "scores.safetensors").read_bytes()
    shutil.rmtree(study / "model")
    pipeline.build(study, report)
    assert (report / "scores.safetensors").read_bytes() == before
    told = [f for f in found(report) if f.kind == "anomaly"]
    assert {f.verdict for f in told} == {"untested"}
    assert all("Untested: no intervention was made." in f.sentence for f in told)
    assert "The findings are untested: " in (page := (report / "report.html").read_text())
    assert "no such model folder" in page
    assert [c.what for c in verify(report).differences] == []
    render_folder(report, figures=("png",))
    assert "no such model folder" in (report / "report.html").read_text()
    with pytest.raises(InputError, match="the report of another study or other settings"):
        pipeline.build(study, report, overrides={"scoring.seed": 7})


def test_a_model_that_is_gone_cannot_be_scored(source: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(source, tmp_path / "study"))
    shutil.rmtree(study / "model")
    with pytest.raises(InputError) as refused:
        pipeline.build(study, tmp_path / "report")
    assert str(refused.value).startswith("model: no such model folder, and the hub gave no such model")
    assert "Check [model] path in the study file" in str(refused.value)
    assert not (tmp_path / "report").exists()


def test_verdicts_outlive_the_model(source: Path, folder: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(source, tmp_path / "study"))
    shutil.rmtree(study / "model")
    before = (folder / "validation.json").read_bytes()
    pipeline.build(study, folder, overrides={"report.theme": "paper"})
    assert (folder / "validation.json").read_bytes() == before
    assert "necessary" in {f.verdict for f in found(folder)}


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("controls", 19, "[validation] controls: Input should be greater than or equal to 20 (got 19)"),
        ("budget", 0, "[validation] budget: Input should be greater than 0 (got 0)"),
        ("control", 20, "[validation] control: unknown key 'control'. Did you mean 'controls'?"),
    ],
)
def test_settings_that_make_no_sense_are_refused(source: Path, key: str, value: int, problem: str) -> None:
    with pytest.raises(InputError) as refused:
        open_source(source, {f"validation.{key}": value})
    words = str(refused.value)
    assert all(part in words for part in problem.split(": ", 1)), words


def test_a_report_with_verdicts_verifies_and_is_made_again_without_its_model(
    source: Path, folder: Path, tmp_path: Path
) -> None:
    found_differences = [f"{c.what}: {c.wrong}" for c in verify(folder).differences]
    assert found_differences == []
    again = pipeline.remake(folder, tmp_path / "again")
    assert (again.folder / "findings.json").read_bytes() == (folder / "findings.json").read_bytes()
    assert (again.folder / "report.html").read_bytes() == (folder / "report.html").read_bytes()
    written = (folder / "validation.json").read_text()
    (folder / "validation.json").write_text(written.replace('"verdict": "necessary"', '"verdict": "unnecessary"'))
    assert [c for c in verify(folder).differences if c.what.startswith("finding ")] == [], "verdicts are derived"
    assert recorded_differences(folder, joined_in(folder)) != []
    carried = pipeline.remake(folder, tmp_path / "carried").folder
    assert (carried / "validation.json").read_text() == written, "what was forged is not carried on"
    assert "validation" not in steps(source, folder)
    assert (folder / "validation.json").read_text() == written, "nor kept by build"
    plain = json.loads(written)
    for each in plain["sets"]:
        for task in each["tasks"]:
            each["mean"][task] = next(t["intact"] for t in plain["tasks"] if t["name"] == task)
    (folder / "validation.json").write_text(json.dumps(plain))
    assert "validation.json, derived again" in [c.what for c in verify(folder).differences]


def test_all_that_the_file_says_beside_its_outcomes_follows(folder: Path) -> None:
    scores, source = open_folder(folder)
    findings, methods = read_findings(folder), scores.methods
    assert recorded_differences(folder, joined_in(folder)) == []
    assert recorded_disagreements(folder, findings, methods, source.study) == []
    plain = json.loads((folder / "validation.json").read_text())
    (folder / "validation.json").write_text(json.dumps({**plain, "controls": 9}))
    assert recorded_disagreements(folder, findings, methods, source.study) == ["controls is 9, and should be 399"]
    (folder / "validation.json").write_text(json.dumps({**plain, "layers": {**plain["layers"], "L0": 13}}))
    with pytest.raises(InputError, match="layers: the heads are not those of the scores"):
        recorded_disagreements(folder, findings, methods, source.study)


def test_a_damaged_file_is_made_again_by_build_and_refused_by_render(source: Path, folder: Path) -> None:
    whole = (folder / "validation.json").read_bytes()
    for damage, problem in (
        ({"schema": "reportgen/validation/1"}, "holds no raw outcomes"),
        ({"schema": "reportgen/validation/2"}, "holds control sets of other layers"),
        ({"cost": None}, "cost: "),
        ({"sets": [None]}, "sets.0: "),
    ):
        (folder / "validation.json").write_text(json.dumps({**json.loads(whole), **damage}))
        with pytest.raises(InputError, match=problem):
            render_folder(folder)
    assert "validation" in steps(source, folder)
    assert (folder / "validation.json").read_bytes() == whole


def test_an_encoder_of_one_task_leaves_findings_untested(tmp_path: Path) -> None:
    tiny_models.build("bert", "encoder").save_pretrained(tmp_path / "model")
    tiny_models.word_tokenizer().save_pretrained(tmp_path / "model")
    rows = [row for row in tiny_models.ROWS if row["task"] == "count"]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "study.toml").write_text(STUDY.replace("zero_ablation", "activation_norm"))
    pipeline.build(tmp_path, tmp_path / "report")
    validation = json.loads((tmp_path / "report" / "validation.json").read_text())
    assert validation["problem"].startswith("[tasks]: a probe separates tasks, and there is one alone")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "The findings are untested: [tasks]: a probe separates tasks" in page
