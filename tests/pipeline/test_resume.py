"""What is scored again and what is not, on a tiny encoder-decoder from its weights to its page."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
import tiny_models
from directory_stages import obtain_findings, obtain_scores

from reportgen.cli import arguments as given
from reportgen.cli import main as cli
from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.options import Options
from reportgen.pipeline.reading import open_folder, read_findings
from reportgen.pipeline.source import Source, check, open_source
from reportgen.storage.remote_folders import StorageFolder
from reportgen.storage.scores_file import read_scores, scores_bytes

pytestmark = pytest.mark.slow

FILES = {"scores.safetensors", "scores-activation_norm.safetensors"}
STUDY = """[study]
title = "Tiny"
[model]
path = "model"
[tasks]
path = "tasks.jsonl"
[report]
formats = ["html"]
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("study")
    tiny_models.build("t5").save_pretrained(folder / "model")
    tiny_models.word_tokenizer().save_pretrained(folder / "model")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tiny_models.ROWS))
    (folder / "study.toml").write_text(STUDY)
    return open_source(folder, {})


@pytest.fixture(scope="module")
def scored(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    scores = obtain_scores(source, folder)
    assert [b.block for b in scores.blocks] == ["enc", "dec", "cross"]
    assert [(b.n_layers, b.n_heads) for b in scores.blocks] == [(3, 4), (2, 4), (2, 4)]
    assert list(scores.others) == ["activation_norm"]  # the study does not name it
    return folder


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "out"))


def steps_of(source: Source, folder: Path, **rest: bool) -> list[str]:
    """The methods that a run scores, in the folder's order."""
    steps: list[str] = []
    obtain_scores(source, folder, progress=lambda said, *_: steps.append(said.partition(":")[0]), **rest)
    return list(dict.fromkeys(steps))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_scores_that_are_there_are_not_made_again(source: Source, folder: Path) -> None:
    before = contents(folder)
    assert set(before) == FILES
    assert steps_of(source, folder) == []
    assert contents(folder) == before


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("harm", ["missing", "damaged", "of another run"])
def test_a_file_that_is_not_right_is_made_again(source: Source, folder: Path, name: str, harm: str) -> None:
    before, path = contents(folder), folder / name
    if harm == "missing":
        path.unlink()
    elif harm == "damaged":
        path.write_bytes(before[name][:100])
    else:
        path.write_bytes(scores_bytes(read_scores(path)[0], "another key", ["gate_gradient", "activation_norm"]))
    # without its first file a folder is not known to be this study's
    force = name == "scores.safetensors"
    if force:
        with pytest.raises(InputError, match="this folder holds"):
            obtain_scores(source, folder)
    assert steps_of(source, folder, force=force) == ["gate_gradient", "activation_norm"]
    assert contents(folder) == before


def test_files_of_methods_that_are_no_longer_wanted_go(source: Source, folder: Path) -> None:
    (folder / "scores-stale.safetensors").write_bytes(b"stale")
    other = open_source(source.study.tasks.path.parent, {"scoring.method": "zero_ablation"})  # type: ignore[union-attr]
    assert steps_of(other, folder, force=True) == ["zero_ablation"]
    assert set(contents(folder)) == {"scores.safetensors"}


def test_the_report_of_an_encoder_decoder(source: Source, folder: Path) -> None:
    built = pipeline.build(source.study.tasks.path.parent, folder)  # type: ignore[union-attr]
    page = built.html.read_text()
    assert {f.block for f in built.findings.findings if f.kind == "concentration"} == {"enc", "dec", "cross"}
    assert re.search(r">cross\.L\dH\d<", page)
    assert "shown no more than the norm" in page
    assert "How the model’s heads were found, and how it was run:" in page
    lines = (folder / "scores.csv").read_text().splitlines()
    assert lines[0] == "task,layer,head,importance,block"
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    pipeline.build(source.study.tasks.path.parent, folder)  # type: ignore[union-attr]
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before

    scores, _ = open_folder(folder)
    assert (
        [b.block for b in scores.blocks]
        == [b.block for b in scores.others["activation_norm"]]
        == ["enc", "dec", "cross"]
    )
    assert read_findings(folder) == built.findings


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_scoring_says_so_and_goes_on(
    source: Source, scored: Path, tmp_path: Path, ended_by: signal.Signals
) -> None:
    study, folder = source.study.tasks.path.parent, tmp_path / "out"  # type: ignore[union-attr]
    command = [sys.executable, "-m", "reportgen", "score", str(study), "-o", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("gate_gradient: 1 of "))
        process.send_signal(ended_by)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.splitlines()[-1] == (
        "reportgen: interrupted; finished parts are kept, and the same command goes on from there"
    )
    units = {path.name: path.read_bytes() for path in (folder / ".checkpoints").glob("*.safetensors")}
    assert len(units) >= 1
    obtain_scores(source, folder)
    assert contents(folder) == contents(scored)
    assert not (folder / ".checkpoints").exists()


