"""Whether adjacent heads resemble each other in runs of one length, as they do where these share keys and values."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from reportgen.analysis.statistics.scan_statistic import normal_scores

# Where keys and values are shared, a scan by heads fires on every empty map, a scan by runs on .03 to .05: hence a
# level at which real ties, correlations of .27 to .30 in Mistral and Yi, are seldom missed
# (docs/decisions/0010-tied-heads.md).
LONGEST, FEWEST_RUNS, FEWEST_LAYERS = 16, 4, 8
LEVEL, AGAIN = 0.01, 0.05  # of the test on all cells, and of the one outside found regions


@dataclass(frozen=True)
class Ties:
    """Runs of ``size`` heads whose ranks correlate by ``correlation`` more than those of heads as far apart elsewhere.

    ``size`` is 1 where no length stands out; ``p`` is that of the best length, corrected for how many were tried.
    """

    size: int
    correlation: float
    p: float


def estimated(
    maps: Float[np.ndarray, "task layer head"], keep: Bool[np.ndarray, "task layer head"], length: int | None = None
) -> Ties | None:
    """Return the ties of the cells that are kept; None where there are too few whole layers or no length to try.

    ``length`` is the only one to try, where ties of all cells are looked for again among some of them.

    For each length that divides the number of heads, pairs of heads inside a run are compared with pairs as far apart
    that lie in two runs, so that a raised region, which does not know the runs, counts for both. Each layer gives a
    sum over tasks, standardised by its permutation moments (Mantel 1967, Cancer Res. 27:209); a signed-rank test over
    layers keeps a few layers from deciding alone. With fewer than four runs ties cannot be told from a slope.
    """
    layers = np.isfinite(maps).all(axis=(0, 2)) & (np.ptp(np.nan_to_num(maps), axis=2) > 0).any(axis=0)
    heads = maps.shape[2]
    lengths = [n for n in range(2, min(LONGEST, heads // FEWEST_RUNS) + 1) if heads % n == 0 and length in (None, n)]
    if layers.sum() < FEWEST_LAYERS or not lengths:
        return None
    scores = np.stack([normal_scores(m[layers], k[layers]) for m, k in zip(maps, keep, strict=True)])
    alike = np.einsum("tlh,tlk->lhk", scores, scores)
    alike[:, np.arange(heads), np.arange(heads)] = 0
    kernels = [_kernel(heads, n) for n in lengths]
    sums = [_standardised(alike, k) for k in kernels]
    best = int(np.argmax([each.mean() for each in sums]))
    p = min(1.0, float(stats.wilcoxon(sums[best], alternative="greater").pvalue) * len(sums))
    correlation = float((alike * kernels[best]).sum(axis=(1, 2)).mean() / len(maps))
    return Ties(lengths[best] if p <= (AGAIN if length else LEVEL) else 1, correlation, p)


def _kernel(heads: int, length: int) -> Float[np.ndarray, "head head"]:
    """Weights whose product with a correlation matrix is the mean inside runs less that of pairs as far apart."""
    run, head = np.arange(heads) // length, np.arange(heads)
    inside, apart = run[:, None] == run, np.abs(head[:, None] - head)
    kernel = np.zeros((heads, heads))
    for lag in range(1, length):
        pairs, across = (apart == lag) & inside, (apart == lag) & ~inside
        weight = pairs.sum() * across.sum() / (pairs.sum() + across.sum())
        kernel += weight * (pairs / pairs.sum() - across / across.sum())
    total = kernel[inside].sum()
    return kernel / total if total > 0 else kernel


def _standardised(alike: Float[np.ndarray, "layer head head"], kernel: np.ndarray) -> Float[np.ndarray, "layer"]:
    """Each layer's product with the kernel, less its mean over orders of the heads, over its standard deviation."""
    n, (a1, a2, a3) = kernel.shape[0], _moments(kernel[None])
    b1, b2, b3 = _moments(alike)
    variance = (
        2 * a2 * b2 / (n * (n - 1))
        + 4 * (a3 - a2) * (b3 - b2) / (n * (n - 1) * (n - 2))
        + (a1**2 + 2 * a2 - 4 * a3) * (b1**2 + 2 * b2 - 4 * b3) / (n * (n - 1) * (n - 2) * (n - 3))
        - (a1 * b1 / (n * (n - 1))) ** 2
    )
    excess = (alike * kernel).sum(axis=(1, 2)) - a1 * b1 / (n * (n - 1))
    result: np.ndarray = excess / np.sqrt(np.maximum(variance, 1e-12))
    return result


def _moments(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sum of each matrix, of its squares, and of its squared row sums."""
    rows = matrices.sum(axis=2)
    return rows.sum(axis=1), (matrices**2).sum(axis=(1, 2)), (rows**2).sum(axis=1)
