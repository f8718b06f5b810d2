"""One run at a time writes an output folder, and finds nothing half-written of the one before."""

from pathlib import Path

import commands
import numpy as np
import pytest

from reportgen.errors import InputError
from reportgen.importers import load_scores
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.run_directory import alone
from reportgen.storage.files import HALF
from reportgen.storage.scores_file import scores_csv

pytestmark = pytest.mark.slow


@pytest.fixture
def built(tmp_path: Path) -> Path:
    np.savez(tmp_path / "made.npz", importance=np.random.default_rng(0).random((2, 4, 4)))
    (tmp_path / "scores.csv").write_text(scores_csv(load_scores(tmp_path / "made.npz")))
    return pipeline.build(tmp_path / "scores.csv", tmp_path / "out", overrides={"report.formats": ["html"]}).folder


@pytest.mark.slow
def test_a_second_run_is_refused_while_the_first_is_at_work(built: Path) -> None:
    with alone(built):
        for command in ("build", "render"):
            what = [str(built.parent / "scores.csv"), "-o"] if command == "build" else []
            done = commands.run(command, *what, built)
            assert done.returncode == 2, done.stderr
            assert "another run is at work in this folder" in done.stderr
    with alone(built):  # the lock has fallen
        pass


def test_what_a_killed_run_left_half_is_cleared(built: Path) -> None:
    left = [built / f".report.html.abc{HALF}", built / "figures" / f".overview.svg.abc{HALF}"]
    for path in left:
        path.write_text("half")
    before = {p: p.read_bytes() for p in built.rglob("*") if p.is_file() and p not in left}
    pipeline.build(built.parent / "scores.csv", built, overrides={"report.formats": ["html"]})
    assert {p: p.read_bytes() for p in built.rglob("*") if p.is_file()} == before


def test_a_folder_is_free_again_after_an_error(built: Path) -> None:
    with pytest.raises(InputError), alone(built):
        raise InputError("a", "b", "c")
    with alone(built):
        pass
