"""Nulls and intervals of findings that need examples, groups or several methods: ``python benchmarks/comparisons.py``.

N tensors with nothing planted (or with every head exactly at the margin of inertness), and how many carry a tested
finding; and how often 95 % intervals hold what other examples of as many give on average. ``benchmarks/calibration.py``
holds the kinds that need none of these. Prints shares with Wilson intervals and writes
benchmarks/results/comparisons.json as it goes.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from reportgen.analysis.analyze import analyze
from reportgen.analysis.detectors.inert_heads import EVERY
from reportgen.analysis.view import Settings
from reportgen.core.findings import Finding
from reportgen.core.scores import Examples, Family, HeadScores, Method, Task, split_halves
from reportgen.core.stats import wilson

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (16, 16)
CONTROLS: dict[str, Family] = {"zero_ablation": "ablation", "activation_norm": "control"}
Random = np.random.Generator


def scored(effects: list[np.ndarray], seed: int, method: str = "gate_gradient", every: float = 0.0) -> HeadScores:
    """Scores of tasks whose examples' (example, layer, head) are given."""
    examples = []
    for values in effects:
        ids = tuple(map(str, range(len(values))))
        examples.append(Examples(values.astype(np.float32), ids, ids, split_halves(ids, seed)))
    tasks = tuple(Task(f"T{t}", n=len(e.ids)) for t, e in enumerate(examples))
    means = np.stack([np.abs(e.values).mean(axis=0, dtype=float) for e in examples])
    about = (
        Method(method, diagnostics={EVERY: {t.name: every for t in tasks}}, family="ablation")
        if every
        else Method(method)
    )
    return HeadScores(means, tasks, about, examples=tuple(examples))


def noisy(maps: np.ndarray, n: int, noise: list[float], rng: Random, shared: float = 0.0) -> list[np.ndarray]:
    """Examples scattered around maps (task, layer, head) by lognormal noise, a share of it common to all heads."""
    found = []
    for cells, scale in zip(maps, noise, strict=True):
        z = np.sqrt(shared) * rng.normal(size=(n, 1, 1)) + np.sqrt(1 - shared) * rng.normal(size=(n, *cells.shape))
        found.append(cells * np.exp(scale * z - scale**2 / 2))
    return found


def correlated(rng: Random, share: float, tasks: int = 8) -> np.ndarray:
    """Logarithms of maps of which a share of the variance is common to all tasks."""
    return 0.6 * (np.sqrt(share) * rng.normal(size=(1, *SHAPE)) + np.sqrt(1 - share) * rng.normal(size=(tasks, *SHAPE)))


def drifting(rng: Random, tasks: int = 8) -> np.ndarray:
    levels = rng.normal(size=(tasks, SHAPE[0]))
    for i in range(1, SHAPE[0]):
        levels[:, i] = 0.7 * levels[:, i - 1] + 0.71 * levels[:, i]
    return 0.6 * levels[:, :, None]


