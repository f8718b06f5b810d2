"""How long `reportgen index` takes over 1,000 reports after one has changed: ``python benchmarks/index.py [N]``.

Makes N folders of the report on sample_data/figure, each with a manifest of its own, indexes them, changes one, and
indexes them again, each time in a process of its own. Prints wall and CPU seconds of both, and the machine's load.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reportgen.pipeline import build as pipeline

ROOT = Path(__file__).resolve().parents[1]


def made(folder: Path, n: int) -> None:
    """N reports, which share their unchanged files' bytes on disk."""
    first = folder.parent / "first"
    pipeline.build(ROOT / "sample_data/figure/scores.csv", first, overrides={"report.formats": ["html"]})
    for i in range(n):
        shutil.copytree(first, folder / f"run-{i:04}", copy_function=os.link)
        change(folder / f"run-{i:04}", f"reportgen build run-{i:04}")


def change(report: Path, command: str) -> None:
    """Give a report another manifest, as building it anew would."""
    path = report / "manifest.json"
    content = json.loads(path.read_text()) | {"command": command}
    path.unlink()
    path.write_text(json.dumps(content, indent=1))


def timed(folder: Path) -> dict[str, float]:
    """Wall and CPU seconds of the whole command, and how many reports it read."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "reportgen", "index", str(folder), "--json", "--quiet"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": round(time.perf_counter() - start, 2), "cpu": round(cpu, 2), "read": told["read"]}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "reports"
        made(folder, n)
        found = {"reports": n, "first": timed(folder)}
        change(folder / "run-0000", "reportgen build changed")
        found["one_changed"] = timed(folder)
        found |= {"page_bytes": (folder / "index.html").stat().st_size, "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
