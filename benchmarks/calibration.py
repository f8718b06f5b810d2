"""How often each family of tests fires on nothing, and how well the detectors find what was planted.

    python benchmarks/calibration.py [TENSORS] [--processes N] [--published FOLDER] [--only WORDS]

Runs TENSORS (1000) tensors of every cell of calibration_cells.py, the coverage of intervals, and, where ``--published``
names the folder of Retrieval Head's files, these with their heads shuffled and split in halves. Finished pieces are
kept in benchmarks/results/calibration.jsonl, so that an interrupted run goes on; pieces of other code are left out.
Writes the tables of docs/calibration.md, between its marks.
"""

import argparse
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from calibration_cells import CELLS, Cell
from calibration_table import written
from naive import NAIVE
from planted import judged
from published import pieces_of_published, published

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.core.scores import HeadScores
from reportgen.core.sentences import Prose
from reportgen.core.stats import mean_intervals

ROOT = Path(__file__).resolve().parents[1]
KEPT, PAGE = ROOT / "benchmarks" / "results" / "calibration.jsonl", ROOT / "docs" / "calibration.md"
PIECE = 20  # tensors that are run and kept together
TESTED = tuple(d.name for d in DETECTORS.own() if d.weight)  # whatever else runs, their parts of alpha are the same
MEANS = {
    "normal": lambda rng, shape: (rng.normal(1, 0.3, shape), 1.0),
    "|normal|": lambda rng, shape: (np.abs(rng.normal(size=shape)), np.sqrt(2 / np.pi)),
    "exponential": lambda rng, shape: (rng.exponential(size=shape), 1.0),
    "lognormal .6": lambda rng, shape: (rng.lognormal(0, 0.6, shape), np.exp(0.18)),
    "lognormal 1": lambda rng, shape: (rng.lognormal(0, 1, shape), np.exp(0.5)),
    "60 % zeros": lambda rng, shape: (rng.gamma(2, size=shape) * (rng.random(shape) < 0.4), 0.8),
}


class Silent(Prose):
    """Writes no sentences, which are not what is counted here."""

    def sentence(self, finding: object) -> str:
        """Nothing."""
        return ""


def counted(scores: HeadScores, settings: Settings = Settings()) -> tuple[Counter[str], Sequence]:  # noqa: B008
    """Which families of tests found anything, and the findings."""
    findings = analyze(scores, settings, Silent()).findings
    return Counter({f"fired {f.kind}": 1 for f in findings if f.test is not None}), findings


def tensor(cell: Cell, seed: int) -> Counter[str]:
    """The counts of one tensor of a cell."""
    rng = np.random.default_rng([seed, *sha256(cell.name.encode()).digest()[:4]])
    log = cell.world.log(rng)
    mask = cell.plant.put(rng, cell.world, log) if cell.plant else None
    scores = cell.world.scores(rng, log)
    # what else fires is counted beside planted clusters, which other kinds must not take for theirs
    alone = cell.plant is not None and cell.plant.kind != "cluster"
    only = tuple(dict.fromkeys(("cluster", "row_segment", cell.plant.kind))) if alone else TESTED
    counts, findings = counted(scores, Settings(detectors=only))
    if any(k[6:] not in cell.there for k in counts):
        counts["fired any"] = 1
    for name, (kind, detector) in NAIVE.items():
        if cell.plant is None or cell.plant.kind == kind:
            cells = detector(np.abs(scores.importance))
            counts[f"naive {name}"] = int(cells.any())
            if mask is not None:
                counts[f"naive hit {name}"] = int((cells & mask).sum() >= 0.5 * mask.sum())
                counts[f"naive right {name}"] = float((cells & mask).sum() / max(1, cells.sum()))
    if cell.plant is not None and mask is not None:
        counts.update(judged(cell.plant, mask, findings, scores.task_names))
    return counts


def coverage(groups: int, size: str, seed: int) -> Counter[str]:
    """Of 500 means each, how many 95 % intervals hold the truth: groups of one example, or of one to five."""
    rng, counts = np.random.default_rng([seed, groups]), Counter[str]()
    sizes = np.ones(groups, int) if size == "1" else rng.integers(1, 6, groups)
    of = np.repeat(np.arange(groups), sizes)
    for name, draw in MEANS.items():
        values, truth = draw(rng, (groups, 500))
        values = values[of]  # rows of a group all go one way
        low, high = mean_intervals(values, [str(i) for i in of])
        counts[name] = int(((low <= truth) & (truth <= high)).sum())
    return counts


def pieces(tensors: int, folder: Path | None) -> Iterator[tuple[str, int, int]]:
    """(what, first, last + 1) of everything that is to be run."""
    for cell in CELLS:
        n = round(tensors * cell.weight)
        yield from ((cell.name, start, min(n, start + PIECE)) for start in range(0, n, PIECE))
    for groups in (25, 50, 200):
        for size in ("1", "1–5"):
            yield from ((f"coverage {groups} {size}", i, i + 4) for i in range(0, max(8, tensors // 25), 4))
    if folder is not None:
        yield from pieces_of_published(folder, tensors, PIECE)


def run(piece: tuple[str, int, int, str]) -> dict[str, object]:
    """Run one piece and count."""
    what, start, stop, folder = piece
    began, counts = time.process_time(), Counter[str]()
    cell = next((c for c in CELLS if c.name == what), None)
    for seed in range(start, stop):
        if cell is not None:
            counts.update(tensor(cell, seed))
        elif what.startswith("coverage"):
            counts.update(coverage(int(what.split()[1]), what.split()[2], seed))
        else:
            counts.update(published(what, Path(folder), seed, counted))
    return {
        "what": what,
        "first": start,
        "last": stop,
        "seconds": round(time.process_time() - began, 2),
        "counts": {k: round(v, 4) for k, v in sorted(counts.items()) if v},
    }


def code() -> str:
    """A hash of what decides the counts: the analysis and the makers of tensors."""
    files = [*(ROOT / "reportgen" / "analysis").rglob("*.py"), ROOT / "reportgen" / "core" / "stats.py"]
    files += [ROOT / "benchmarks" / n for n in ("worlds.py", "planted.py", "naive.py", "published.py")]
    return sha256(b"".join(f.read_bytes() for f in sorted(files))).hexdigest()[:12]


def kept() -> list[dict]:
    """The pieces that are done."""
    return [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tensors", nargs="?", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--only", default="", help="words of cells, several with ; between them")
    options = parser.parse_args()
    version = code()
    done = {(r["what"], r["first"], r["last"]) for r in kept() if r["code"] == version}
    todo = [
        (*p, str(options.published))
        for p in pieces(options.tensors, options.published)
        if p not in done and any(words in p[0] for words in options.only.split(";"))
    ]
    weights = {cell.name: cell.weight for cell in CELLS}
    # all cells go on together, the costly ones with fewer tensors, so that whatever is reached is even
    todo.sort(key=lambda piece: piece[1] / weights.get(piece[0], 1.0))
    with KEPT.open("a") as file, multiprocessing.Pool(options.processes) as pool:
        for i, result in enumerate(pool.imap_unordered(run, todo), 1):
            file.write(json.dumps({"code": version, **result}, ensure_ascii=False) + "\n")
            file.flush()
            print(
                f"{i}/{len(todo)} {result['what']} {result['first']}–{result['last']}: {result['seconds']} s",
                flush=True,
            )
    written(PAGE, [r for r in kept() if r["code"] == version])


if __name__ == "__main__":
    main()
