"""The effective number of heads, (Σμ)²/Σμ², without what noise adds to both sums."""

from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from reportgen.analysis.statistics.ranks import jackknife_variance, signless
from reportgen.analysis.view import View
from reportgen.core.stats import LEAST, LEVEL, group_numbers, group_sums


def effective(
    mean: Float[np.ndarray, "*any head"], variance: np.ndarray | float = 0.0, whole: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return the participation ratio of mean importances, from 1 to the number of heads.

    ``variance`` are the means' squared standard errors, ``whole`` that of their sum: the square of a noisy mean is too
    large by just these, which would make noisier tasks look more concentrated than others.
    """
    power = (mean**2 - variance).sum(axis=-1)
    total = mean.sum(axis=-1) ** 2 - whole
    heads = mean.shape[-1]
    ratio = np.divide(total, power, out=np.full(np.shape(power), float(heads)), where=power > 0)
    result: np.ndarray = np.clip(ratio, 1.0, heads)
    return result


def _with_noise(means: Float[np.ndarray, "group head"]) -> tuple[float, Float[np.ndarray, "group"]]:
    """Return the effective number of heads over groups, and without each of them in turn."""
    n, total, squares = len(means), means.sum(axis=0), (means**2).sum(axis=0)
    sums = means.sum(axis=1)

    def of(
        count: int, first: np.ndarray, second: np.ndarray, all_first: np.ndarray, all_second: np.ndarray
    ) -> np.ndarray:
        mean, mean_sum = first / count, all_first / count
        noise = (second - count * mean**2) / (count * (count - 1))
        noise_sum = (all_second - count * mean_sum**2) / (count * (count - 1))
        return effective(mean, noise, noise_sum)

    every = of(n, total, squares, np.asarray(sums.sum()), np.asarray((sums**2).sum()))
    without = of(n - 1, total - means, squares - means**2, sums.sum() - sums, (sums**2).sum() - sums**2)
    return float(every), without


@dataclass(frozen=True)
class Spread:
    """The logarithm of a task's effective number of heads, its jackknife variance and their degrees of freedom."""

    log: float
    variance: float
    degrees: int

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the effective number."""
        reach = float(stats.t.ppf((1 + LEVEL) / 2, self.degrees)) * np.sqrt(self.variance)
        return float(np.exp(self.log - reach)), float(np.exp(self.log + reach))


def spread(view: View, t: int, half: Literal["discovery", "held-out", "whole"]) -> Spread | None:
    """Return a task's effective number of heads over a part of its examples; None under 8 groups or without examples.

    Each group of resampling counts once.
    """
    examples = view.scores.examples[t]
    if examples is None:
        return None
    chosen = {"discovery": examples.discovery, "held-out": ~examples.discovery}.get(half, examples.discovery | True)
    values = signless(view, examples.values[chosen][:, view.present]).astype(np.float64)
    groups = list(compress(examples.groups, chosen))
    sums, counts = group_sums(values * np.sign(values.mean(axis=0)), group_numbers(groups, examples.ordered))
    if len(counts) < LEAST:
        return None
    value, without = _with_noise(sums / counts[:, None])
    return Spread(float(np.log(value)), float(jackknife_variance(np.log(without))), len(counts) - 1)


def less(first: Spread, second: Spread) -> float:
    """One-sided p of the first effective number being no smaller than the second, by Student's t."""
    error = float(np.sqrt(first.variance + second.variance))
    if error == 0:
        return 1e-12 if first.log < second.log else 1.0
    return max(1e-12, float(stats.t.sf((second.log - first.log) / error, min(first.degrees, second.degrees))))
