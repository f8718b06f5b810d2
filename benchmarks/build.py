"""Whole-process time and memory of `reportgen build`: ``python benchmarks/build.py [REPEATS]``.

Two inputs: the sample study (scoring and all) and the sample figure's scores. Each is built into a new folder by a new
process, once to warm the cache of nulls and then REPEATS times; the floor beside them is a process that only imports
what every report needs. Writes benchmarks/results/build.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUTS = {"figure": ROOT / "sample_data" / "figure" / "scores.csv", "sample study": ROOT / "sample_data"}
TARGETS = {"figure": {"wall_s": 5, "peak_mib": 400}, "sample study": {"wall_s": 90}}
FLOOR = "import numpy, scipy.stats, scipy.optimize, pandas, pydantic, jinja2, matplotlib.figure, weasyprint"


def measured(command: list[str]) -> dict[str, float]:
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command} failed; run it by hand to see why")
    wall = time.monotonic() - start
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}


def repeated(make: "list[str] | None", source: Path | None, repeats: int) -> dict[str, float]:
    runs = []
    for n in range(repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            command = make or [
                sys.executable,
                "-m",
                "reportgen",
                "build",
                str(source),
                "-o",
                f"{folder}/out",
                "--quiet",
            ]
            run = measured(command)
        if n:  # the first run warms caches
            runs.append(run)
    return {k: round(statistics.median(r[k] for r in runs), 2) for k in runs[0]}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    results = {"imports alone": repeated([sys.executable, "-c", FLOOR], None, repeats)}
    results |= {name: repeated(None, source, repeats) for name, source in INPUTS.items()}
    for name, row in results.items():
        ratio = row["cpu_s"] / results["imports alone"]["cpu_s"]
        print(
            f"{name:14} {row['wall_s']:6.1f} s wall  {row['cpu_s']:6.1f} s CPU ({ratio:.1f} × imports)  "
            f"{row['peak_mib']:5.0f} MiB  target {TARGETS.get(name, 'none')}"
        )
    content = {
        "cores": os.cpu_count(),
        "repeats": repeats,
        "load": os.getloadavg(),
        "results": results,
        "targets": TARGETS,
    }
    target = ROOT / "benchmarks" / "results" / "build.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
