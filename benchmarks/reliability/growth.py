"""Files that grow: what reading takes may grow as the file does, and not as its square.

    python benchmarks/reliability/growth.py [--only WORDS]

Each of ``GROWING`` makes a file of about as many bytes as it is asked for. It is doubled until reading it takes 20 ms
of processor time, or it has 1 MB, and then doubled twice more: the time may rise to ``STEEPEST`` times, where a square
would make it sixteen times. Prints a line for each, and ends with 1 where one is steeper.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import readers

from reportgen.archive.text import visible_text
from reportgen.errors import ReportgenError

STEEPEST, LEAST, LARGEST = 10.0, 0.02, 1_000_000  # 3.2 times for each doubling


@dataclass(frozen=True)
class Growing:
    """A file of a reader (by its title) that can be of any size."""

    reader: str
    what: str
    make: Callable[[int], bytes]


def _keys(size: int, value: str, key: str = '"%07d"') -> str:
    """Members of a JSON object, each with a key of its own, and the last of them twice."""
    keys = [key % i for i in range(max(2, size // (len(key % 0) + len(value) + 2)))]
    return ",".join(f"{k}:{value}" for k in [*keys, keys[-1]])


def _manifest(**changes: object) -> bytes:
    return json.dumps(json.loads(readers.of_report("manifest.json")()) | changes).encode()


def _files(size: int) -> dict[str, object]:
    return {f"{i:060d}": {"sha256": "0" * 64, "size": 1} for i in range(size // 150)}


def _findings(size: int) -> bytes:
    content = json.loads(readers.of_report("findings.json")())
    finding = content["findings"][0]
    content["findings"] = [{**finding, "id": f"{i}"} for i in range(max(1, size // len(json.dumps(finding))))]
    return json.dumps(content).encode()


def _wide(size: int, twice: bool = False) -> bytes:
    names = [f"c{i:07d}" for i in range(size // 9)]
    return ",".join([*names, *names[-1:]] if twice else names).encode() + b"\n"


def _rows(size: int, task: str, example: str = "") -> bytes:
    """A whole tidy table of one head a row."""
    return b"task,layer,head,importance,example\n" + b"".join(
        (f"{task},0,0,1,{example}\n" % i).encode() for i in range(size // 20)
    )


def _grid(size: int) -> bytes:
    side = max(2, int((size / 12) ** 0.5))
    cells = (f"a,{x},{y},1\n" for x in range(side) for y in range(side))
    return b"task,layer,head,importance\n" + "".join(cells).encode()


def _tasks(size: int) -> bytes:
    return b"".join(b'{"task":"a","prompt":"%d","answer":"b","id":"%d"}\n' % (i, i) for i in range(size // 50))


def _question(parts: int) -> bytes:
    part = {"answer": "a", "cognitive_skill": "Retrieval"}
    asked = [{"subquestion": f"S{i}?", **part} for i in range(parts)]
    return json.dumps([{"question": "Q?", "answer": "A", "generated": asked}]).encode()


GROWING: tuple[Growing, ...] = (
    Growing("manifest.json in verify", "keys, one of them twice", lambda n: f"{{{_keys(n, '0')}}}".encode()),
    Growing("manifest.json in verify", "files", lambda n: _manifest(files=_files(n))),
    Growing("manifest.json in index", "keys, one of them twice", lambda n: f"{{{_keys(n, '0')}}}".encode()),
    Growing("manifest.json in index", "files", lambda n: _manifest(files=_files(n))),
    Growing(
        "manifest.json in index",
        "overrides",
        lambda n: _manifest(overrides={f"report.a{i:07d}": 1 for i in range(n // 24)}),
    ),
    Growing("findings.json", "findings", _findings),
    Growing("findings.json", "keys, one of them twice", lambda n: f"{{{_keys(n, '[]')}}}".encode()),
    Growing("scores, CSV", "columns", _wide),
    Growing("scores, CSV", "columns, one of them twice", lambda n: _wide(n, twice=True)),
    Growing("scores, CSV", "tasks", lambda n: _rows(n, "%06d")),
    Growing("scores, CSV", "examples", lambda n: _rows(n, "a", "%06d")),
    Growing("scores, CSV", "layers and heads", _grid),
    Growing("scores, CSV", "one long cell", lambda n: b"task,layer,head,importance\na,0,0," + b"1" * n),
    Growing("scores, CSV", "one long name", lambda n: b"x" * n + b",layer,head,importance\n"),
    Growing("scores, CSV", "empty lines", lambda n: b"task,layer,head,importance\na,0,0,1\n" + b"\n" * n),
    Growing("tasks, CSV", "columns", _wide),
    Growing("tasks, CSV", "columns, one of them twice", lambda n: _wide(n, twice=True)),
    Growing("tasks, CSV", "lines in a cell", lambda n: b'task,prompt,answer\na,"' + b"\n" * n + b'",c\n'),
    Growing("tasks, JSON lines", "rows", _tasks),
    Growing("tasks, JSON lines", "keys, one of them twice", lambda n: f"{{{_keys(n, '0')}}}".encode()),
    Growing(
        "tasks, JSON lines",
        "tasks",
        lambda n: b"".join(b'{"task":"%07d","prompt":"a","answer":"b"}\n' % i for i in range(n // 42)),
    ),
    Growing(
        "tasks, JSON lines",
        "accepted answers",
        lambda n: json.dumps(
            {"task": "a", "prompt": "b", "answer": "c", "answers": [f"{i:07d}" for i in range(n // 11)]}
        ).encode(),
    ),
    Growing(
        "tasks, JSON lines",
        "choices",
        lambda n: json.dumps(
            {"task": "a", "prompt": "b", "answer": "c", "choices": ["c", *(f"{i:07d}" for i in range(n // 11))]}
        ).encode(),
    ),
    Growing("tasks, CogQA", "parts of a question", lambda n: _question(n // 70)),
    Growing(
        "scores, Retrieval Head",
        "heads",
        lambda n: json.dumps({f"{x}-{y}": [0.5] for x in range(max(1, n // 10_000)) for y in range(700)}).encode(),
    ),
    Growing("scores, Retrieval Head", "probes", lambda n: json.dumps({"0-0": [0.5] * (n // 5)}).encode()),
    Growing("scores, Cognitive Mirrors", "functions", lambda n: f"{{{_keys(n, '[[0,1]]')}}}".encode()),
    Growing(
        "scores, Cognitive Mirrors", "entries", lambda n: json.dumps({"a": [[i, 1] for i in range(n // 10)]}).encode()
    ),
    Growing("scores, DuoAttention", "digits of a gate", lambda n: b"0." + b"1" * n + b"x"),
    Growing("scores, DuoAttention", "digits before the point", lambda n: b"1" * n + b"x"),
    Growing("scores, DuoAttention", "gates in a row", lambda n: b"0\t" * (n // 2) + b"0"),
    Growing("study.toml", "keys", lambda n: b"[study]\n" + b"".join(b"a%07d=1\n" % i for i in range(n // 11))),
    Growing("study.toml", "tables", lambda n: b"".join(b"[a.b%07d]\n" % i for i in range(n // 13))),
    Growing("study.toml", "one long key", lambda n: b"[model]\n" + b"p" * n + b" = 1\n"),
    Growing("study.toml", "one long text", lambda n: b'[study]\ntitle = "' + b"x" * n + b'"\n'),
    Growing("study.toml", "authors", lambda n: f"[study]\nauthors = {json.dumps(['a'] * (n // 5))}\n".encode()),
    *(
        Growing("page in verify", repr(part), lambda n, part=part: part.encode() * (n // len(part)))  # type: ignore[misc]
        for part in ("<script ", "<script>", "<style>", "</script>", "<", ">", "&", "&amp", "<!--", "<script></style>")
    ),
)


def _reading(title: str) -> tuple[str, Callable[[Path], object]]:
    if title == "page in verify":
        return "report.html", lambda path: visible_text(path.read_text(encoding="utf-8"))
    reader = next(r for r in readers.READERS if r.title == title)
    return reader.name, reader.read


def seconds(growing: Growing, size: int, folder: Path) -> float:
    """The processor time of reading the file at a size, the least of two."""
    name, read = _reading(growing.reader)
    path = folder / name
    path.write_bytes(growing.make(size))
    took = list[float]()
    gc.disable()  # what it takes hangs on all that the process holds
    for _ in range(2):
        began = time.process_time()
        with suppress(ReportgenError):
            read(path)
        took.append(time.process_time() - began)
    gc.enable()
    return min(took)


def growth(growing: Growing, least: float = LEAST) -> tuple[int, float, float]:
    """The size at which reading takes ``least`` seconds, the time there, and its rise at four times the size."""
    readers.quiet()
    with tempfile.TemporaryDirectory(dir=readers.PLACE) as held:
        gc.collect()
        seconds(growing, 1000, Path(held))  # with what is imported on the way
        size = 16_000
        while (took := seconds(growing, size, Path(held))) < least and size < LARGEST:
            size *= 2
        return size, took, seconds(growing, 4 * size, Path(held)) / max(took, least / 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    chosen, steep = parser.parse_args(), False
    for growing in GROWING:
        if chosen.only in f"{growing.reader}: {growing.what}":
            size, took, rise = growth(growing)
            steep |= rise > STEEPEST
            told = f"{took:.3f} s for {size:,} bytes, {rise:.1f} times that for four times as many"
            print(f"{'STEEP' if rise > STEEPEST else 'ok   '} {growing.reader}: {growing.what}: {told}", flush=True)
    sys.exit(steep)


if __name__ == "__main__":
    main()
