"""Where along the layers a task's importance has its centre, and which tasks' centres differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from reportgen.analysis.statistics.ranks import jackknife_variance, signless
from reportgen.analysis.statistics.trends import attending
from reportgen.analysis.view import View
from reportgen.core.stats import LEAST, LEVEL, group_numbers, group_sums

# Whose layer sums are exact: what the layer's heads together do to the answer
EXACT = ("ablation", "patching", "coalitions")
Measure = Literal["importance", "signed effects", "squared effects"]
# A centre is a ratio: where its denominator is within 3 standard errors of 0, it may be anywhere.
CLEAR, DRAWS, WORK = 3.0, (999, 20_000), 50_000_000  # fewer draws of very many pairs


@dataclass(frozen=True)
class Centre:
    """A centre in layers, with its standard error and degrees of freedom (None, 0: not known)."""

    layer: float
    error: float | None
    degrees: int

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The 95 % interval."""
        if self.error is None:
            return None, None
        reach = float(stats.t.ppf((1 + LEVEL) / 2, self.degrees)) * self.error
        return self.layer - reach, self.layer + reach


def measure(view: View) -> Measure:
    """Return what of the heads the centre is of: what noise neither adds to nor takes from.

    A mean of noise's sizes is the same in all layers and pulls centres to the middle. So signed scores enter with their
    signs: exact effects as sums over the heads of a layer, others as products of two independent means, which estimate
    the squared effect. Sizes of gradients are no noise: their means over examples are what importance is.
    """
    signed = any(e is not None and bool((e.values < 0).any()) for e in view.scores.examples)
    family = view.scores.method.family
    if not signed or (family == "gradient" and view.scores.reduction == "mean_abs"):
        return "importance"
    return "signed effects" if family in EXACT else "squared effects"


def centre(view: View, t: int, of: Measure) -> Centre | None:
    """Return a task's centre over all examples, with the delete-a-group jackknife's error; None where it may be
    anywhere.
    """
    examples, layers = view.scores.examples[t], attending(view)
    if examples is None:
        sums = np.nansum(view.whole[t], axis=1)[layers]
        return Centre(float(layers @ sums / sums.sum()), None, 0) if sums.sum() > 0 else None
    values = signless(view, examples.values) if of == "importance" else examples.values
    sums, counts = group_sums(values[:, layers], group_numbers(examples.groups, examples.ordered))
    means = np.nan_to_num(sums) / counts[:, None, None]
    if len(means) < 3:
        return None
    if of == "importance" and view.scores.reduction == "mean":
        means = means * np.sign(means.mean(axis=0))
    weights = _products(means) if of == "squared effects" else _sums(means)
    total = weights.sum(axis=1)
    spread = float(np.sqrt(jackknife_variance(total[1:])))
    if total[0] <= 0 or (of != "importance" and total[0] < CLEAR * spread) or (total <= 0).any():
        return None
    # Sums of single layers may be negative: cut off at 0 they are too large where noise is, and of eight tasks of one
    # map, four of them noisy, two seem to differ in .27 to .55 of tensors instead of .05 (docs/calibration.md).
    at = weights @ layers / total
    error = float(np.sqrt(jackknife_variance(at[1:]))) if len(means) >= LEAST else None
    return Centre(float(at[0]), error, len(means) - 1 if error is not None else 0)


def _sums(means: Float[np.ndarray, "group layer head"]) -> Float[np.ndarray, "with_all_and_without_each layer"]:
    """Return the mean over groups of the layers' sums: of all groups, then without each of them."""
    each = means.sum(axis=2)
    total: np.ndarray = each.sum(axis=0)
    return np.concatenate([total[None] / len(each), (total - each) / (len(each) - 1)])


def _products(means: Float[np.ndarray, "group layer head"]) -> Float[np.ndarray, "with_all_and_without_each layer"]:
    """Return the layers' sums of squared means as the mean product of two different groups, in which noise cancels: of
    all groups, then without each of them.
    """
    n, total, squares = len(means), means.sum(axis=0), (means**2).sum(axis=0)
    every = (total**2 - squares).sum(axis=1) / (n * (n - 1))
    without = [((total - one) ** 2 - squares + one**2).sum(axis=1) / ((n - 1) * (n - 2)) for one in means]
    return np.stack([every, *without])


@dataclass(frozen=True, eq=False)
class Differences:
    """Every two centres' standardised difference in size, its p, all of them being tested at once, and the factor on a
    standard error that makes all their 95 % intervals hold at once.
    """

    sizes: Float[np.ndarray, "pair"]
    p: Float[np.ndarray, "pair"]
    reach: float


def differences(centres: Sequence[Centre], seed: int) -> Differences:
    """Compare every two centres whose errors are known by the largest of all standardised differences (max-t).

    Tasks have examples of their own, so under the null their estimates are independent, each by Student's t of its own
    degrees of freedom.
    """
    errors = np.array([c.error or 0.0 for c in centres])
    i, j = np.triu_indices(len(centres), 1)
    error = np.maximum(np.hypot(errors[i], errors[j]), 1e-12)
    at = np.array([c.layer for c in centres])
    rng, largest = np.random.default_rng([seed, len(centres)]), []
    step, draws = max(1, WORK // 10 // len(i)), int(np.clip(WORK // len(i), *DRAWS))
    for start in range(0, draws, step):
        size = (min(step, draws - start), len(centres))
        drawn = rng.standard_t([max(1, c.degrees) for c in centres], size=size) * errors
        largest.append((np.abs(drawn[:, i] - drawn[:, j]) / error).max(axis=1))
    null = np.sort(np.concatenate(largest))
    sizes = np.abs(at[i] - at[j]) / error
    p = (1 + draws - np.searchsorted(null, sizes)) / (1 + draws)
    return Differences(sizes, p, float(np.quantile(null, LEVEL)))
