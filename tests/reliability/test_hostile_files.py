"""A short part of benchmarks/reliability/fuzz.py, and all of hostile.py."""

import json
import subprocess
import sys
from pathlib import Path

import hostile
import pytest
import readers

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "benchmarks" / "reliability"
INPUTS = 150


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What became of some damaged files of each reader, by its title."""
    out = tmp_path_factory.mktemp("fuzz") / "fuzz.json"
    subprocess.run([sys.executable, FOLDER / "fuzz.py", str(INPUTS), "--seed", "1", "--out", out], capture_output=True)
    return {row["reader"]: row for row in json.loads(out.read_text())}


@pytest.fixture(scope="module")
def harmful() -> dict[str, str]:
    """What became of each file that was made to do harm."""
    done = subprocess.run([sys.executable, FOLDER / "hostile.py", "--json"], capture_output=True, text=True, check=True)
    return dict(zip(map(named, hostile.HOSTILE), json.loads(done.stdout.splitlines()[-1]), strict=True))


def named(made: hostile.Hostile) -> str:
    return f"{made.reader}: {made.what}"


@pytest.mark.parametrize("title", [reader.title for reader in readers.READERS])
def test_a_damaged_file_is_read_or_refused(title: str, damaged: dict[str, dict]) -> None:
    assert damaged[title]["failures"] == {}
    assert damaged[title]["inputs"] >= INPUTS


@pytest.mark.parametrize("made", hostile.HOSTILE, ids=named)
def test_a_file_made_to_do_harm_is_refused(made: hostile.Hostile, harmful: dict[str, str]) -> None:
    assert hostile.well(made, harmful[named(made)]), harmful[named(made)]
