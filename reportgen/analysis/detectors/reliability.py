"""Reliability: how far other examples would rank a task's heads the same."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from typing_extensions import TypedDict

from reportgen.analysis.statistics.ranks import (
    Scope,
    dealt,
    fisher_interval,
    jackknife_variance,
    ranked,
    signless,
    specific,
)
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Finding, Value
from reportgen.core.kinds import closed
from reportgen.core.stats import LEAST, group_numbers, group_sums

DOC = """How far other examples would rank a task's heads the same.

Observed: Spearman's correlation between the maps of two random halves of the resampling groups, the mean over random
splits, stepped up to all examples by the Spearman–Brown formula 2r/(1 + r); over all heads, with each layer's heads
ranked by themselves, and for the task-specific part (ranks less the mean ranks of the other tasks on the same half):
conclusions about specialisation rest on that part. Intervals: Student's t on Fisher's z with the delete-a-group
jackknife over the examples of all tasks that enter. By the same formula, how many more examples would give .9: from the
ends of the interval, and told only where even the higher end lies below .9. It is for noise that falls with the square
root of the number of examples: heavy-tailed noise falls more slowly, and the reliability is then a few hundredths too
high.
Without examples the finding says that reliability cannot be computed.
Silent about tasks of fewer than 8 groups and fewer than 8 heads, and where all heads are tied.
"""
# A ranking that other examples would not give again is worth a place among the first things said.
PRIORITY = {"interval from 0 or less": 0.6, "reliable": 0.22, "not known": 0.15}
SPEARMAN = "Spearman, C. (1910). Correlation calculated from faulty data. British Journal of Psychology 3, 271–295."
BROWN = (
    "Brown, W. (1910). Some experimental results in the correlation of mental abilities. British Journal of Psychology "
    "3, 296–322."
)
# .9 is the usual least reliability of a measure on whose single values something is decided (Nunnally 1978).
TARGET, HEADS, SPLITS = 0.9, 8, 10
RULE = "split-half rank correlation over random halves of the examples, stepped up by the Spearman–Brown formula"
UNKNOWN = "no per-example scores"
Part = Literal["overall", "within", "specific"]
WORK = 400_000  # cells of all tasks' halves that are ranked at once


@closed
class Known(TypedDict):
    """Each part's reliability with its interval; ``more`` examples would give ``target`` for the task-specific part,
    or over all heads where there is none, ``more_low`` to ``more_high`` at the ends of its interval (None: no number
    would); ``examples`` were used (None: they could not, for all that is seen).
    """

    known: Literal[True]
    overall: float
    overall_low: float
    overall_high: float
    within: float
    within_low: float
    within_high: float
    specific: float | None
    specific_low: float | None
    specific_high: float | None
    more: int | None
    more_low: int | None
    more_high: int | None
    target: float
    examples: int
    splits: int


@closed
class Unknown(TypedDict):
    """Reliability cannot be computed."""

    known: Literal[False]


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task, or one that says why there is none."""
    if all(e is None for e in view.scores.examples):
        names = list(view.scores.task_names)
        unknown = view.finding(
            "reliability", None, "observed", PRIORITY["not known"], rule=UNKNOWN, tasks=names, data=Unknown(known=False)
        )
        return Outcome("reliability", [unknown])
    tasks = [t for t in range(len(view.scores.tasks)) if _groups(view, t) >= LEAST]
    if view.present.sum() < HEADS or not tasks:
        return Outcome("reliability")
    splits = int(np.clip(WORK // (len(tasks) * view.present.size), 2, SPLITS))
    halves = [_Halves(view, t, splits) for t in tasks]
    results = _estimates(halves, "overall") | _estimates(halves, "within")
    findings = [
        _finding(view, t, {p: (r[i], v[i]) for p, (r, v) in results.items()}, halves[i], splits)
        for i, t in enumerate(tasks)
    ]
    return Outcome("reliability", [f for f in findings if f])


def _groups(view: View, t: int) -> int:
    examples = view.scores.examples[t]
    return 0 if examples is None else len(set(group_numbers(examples.groups, examples.ordered)))


class _Halves:
    """A task's groups in random halves, and their maps with all groups or without a jackknife group."""

    def __init__(self, view: View, t: int, splits: int) -> None:
        examples = view.scores.examples[t]
        assert examples is not None, "only tasks with examples are split"
        number = group_numbers(examples.groups, examples.ordered)
        self.present, self.n = view.present, len(number)
        sums, self.counts = group_sums(signless(view, examples.values), number)
        self.sums = np.nan_to_num(sums, copy=False)  # heads that there are not; the sums are nobody else's
        group = dealt(examples, view.settings.seed)
        self.group = np.array([group[np.flatnonzero(number == u)[0]] for u in range(len(self.counts))])
        rng = np.random.default_rng([view.settings.seed, len(self.counts), 1])
        order = np.stack([rng.permutation(len(self.counts)) for _ in range(splits)])
        self.first = order < (len(self.counts) + 1) // 2  # a place in a random order, so a random half

    def ranks(self, scope: Scope, without: int | None = None) -> Float[np.ndarray, "half split cell"]:
        """Return the ranks of both halves' maps on every split."""
        others = self.group != without
        weights = np.stack([self.first & others, ~self.first & others]).astype(float)
        sums = np.tensordot(weights, self.sums, axes=1)
        means = np.abs(sums) / np.maximum(weights @ self.counts, 1)[..., None, None]
        return ranked(means, self.present, scope)


def _estimates(halves: list[_Halves], scope: Scope) -> dict[Part, tuple[np.ndarray, np.ndarray]]:
    """Each task's reliability, and the jackknife variance of its Fisher z over the examples that enter.

    Over all heads that of the task-specific part too, which depends on the examples of the other tasks as well.
    """
    ranks = np.stack([h.ranks(scope) for h in halves])
    apart = scope == "overall" and len(halves) > 2
    own, variance = np.zeros(len(halves)), np.zeros(len(halves))
    for i, half in enumerate(halves):
        whole, found, found_apart = ranks[i].copy(), [], []
        for group in range(half.group.max() + 1):
            ranks[i] = half.ranks(scope, group)
            found.append(_z(_reliability(ranks[i])))
            if apart:
                found_apart.append(_z(_reliability(specific(ranks))))
        ranks[i] = whole
        own[i] = jackknife_variance(np.stack(found))
        variance += jackknife_variance(np.stack(found_apart)) if apart else 0.0
    estimates: dict[Part, tuple[np.ndarray, np.ndarray]] = {scope: (_reliability(ranks), own)}
    return {**estimates, "specific": (_reliability(specific(ranks)), variance)} if apart else estimates


def _reliability(ranks: Float[np.ndarray, "*task half split cell"]) -> Float[np.ndarray, "*task"]:
    """Spearman–Brown of the mean correlation between halves."""
    first, second = ranks[..., 0, :, :], ranks[..., 1, :, :]
    spread = np.sqrt((first**2).mean(axis=-1) * (second**2).mean(axis=-1))
    product = (first * second).mean(axis=-1)
    r = np.divide(product, spread, out=np.zeros_like(product), where=spread > 1e-12).mean(axis=-1)
    result: np.ndarray = 2 * r / (1 + np.maximum(r, -0.5))
    return result


def _z(reliability: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.arctanh(np.clip(reliability, -0.9999, 0.9999))
    return result


def _finding(
    view: View, t: int, scopes: dict[Part, tuple[float, float]], halves: _Halves, splits: int
) -> Finding | None:
    if scopes["overall"][0] == 0:
        return None
    bounds = {p: fisher_interval(float(r), float(v), int(halves.group.max())) for p, (r, v) in scopes.items()}
    main: Part = "specific" if "specific" in scopes else "overall"
    estimate = float(scopes[main][0])
    specific_low, specific_high = bounds.get("specific", (None, None))
    data = Known(
        known=True,
        overall=float(scopes["overall"][0]),
        overall_low=bounds["overall"][0],
        overall_high=bounds["overall"][1],
        within=float(scopes["within"][0]),
        within_low=bounds["within"][0],
        within_high=bounds["within"][1],
        specific=estimate if main == "specific" else None,
        specific_low=specific_low,
        specific_high=specific_high,
        more=more_examples(halves.n, estimate),
        more_low=more_examples(halves.n, bounds[main][1]),
        more_high=more_examples(halves.n, bounds[main][0]),
        target=TARGET,
        examples=halves.n,
        splits=splits,
    )
    value = Value(data["overall"], *bounds["overall"], "reliability; 95 % interval", "in-sample")
    priority = PRIORITY["interval from 0 or less" if bounds[main][0] <= 0 else "reliable"]
    return view.finding("reliability", t, "observed", priority, rule=RULE, value=value, data=data)


def more_examples(n: int, reliability: float) -> int | None:
    """How many examples beside ``n`` would raise the reliability to the target, by Spearman–Brown; None if it is 0."""
    if reliability <= 0:
        return None
    return max(0, int(np.ceil(round(n * TARGET / (1 - TARGET) * (1 - reliability) / reliability - n, 6))))


DETECTOR = Detector(
    "reliability",
    detect,
    order=30,
    doc=DOC,
    topic="trust",
    data=Known | Unknown,
    home="reliability",
    priority=PRIORITY,
    references=(SPEARMAN, BROWN),
)