@pytest.fixture
def unfinished(source: Source, tmp_path: Path) -> Path:
    """A folder that holds a run which has been cut short, and nothing else."""
    folder = tmp_path / "unfinished"

    def stop(said: str, *_: int) -> None:
        if said.startswith("gate_gradient: 1 of "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain_scores(source, folder, progress=stop)
    return folder


def test_another_study_in_the_folder_of_an_unfinished_run_is_refused_by_what_differs(
    source: Source, unfinished: Path, tmp_path: Path
) -> None:
    study, before = source.study.tasks.path.parent, contents(unfinished / ".checkpoints")  # type: ignore[union-attr]
    with pytest.raises(InputError) as caught:
        obtain_scores(open_source(study, {"scoring.method": "zero_ablation"}), unfinished)
    assert str(caught.value) == (
        f"{unfinished}/.checkpoints: the unfinished run in it was started with other inputs: "
        "[scoring] method is zero_ablation, was gate_gradient. Undo it, choose another folder with -o, "
        "or accept it with --force, which keeps the shards that it leaves as they are."
    )
    (tmp_path / "scores.csv").write_text("task,layer,head,importance\nT,0,0,1\nT,0,1,2\n")
    with pytest.raises(InputError) as made_elsewhere:
        obtain_scores(open_source(tmp_path / "scores.csv", {}), unfinished)
    assert str(made_elsewhere.value) == (
        f"{unfinished}: this folder holds an unfinished scoring of another study. "
        "Choose another folder with -o, or overwrite it with --force."
    )
    assert contents(unfinished / ".checkpoints") == before


def test_force_goes_on_with_a_forced_run_that_was_cut_short_and_clears_nothing_under_a_run(
    source: Source, folder: Path
) -> None:
    other = open_source(source.study.tasks.path.parent, {"scoring.seed": 7})  # type: ignore[union-attr]

    def stop(said: str, *_: int) -> None:
        if said.startswith("gate_gradient: 1 of "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain_scores(other, folder, force=True, progress=stop)
    steps: list[str] = []
    with (
        StorageFolder(folder / ".checkpoints").locked(),
        pytest.raises(InputError, match="another run is at work in this folder"),
    ):
        obtain_scores(other, folder, force=True)
    obtain_scores(other, folder, force=True, progress=lambda said, *_: steps.append(said))
    assert steps[0].startswith("gate_gradient: 1 of ")  # kept from the run that was cut short


def test_a_report_is_written_behind_any_address(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    memory, study = fsspec.filesystem("memory"), source.study.tasks.path.parent  # type: ignore[union-attr]
    off = ("--set", "validation.enabled=false")
    command = ["build", str(study), "-o", "memory://bucket/report", "--quiet", *off]
    cli.app(command, standalone_mode=False)
    pipeline.build(
        study, tmp_path / "out", overrides={"validation.enabled": False}, options=Options(command=given.command())
    )
    here = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    there = {name.removeprefix("/bucket/report/"): name for name in memory.find("/bucket")}
    assert there.keys() == here.keys()  # no units among them
    assert [n for n in here if here[n].read_bytes() != memory.cat_file(there[n])] == []
    before = {name: memory.modified(name) for name in memory.find("/bucket")}
    cli.app(command, standalone_mode=False)  # nothing has changed: nothing is written
    assert {name: memory.modified(name) for name in memory.find("/bucket")} == before
    with pytest.raises(InputError) as caught:
        cli.app([*command, "--set", "scoring.seed=7"], standalone_mode=False)
    assert str(caught.value) == (
        "memory://bucket/report: this folder holds the report of another study or other settings. "
        "Choose another folder with -o, or overwrite it with --force."
    )
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"block": "vision"},
        {"block": None, "layers": [0, 1], "heads": [0, 1]},
        {"block": "dec", "layers": [2, 2]},
        {"block": "dec", "members": ["dec.L2H0"]},
        {"task": "no task"},
    ],
)
def test_a_finding_on_heads_that_are_not_there_is_refused(
    source: Source, folder: Path, changes: dict[str, object]
) -> None:
    scores = obtain_scores(source, folder)
    obtain_findings(scores, source, folder)
    content = json.loads((folder / "findings.json").read_text())
    first = next(f for f in content["findings"] if f["kind"] == "concentration")
    (folder / "findings.json").write_text(json.dumps({**content, "findings": [{**first, **changes}]}))
    with pytest.raises(InputError, match="is about a task or head that the scores lack"):
        read_findings(folder)


def test_a_scores_file_of_blocks_makes_the_same_findings(source: Source, folder: Path, tmp_path: Path) -> None:
    scores = obtain_scores(source, folder)
    direct = obtain_findings(scores, source, folder)
    file = open_source(folder / "scores.safetensors", {})
    read = obtain_scores(file, tmp_path / "read")
    assert read.others == {}
    again = obtain_findings(read, file, tmp_path / "read")
    assert [f.sentence for f in again.findings] == [f.sentence for f in direct.findings]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"title": "a\x00b"}, "[study] title: it holds the control character U+0000. Remove it."),
        ({"title": "a\nb"}, "[study] title: it holds the control character U+000A. Remove it."),
        ({"authors": ["A", "B\x1b"]}, "[study] authors: it holds the control character U+001B. Remove it."),
        ({"notes": "line\nline\x07"}, "[study] notes: it holds the control character U+0007. Remove it."),
    ],
)
def test_control_characters_are_refused(about: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        check(Study.model_validate({"study": about, "scores": {"path": "x.csv"}}))
    assert str(error.value) == message


def test_lines_and_tabs_in_notes_are_no_control_characters() -> None:
    check(Study.model_validate({"study": {"notes": "a\n\tb\r\n"}, "scores": {"path": "x.csv"}}))
