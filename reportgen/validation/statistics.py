"""From losses to verdicts: a found set against its matched controls."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reportgen.core.findings import Verdict
from reportgen.core.stats import LEAST, mean_intervals, monte_carlo_p
from reportgen.core.trials import Interval, Reason

# Distinct control sets below which a found set is undecided: n controls give no p below 1/(n + 1), so 20 are the least
# that can reach .05, the level of verdicts (1/21 = .048).
FEWEST = 20
# Losses of log-probability this near count as equal. Batches of another make-up round differently in float32, and
# losses are kept to six decimals; a tie that is broken by rounding would change p by 1/(n + 1).
TIE = 1e-5


@dataclass(frozen=True)
class Sample:
    """The examples of one or several tasks, weighted so that tasks count alike."""

    weights: Float[np.ndarray, "example"]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, groups: Sequence[Sequence[str]]) -> "Sample":
        """Return the sample of the tasks with these examples' groups."""
        total, tasks = sum(map(len, groups)), len(groups)
        weights = np.concatenate([np.full(len(one), total / (tasks * len(one))) for one in groups])
        return cls(weights, tuple(f"{t}\n{group}" for t, one in enumerate(groups) for group in one))

    @property
    def n_groups(self) -> int:
        """Number of independent groups."""
        return len(set(self.groups))

    def mean(self, values: Float[np.ndarray, "*set example"]) -> Float[np.ndarray, "*set"]:
        """Return the mean over tasks of each task's mean over its examples."""
        result: np.ndarray = (values * self.weights).mean(axis=-1)
        return result

    def interval(self, values: Float[np.ndarray, "example"]) -> Interval:
        """Return that mean with its 95 % interval over groups; no bounds under eight groups."""
        # over groups, not examples: rows of one template fail together (docs/glossary.md, group)
        with warnings.catch_warnings():
            # a set that does nothing leaves differences that are all but equal, whose skewness is mere rounding
            warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
            low, high = mean_intervals(values * self.weights, self.groups)
        known = not math.isnan(float(low))
        return Interval(float(self.mean(values)), float(low) if known else None, float(high) if known else None)


@dataclass(frozen=True)
class Compared:
    """A set's ``loss`` of log-probability, what it exceeds the mean control's by, and the permutation test: of
    ``controls`` sets ``as_strong`` lose as much or more.
    """

    loss: Interval
    excess: Interval
    controls: int
    as_strong: int
    n_groups: int

    @property
    def p(self) -> float:
        """(1 + as strong) / (1 + controls): exact where found and control sets are exchangeable."""
        return monte_carlo_p(self.as_strong, self.controls)


def compared(
    found: Float[np.ndarray, "example"],
    controls: Float[np.ndarray, "control"],
    mean: Float[np.ndarray, "example"],
    sample: Sample,
) -> Compared:
    """Return a found set's losses against those of its controls on the same examples: each control's, and their
    ``mean``.
    """
    # one-sided: a set is found for mattering more than others; Monte-Carlo p with the found set among the draws, so
    # that it is never 0 (Phipson and Smyth 2010)
    as_strong = int((controls >= sample.mean(found) - TIE).sum())
    return Compared(sample.interval(found), sample.interval(found - mean), len(controls), as_strong, sample.n_groups)


def verdict(result: Compared, q: float, margin: float, alpha: float) -> tuple[Verdict, Reason | None, int | None]:
    """Return the verdict, why it is open, and how many further examples would settle it where more would.

    Confirmed: q at most alpha, the excess's interval above zero and its estimate at least the margin. Refuted: the
    interval below the margin.
    """
    excess, few = result.excess, result.excess.low is None or result.excess.high is None
    if few or result.n_groups < LEAST:
        return "undecided", "few-groups", None
    assert excess.low is not None
    assert excess.high is not None
    # Significance is not enough: with hundreds of controls a difference of a thousandth is significant. Nor is a failed
    # test a refutation: that takes the whole interval below the margin (docs/decisions/0012-verdicts.md).
    if q <= alpha and excess.low > 0 and excess.estimate >= margin:
        return "confirmed", None, None
    if excess.high < margin:
        return "refuted", None, None
    if q > alpha and excess.estimate >= margin:
        # where no control is as strong, p is at its smallest, and only more controls could lower it
        return "undecided", "exceeded" if result.as_strong else "controls", None
    return "undecided", "examples", _more(result, margin)


def _more(result: Compared, margin: float) -> int:
    """Further groups that would bring the nearer bound over zero, or under the margin, widths going as 1/√n."""
    excess = result.excess
    assert excess.low is not None
    assert excess.high is not None
    if excess.estimate >= margin:
        half, room = excess.estimate - excess.low, excess.estimate
    else:
        half, room = excess.high - excess.estimate, margin - excess.estimate
    return max(1, math.ceil(result.n_groups * ((half / max(room, 1e-12)) ** 2 - 1)))
