"""Race the heads of a task for its top k: heads that cannot be among them are scored on few examples.

Every head is scored on the first ``FIXED`` examples of an order drawn beforehand, those still in the race on twice as
many at each look, and at last on all: the top k are exact, and exactly ranked. After each look a head leaves whose
interval lies below the k-th greatest lower end. Its estimate is that of the fixed examples alone, so that when it left
does not bias it.

The intervals hold at all looks at once: the normal mixture of Robbins in the asymptotic form of Waudby-Smith, Arbour,
Sinha, Kennedy & Ramdas (2024, Annals of Statistics 52(6), eq. 6) for sums of martingale differences of sampling without
replacement (Waudby-Smith & Ramdas 2020, arXiv 2006.04347, section 3), Bonferroni over heads, on the logarithm's scale.
Effects are skewed, and a few examples that miss the tail make mean and spread too small at once; so a head's relative
width is no less than the 90 % quantile of all heads', and its upper end lies 1.2 times as far. That is measured, not
proven: it covers populations from half-normal to log-normal (σ = 1.2), and not heads that matter in one example of ten.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

FIXED = 32  # examples on which every head is scored
TIE = 0.05  # heads within this share of the k-th effect are tied with it
WIDTH, FARTHER = 0.9, 1.2
# scores (example, head) of the examples and heads with these indices
Ablate = Callable[[Int[np.ndarray, "some"], Int[np.ndarray, "alive"]], Float[np.ndarray, "some alive"]]


def race(
    order: Int[np.ndarray, "example"], heads: int, top: int, confidence: float, ablate: Ablate
) -> Float[np.ndarray, "example head"]:
    """Signed scores, NaN where a head was not scored or what was scored must not count; the top ``top`` by mean |s|
    are, with probability ``confidence``, among the heads without NaN.
    """
    values, alive = np.full((len(order), heads), np.nan), np.arange(heads)
    done, look = 0, min(FIXED, len(order))
    while done < len(order):
        some = order[done:look]
        values[np.ix_(some, alive)] = ablate(some, alive)
        done, look = look, min(2 * look, len(order))
        if done < len(order) and len(alive) > top:
            sizes = np.abs(values[np.ix_(order[:done], alive)])
            low, high = intervals(sizes, len(order), (1 - confidence) / heads)
            alive = alive[high >= np.sort(low)[-top]]
    left = np.setdiff1d(np.arange(heads), alive)
    values[np.ix_(order[FIXED:], left)] = np.nan
    return values


def intervals(
    sizes: Float[np.ndarray, "done head"], n: int, alpha: float
) -> tuple[Float[np.ndarray, "head"], Float[np.ndarray, "head"]]:
    """Of each head, an interval for its mean over all ``n`` examples from the first of them in a random order."""
    done = len(sizes)
    left = n - np.arange(done)  # examples that each could have been
    before = np.cumsum(sizes, axis=0) - sizes
    scale = (n / left).sum()
    centre = (sizes + before / left[:, None]).sum(axis=0) / scale
    narrowest = 2 * FIXED  # the number of examples for which the mixture is tuned
    rho = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / narrowest
    reach = np.sqrt(2 * (done * rho + 1) / rho * np.log(np.sqrt(done * rho + 1) / alpha)) / scale
    known = centre > 0
    relative = sizes.std(axis=0, ddof=1) * reach / np.where(known, centre, 1)
    relative = np.maximum(relative, np.quantile(relative[known], WIDTH) if known.any() else 0.0)
    high = centre * np.exp(np.minimum(FARTHER * relative, 50))
    # nothing is known of a head that has done nothing yet: it might still be the one that matters in a later example
    return np.where(known, centre * np.exp(-relative), 0.0), np.where(known, high, np.inf)


def ranked(values: Float[np.ndarray, "example head"], top: int) -> tuple[list[int], list[int]]:
    """The top heads, greatest first, and the heads tied with the last of them: within 5 % of its effect, either side.

    Heads that left the race are in neither.
    """
    sizes = np.abs(values).mean(axis=0)  # NaN for heads that left
    order = [int(head) for head in np.argsort(-sizes, kind="stable") if np.isfinite(sizes[head])]
    last = order[min(top, len(order)) - 1]
    tied = [head for head in order if head != last and abs(sizes[head] - sizes[last]) <= TIE * sizes[last]]
    return order[:top], [*tied, last] if tied else []


def agreement(
    values: Float[np.ndarray, "example head"], cheap: Float[np.ndarray, "fixed head"], top: int
) -> tuple[float, float]:
    """How well a cheap score of the fixed examples foretold the race: the rank correlation of its mean |·| with the
    exact one over heads, and the share of the top heads that are among its own.
    """
    from scipy.stats import spearmanr

    exact, foretold = np.nanmean(np.abs(values), axis=0), np.abs(cheap).mean(axis=0)
    best: Sequence[int] = ranked(values, top)[0]
    own = set(np.argsort(-foretold, kind="stable")[:top].tolist())
    return float(spearmanr(exact, foretold).statistic), len(own & set(best)) / len(best)
