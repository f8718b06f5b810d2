"""Maps of noise and of planted effects, and the findings of one kind in them."""

from dataclasses import replace

import numpy as np

from reportgen.analysis.analyze import analyze
from reportgen.analysis.detectors.inert_heads import EVERY
from reportgen.analysis.view import Settings
from reportgen.core.findings import Finding, Findings
from reportgen.core.scores import Examples, Family, HeadScores, Method, Task, split_halves


def named(tensor: np.ndarray, **rest: object) -> HeadScores:
    return HeadScores.from_array(tensor, [f"Task {t}" for t in range(len(tensor))], **rest)


def noise(seed: int, shape: tuple[int, ...] = (8, 32, 32)) -> np.ndarray:
    return np.exp(0.6 * np.random.default_rng(seed).normal(size=shape))


def kinds(findings: Findings, kind: str, register: str | None = None) -> list[Finding]:
    return [f for f in findings.findings if f.kind == kind and register in (None, f.register)]


def with_examples(
    tensor: np.ndarray, n: int = 40, noise_scale: float = 1.0, seed: int = 0, **task: object
) -> HeadScores:
    """Per-example scores scattered around a tensor (task, layer, head)."""
    rng = np.random.default_rng(seed)
    ids = tuple(str(i) for i in range(n))
    examples = []
    for cells in tensor:
        values = cells * np.exp(noise_scale * rng.normal(size=(n, *cells.shape)) - noise_scale**2 / 2)
        examples.append(Examples(values.astype(np.float32), ids, ids, split_halves(ids, seed)))
    importance = np.stack([e.values.astype(float).mean(axis=0) for e in examples])
    tasks = tuple(Task(f"Task {t}", n=n, **task) for t in range(len(tensor)))  # type: ignore[arg-type]
    return HeadScores(importance, tasks, Method("test"), examples=tuple(examples))


def probed(error: float = 0.011) -> HeadScores:
    """Scores of a probe that is .01 better than a bag of words, give or take that standard error."""
    overall = {
        "accuracy": {
            "at random": 0.5,
            "always the commonest task": 0.5,
            "probe": 0.91,
            "bag of words": 0.9,
            "length and place": 0.6,
            "shuffled labels": 0.95,
        },
        "probe minus it": {"bag of words": 0.01, "length and place": 0.31, "shuffled labels": -0.04},
        "standard error": {"bag of words": error, "length and place": 0.03},
    }
    scores = with_examples(np.ones((2, 4, 4)), n=100)
    return replace(scores, method=replace(scores.method, name="probe", overall=overall))


def weakest_at_zero() -> list[HeadScores]:
    """A layer of zeros with and without examples, and two such layers with examples."""
    one, two = np.full((1, 12, 4), 5.0), np.full((1, 12, 4), 5.0)
    one[0, 3] = two[0, [3, 8]] = 0
    return [with_examples(one, 20, 0.0), named(one), with_examples(two, 20, 0.0)]


FAMILIES: dict[str, Family] = {
    "gate_gradient": "gradient",
    "zero_ablation": "ablation",
    "mean_ablation": "ablation",
    "activation_norm": "control",
}


def ablated(effects: np.ndarray, every: float = 100.0, name: str = "zero_ablation") -> HeadScores:
    """Exact ablation whose signed effects (task, example, layer, head) are given."""
    ids = tuple(map(str, range(effects.shape[1])))
    examples = tuple(Examples(e.astype(np.float32), ids, ids, split_halves(ids, 0)) for e in effects)
    tasks = tuple(Task(f"Task {t}", n=len(ids)) for t in range(len(effects)))
    method = Method(name, diagnostics={EVERY: {t.name: every for t in tasks}}, family=FAMILIES.get(name))
    return HeadScores(np.abs(effects).mean(axis=1), tasks, method, examples=examples)


def small_and_large(seed: int = 0, n: int = 160) -> np.ndarray:
    """Effects of two tasks, 8 layers × 8 heads: near 0 in layers 4–7 of both and in layer 3 of the first alone."""
    rng = np.random.default_rng(seed)
    mean = np.full((2, 1, 8, 8), 5.0)
    mean[:, :, 4:] = 0.05
    mean[0, :, 3] = 0.05
    effects: np.ndarray = mean + rng.normal(size=(2, n, 8, 8)) * np.where(mean > 1, 2.0, 0.5)
    return effects


def only(scores: HeadScores, kind: str, *others: HeadScores, **settings: object) -> list[Finding]:
    further = {o.method.name: o for o in others}
    return kinds(analyze(scores, Settings(detectors=(kind,), **settings), others=further), kind)  # type: ignore[arg-type]


def norm_and_ablation(informed: float, seed: int = 0) -> tuple[HeadScores, HeadScores, HeadScores]:
    """A score, exact ablation and the norm: the score knows of the ablation beyond the norm as far as ``informed``."""
    rng = np.random.default_rng(seed)
    size, truth = rng.normal(size=(3, 10, 10)), rng.normal(size=(3, 10, 10))
    exact = with_examples(np.exp(size + truth), 60, seed=seed)
    score = with_examples(np.exp(size + informed * truth + (1 - informed) * rng.normal(size=truth.shape)), 60, seed=9)
    norm = with_examples(np.exp(size), 60, seed=8)
    named = (Method(name, family=FAMILIES[name]) for name in ("gate_gradient", "zero_ablation", "activation_norm"))
    return tuple(replace(s, method=m) for s, m in zip((score, exact, norm), named, strict=True))  # type: ignore[return-value]


def noisy(maps: list[np.ndarray], noise: list[float], n: int = 60, seed: int = 0) -> HeadScores:
    """Tasks whose examples scatter around given maps, each with noise of its own."""
    rng = np.random.default_rng(seed)
    ids = tuple(map(str, range(n)))
    examples = []
    for cells, scale in zip(maps, noise, strict=True):
        values = cells * np.exp(scale * rng.normal(size=(n, *cells.shape)) - scale**2 / 2)
        examples.append(Examples(values.astype(np.float32), ids, ids, split_halves(ids, seed)))
    means = np.stack([e.values.astype(float).mean(axis=0) for e in examples])
    tasks = tuple(Task(f"Task {t}", n=n) for t in range(len(maps)))
    return HeadScores(means, tasks, Method("m"), examples=tuple(examples))


def correlated(seed: int, shared: float = 0.5, tasks: int = 6) -> np.ndarray:
    """Maps whose heads matter for any text to some degree: a share of the log variance is common to all tasks."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(1, 16, 16)), rng.normal(size=(tasks, 16, 16))
    return np.exp(0.6 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own))


REGIONS = ("cluster", "row_segment")


def found(scores: HeadScores, kind: str, *more: str, register: str | None = None, **settings: object) -> list[Finding]:
    findings: Findings = analyze(scores, Settings(detectors=(*more, kind), **settings))  # type: ignore[arg-type]
    return kinds(findings, kind, register)


def grouped(scores: HeadScores, **groups: list[str]) -> HeadScores:
    return scores.with_groups(groups)


def drift(rng: np.random.Generator, tasks: int, layers: int = 32) -> np.ndarray:
    """First-order autoregressive layer levels of each task, as factors (task, layer, 1)."""
    levels = rng.normal(size=(tasks, layers))
    for i in range(1, layers):
        levels[:, i] = 0.7 * levels[:, i - 1] + 0.7 * levels[:, i]
    factors: np.ndarray = np.exp(0.6 * levels)[:, :, None]
    return factors