def tied(rng: Random, tasks: int = 8) -> np.ndarray:
    groups = np.repeat(rng.normal(size=(tasks, SHAPE[0], SHAPE[1] // 4)), 4, axis=2)
    return 0.6 * (np.sqrt(0.6) * groups + np.sqrt(0.4) * rng.normal(size=(tasks, *SHAPE)))


def one_heavy(rng: Random) -> np.ndarray:
    return np.concatenate([correlated(rng, 0.5, 7), 0.4 * rng.standard_t(3, size=(1, *SHAPE))])


MAPS: dict[str, Callable[[Random], np.ndarray]] = {
    "lognormal": lambda rng: np.exp(correlated(rng, 0)),
    "tasks correlated .7": lambda rng: np.exp(correlated(rng, 0.7)),
    "layers autocorrelated .7": lambda rng: np.exp(correlated(rng, 0) + drifting(rng)),
    "key/value groups correlated .6": lambda rng: np.exp(tied(rng)),
    "gamma (1.2)": lambda rng: rng.gamma(1.2, 1, (8, *SHAPE)),
    "Pareto (2)": lambda rng: 1 + rng.pareto(2, (8, *SHAPE)),
    "log-t (3)": lambda rng: np.exp(0.4 * rng.standard_t(3, size=(8, *SHAPE))),
    "stress: one task of eight log-t (3)": lambda rng: np.exp(one_heavy(rng)),
}
NOISE = {"same noise": [1.0] * 4, "noise differs": [0.3, 0.3, 2.0, 2.0]}
EFFECTS: dict[str, Callable[[Random, tuple[int, ...]], np.ndarray]] = {
    "normal effects": lambda rng, shape: 1 + 3 * rng.normal(size=shape),
    "t (3) effects": lambda rng, shape: 1 + 1.8 * rng.standard_t(3, size=shape),
    "lognormal effects": lambda rng, shape: np.exp(1.5 * rng.normal(size=shape) - 1.125),
    "effects on one example in twenty": lambda rng, shape: (rng.random(shape) < 0.05) * 20.0,
    "effects that heads share": lambda rng, shape: 1 + 2.7 * rng.normal(size=(shape[0], 1, 1)) + rng.normal(size=shape),
}


def found(scores: HeadScores, kind: str, *others: HeadScores) -> list[Finding]:
    further = {o.method.name: o for o in others}
    return [f for f in analyze(scores, Settings(detectors=(kind,)), others=further).findings if f.kind == kind]


def empty() -> Iterator[tuple[str, str, Callable[[int], bool]]]:
    """(kind, world, whether the tensor of a seed carries a tested finding)."""

    def fired(kind: str, make: Callable[[Random, int], HeadScores]) -> Callable[[int], bool]:
        return lambda seed: any(f.test for f in found(make(np.random.default_rng([seed, 7]), seed), kind))

    for name, maps in MAPS.items():

        def special(rng: Random, seed: int, m: Callable[[Random], np.ndarray] = maps) -> HeadScores:
            return scored(noisy(m(rng), 40, [1.0] * 8, rng), seed)

        yield "specialist_head", f"{name}, 40 examples", fired("specialist_head", special)

        def grouped(rng: Random, seed: int, m: Callable[[Random], np.ndarray] = maps) -> HeadScores:
            scores = HeadScores.from_array(m(rng), [f"T{t}" for t in range(8)])
            return scores.with_groups({"a": ["T0", "T1", "T2"]})

        yield "layer_band_contrast", name, fired("layer_band_contrast", grouped)
    for examples in (25, 50, 200):
        for name, noise in NOISE.items():
            for background in ("lognormal", "Pareto"):

                def alike(
                    rng: Random, seed: int, b: str = background, s: list[float] = noise, k: int = examples
                ) -> HeadScores:
                    base = np.exp(0.6 * rng.normal(size=256)) if b == "lognormal" else 1 + rng.pareto(2, 256)
                    maps = np.stack([rng.permutation(base).reshape(SHAPE) for _ in s])
                    return scored(noisy(maps, k, s, rng), seed)

                yield "concentration", f"{background}, {name}, {examples} examples", fired("concentration", alike)
        for name, effects in EFFECTS.items():

            def at_margin(
                rng: Random, seed: int, e: Callable[[Random, tuple[int, ...]], np.ndarray] = effects, k: int = examples
            ) -> HeadScores:
                return scored([e(rng, (k, *SHAPE)) for _ in range(2)], seed, "zero_ablation", 100.0)

            yield (
                "inert_heads",
                f"{name}, all means at the margin, {examples} examples",
                fired("inert_heads", at_margin),
            )


def intervals(n: int) -> Iterator[tuple[str, np.ndarray]]:
    """(what, (tensor, (estimate, low, high))) over draws of examples around fixed maps."""
    for examples in (25, 50, 200):
        for noise in (1.0, 2.0):
            truth = np.exp(correlated(np.random.default_rng(1), 0.5, 4))
            others = (
                np.exp(correlated(np.random.default_rng(2), 0.5, 4)),
                np.exp(correlated(np.random.default_rng(3), 0.5, 4)),
            )
            rows: dict[str, list[tuple[float, float, float]]] = {}
            for seed in range(n):
                rng = np.random.default_rng([seed, 11])
                scores = scored(noisy(truth, examples, [noise] * 4, rng), seed)
                similar, kept = found(scores, "task_similarity")[0].data, found(scores, "reliability")[0].data
                for part in ("overall", "specific"):
                    rows.setdefault(f"task_similarity, {part}", []).append(
                        (similar[part][0][1], similar[f"{part}_low"][0][1], similar[f"{part}_high"][0][1])
                    )
                for part in ("overall", "within", "specific"):
                    rows.setdefault(f"reliability, {part}", []).append(
                        (kept[part], kept[f"{part}_low"], kept[f"{part}_high"])
                    )
                exact, norm = (
                    replace(scored(noisy(m, examples, [noise] * 4, rng), seed), method=Method(name, family=family))
                    for m, (name, family) in zip(others, CONTROLS.items(), strict=True)
                )
                held = found(scores, "method_agreement", exact, norm)[0].data
                rows.setdefault("method_agreement, beyond the norm", []).append(
                    (held["difference"], held["low"], held["high"])
                )
            for what, each in rows.items():
                yield f"{what}, {examples} examples, noise {noise:g}", np.array(each)


def inert(tensors: int) -> Iterator[tuple[str, int, int, int]]:
    """(what, inert heads named, how many there are, other heads named): half of the heads change nothing on average.

    The others change five margins; an example's effect differs by so many margins (standard deviation).
    """
    for examples in (25, 50, 100, 200):
        for spread in (0.5, 1.0, 2.0):
            named, there, wrong = 0, 0, 0
            for seed in range(tensors):
                rng = np.random.default_rng([seed, 3])
                mean = np.where(rng.random(SHAPE) < 0.5, 0.0, 5.0)
                effects = [mean + spread * rng.normal(size=(examples, *SHAPE)) for _ in range(2)]
                masks = [
                    f.mask(SHAPE) for f in found(scored(effects, seed, "zero_ablation", 100.0), "inert_heads") if f.task
                ]
                there += 2 * int((mean == 0).sum())
                named += sum(int((m & (mean == 0)).sum()) for m in masks)
                wrong += sum(int((m & (mean > 0)).sum()) for m in masks)
            yield f"{examples} examples, spread {spread:g}", named, there, wrong


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    results: dict[str, object] = {"tensors": n}
    target = ROOT / "benchmarks" / "results" / "comparisons.json"

    def keep(what: str, count: int) -> None:
        results[what] = [count / n, *wilson(count, n)]
        print(f"{what}: {count / n:.3f} [{wilson(count, n)[0]:.3f}, {wilson(count, n)[1]:.3f}]", flush=True)
        target.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")

    for kind, world, fires in empty():
        keep(f"fires: {kind}: {world}", sum(fires(seed) for seed in range(n)))
    for what, named, there, wrong in inert(max(5, n // 4)):
        results[f"finds: inert_heads: {what}"] = [named / there, wrong]
        print(f"inert, {what}: {named / there:.3f} found, {wrong} wrong", flush=True)
    for what, rows in intervals(n):
        estimate, low, high = rows.T
        keep(f"covers: {what}", int(((low < estimate.mean()) & (high > estimate.mean())).sum()))


if __name__ == "__main__":
    main()
