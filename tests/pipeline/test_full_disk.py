"""A disk that takes no more: what is written is whole, what is not is missing, and the message says what to do."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from reportgen.store import sha256


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", importance=np.random.default_rng(0).random((2, 16, 16)).astype(np.float32))

    def run(limit: int) -> subprocess.CompletedProcess[str]:
        paths = [str(tmp_path / "scores.npz"), "-o", str(tmp_path / "out")]
        command = [sys.executable, "-m", "reportgen", "build", *paths, "--quiet", "--set", 'report.formats=["html"]']

        def no_larger_file() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(command, capture_output=True, text=True, preexec_fn=no_larger_file)

    done = run(40_000)
    assert done.returncode == 3, done.stderr
    assert "report.html: cannot write (File too large). Free space there" in " ".join(done.stderr.split())
    names = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert "report.html" not in names
    assert not [n for n in names if n.startswith(".report.html")]
    assert run(resource.RLIM_INFINITY).returncode == 0, "the same command goes on where there is room again"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    page = (tmp_path / "out" / "report.html").read_bytes()
    assert manifest["files"]["report.html"]["sha256"] == sha256(page)
