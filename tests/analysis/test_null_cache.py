"""Cached nulls: one for each name, whole or made again, whoever else writes them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reportgen.analysis.statistics import scan_statistic as arrangement
from reportgen.analysis.statistics import trends
from reportgen.storage.array_cache import cached

WRITER = """
import numpy as np
from reportgen.storage.array_cache import cached
print(cached("null1-4x4", lambda: np.random.default_rng(0).normal(size=200_000)).sum())
"""


def test_many_writers_leave_one_whole_null(tmp_path: Path) -> None:
    environment = {**os.environ, "REPORTGEN_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = {writer.communicate()[0] for writer in writers}
    assert [writer.returncode for writer in writers] == [0] * 4
    assert len(printed) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null1-4x4.npy", "null1-4x4.sha256"]


def test_a_broken_null_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path))
    made = cached("null1-2x2", lambda: np.arange(4.0))
    (tmp_path / "null1-2x2.npy").write_bytes(b"half a file")
    assert np.array_equal(cached("null1-2x2", lambda: np.arange(4.0)), made)
    assert np.array_equal(cached("null1-2x2", lambda: np.zeros(4)), made)  # read, not made


def test_nulls_of_other_shapes_draws_seeds_and_versions_have_other_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path))
    for shape, draws, seed in [((8, 9), 20, 91), ((9, 8), 20, 91), ((8, 9), 21, 91), ((8, 9), 20, 92)]:
        arrangement.null_maxima(np.ones(shape, dtype=bool), draws, seed)
        trends.null(shape[0], draws, seed)
    monkeypatch.setattr(arrangement, "VERSION", arrangement.VERSION + 1)
    arrangement.null_maxima(np.ones((8, 9), dtype=bool), 20, 91)
    names = [path.name for path in tmp_path.glob("*.npy")]
    assert len([n for n in names if n.startswith("scan")]) == 5
    assert len([n for n in names if n.startswith("layer-trends")]) == 4
