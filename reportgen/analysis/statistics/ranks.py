"""Maps as standardised ranks, and the jackknife over examples, for findings that compare whole maps.

Spearman's correlation is the mean product of standardised ranks, so everything here is linear algebra on them. The
task-specific part of a map is its ranks less the mean ranks of the other tasks.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from reportgen.analysis.view import View
from reportgen.core.scores import Examples
from reportgen.core.stats import LEAST, LEVEL, group_numbers, group_sums

# The jackknife takes the place of the bootstrap, which repeats examples and so adds to the noise that lowers every
# correlation (docs/decisions/0011-comparisons-of-maps.md).
GROUPS = 20  # of groups that the jackknife leaves out, one after the other
ROUNDING = 1e-9  # of the mean square of a map: what is left of one that equals the mean of all
Scope = Literal["overall", "within"]


def ranked(
    maps: Float[np.ndarray, "*any layer head"], present: np.ndarray, scope: Scope
) -> Float[np.ndarray, "*any cell"]:
    """Return the maps' ranks over the present heads, mean 0 and mean square 1 (0 where all are tied).

    ``within`` layers each layer is ranked by itself, its ranks running from −1 to 1.
    """
    lead = maps.shape[:-2]
    if scope == "overall":
        ranks = stats.rankdata(maps[..., present], axis=-1)
        ranks = ranks - ranks.mean(axis=-1, keepdims=True)
    else:
        count = present.sum(axis=1, keepdims=True)
        inside = stats.rankdata(np.where(present, maps, np.inf), axis=-1)
        ranks = ((2 * inside - count - 1) / np.maximum(count - 1, 1))[..., present]
    size = np.sqrt((ranks**2).mean(axis=-1, keepdims=True))
    result: np.ndarray = np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 1e-12)
    return result.reshape(*lead, int(present.sum()))


def correlations(ranks: Float[np.ndarray, "task cell"]) -> Float[np.ndarray, "task task"]:
    """Spearman's correlation of every two tasks; NaN with a task all of whose heads are tied."""
    product = ranks @ ranks.T / ranks.shape[1]
    constant = np.diag(product) < 0.5
    product[constant] = product[:, constant] = np.nan
    result: np.ndarray = np.clip(product, -1, 1)
    return result


def specific(ranks: Float[np.ndarray, "task *any cell"]) -> Float[np.ndarray, "task *any cell"]:
    """Each task's ranks less the mean ranks of the other tasks."""
    others = (ranks.sum(axis=0) - ranks) / (len(ranks) - 1)
    result: np.ndarray = ranks - others
    return result


def centred_correlations(product: Float[np.ndarray, "task task"]) -> Float[np.ndarray, "task task"]:
    """Return the correlations of the tasks' specific parts from those of the tasks: centred twice, then scaled.

    NaN for a task of which no more than rounding is left.
    """
    centred = product - product.mean(axis=0) - product.mean(axis=1)[:, None] + product.mean()
    size = np.sqrt(np.where(np.diag(centred) > ROUNDING * np.diag(product), np.diag(centred), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        result: np.ndarray = np.clip(centred / size / size[:, None], -1, 1)
    return result


def dealt(examples: Examples, seed: int) -> Int[np.ndarray, "example"]:
    """Each example's jackknife group: its group of resampling, groups dealt to at most ``GROUPS`` groups at random."""
    number = group_numbers(examples.groups, examples.ordered)
    count = int(number.max()) + 1
    order = np.random.default_rng([seed, count]).permutation(count)
    result: np.ndarray = (order % min(GROUPS, count))[number]
    return result


def signless(view: View, values: Float[np.ndarray, "*any layer head"]) -> Float[np.ndarray, "*any layer head"]:
    """Values whose mean over examples is importance: their sizes where it is the mean of sizes, else themselves."""
    result: np.ndarray = np.abs(values) if view.scores.reduction == "mean_abs" else values
    return result


def left_out(view: View, t: int) -> Iterator[Float[np.ndarray, "layer head"]]:
    """Return the task's map without each of its jackknife groups; none under 8 groups or without examples."""
    examples = view.scores.examples[t]
    if examples is None:
        return
    group = dealt(examples, view.settings.seed)
    sums, counts = group_sums(signless(view, examples.values), group)
    if len(set(group_numbers(examples.groups, examples.ordered))) < LEAST:
        return
    for g in range(len(counts)):
        yield np.abs((sums.sum(axis=0) - sums[g]) / (counts.sum() - counts[g]))


def fisher_interval(estimate: float, variance: float, degrees: int, choices: int = 1) -> tuple[float, float]:
    """95 % interval of a correlation from the jackknife variance of its Fisher z, by Student's t.

    Of one chosen among several, all of whose intervals hold at once (Bonferroni).
    """
    reach = float(stats.t.ppf(1 - (1 - LEVEL) / 2 / choices, degrees) * np.sqrt(variance))
    middle = float(np.arctanh(np.clip(estimate, -0.9999, 0.9999)))
    return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))


def jackknife_variance(values: Float[np.ndarray, "group *any"]) -> Float[np.ndarray, "*any"]:
    """Return the variance of a statistic from its values without each group: (g − 1)/g times their squared
    deviations.
    """
    g = len(values)
    result: np.ndarray = (g - 1) / g * ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    return result
