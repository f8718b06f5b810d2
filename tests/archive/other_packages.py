"""Commands run where other packages are installed beside reportgen, and what verify tells."""

import os
import subprocess
import sys
from pathlib import Path

from made_archives import EPOCH

from reportgen.archive.verify import Verification

ROOT = Path(__file__).parents[2]
STUDY = """[model]
path = "{root}/sample_data/model"
[tasks]
path = "{root}/sample_data/tasks.jsonl"
limit = 12
[scoring]
method = "{method}"
also = ["{also}"]
[validation]
enabled = false
[report]
formats = ["html"]
"""


def run(*arguments: object, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, [ROOT, *([site] if site else [])]))
    environment = {**os.environ, "PYTHONPATH": path, "SOURCE_DATE_EPOCH": EPOCH}
    command = [sys.executable, "-m", "reportgen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def told(found: Verification) -> list[str]:
    return [f"{check.what}: {check.wrong}" for check in found.differences]
