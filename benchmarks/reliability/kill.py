"""Runs killed at random moments, and what the same command makes of what they leave.

    python benchmarks/reliability/kill.py [KILLS] [--ray KILLS] [--seed N] [--only COMMAND...]

A small study of the sample's model is scored, analysed, rendered and built undisturbed once, timed; then KILLS (200)
runs are killed (SIGKILL) at moments drawn evenly over that time (those that were over before do not count), each in a
new folder, and each followed by the same command, which must leave, to the byte, the undisturbed folder: no finished
unit is repeated (its file is the one that the killed run wrote), no temporary file stays, and at the moment of death
and all the while before every file that has its final name is whole. Runs with ``--ray`` score on a local Ray. Each run
is a fork of this process, which has imported what it needs: what is killed is the work, not the start of Python. Writes
benchmarks/results/kill.json; ends with 1 on a fault.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "kill.json"
STUDY = """[model]
path = "{model}"
[tasks]
path = "tasks.jsonl"
limit = 8
[scoring]
also = ["zero_ablation"]
batch_size = 8
[validation]
enabled = {validation}
budget = 0.5
"""
Files = dict[str, bytes]
Kept = dict[str, tuple[int, int]]  # units by name: the file's number on disk, and when it was written


def study(folder: Path, validation: bool) -> Path:
    """A study of two tasks of eight rows on the sample's model."""
    rows = [json.loads(line) for line in (ROOT / "sample_data" / "tasks.jsonl").read_text().splitlines()]
    tasks = list(dict.fromkeys(row["task"] for row in rows))[:2]
    kept = [row for task in tasks for row in [r for r in rows if r["task"] == task][:8]]
    folder.mkdir()
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    text = STUDY.format(model=ROOT / "sample_data" / "model", validation=str(validation).lower())
    (folder / "study.toml").write_text(text)
    return folder


