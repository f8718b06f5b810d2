"""In which ranks a head or layer may stand: intervals from simultaneous pairwise differences, as Mogstad et al. have
them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from reportgen.core.stats import LEAST, LEVEL, group_numbers, group_sums

MOGSTAD = (
    "Mogstad, M., Romano, J. P., Shaikh, A. M. & Wilhelm, D. (2024). Inference for ranks with applications to "
    "mobility across neighbourhoods and academic achievement across countries. Review of Economic Studies 91, 476–518."
)
DRAWS, CHUNK = 999, 4_000_000


def rank_intervals(
    values: Float[np.ndarray, "example unit"],
    groups: Sequence[str],
    ordered: bool,
    chosen: Sequence[int],
    seed: int,
) -> tuple[list[int], list[int], list[int]] | None:
    """Return the first and the last rank that each chosen unit's mean may have among all units, and the units, largest
    first, that cannot be told from the first chosen one; None under 8 groups.

    A unit's first rank is 1 plus the number of units significantly above it, its last the number of units less those
    significantly below it. All differences of chosen units from any unit are tested at once, so that with 95 %
    probability every interval holds its unit's rank.
    """
    # A percentile bootstrap of the ranks themselves covers .905 where nothing differs and .615 near ties.
    sums, counts = group_sums(values, group_numbers(groups, ordered))
    if len(counts) < LEAST:
        return None
    means = sums.sum(axis=0) / counts.sum()
    influences = (sums - means * counts[:, None]) * (len(counts) / counts.sum())
    squares, near = (influences**2).sum(axis=0), influences[:, list(chosen)]
    # of the difference of every unit from a chosen one: sums of squares (chosen, unit)
    spread = np.maximum(squares + squares[list(chosen)][:, None] - 2 * near.T @ influences, 0)
    spread[spread < 1e-12 * (squares + squares[list(chosen)][:, None])] = 0
    gaps = means - means[list(chosen)][:, None]
    error = np.sqrt(spread / len(counts) / (len(counts) - 1))
    reach = _critical(influences, near, spread, seed) * error
    above, below = (gaps > reach).sum(axis=1), (gaps < -reach).sum(axis=1)
    tied = np.flatnonzero(np.abs(gaps[0]) <= reach[0])
    return (1 + above).tolist(), (len(means) - below).tolist(), tied[np.argsort(-means[tied], kind="stable")].tolist()


def _critical(
    influences: Float[np.ndarray, "group unit"],
    near: Float[np.ndarray, "group chosen"],
    spread: Float[np.ndarray, "chosen unit"],
    seed: int,
) -> float:
    """Return the 95 % quantile of the largest |t| of all differences, over random signs of the groups.

    Signs, unlike draws with replacement, leave each difference's sum of squares alone, so that its t needs no second
    pass over the groups; and they are exact in small samples where errors are symmetric.
    """
    n, maxima = len(influences), np.zeros(DRAWS)
    rng, step = np.random.default_rng([seed, n, influences.shape[1]]), max(1, CHUNK // influences.shape[1])
    varying = spread > 0
    for start in range(0, DRAWS, step):
        signs = rng.choice([-1.0, 1.0], size=(min(step, DRAWS - start), n))
        every, own = signs @ influences, signs @ near
        for j in range(near.shape[1]):
            square = (every - own[:, [j]]) ** 2  # of n times the mean
            rest = np.maximum(spread[j] - square / n, 1e-12 * np.maximum(spread[j], 1e-300))
            ratio = np.where(varying[j], square / rest, 0.0).max(axis=1)
            maxima[start : start + len(signs)] = np.maximum(maxima[start : start + len(signs)], ratio)
    return float(np.sqrt(np.quantile(maxima, LEVEL) * (n - 1) / n))
