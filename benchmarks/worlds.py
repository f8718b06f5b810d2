"""Synthetic head importances with known truth, for the calibration of the detectors.

A world is a tensor (task, layer, head) whose logarithm is a background of known distribution, plus a profile along the
layers. Heads may be correlated between tasks and within key/value groups (a Gaussian copula); each task may come with
noisy examples. Planting raises cells by robust standard deviations of the background's logarithm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, independent, split_halves

# log importance as a function of a standard normal variable
BACKGROUNDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "lognormal": lambda g: 0.6 * g,
    "gamma": lambda g: np.log(stats.gamma.ppf(stats.norm.cdf(g), 1.2).clip(1e-9)),
    "Pareto": lambda g: -stats.norm.logsf(g) / 2,
    "log-t": lambda g: 0.6 * stats.t.ppf(stats.norm.cdf(g), 3),
}


@dataclass(frozen=True)
class World:
    """What a tensor is drawn from. ``sd`` of a planted effect is the background's own robust standard deviation."""

    tasks: int = 8
    layers: int = 32
    heads: int = 32
    background: str = "lognormal"
    heavy_tasks: int = 0  # the last tasks, which are log-t instead
    profile: str = "flat"  # or hump, or AR with the autocorrelation: "AR .9"
    layer_spread: float = 0.0  # SD of the logarithm of the layers' spreads
    task_correlation: float = 0.0
    kv_correlation: float = 0.0
    kv_size: int = 4
    kv_known: bool = True
    zeros: float = 0.0
    missing: bool = False  # every fourth layer has half of the heads
    digits: int | None = None  # significant digits that are kept
    examples: int = 0
    group: int = 1  # examples in a group
    noise: float = 1.0  # SD of the logarithm of one example
    equal: bool = False  # every head is worth the same; what differs is the examples' noise
    signed: bool = False  # importance is the size of a mean of signed scores
    chance: float | None = None  # baseline accuracy is that of guessing
    grouped: int = 0  # the first tasks, which form a group of the study
    dead: int = 0  # the last layers, near zero on every task
    follows: float = 0.0  # autocorrelation of an example's noise with that of the one before
    distinct: int | None = None  # examples that differ; the others repeat them

    @property
    def sd(self) -> float:
        """The robust standard deviation of the background's logarithm."""
        levels = BACKGROUNDS[self.background](stats.norm.ppf(np.linspace(0.0005, 0.9995, 1000)))
        return float(1.4826 * stats.median_abs_deviation(levels))

    def log(self, rng: np.random.Generator) -> np.ndarray:
        """Log importance (task, layer, head)."""
        normal = self._normal(rng) * np.exp(self.layer_spread * rng.normal(size=(1, self.layers, 1)))
        if self.equal:
            return np.zeros(normal.shape)
        light = self.tasks - self.heavy_tasks
        parts = [BACKGROUNDS[self.background](normal[:light]), BACKGROUNDS["log-t"](normal[light:])]
        # log-t tails reach beyond what 32 bits hold
        return np.clip(np.concatenate(parts) + self._profile(rng)[:, :, None], -60, 60)

    def _normal(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.tasks, self.layers, self.heads)
        own, shared = self._heads(rng, shape), self._heads(rng, (1, *shape[1:]))
        rho = self.task_correlation
        return np.sqrt(rho) * shared + np.sqrt(1 - rho) * own

    def _heads(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        own, rho = rng.normal(size=shape), self.kv_correlation
        groups = np.repeat(rng.normal(size=(*shape[:2], shape[2] // self.kv_size)), self.kv_size, axis=2)
        return np.sqrt(rho) * groups + np.sqrt(1 - rho) * own if rho else own

    def _profile(self, rng: np.random.Generator) -> np.ndarray:
        along = np.linspace(0, np.pi, self.layers)
        if self.profile == "hump":
            return np.broadcast_to(1.5 * 0.6 * np.sin(along), (self.tasks, self.layers))
        series = np.zeros((self.tasks, self.layers))
        if self.profile.startswith("AR"):
            phi = float(self.profile.split()[1])
            series = rng.normal(size=series.shape)
            for layer in range(1, self.layers):
                series[:, layer] = phi * series[:, layer - 1] + np.sqrt(1 - phi**2) * series[:, layer]
        return 0.6 * series

    def scores(self, rng: np.random.Generator, log: np.ndarray) -> HeadScores:
        """The head scores that come from that log importance."""
        importance = np.exp(log)
        if self.zeros:
            importance *= rng.random(log.shape) >= self.zeros
        if self.dead:
            importance[:, -self.dead :] *= 1e-4
        if self.missing:
            importance[:, ::4, self.heads // 2 :] = np.nan
        if self.digits is not None:
            importance = np.array([f"{x:.{self.digits}g}" for x in importance.ravel()], float).reshape(log.shape)
        model = Model(kv_groups=self.heads // self.kv_size) if self.kv_correlation and self.kv_known else Model()
        tasks = tuple(self._task(rng, t) for t in range(self.tasks))
        if not self.examples:
            return HeadScores(importance, tasks, Method("synthetic", signed=self.signed), model)
        examples = tuple(self._examples(rng, cells) for cells in importance)
        reduction = "mean" if self.signed else "mean_abs"
        means = np.stack([e.values.astype(float).mean(axis=0) for e in examples])
        method = Method("synthetic", signed=self.signed)
        return HeadScores(means, tasks, method, model, examples, reduction)

    def _task(self, rng: np.random.Generator, t: int) -> Task:
        n = self.examples or None
        if self.chance is None:
            return Task(f"Task {t}", n=n, group="first" if t < self.grouped else None)
        n = n or 200
        return Task(f"Task {t}", n=n, accuracy=float(rng.binomial(n, self.chance)) / n, chance=self.chance)

    def _examples(self, rng: np.random.Generator, cells: np.ndarray) -> Examples:
        groups = tuple(str(i // self.group) for i in range(self.examples))
        normal = rng.normal(size=(self.examples, *cells.shape))
        if self.group > 1:
            between = rng.normal(size=(-(-self.examples // self.group), *cells.shape))
            normal = (normal + between[np.array(groups).astype(int)]) / np.sqrt(2)
        for i in range(1, len(normal) if self.follows else 0):
            normal[i] = self.follows * normal[i - 1] + np.sqrt(1 - self.follows**2) * normal[i]
        if self.distinct:
            normal = normal[np.arange(len(normal)) % self.distinct]
        factors = self.noise * normal if self.signed else np.exp(self.noise * normal - self.noise**2 / 2)
        values = (cells + factors if self.signed else cells * factors).astype(np.float32)
        ids = tuple(map(str, range(self.examples)))
        return independent(Examples(values, ids, groups, split_halves(groups, 0)))  # as importers read them
