"""Disks that fill up and folders that cannot be written, and what the same command makes of what they leave.

    python benchmarks/reliability/full_disk.py [RUNS] [--seed N]        # as root: it mounts file systems in memory

The study of kill.py is scored, analysed, rendered and built undisturbed once; then RUNS (60) runs are made, each in a
new folder on a file system that is too small by a random amount, or that is mounted read-only (one run in five). A run
must end with exit code 3 and say in one line which file it could not write, why, and what to do; nothing half-written
may lie there. Then there is room, and the same command must leave, to the byte, the undisturbed folder, without
repeating a finished unit. Writes benchmarks/results/full_disk.json; ends with 1 on a fault.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kill import ROOT, Campaign, ended, files, imported, started, study, units

from reportgen.storage.crate import CRATE

RESULTS = ROOT / "benchmarks" / "results" / "full_disk.json"
PAGE = 4096  # bytes: the least that a file takes
ROOM = 64 * 2**20
MENDS = {
    "No space left on device": "Free space there, or choose another folder with -o; finished files are complete.",
    "Read-only file system": "Choose a writable folder with -o.",
}


@contextmanager
def file_system(place: Path) -> Iterator[None]:
    """A file system in memory of its own at a folder."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], check=True)
    (place / "other").write_bytes(bytes(PAGE))  # a size of 0 would be no limit
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def remounted(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def taken(place: Path) -> int:
    """The bytes that files and folders take on a file system, its smallest possible size."""
    about = os.statvfs(place)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


class Filling(Campaign):
    """One command, run again and again where it cannot write all that it has to."""

    def needs(self) -> tuple[int, int]:
        """The bytes on the disk before an undisturbed run, and after it."""
        with file_system(self.place / "disk"):
            folder = self.place / "disk" / "out"
            self.prepared(folder)
            before = taken(folder.parent)
            assert ended(started(self.command(folder), self.place / "log")) == 0, (self.place / "log").read_text()
            return before, taken(folder.parent)

    def disturbed(self, number: int, room: int | None) -> None:
        """Run on a disk of this size (None: read-only), look at what is left, make room, and run again."""
        with file_system(self.place / "disk"):
            folder = self.place / "disk" / "out"
            self.prepared(folder)
            allowed = files(folder)
            remounted(folder.parent, "ro" if room is None else f"size={room}")
            code = ended(started(self.command(folder), self.place / "log"))
            run = f"{number} with {'a read-only disk' if room is None else f'{room} bytes'}"
            self.judged(run, code)
            if not (folder / "report.pdf").exists():  # then the crate describes a report without one
                allowed |= {n: data for n, data in files(folder).items() if n == CRATE and json.loads(data)}
            self.seen(run, folder, allowed)
            if left := [n for n in files(folder) if n.endswith(".half")]:
                self.faults.append(f"{self.name} {run}: left {left}")
            finished = units(folder)
            self.counts["finished units kept"] += len(finished)
            remounted(folder.parent, f"rw,size={ROOM}")
            self.finished(run, folder, allowed, finished)

    def judged(self, run: str, code: int) -> None:
        """Whether the run ended as it should: with 3 and one line that says where, why and what to do."""
        told = (self.place / "log").read_text().strip()
        if code == 0:  # what it removed or replaced made room for the rest
            self.counts["room enough"] += 1
            return
        reason = next((r for r in MENDS if f"cannot write ({r})" in told), "")
        self.counts[reason or "other end"] += 1
        if code != 3 or not reason or not told.endswith(MENDS[reason]) or len(told.splitlines()) > 1:
            self.faults.append(f"{self.name} {run}: ended with {code}: {told[-400:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    imported()
    rng, rows = random.Random(chosen.seed), []
    with tempfile.TemporaryDirectory() as held:
        plain, validated = study(Path(held) / "plain", False), study(Path(held) / "validated", True)
        shares = [("score", plain, 0.3), ("analyze", plain, 0.15), ("render", plain, 0.15), ("build", validated, 0.4)]
        for name, source, share in shares:
            own = Path(held) / name
            own.mkdir()
            campaign = Filling(name, source, own, ray=False)
            before, after = campaign.needs()
            for number in range(round(chosen.runs * share)):
                room = None if number % 5 == 4 else rng.randrange(before, after, PAGE)
                campaign.disturbed(number, room)
            about = {"command": name, "runs": round(chosen.runs * share), "needs_bytes": after - before}
            rows.append(about | campaign.counts | {"faults": campaign.faults})
            print(json.dumps(rows[-1]), flush=True)
            shutil.rmtree(own)
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(any(row["faults"] for row in rows))


if __name__ == "__main__":
    main()
