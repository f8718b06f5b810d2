"""Damaged files by the hundred thousand: whatever is in a file, reading it ends well or in a ReportgenError.

    python benchmarks/reliability/fuzz.py [INPUTS] [--only WORDS] [--seed N]

Reads INPUTS (100,000) damaged files with each of ``readers.READERS``, made by Hypothesis from whole ones. What must not
happen: any other exception, a crash, more than 2 s of processor time, or 500 MB beyond what the process holds before;
nor more time or memory for its bytes than ``allowed_s`` and ``allowed_mb``, which is what a whole file may take.
Each piece of 5,000 inputs runs in a process of its own, whose memory is limited. Prints each kind of failure once, with
its shortest input, and writes benchmarks/results/fuzz.json; ends with 1 if there was any.
"""

import argparse
import json
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import readers
from apart import apart
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mutations import damaged

from reportgen.errors import ReportgenError

RESULTS = Path(__file__).resolve().parents[1] / "results" / "fuzz.json"
PIECE, EACH = 5000, 10  # files of a process, and of one example of Hypothesis's
SECONDS, MEGABYTES = 2.0, 500
# What a file may take by its size: 10 µs and 1,000 bytes a byte, and beside them what the dearest reader takes for any
# file at all (pypdf's objects, a page of index drawn); it is tried twice, since a collection of garbage is no fault
TIME_A_BYTE, TIME_ANY = 10e-6, 0.5
MEMORY_A_BYTE, MEMORY_ANY = 1000, 48 * 2**20


class TooSlow(BaseException):
    """Raised by the timer in what is being read; no ``except Exception`` holds it."""


def _too_slow(*_: object) -> None:
    raise TooSlow


def outcome(reader: readers.Reader, path: Path) -> str:
    """How reading a file ends: "read", "refused", or what went wrong and where."""
    signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        reader.read(path)
        return "read"
    except ReportgenError:
        return "refused"
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/reportgen/" in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__} at {where}: {re.sub(r'[0-9]+', '#', str(error))[:100]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def allowed_s(size: int) -> float:
    """The processor time that reading a file of that size may take."""
    return TIME_ANY + TIME_A_BYTE * size


def allowed_mb(size: int) -> float:
    """The memory that reading a file of that size may take beyond what the process holds."""
    return (MEMORY_ANY + MEMORY_A_BYTE * size) / 2**20


def measured(reader: readers.Reader, path: Path) -> tuple[str, float, float]:
    """How reading a file ends, its processor time, and by how many MB the process's largest size rose."""
    Path("/proc/self/clear_refs").write_text("5")  # the largest size so far is forgotten
    before = _status("VmRSS")
    began = time.process_time()
    found = outcome(reader, path)
    took = time.process_time() - began
    return found, took, (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """A line of what the kernel says of this process, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def judged(reader: readers.Reader, path: Path) -> tuple[str, float, float]:
    """As ``measured``; an end that takes more than the file's size allows, twice, is a failure of its own."""
    size = path.stat().st_size
    found, took, memory = measured(reader, path)
    if took > allowed_s(size) or memory > allowed_mb(size):
        _, again, more = measured(reader, path)
        took, memory = min(took, again), min(memory, more)
        if found in ("read", "refused") and took > allowed_s(size):
            found = "it took more time than a file of its size may"
        elif found in ("read", "refused") and memory > allowed_mb(size):
            found = "it took more memory than a file of its size may"
    return found, took, memory


def limit_memory() -> None:
    """Let this process take no more than MEGABYTES beyond what it has."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEGABYTES * 2**20,) * 2)


def piece(reader: readers.Reader, inputs: int, number: int, folder: str) -> dict[str, Any]:
    """Read some damaged files, each in its turn in ``folder``; failures by kind with the shortest input of each."""
    readers.quiet()
    whole = tuple(make() for make in reader.seeds)
    counts, failures, slowest, largest = Counter[str](), dict[str, bytes](), 0.0, 0.0
    path = Path(folder) / reader.name
    for data in whole:
        path.write_bytes(data)
        reader.read(path)  # with what is imported on the way, which no file is to blame for
        if (found := outcome(reader, path)) != "read":
            raise AssertionError(f"{reader.title}: a whole file is not read ({found})")
    limit_memory()

    @seed(number)
    @settings(
        max_examples=-(-inputs // EACH),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(damaged(whole), min_size=EACH, max_size=EACH))
    def run(some: list[bytes]) -> None:
        nonlocal slowest, largest
        for data in some:
            path.write_bytes(data)
            found, took, memory = judged(reader, path)
            slowest, largest = max(slowest, took), max(largest, memory)
            if found not in ("read", "refused"):
                if found not in failures or len(data) < len(failures[found]):
                    failures[found] = data
                found = "failed"
            counts[found] += 1

    run()
    return {
        "counts": counts,
        "failures": {k: v.hex() for k, v in failures.items()},
        "slowest": slowest,
        "largest": largest,
    }


def campaign(reader: readers.Reader, inputs: int, first: int) -> dict[str, Any]:
    """All pieces of one reader, each in a process of its own."""
    counts, failures, slowest, largest = Counter[str](), dict[str, str](), 0.0, 0.0
    for number in range(first, first + max(1, inputs // PIECE)):
        with tempfile.TemporaryDirectory(dir=readers.PLACE) as folder:
            found, ended = apart(piece, reader, min(PIECE, inputs), number, folder)
            if ended:
                last = Path(folder) / reader.name
                failures[ended] = last.read_bytes().hex() if last.exists() else ""
                counts["failed"] += 1
                continue
        counts.update(found["counts"])
        failures |= {k: v for k, v in found["failures"].items() if len(v) < len(failures.get(k, v + "0"))}
        slowest, largest = max(slowest, found["slowest"]), max(largest, found["largest"])
    return {
        "reader": reader.title,
        "inputs": counts.total(),
        **counts,
        "slowest_s": round(slowest, 3),
        "largest_mb": round(largest, 1),
        "failures": failures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", nargs="?", type=int, default=100_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    readers.quiet()
    readers.bare_pdf()  # with the report that it is taken from: made once, and shared by the forks
    rows = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
    failed = False
    for reader in readers.READERS:
        if chosen.only not in reader.title:
            continue
        row = campaign(reader, chosen.inputs, chosen.seed * 1_000_000)
        failed |= bool(row["failures"])
        for why, data in row["failures"].items():
            print(f"{reader.title}: {why}\n    {bytes.fromhex(data)[:200]!r}", flush=True)
        print({k: v for k, v in row.items() if k != "failures"}, flush=True)
        rows = [r for r in rows if r["reader"] != reader.title] + [row]
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
