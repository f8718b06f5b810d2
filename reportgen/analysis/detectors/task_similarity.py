"""Task similarity: how alike the tasks' maps are, over all heads, within layers, and in what sets tasks apart."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from reportgen.analysis.statistics.ranks import (
    centred_correlations,
    correlations,
    fisher_interval,
    jackknife_variance,
    left_out,
    ranked,
)
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import Caveat
from reportgen.core.findings import Effect, Finding
from reportgen.core.kinds import Similarity, closed

DOC = """How alike the tasks' maps are: over all heads, within layers, and in what sets the tasks apart.

Observed: Spearman's rank correlation of importance between every two tasks over all heads; the same with each layer's
heads ranked by themselves, so that it does not come from layers all tasks use; and of the task-specific part, each
task's ranks less the mean ranks of the others, in which T unrelated tasks have −1/(T − 1). Conclusions about
specialisation rest on that part. Intervals: Student's t on Fisher's z with the delete-a-group jackknife over the
examples of each task (20 groups), tasks being sampled apart from each other; that of the most alike pair allows for
its being chosen (Bonferroni over pairs). They are about the correlation at this number of examples, which noise lowers.
The order is that of average-linkage clustering of 1 − correlation.
Silent with one task, with fewer than 8 heads, and where a task's heads are all tied.
"""
NOISE_LOWERS = Caveat("noise-lowers", "Noise in the scores makes tasks look less alike than they are; see reliability.")
PRIORITY = {"observed": 0.58}
HEADS = 8  # fewer leave a rank correlation next to no values to take
RULE = "Spearman's rank correlation of importance between every two tasks"

Matrix = list[list[float]]


@closed
class Data(Similarity):
    """Matrices are in the order of the finding's tasks; ``order`` lists these by similarity and ``merges`` is the
    dendrogram: (cluster, cluster, height, size) as SciPy's linkage writes it. ``specific`` is None for two tasks, and
    where a task's ranks are the mean of all.
    """

    heads: int
    overall_low: Matrix | None
    overall_high: Matrix | None
    within: Matrix
    specific: Matrix | None
    specific_low: Matrix | None
    specific_high: Matrix | None
    median: float
    median_within: float
    most: list[str]
    most_rho: float
    most_low: float | None
    most_high: float | None
    least: list[str]
    least_rho: float
    unrelated: float | None


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding on all tasks."""
    if len(view.scores.tasks) < 2 or view.present.sum() < HEADS:
        return Outcome("task_similarity")
    ranks = ranked(view.whole, view.present, "overall")
    overall = correlations(ranks)
    if np.isnan(overall).any():
        return Outcome("task_similarity")
    within = correlations(ranked(view.whole, view.present, "within"))
    variances = _variances(view, ranks)
    return Outcome("task_similarity", [_finding(view, overall, np.nan_to_num(within), variances)])


def _variances(view: View, ranks: Float[np.ndarray, "task cell"]) -> tuple[np.ndarray, np.ndarray] | None:
    """Variances of Fisher's z of the correlations over all heads and of the task-specific part; None without examples.

    Leaving out examples of one task changes its row alone, and through the mean every specific part.
    """
    whole, size = ranks @ ranks.T, ranks.shape[1]
    total = [np.zeros_like(whole), np.zeros_like(whole)]
    for t in range(len(ranks)):
        found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for values in left_out(view, t):
            row = ranked(values, view.present, "overall")
            product = whole.copy()
            product[t] = product[:, t] = ranks @ row
            product[t, t] = row @ row
            found[0].append(_z(product / size))
            found[1].append(_z(centred_correlations(product / size)))
        if not found[0]:
            return None
        for each, without in zip(total, found, strict=True):
            each += jackknife_variance(np.stack(without))
    return total[0], total[1]


def _z(rho: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.arctanh(np.clip(np.nan_to_num(rho), -0.9999, 0.9999))
    return result


def _bounds(rho: np.ndarray, variance: np.ndarray, degrees: int) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.ones_like(rho), np.ones_like(rho)
    for a, b in np.argwhere(~np.eye(len(rho), dtype=bool)):
        low[a, b], high[a, b] = fisher_interval(rho[a, b], variance[a, b], degrees)
    return low, high


def _finding(
    view: View, overall: np.ndarray, within: np.ndarray, variances: tuple[np.ndarray, np.ndarray] | None
) -> Finding:
    names = view.scores.task_names
    pairs = np.triu_indices(len(names), 1)
    # where all tasks rank heads alike, nothing sets them apart
    centred = None if len(names) < 3 or np.isnan(parts := centred_correlations(overall)).any() else parts
    rhos = overall if centred is None else centred
    # of pairs as alike, but for the digits that the order of a sum decides, the first by name
    least, most = (
        min(
            (int(i) for i in np.flatnonzero(~(sign * rhos[pairs] < np.nanmax(sign * rhos[pairs]) - 1e-9))),
            key=lambda i: sorted((names[pairs[0][i]], names[pairs[1][i]])),
        )
        for sign in (-1, 1)
    )
    degrees = min((len(list(left_out(view, t))) for t in range(len(names))), default=0) - 1 if variances else 0
    sides = (
        [
            _bounds(rho, v, degrees) if rho is not None else None
            for rho, v in zip((overall, centred), variances, strict=True)
        ]
        if variances
        else [None, None]
    )
    bounds = (
        (None, None)
        if not variances
        else fisher_interval(
            float(rhos[pairs][most]),
            float(variances[0 if centred is None else 1][pairs][most]),
            degrees,
            len(pairs[0]),
        )
    )
    merges = hierarchy.linkage(squareform(1 - overall, checks=False), "average", optimal_ordering=True)
    data = Data(
        heads=int(view.present.sum()),
        overall=overall.tolist(),
        within=within.tolist(),
        overall_low=_listed(sides[0], 0),
        overall_high=_listed(sides[0], 1),
        specific=None if centred is None else centred.tolist(),
        specific_low=_listed(sides[1], 0),
        specific_high=_listed(sides[1], 1),
        order=[names[int(i)] for i in hierarchy.leaves_list(merges)],
        merges=merges.tolist(),
        median=float(np.median(overall[pairs])),
        median_within=float(np.median(within[pairs])),
        most=[names[pairs[0][most]], names[pairs[1][most]]],
        most_rho=float(rhos[pairs][most]),
        most_low=bounds[0],
        most_high=bounds[1],
        least=[names[pairs[0][least]], names[pairs[1][least]]],
        least_rho=float(rhos[pairs][least]),
        unrelated=None if centred is None else -1 / (len(names) - 1),
    )
    return view.finding(
        "task_similarity",
        None,
        "observed",
        PRIORITY["observed"],
        rule=RULE,
        tasks=list(names),
        data=data,
        effect=Effect("median rank correlation between tasks", data["median"]),
        caveats=[NOISE_LOWERS.code],
    )


def _listed(bounds: tuple[np.ndarray, np.ndarray] | None, side: int) -> Matrix | None:
    result: Matrix | None = None if bounds is None else bounds[side].tolist()
    return result


DETECTOR = Detector(
    "task_similarity",
    detect,
    order=180,
    doc=DOC,
    topic="tasks",
    data=Data,
    label="similarity",
    caveats=(NOISE_LOWERS,),
    priority=PRIORITY,
    shown="similarity",
)
