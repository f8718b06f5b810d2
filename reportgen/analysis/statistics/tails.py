"""The upper tail of a background of heads, and how likely the background is to reach a score.

Scores are in robust standard deviations of the background. Where the tail is no heavier than that of a normal
background of the same robust standard deviation, it is taken as normal; elsewhere it is a generalized Pareto tail whose
shape is an upper bound. The largest scores enter as censored, so that outliers do not shape the tail that they are
judged by.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float
from scipy import special, stats

GRIMSHAW = (
    "Grimshaw, S. D. (1993). Computing maximum likelihood estimates for the generalized Pareto distribution. "
    "Technometrics 35, 185–191."
)
# The law is fitted to a tenth of the heads and bounded at a high confidence: p-values reach far beyond all that was
# seen, where a law that is a little too light finds anomalies on empty maps (docs/decisions/0006-anomaly-tails.md).
TOP, FEWEST = 0.10, 10  # the share of heads that is the tail, and the least number of them
SCALE_BOUND, SHAPE_BOUND = 0.995, 0.999  # confidence at which the normal scale and the Pareto shape are bounded
# Level of the likelihood-ratio test of one task's tail against the common one. At .3 more tasks are judged by their
# own, which did not help and cost a quarter of the heads at 6 SD (docs/calibration.md).
HEAVIER = 0.05
# Profile likelihoods are looked through on grids: bounds are read off them, and no optimiser can fail to converge.
SHAPES = np.round(np.arange(-0.6, 1.201, 0.02), 2)
SCALES = np.linspace(0.3, 4.0, 371)


@dataclass(frozen=True)
class Law:
    """A tail beyond ``threshold``, which a share ``TOP`` exceeds: normal about 0, or generalized Pareto."""

    threshold: float
    scale: float
    shape: float | None  # None: normal

    @property
    def name(self) -> str:
        """The tail model in words."""
        return "normal tail" if self.shape is None else "generalized Pareto tail"

    def log_sf(self, excess: np.ndarray | float) -> np.ndarray:
        """Return the log-probability of exceeding the threshold by more than ``excess``, given that it is exceeded."""
        if self.shape is None:
            start = special.log_ndtr(-self.threshold / self.scale)
            return np.asarray(special.log_ndtr(-(self.threshold + np.asarray(excess)) / self.scale) - start)
        return np.asarray(stats.genpareto.logsf(excess, self.shape, scale=self.scale))

    def log_pdf(self, excess: np.ndarray) -> np.ndarray:
        """Return the log-density of an excess over the threshold."""
        if self.shape is None:
            start = special.log_ndtr(-self.threshold / self.scale)
            return np.asarray(stats.norm.logpdf(self.threshold + excess, scale=self.scale) - start)
        return np.asarray(stats.genpareto.logpdf(excess, self.shape, scale=self.scale))

    def quantile(self, level: np.ndarray) -> Float[np.ndarray, "*any"]:
        """Return the scores that a share 1 − ``level`` of heads exceeds, where that is less than ``TOP``."""
        rest = np.clip((1 - level) / TOP, 1e-300, 1.0)
        if self.shape is None:
            result: np.ndarray = -self.scale * special.ndtri(rest * special.ndtr(-self.threshold / self.scale))
            return result
        return np.asarray(self.threshold + stats.genpareto.isf(rest, self.shape, scale=self.scale))

    def p(self, score: float) -> float:
        """Return the probability that a head of this background reaches the score."""
        return max(float(TOP * np.exp(self.log_sf(max(0.0, score - self.threshold)))), 1e-12)


@dataclass(frozen=True, eq=False)
class Tail:
    """The top 10 % of heads' scores: what exceeds ``threshold``, ``censored`` further ones lying above ``cut``."""

    threshold: float
    excess: Float[np.ndarray, "head"]
    cut: float
    censored: int

    @classmethod
    def of(cls, scores: Float[np.ndarray, "head"]) -> "Tail | None":
        """Return the tail of the scores; None where too few lie in it.

        Ten heads or .2 % of them are censored, whichever is more, but at most 1 %.
        """
        censored = int(np.ceil(max(0.002 * len(scores), min(0.01 * len(scores), 10))))
        threshold = float(np.quantile(scores, 1 - TOP))
        cut = np.partition(scores, -censored)[-censored]
        excess = scores[(scores > threshold) & (scores < cut)] - threshold
        return cls(threshold, excess, float(cut - threshold), censored) if len(excess) >= FEWEST else None

    def bounded(self, heads: int, bound: float | None = None) -> Law:
        """Return a law no lighter than the tail: what heads of all tasks together are judged by.

        ``heads`` is the usual number of heads of a layer, on which the scale of a normal background's tail depends;
        ``bound`` the confidence of scale and shape, where it is another than that of tests.
        """
        of_shape = bound or SHAPE_BOUND
        near = self._normal >= self._normal.max() - stats.chi2.ppf(2 * SCALE_BOUND - 1, 1) / 2
        if SCALES[near].min() <= (least := normal_scale(heads)):
            # a tail that is light at first may end like an exponential one: it gets no less than a normal background's
            return Law(self.threshold, max(float(SCALES[near].max()), least), None)
        fits = self._pareto[0]
        shape = np.flatnonzero(fits >= fits.max() - stats.chi2.ppf(2 * of_shape - 1, 1) / 2).max()
        return self._pareto_law(max(int(shape), int(np.flatnonzero(SHAPES == 0)[0])))

    def likeliest(self) -> Law:
        """Return the maximum-likelihood law: generalized Pareto where its tail is unbounded, else normal."""
        shape = int(self._pareto[0].argmax())
        if SHAPES[shape] < 0:
            return Law(self.threshold, float(SCALES[self._normal.argmax()]), None)
        return self._pareto_law(shape)

    def heavier_than(self, law: Law) -> bool:
        """Whether a likelihood-ratio test tells this tail from one of that law."""
        own = Law(self.threshold, law.scale, law.shape)
        fit = float(own.log_pdf(self.excess).sum() + self.censored * own.log_sf(self.cut))
        return bool(2 * (self._pareto[0].max() - fit) > stats.chi2.ppf(1 - HEAVIER, 2))

    def _pareto_law(self, shape: int) -> Law:
        return Law(self.threshold, float(self._pareto[1][shape]), float(SHAPES[shape]))

    @cached_property
    def _normal(self) -> np.ndarray:
        """The log-likelihood of each of SCALES for a normal tail about 0."""
        n, power = len(self.excess), float(((self.excess + self.threshold) ** 2).sum())
        start, end = (special.log_ndtr(-x / SCALES) for x in (self.threshold, self.threshold + self.cut))
        fit: np.ndarray = -power / (2 * SCALES**2) - n * np.log(SCALES * np.sqrt(2 * np.pi))
        fit += self.censored * end - (n + self.censored) * start
        return fit

    @cached_property
    def _pareto(self) -> tuple[np.ndarray, np.ndarray]:
        """The log-likelihood of each of SHAPES at its best scale, and that scale.

        In ratio = shape / scale the sums over heads do not depend on the shape (Grimshaw 1993, Technometrics 35:185).
        """
        n, mean = len(self.excess), (self.excess.sum() + self.censored * self.cut) / len(self.excess)
        ratios = np.concatenate([-np.geomspace(1e-3, 0.999, 60)[::-1] / self.cut, np.geomspace(0.01, 8, 300) / mean])
        inside = np.array([np.log1p(r * self.excess).sum() for r in ratios])
        beyond = self.censored * np.log1p(ratios * self.cut)
        fits, scales = np.full(len(SHAPES), -n * np.log(mean) - n), np.full(len(SHAPES), mean)
        for i in np.flatnonzero(SHAPES):
            of_sign, shape = np.sign(ratios) == np.sign(SHAPES[i]), SHAPES[i]
            fit = -n * np.log(shape / ratios[of_sign]) - (1 / shape + 1) * inside[of_sign] - beyond[of_sign] / shape
            fits[i], scales[i] = fit.max(), shape / ratios[of_sign][fit.argmax()]
        return fits, scales


@lru_cache(maxsize=32)
def normal_scale(heads: int) -> float:
    """Return the scale that the tail of a normal background has relative to its robust standard deviation.

    It is above 1, since taking off each layer's own median narrows the middle of the scores more than their tail.
    """
    drawn = np.random.default_rng(heads).normal(size=(2**18 // heads, heads))
    scores = robust(drawn - np.median(drawn, axis=1, keepdims=True)).ravel()
    tail = Tail.of(scores)
    return float(SCALES[tail._normal.argmax()]) if tail is not None else 1.0


def robust(values: np.ndarray) -> np.ndarray:
    """Return the values over their median absolute deviation, scaled to the standard deviation of a normal background.

    NaN entries stay; where the deviation is 0, all are NaN.
    """
    deviation = 1.4826 * np.nanmedian(np.abs(values - np.nanmedian(values)))
    return values / deviation if deviation > 0 else np.full(values.shape, np.nan)
