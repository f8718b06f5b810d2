"""Whether adjacent heads resemble each other in runs of one length, as they do where these share keys and values."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from reportgen.analysis.statistics.scan_statistic import normal_scores, without_slope

# Level of the test for ties, corrected for how many lengths were tried (docs/decisions/0010-tied-heads.md). Ties that
# it misses still matter: with one task it seldom finds runs of 7 in 24 x 14 heads of correlation .15, and a scan by
# heads then fires on 26 of 60 empty maps. So a length is only left out where the scores exclude it.
FEWEST_LAYERS = 8
LEVEL, AGAIN = 0.01, 0.05  # of the test on all cells, and of the one outside found regions
EXCLUDED = 0.05  # a length is excluded where the 95 % upper bound of its runs' intraclass correlation lies below


@dataclass(frozen=True)
class Ties:
    """Runs of ``size`` heads whose ranks correlate by ``correlation`` more than those of heads as far apart elsewhere.

    ``size`` is 1 where no length stands out; ``p`` is that of the best length, corrected for how many were tried.
    """

    size: int
    correlation: float
    p: float


def lengths(heads: int) -> list[int]:
    """Return the numbers of adjacent heads that could share keys and values: all that divide the number of heads, but
    for one and all of them, which leave the heads of a layer exchangeable.
    """
    return [n for n in range(2, heads // 2 + 1) if heads % n == 0]


def estimated(
    maps: Float[np.ndarray, "task layer head"], keep: Bool[np.ndarray, "task layer head"], length: int | None = None
) -> Ties | None:
    """Return the ties of the cells that are kept; None where there are too few whole layers or no length to try.

    ``length`` is the only one to try, where ties of all cells are looked for again among some of them.

    For each length that divides the number of heads, pairs of heads inside a run are compared with pairs as far apart
    that lie in two runs, so that a raised region, which does not know the runs, counts for both. Each layer gives a
    sum over tasks, standardised by its permutation moments (Mantel 1967, Cancer Res. 27:209); a signed-rank test over
    layers keeps a few layers from deciding alone. A common slope along heads, which two or three long runs would look
    like, is removed first.
    """
    heads = maps.shape[2]
    tried = [n for n in lengths(heads) if length in (None, n)]
    scores = _scores(maps, keep)
    if scores.shape[1] < FEWEST_LAYERS or not tried:
        return None
    alike = np.einsum("tlh,tlk->lhk", scores, scores)
    alike[:, np.arange(heads), np.arange(heads)] = 0
    kernels = [_kernel(heads, n) for n in tried]
    sums = [_standardised(alike, k) for k in kernels]
    best = int(np.argmax([each.mean() for each in sums]))
    p = min(1.0, float(stats.wilcoxon(sums[best], alternative="greater").pvalue) * len(sums))
    correlation = float((alike * kernels[best]).sum(axis=(1, 2)).mean() / len(maps))
    # weaker ties change no test, and the edges of one region can look like them
    stands_out = p <= (AGAIN if length else LEVEL) and correlation >= EXCLUDED
    return Ties(tried[best] if stands_out else 1, correlation, p)


def not_excluded(
    maps: Float[np.ndarray, "task layer column"], keep: Bool[np.ndarray, "task layer column"]
) -> tuple[int, ...]:
    """Return the lengths of runs of adjacent columns that a task's wholly kept layers do not exclude from being tied.

    A length is excluded where the 95 % upper bound of its intraclass correlation, from the analysis of variance of
    within-layer normal scores (Searle 1971, Linear Models, ch. 9), lies below ``EXCLUDED``; tasks that resemble each
    other count for fewer.
    """
    scores = _scores(maps, keep)
    return tuple(n for n in lengths(maps.shape[2]) if _upper_icc(scores, n) >= EXCLUDED)


def _scores(maps: np.ndarray, keep: np.ndarray) -> Float[np.ndarray, "task layer head"]:
    """Return the normal scores of the layers that are whole and not constant, a common slope along heads removed."""
    layers = np.isfinite(maps).all(axis=(0, 2)) & (np.ptp(np.nan_to_num(maps), axis=2) > 0).any(axis=0)
    pairs = [(m[layers], k[layers]) for m, k in zip(maps, keep, strict=True)]
    return np.stack([without_slope(normal_scores(m, k), k) for m, k in pairs])


def _upper_icc(scores: Float[np.ndarray, "task layer column"], length: int) -> float:
    """Return the 95 % upper bound of the correlation within runs of that length; 1 with too few layers to tell.

    A task's layers of zeros are those that are not kept.
    """
    columns = scores.shape[2]
    kept = (scores != 0).any(axis=2)
    if kept.any(axis=0).sum() < FEWEST_LAYERS:
        return 1.0
    runs = scores.reshape(*kept.shape, columns // length, length)
    between = length * (runs.mean(axis=3) ** 2).sum()
    within = (scores**2).sum() - between
    # the variance of a mean of squares grows with the squares of the correlations between tasks
    alike = np.einsum("tlh,ulh->tul", scores, scores) / columns
    count = kept.sum() ** 2 / max((alike.sum(axis=2) ** 2 / np.maximum(_both(kept), 1)).sum(), 1e-9)
    free, rest = columns // length - 1, columns - columns // length
    if within <= 0:
        return 1.0
    ratio = (between / free) / (within / rest) / stats.f.ppf(0.05, count * free, count * rest)
    return float((ratio - 1) / (ratio + length - 1))


def _both(kept: Bool[np.ndarray, "task layer"]) -> np.ndarray:
    """Return in how many layers either of two tasks is kept together with the other."""
    result: np.ndarray = kept.astype(int) @ kept.T.astype(int)
    return result


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