def started(arguments: list[str], log: Path) -> int:
    """The process of a reportgen command, forked from this one."""
    child = os.fork()
    if child:
        with suppress(PermissionError, ProcessLookupError):  # whichever of the two comes first
            os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    with log.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    from reportgen.cli import main as cli

    sys.argv = ["reportgen", *arguments]
    code: Any = 70
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """The exit code of a process, waited for."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def files(folder: Path) -> Files:
    """The bytes of every file; what is renamed or removed meanwhile is left out."""
    found = Files()
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
        except FileNotFoundError:
            continue
    return found


def is_final(name: str) -> bool:
    """Whether a file has its final name and belongs to the report."""
    return not any(part.startswith(".") for part in Path(name).parts)


def half_written(folder: Path, whole: Files) -> Files:
    """Files with a final name that are not as the undisturbed run leaves them."""
    return {name: data for name, data in files(folder).items() if is_final(name) and data != whole.get(name)}


def units(folder: Path) -> Kept:
    """Finished units by name: which file each is (its number on disk) and when it was written."""
    place = folder / ".checkpoints"
    if not place.is_dir():
        return {}
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in place.glob("*.safetensors") if p.name[0] != "."}


def parted(one: bytes, other: bytes) -> str:
    """Where two contents part, with what each has there."""
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"from byte {at}: {one[max(0, at - 60) : at + 40]!r}, {other[max(0, at - 60) : at + 40]!r}"


class Campaign:
    """One command, killed again and again; ``faults`` tell what should not have been."""

    def __init__(self, name: str, source: Path, place: Path, ray: bool) -> None:
        self.name, self.source, self.place, self.ray = name, source, place, ray
        self.faults, self.counts = list[str](), Counter[str]()
        self.scored, self.analysed = place / "scored", place / "analysed"
        self.takes = 0.0  # seconds of the command, undisturbed
        self.whole = self.undisturbed()

    def command(self, folder: Path) -> list[str]:
        executor = ["--set", "scoring.executor=ray"] if self.ray else []
        match self.name:
            case "score" | "build":
                return [self.name, str(self.source), "-o", str(folder), "--quiet", *executor]
            case "analyze":
                return ["analyze", str(folder), "-o", str(folder), "--quiet"]
        return ["render", str(folder), "--quiet"]

    def prepared(self, folder: Path) -> None:
        """What lies in the folder before the command runs."""
        before = {"analyze": ("score",), "render": ("score", "analyze")}.get(self.name, ())
        ready = self.place / f"before-{self.name}"
        if before and not ready.exists():
            for step in before:
                run = Campaign.__new__(Campaign)
                run.name, run.source, run.ray = step, self.source, False
                assert ended(started(run.command(ready), self.place / "log")) == 0, (self.place / "log").read_text()
        if before:
            shutil.copytree(ready, folder)

    def undisturbed(self) -> Files:
        folder = self.place / f"whole-{self.name}" / "out"
        folder.parent.mkdir()
        self.prepared(folder)
        begun = time.monotonic()
        assert ended(started(self.command(folder), self.place / "log")) == 0, (self.place / "log").read_text()
        self.takes = time.monotonic() - begun
        return files(folder)

    def killed(self, number: int, after: float) -> None:
        """Kill one run, look at what it leaves, and run the command again."""
        folder = self.place / f"{self.name}-{number}" / "out"
        folder.parent.mkdir()
        self.prepared(folder)
        # render is given files that its first step removes: they may be there in their former state
        allowed = files(folder)
        child, moment = started(self.command(folder), self.place / "log"), time.monotonic() + after
        while time.monotonic() < moment:
            self.seen(str(number), folder, allowed)
            time.sleep(min(0.02, max(0.0, moment - time.monotonic())))
        os.killpg(child, signal.SIGKILL)
        in_time = ended(child) == -signal.SIGKILL
        self.counts["killed" if in_time else "over before"] += 1
        self.takes *= 1.0 if in_time else 0.9  # the machine may have been busier when it was timed
        self.seen(str(number), folder, allowed)
        finished = units(folder)
        self.counts["finished units kept"] += len(finished)
        self.finished(f"{number}, killed after {after:.2f} s", folder, allowed, finished)
        shutil.rmtree(folder.parent)

    def finished(self, run: str, folder: Path, allowed: Files, kept: Kept) -> None:
        """The same command again: it repeats no unit that was kept, and leaves the undisturbed folder."""
        repeated: Kept = {}
        again = started(self.command(folder), self.place / "log")
        while (done := os.waitpid(again, os.WNOHANG))[0] == 0:
            self.seen(run, folder, allowed)
            repeated |= {n: s for n, s in units(folder).items() if n in kept and s != kept[n]}
            time.sleep(0.02)
        code = os.waitstatus_to_exitcode(done[1])
        if code:
            self.faults.append(
                f"{self.name} {run}: the same command ended with {code}: {(self.place / 'log').read_text()[-300:]}"
            )
        if repeated:
            self.faults.append(f"{self.name} {run}: repeated {sorted(repeated)}")
        left = files(folder)
        unlike = sorted(n for n in {*left, *self.whole} if left.get(n) != self.whole.get(n))
        if unlike:
            seen = parted(self.whole.get(unlike[0], b""), left.get(unlike[0], b""))
            self.faults.append(f"{self.name} {run}: not as undisturbed: {unlike[:5]}; {seen}")

    def seen(self, run: str, folder: Path, allowed: Files) -> None:
        """What a reader finds now must be whole."""
        half = [n for n, data in half_written(folder, self.whole).items() if data != allowed.get(n)]
        self.counts["looks"] += 1
        if half:
            self.faults.append(f"{self.name} {run}: half-written {half[:3]}")


def imported() -> None:
    """Import all that a forked run needs, and fix what its bytes hinge on."""
    os.environ.update(SOURCE_DATE_EPOCH="1767225600", OMP_NUM_THREADS="1")
    import torch

    for name in ("analysis.analyze", "rendering.render", "scoring.score", "validation.validate"):
        import_module(f"reportgen.{name}")
    torch.set_num_threads(1)  # a fork has one thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--ray", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=("score", "analyze", "render", "build"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    imported()
    rng, rows = random.Random(chosen.seed), []
    with tempfile.TemporaryDirectory() as held:
        place = Path(held)
        plain, validated = study(place / "plain", False), study(place / "validated", True)
        shares = [
            ("score", plain, 0.35, False),
            ("analyze", plain, 0.15, False),
            ("render", plain, 0.25, False),
            ("build", validated, 0.25, False),
        ]
        todo = [
            (name, source, round(chosen.kills * share), ray)
            for name, source, share, ray in shares
            if chosen.only is None or name in chosen.only
        ]
        if chosen.ray:
            todo.append(("score", plain, chosen.ray, True))
        for name, source, kills, ray in todo:
            own = place / f"{name}-{'ray' if ray else 'local'}"
            own.mkdir()
            campaign = Campaign(name, source, own, ray)
            took = {"undisturbed_s": round(campaign.takes, 2)}
            while campaign.counts["killed"] < kills:
                run = campaign.counts["killed"] + campaign.counts["over before"]
                campaign.killed(run, rng.uniform(0, campaign.takes))
            about = {"command": name, "executor": "ray" if ray else "local"}
            rows.append(about | took | campaign.counts | {"faults": campaign.faults})
            print(json.dumps(rows[-1]), flush=True)
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(any(row["faults"] for row in rows))


if __name__ == "__main__":
    main()
