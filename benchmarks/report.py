"""Whole-process cost of a report beside peers on the same tensor: ``python benchmarks/report.py PEERS [SMALL LARGE]``.

PEERS is the ``bin`` folder of an environment with benchmarks/requirements-report.txt. The tensors are 8 × 32 × 32 and
64 × 126 × 128, log-normal with one raised square a task. Each program runs as a process of its own, SMALL (3) times on
the small tensor and LARGE (1) times on the large one, after one run that warms caches; medians. MultiQC draws custom-
content heatmaps, nbconvert executes a notebook of seaborn heatmaps; neither analyses anything nor makes a PDF. Memory
is that of a program's processes together. Hover is the time from a pointer's move to the laid-out readout in Chromium,
median and worst three seconds after the page has loaded, and the worst at once.
Writes benchmarks/results/report.json.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
IDLE = 3  # seconds after loading that a reader needs to find a cell, in which the page sorts its ranks
SAMPLING = 0.05  # seconds between two looks at the memory of a run's processes
SHAPES = {"small": (8, 32, 32), "large": (64, 126, 128)}
TARGETS = {
    "small": {"wall_s": 5, "peak_mib": 400},
    "large": {"wall_s": 15, "peak_mib": 500, "html_mb": 12, "pdf_mb": 1.5, "hover_ms": 16},
}
CELL = """import numpy as np, seaborn as sns, matplotlib.pyplot as plt
values = np.load({path!r})["importance"]
for task, panel in enumerate(values):
    plt.figure(figsize=(6, 6))
    sns.heatmap(panel, cmap="viridis").set_title(f"Task {{task + 1}}")
    plt.show()
"""
HOVER = """() => { const took = [];
  for (const panel of [...document.querySelectorAll('.panel')].slice(0, 8)) {
    panel.scrollIntoView(); const box = panel.getBoundingClientRect();
    for (let i = 0; i < 12; i++) { const start = performance.now();
      panel.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + 3 * i, clientY: box.top + 9 }));
      document.querySelector('.readout').getBoundingClientRect(); took.push(performance.now() - start) } }
  return took.sort((a, b) => a - b) }"""


def tensor(shape: tuple[int, ...], path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(-8, 0.6, shape).astype(np.float32)
    for panel in values:
        layer, head = rng.integers(0, shape[1] - 7), rng.integers(0, shape[2] - 7)
        panel[layer : layer + 7, head : head + 7] *= 6
    np.savez(path, importance=values, tasks=[f"Task {i + 1}" for i in range(shape[0])])


def multiqc_input(source: Path, folder: Path) -> None:
    folder.mkdir()
    for task, panel in enumerate(np.load(source)["importance"]):
        cats = {"xcats": [f"H{i}" for i in range(panel.shape[1])], "ycats": [f"L{i}" for i in range(panel.shape[0])]}
        title = f"Task {task + 1}"
        content = {
            "id": f"task_{task}",
            "section_name": title,
            "plot_type": "heatmap",
            "data": panel.tolist(),
            "pconfig": {"id": f"plot_{task}", "title": title},
            **cats,
        }
        (folder / f"task{task}_mqc.json").write_text(json.dumps(content))


def notebook(source: Path, path: Path) -> None:
    cell = {
        "cell_type": "code",
        "source": CELL.format(path=str(source)),
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "id": "a",
    }
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def measured(command: list[str]) -> dict[str, float]:
    start = time.monotonic()
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a program that was run before is compiled
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, cwd=ROOT, env=environment)
        peak, done = 0.0, 0
        while not done:
            time.sleep(SAMPLING)
            peak = max(peak, held(process.pid))
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
        said.seek(0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{command} failed: {said.read().decode()[-2000:]}")
    return {
        "wall_s": time.monotonic() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mib": max(peak, usage.ru_maxrss / 1024),
    }


def held(pid: int) -> float:
    """MiB of memory that a process and those that it started hold together, pages that they share counted by halves."""
    total = 0.0
    with suppress(OSError, ValueError):  # it has just ended
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            total += float(line.split()[1]) / 1024 if line.startswith("Pss:") else 0.0
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(held(int(child)) for child in (task / "children").read_text().split())
    return total


def commands(peers: Path, source: Path, work: Path) -> dict[str, list[str]]:
    multiqc_input(source, work / "mqc")
    notebook(source, work / "heads.ipynb")
    made = {"reportgen": [sys.executable, "-m", "reportgen", "build", str(source), "-o", str(work / "out"), "--quiet"]}
    made["reportgen, page only"] = [
        *made["reportgen"][:4],
        str(source),
        "-o",
        str(work / "page"),
        "--quiet",
        "--force",
        "--set",
        'report.formats=["html"]',
    ]
    made["MultiQC"] = [str(peers / "multiqc"), "-q", "-f", "-o", str(work / "m"), str(work / "mqc")]
    made["nbconvert + seaborn"] = [
        str(peers / "jupyter-nbconvert"),
        "--to",
        "html",
        "--execute",
        "--output-dir",
        str(work),
        str(work / "heads.ipynb"),
    ]
    return made


def sizes(work: Path) -> dict[str, float]:
    import pikepdf

    out = work / "out"
    with pikepdf.open(out / "report.pdf") as document:
        held = sum(len(spec.get_file().obj.read_raw_bytes()) for spec in document.attachments.values())
    size = (out / "report.pdf").stat().st_size
    return {"html_mb": (out / "report.html").stat().st_size / 1e6, "pdf_mb": (size - held) / 1e6}


def hover(work: Path) -> dict[str, float]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        took = {}
        for wait in (0, IDLE):
            page = browser.new_page()
            page.goto((work / "out" / "report.html").as_uri())
            page.wait_for_selector("html[data-ready]")
            page.wait_for_timeout(1000 * wait)
            took[wait] = page.evaluate(HOVER)
            page.close()
        browser.close()
    return {
        "hover_ms": statistics.median(took[IDLE]),
        "hover_worst_ms": took[IDLE][-1],
        "hover_at_once_ms": took[0][-1],
    }


def compared(shape: str, peers: Path, repeats: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tensor(SHAPES[shape], work / "scores.npz")
        runs: dict[str, list[dict[str, float]]] = {}
        made = commands(peers, work / "scores.npz", work)
        for n in range(repeats + 1):
            for name, command in made.items():
                shutil.rmtree(work / {"reportgen": "out"}.get(name, "page"), ignore_errors=True)
                run = measured(command)
                if n:  # the first run warms caches
                    runs.setdefault(name, []).append(run)
        result = {name: {k: statistics.median(r[k] for r in each) for k in each[0]} for name, each in runs.items()}
        result["reportgen"] |= sizes(work) | hover(work)
    return result


def main() -> None:
    peers = Path(sys.argv[1]).absolute()
    repeats = dict(zip(SHAPES, map(int, sys.argv[2:] or ("3", "1")), strict=True))
    results = {shape: compared(shape, peers, n) for shape, n in repeats.items() if n}
    for shape, rows in results.items():
        for name, row in rows.items():
            ratio = row["cpu_s"] / rows["reportgen"]["cpu_s"]
            figures = "  ".join(f"{k} {v:.4g}" for k, v in row.items())
            print(f"{shape:6} {name:20} {figures}  ({ratio:.2f} × reportgen's CPU)")
        print(f"{shape:6} targets              {TARGETS[shape]}")
    content = {
        "cores": os.cpu_count(),
        "repeats": repeats,
        "load": os.getloadavg(),
        "results": results,
        "targets": TARGETS,
    }
    target = ROOT / "benchmarks" / "results" / "report.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
