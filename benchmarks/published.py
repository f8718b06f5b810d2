"""Real maps: Retrieval Head's files with their heads shuffled, and split into halves of alternating blocks."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from reportgen.analysis.view import Settings
from reportgen.core.findings import Finding
from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores

SCAN = Settings(detectors=("cluster", "row_segment"))
SHUFFLED, HALVES = "heads shuffled: ", "halves: "


@lru_cache(maxsize=4)
def loaded(path: Path) -> HeadScores:
    """The file's scores."""
    return load_scores(path)


def pieces_of_published(folder: Path, tensors: int, piece: int) -> Iterator[tuple[str, int, int]]:
    """Half as many shuffles of each file as there are tensors, and one split."""
    for path in sorted(folder.glob("*.json")):
        yield from ((f"{SHUFFLED}{path.stem}", i, i + piece) for i in range(0, max(piece, tensors // 2), piece))
        yield f"{HALVES}{path.stem}", 0, 1


def published(what: str, folder: Path, seed: int, counted: Callable) -> Counter[str]:
    """The counts of one shuffle or of the split."""
    name = what.split(": ")[1]
    scores = loaded(folder / f"{name}.json")
    if what.startswith(SHUFFLED):
        shuffled = np.random.default_rng(seed).permuted(scores.importance, axis=2)
        counts: Counter[str] = counted(HeadScores(shuffled, scores.tasks, scores.method, scores.model), SCAN)[0]
        return counts
    return _halves(scores, counted)


def _halves(scores: HeadScores, counted: Callable) -> Counter[str]:
    """How many findings of either half the other half repeats, by kind and register."""
    (examples,) = scores.examples
    found = []
    for half in (examples.discovery, ~examples.discovery):
        importance = np.abs(examples.values[half].astype(float).mean(axis=0))[None]
        alone = HeadScores(importance, (replace(scores.tasks[0], n=None),), scores.method, scores.model)
        found.append([f for f in counted(alone)[1] if f.members or f.heads or f.layers])
    counts = Counter[str]()
    for mine, other in (found, found[::-1]):
        for f in mine:
            counts[f"found {f.register} {f.kind}"] += 1
            counts[f"again {f.register} {f.kind}"] += any(_same(f, g, scores.present.shape) for g in other)
    return counts


def _same(f: Finding, g: Finding, shape: Sequence[int]) -> bool:
    """The same kind and rule on mostly the same heads or layers."""
    if (f.kind, f.register) != (g.kind, g.register):
        return False
    a, b = (
        set(map(tuple, np.argwhere(x.mask(tuple(shape))))) or set(x.members or range(x.layers[0], x.layers[1] + 1))
        for x in (f, g)
    )
    return len(a & b) >= 0.5 * len(a | b)
