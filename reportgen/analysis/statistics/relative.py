"""A head's importance relative to the other heads of its layer, compared between tasks over held-out examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reportgen.analysis.statistics.ranks import jackknife_variance
from reportgen.analysis.view import View
from reportgen.core.scores import Head
from reportgen.core.stats import LEVEL, group_numbers, group_sums


@dataclass(frozen=True)
class Level:
    """The logarithm of a head's importance over the mean of its layer's other heads, its variance and their degrees of
    freedom; the variance is None where nothing is held out.
    """

    log: float
    variance: float | None
    degrees: int


def level(view: View, t: int, head: Head, whole: bool = False) -> Level | None:
    """Return a head's level on a task: over held-out examples, or over all (``whole``); None where one side is not
    positive.

    The variance is the delete-one jackknife's over groups of resampling, which heads of a layer share.
    """
    values = view.read(t, whole)
    others = view.present[head.layer].copy()
    others[head.head] = False
    above, below = float(values[head]), float(values[head.layer][others].mean()) if others.any() else 0.0
    if above <= 0 or below <= 0:
        return None
    known = view.sample(t, whole)
    if known is None or not (whole or view.held_out(t)):
        return Level(float(np.log(above / below)), None, 0)
    sample, groups, ordered = known
    both = np.stack([sample[:, head.layer, head.head], sample[:, head.layer, others].mean(axis=1)], axis=1)
    sums, _ = group_sums(both, group_numbers(groups, ordered))
    without = sums.sum(axis=0) - sums
    if (without <= 0).any():
        return None
    variance = float(jackknife_variance(np.log(without[:, 0] / without[:, 1])))
    return Level(float(np.log(above / below)), variance, len(sums) - 1)


@dataclass(frozen=True)
class Difference:
    """How much larger a head's level is: the logarithm of the ratio, its standard error and degrees of freedom."""

    log: float
    error: float
    degrees: int

    @property
    def p(self) -> float:
        """One-sided p of the levels being the same or the other way round."""
        if self.error == 0:
            return 1e-12 if self.log > 0 else 1.0
        return max(1e-12, float(stats.t.sf(self.log / self.error, self.degrees)))

    @property
    def ratio(self) -> tuple[float, float, float]:
        """The ratio of the levels and its 95 % interval."""
        reach = float(stats.t.ppf((1 + LEVEL) / 2, self.degrees)) * self.error
        return float(np.exp(self.log)), float(np.exp(self.log - reach)), float(np.exp(self.log + reach))


def difference(first: Sequence[Level], second: Level) -> Difference | None:
    """Return the mean of the first levels less the second, tasks being sampled apart; None where a variance is not
    known.
    """
    if not first or second.variance is None or any(each.variance is None for each in first):
        return None
    mean = float(np.mean([each.log for each in first]))
    variance = sum(each.variance or 0.0 for each in first) / len(first) ** 2 + second.variance
    return Difference(mean - second.log, float(np.sqrt(variance)), min(e.degrees for e in (*first, second)))
