"""A disk that takes no more: what is written is whole, what is not is missing, and the message says what to do."""

import ctypes
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reportgen.storage.files import sha256

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STUDY = """[model]
path = "{root}/sample_data/model"
[tasks]
path = "{root}/sample_data/tasks.jsonl"
limit = 2
"""
FREE = "Free space there, or choose another folder with -o; finished files are complete."
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.npz"
    np.savez(path, importance=np.random.default_rng(0).random((4, 8, 8)).astype(np.float32))
    return path


def run(*arguments: str | Path, limit: int = resource.RLIM_INFINITY) -> tuple[int, str]:
    """A command's exit code and what it says, where no file can be larger than ``limit``, and even root can write only
    where anyone could.
    """

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)

    command = [sys.executable, "-m", "reportgen", *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=bounded)
    return done.returncode, " ".join(done.stderr.split())


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path, scores: Path) -> None:
    build = ("build", scores, "-o", tmp_path / "out", "--set", 'report.formats=["html"]')
    code, said = run(*build, limit=40_000)
    assert code == 3, said
    assert said.endswith(f"report.html: cannot write (File too large). {FREE}")
    names = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert "report.html" not in names
    assert not [n for n in names if n.startswith(".report.html")]
    assert run(*build)[0] == 0, "the same command goes on where there is room again"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    page = (tmp_path / "out" / "report.html").read_bytes()
    assert manifest["files"]["report.html"]["sha256"] == sha256(page)


def test_a_disk_that_fills_up_while_scoring_keeps_what_is_finished(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(root=ROOT))
    out = tmp_path / "out"
    score = ("score", tmp_path, "-o", out)
    code, said = run(*score, limit=7_000)  # a unit has room, the file of a method's scores has none
    first = out / "scores-activation_norm.safetensors"
    assert (code, said) == (3, f"reportgen: {first}: cannot write (File too large). {FREE}")
    units = {p.name for p in (out / ".checkpoints").glob("*.safetensors")}
    assert units
    assert not list(out.rglob("*.half"))
    assert run("score", tmp_path, "-o", out) == (0, "")


def test_a_disk_that_fills_up_while_analysing_leaves_the_scores(tmp_path: Path, scores: Path) -> None:
    out = tmp_path / "out"
    code, said = run("analyze", scores, "-o", out, limit=10_000)
    assert (code, said) == (3, f"reportgen: {out}/findings.json: cannot write (File too large). {FREE}")
    assert {p.name for p in out.iterdir()} == {"scores.safetensors", "scores.csv", "study.toml"}
    assert run("analyze", out, "-o", out) == (0, "")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, scores: Path) -> None:
    closed = tmp_path / "closed"
    assert run("analyze", scores, "-o", closed)[0] == 0
    assert run("render", closed, "--set", 'report.formats=["html"]')[0] == 0
    closed.chmod(0o555)
    again = ("render", closed, "--set", 'report.formats=["html"]', "--set", 'study.title="Another"')
    inside = ("analyze", scores, "-o", closed / "new")
    try:
        said = [run(*again), run(*inside)]
    finally:
        closed.chmod(0o755)
    end = "cannot write (Permission denied). Choose a writable folder with -o."
    assert [code for code, _ in said] == [3, 3], said
    assert all(text.startswith(f"reportgen: {closed}/") and text.endswith(end) for _, text in said), said
