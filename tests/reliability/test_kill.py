"""A short part of benchmarks/reliability/kill.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability" / "kill.py"


def test_runs_that_are_killed_are_finished_by_the_same_command(tmp_path: Path) -> None:
    out = tmp_path / "kill.json"
    done = subprocess.run([sys.executable, SCRIPT, "4", "--seed", "3", "--out", out], capture_output=True, text=True)
    rows = json.loads(out.read_text()) if out.exists() else []
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["command"] for row in rows] == ["score", "analyze", "render", "build"]
    assert [row["killed"] for row in rows] == [1, 1, 1, 1]
