"""Large tensors, very many tasks, and very many units of scoring: what they take of memory and time.

    python benchmarks/reliability/load.py large [--shape TASKS EXAMPLES LAYERS HEADS] [--without KIND ...] [--limit GIB]
    python benchmarks/reliability/load.py tasks [NUMBER ...]
    python benchmarks/reliability/load.py units [--units N]

``large`` writes a .npz of per-example scores (64 tasks × 500 examples × 128 layers × 128 heads), builds its report in
one process that may hold no more than GIB (12) of memory of its own, and tells each stage's highest resident memory, as
the kernel keeps it. ``tasks`` builds reports of so many tasks (100, 1,000 and 10,000) from CSV, .npz and a study.toml
with a model, and tells how each ended, and when. ``units`` scores N (21,600: one every four seconds of a day) units of
one example each on a tiny model in one process, and fits how memory and the time of a unit grow. Each writes its part
of benchmarks/results/load.json. Linux alone: figures are read from /proc.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from apart import apart

from reportgen.pipeline.build import build

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "load.json"
STUDY = """[model]
path = "model"
[tasks]
path = "tasks.jsonl"
[scoring]
method = "{method}"
batch_size = 1
"""


def resident(name: str) -> float:
    """A figure of this process's memory, VmRSS or VmHWM, in MiB."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


class Stages:
    """What each stage of this process takes: ``rows`` of its name, seconds, and highest resident memory in MiB."""

    def __init__(self) -> None:
        self.rows, self.name = list[dict[str, Any]](), "start"
        self.began, self.worked = time.monotonic(), time.process_time()

    def begin(self, name: str) -> None:
        """A stage begins, and the one before it has ended."""
        if name == self.name:
            return
        took = {
            "seconds": round(time.monotonic() - self.began, 1),
            "cpu_s": round(time.process_time() - self.worked, 1),
        }
        self.rows.append({"stage": self.name, **took, "peak_mib": round(resident("VmHWM"))})
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's high-water mark begins anew
        self.name, self.began, self.worked = name, time.monotonic(), time.process_time()


