"""How often each family of tests fires where nothing is planted: ``python benchmarks/calibration.py [TENSORS]``.

Clean tensors of several backgrounds and sizes, the real maps of Retrieval Head with the heads of each layer shuffled
(where that folder is given by REPORTGEN_PUBLISHED), and tensors with one planted cluster, which must not make other
families fire. Prints shares with Wilson 95 % intervals; writes benchmarks/results/calibration.json.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from reportgen.analysis.analyze import analyze
from reportgen.importers import load_scores
from reportgen.scores import HeadScores
from reportgen.stats import wilson

ROOT = Path(__file__).resolve().parents[1]
BACKGROUNDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "lognormal": lambda rng, shape: np.exp(0.6 * rng.normal(size=shape)),
    "gamma": lambda rng, shape: rng.gamma(1.2, 1.0, shape),
    "Pareto 2": lambda rng, shape: 1 + rng.pareto(2, shape),
}


def clean(background: str, shape: tuple[int, ...], n: int) -> Iterator[np.ndarray]:
    for seed in range(n):
        yield BACKGROUNDS[background](np.random.default_rng([seed, *shape]), shape)


def autocorrelated(n: int) -> Iterator[np.ndarray]:
    for seed in range(n):
        rng = np.random.default_rng([seed, 7])
        drift = np.zeros((8, 32))
        for i in range(1, 32):
            drift[:, i] = 0.7 * drift[:, i - 1] + 0.35 * rng.normal(size=8)
        yield np.exp(0.6 * rng.normal(size=(8, 32, 32)) + drift[:, :, None])


def with_cluster(n: int) -> Iterator[np.ndarray]:
    for tensor in clean("lognormal", (8, 32, 32), n):
        tensor[2, 10:18, 5:12] *= 4
        yield tensor


def shuffled(path: Path, n: int) -> Iterator[np.ndarray]:
    values = load_scores(path).importance
    for seed in range(n):
        yield np.random.default_rng(seed).permuted(values, axis=2)


def cells(n: int) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    for background in BACKGROUNDS:
        yield f"{background} 8×32×32", clean(background, (8, 32, 32), n)
    yield "lognormal 8×12×12", clean("lognormal", (8, 12, 12), n)
    yield "lognormal 1×32×32", clean("lognormal", (1, 32, 32), n)
    yield "autocorrelated layers", autocorrelated(n)
    yield "one cluster planted", with_cluster(n)
    folder = os.environ.get("REPORTGEN_PUBLISHED")
    if folder is None:
        print("REPORTGEN_PUBLISHED is not set: Retrieval Head's maps are left out")
        return
    for path in sorted(Path(folder).glob("*.json")):
        yield f"{path.stem}, heads shuffled", shuffled(path, n)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    results = {}
    for name, tensors in cells(n):
        fired: Counter[str] = Counter()
        for tensor in tensors:
            findings = analyze(HeadScores.from_array(tensor, [f"T{t}" for t in range(len(tensor))])).findings
            fired.update({f.kind for f in findings if f.register == "tested"})
        results[name] = {kind: [count / n, *wilson(count, n)] for kind, count in sorted(fired.items())}
        shown = "; ".join(f"{k} {v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]" for k, v in results[name].items()) or "nothing"
        print(f"{name}: {shown}", flush=True)
    target = ROOT / "benchmarks" / "results" / "calibration.json"
    target.write_text(json.dumps({"tensors": n, "tested findings": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