def limited(gib: float, seconds: int) -> None:
    """This process may hold so much memory of its own, and run so long."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(gib * 2**30),) * 2)
    signal.alarm(seconds)


def ended(result: Any, end: str) -> dict[str, Any]:
    """What a process that ran apart told, or how it ended instead."""
    return result if not end else {"ended": end}


# --- one large tensor


def write_large(path: Path, shape: tuple[int, int, int, int]) -> None:
    """Per-example scores, task after task, with a cluster, a row and a single head planted in each task."""
    tasks, examples, layers, heads = shape
    rng, means = np.random.default_rng(0), np.zeros((tasks, layers, heads), np.float32)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for t in range(tasks):
            level = np.exp(0.6 * rng.standard_normal((layers, heads), np.float32))
            top, left = int(rng.integers(layers - 8)), int(rng.integers(heads - 8))
            level[top : top + 8, left : left + 8] *= 5
            level[int(rng.integers(layers)), left : left + 6] *= 6
            level[int(rng.integers(layers)), int(rng.integers(heads))] *= 60
            values = level * np.exp(0.5 * rng.standard_normal((examples, layers, heads), np.float32))
            means[t] = values.mean(axis=0)
            with archive.open(f"examples_{t}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values)
        for name, array in (("importance", means), ("tasks", np.array([f"Task {t:02d}" for t in range(tasks)]))):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)


def built_by_stage(source: str, folder: str, without: list[str], gib: float, seconds: int) -> dict[str, Any]:
    """Build a report without some kinds of findings; its stages."""
    from reportgen.analysis.view import DETECTORS

    limited(gib, seconds)
    detectors = {"analysis.detectors": [d.name for d in DETECTORS.own() if d.name not in without]} if without else {}
    stages = Stages()
    stages.begin("reading and storing scores")
    built = build(source, folder, overrides=detectors, progress=lambda stage, done, total: stages.begin(stage))
    stages.begin("end")
    size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file() and p.suffix != ".safetensors")
    return {
        "stages": stages.rows,
        "peak_mib": max(r["peak_mib"] for r in stages.rows),
        "seconds": round(sum(r["seconds"] for r in stages.rows)),
        "cpu_s": round(sum(r["cpu_s"] for r in stages.rows)),
        "findings": len(built.findings.findings),
        "report_mib": round(size / 2**20, 1),
        "page_mib": round(built.html.stat().st_size / 2**20, 1),
    }


def large(
    shape: tuple[int, int, int, int], without: list[str], gib: float, place: Path, seconds: int
) -> dict[str, Any]:
    """Make the tensor, build its report, and tell what that took."""
    source = place / "scores.npz"
    failed = apart(write_large, source, shape)[1]
    assert not failed, failed
    told = ended(*apart(built_by_stage, str(source), str(place / "out"), without, gib, seconds))
    floats = 4 * int(np.prod([float(n) for n in shape]))
    names = ("tasks", "examples", "layers", "heads")
    return {
        **dict(zip(names, shape, strict=True)),
        "float32_mib": round(floats / 2**20),
        "limit_gib": gib,
        "without": without,
        **told,
    }


# --- very many tasks


def tiny_model(folder: Path) -> None:
    """A random GPT-2 of two layers of two heads, with the sample's tokenizer."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, set_seed

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "sample_data" / "model")
    set_seed(0)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=8, n_layer=2, n_head=2)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_study(place: Path, method: str, names: list[str]) -> Path:
    """A study on the tiny model: a row of the sample's first task for each name, which is the row's task."""
    tiny_model(place / "model")
    rows = [json.loads(line) for line in (ROOT / "sample_data" / "tasks.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["task"] == rows[0]["task"]]
    lines = [json.dumps({**rows[i % len(rows)], "task": name, "id": str(i)}) + "\n" for i, name in enumerate(names)]
    (place / "tasks.jsonl").write_text("".join(lines))
    (place / "study.toml").write_text(STUDY.format(method=method))
    return place / "study.toml"


def write_tasks(place: Path, form: str, number: int) -> Path:
    """So many tasks of 4 × 4 heads, as CSV, .npz, or a study of two rows a task."""
    names, path = [f"Task {t}" for t in range(number)], place / f"scores.{form}"
    scores = np.random.default_rng(0).exponential(size=(number, 4, 4)).astype(np.float32)
    if form == "toml":
        return write_study(place, "gate_gradient", [name for name in names for _ in "ab"])
    if form == "npz":
        np.savez(path, importance=scores, tasks=np.array(names))
    else:
        cells = [f"{names[t]},{i},{j},{value}\n" for (t, i, j), value in np.ndenumerate(scores)]
        path.write_text("task,layer,head,importance\n" + "".join(cells))
    return path


def command(arguments: list[str], log: str, gib: float, seconds: int) -> dict[str, Any]:
    """Run a reportgen command in this process: its exit code, what it took, and the last it said."""
    from reportgen.cli import main as cli

    limited(gib, seconds)
    with open(log, "w") as out:
        for stream in (1, 2):
            os.dup2(out.fileno(), stream)
    sys.argv, code, began = ["reportgen", *arguments], 0, time.monotonic()
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    return {
        "exit": code,
        "seconds": round(time.monotonic() - began, 1),
        "cpu_s": round(time.process_time(), 1),
        "peak_mib": round(resident("VmHWM")),
        "said": " ".join(Path(log).read_text().split())[-300:],
    }


def many_tasks(numbers: list[int], gib: float, place: Path, seconds: int) -> list[dict[str, Any]]:
    """Build reports of so many tasks from each form."""
    rows = []
    for number in numbers:
        for form in ("csv", "npz", "toml"):
            own = place / f"{form}-{number}"
            own.mkdir()
            path, failed = apart(lambda own=own, form=form, number=number: str(write_tasks(own, form, number)))
            assert not failed, failed
            arguments = ["build", path, "-o", str(own / "out"), "--quiet"]
            told = ended(*apart(command, arguments, str(own / "log"), gib, seconds))
            rows.append({"tasks": number, "from": form, "limit_gib": gib, "limit_s": seconds, **told})
            print(json.dumps(rows[-1]), flush=True)
    return rows


# --- very many units


def scored_in_units(place: str, number: int, kept: bool) -> dict[str, Any]:
    """Score so many units of one example each; how memory and the processor time of a unit grow."""
    from reportgen.core.config_file import load_study
    from reportgen.scoring.run import shards as units
    from reportgen.scoring.score import score

    units.SHARD_FORWARDS = 1  # the least unit: one batch, here of one example
    seen: list[tuple[int, float, float]] = []

    def progress(stage: str, done: int, total: int) -> None:
        if not seen or done > seen[-1][0]:
            seen.append((done, resident("VmRSS"), time.process_time()))

    study = load_study(write_study(Path(place), "gate_gradient", ["One task"] * number))
    made = score(study, progress=progress, checkpoints=Path(place) / "units" if kept else None)
    done, rss, clock = (np.array(column) for column in zip(*seen, strict=True))
    settled = done > number // 5
    fifths = [np.diff(clock)[part].mean() * 1000 for part in np.array_split(np.arange(len(clock) - 1), 5)]
    held = sum(e.values.nbytes for blocks in made.values() for b in blocks for e in b.examples if e is not None)
    return {
        "units": number * len(made),
        "rss_start_mib": round(float(rss[0])),
        "rss_end_mib": round(float(rss[-1])),
        "kib_a_unit": round(float(np.polyfit(done[settled], rss[settled], 1)[0]) * 1024, 3),
        "of_which_scores_kib": round(held / 1024 / number / len(made), 3),
        "ms_a_unit_by_fifths": [round(float(f), 2) for f in fifths],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["large", "tasks", "units"])
    parser.add_argument("numbers", nargs="*", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--units", type=int, default=21_600)
    parser.add_argument("--shape", nargs=4, type=int, default=[64, 500, 128, 128])
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--limit", type=float, default=12)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--place", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.place) as held:
        if chosen.what == "large":
            made: Any = large(tuple(chosen.shape), chosen.without, chosen.limit, Path(held), chosen.seconds)
        elif chosen.what == "tasks":
            made = many_tasks(chosen.numbers, chosen.limit, Path(held), chosen.seconds)
        else:
            made = ended(*apart(scored_in_units, held, chosen.units, True))
    print(json.dumps(made, indent=1))
    kept = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    chosen.out.write_text(json.dumps({**kept, chosen.what: made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
