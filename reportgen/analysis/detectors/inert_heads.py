"""Inert heads: heads whose ablation is shown to change next to nothing."""

from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np
from jaxtyping import Float
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import Caveat
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import closed
from reportgen.core.scores import Head, HeadScores
from reportgen.core.stats import LEAST, benjamini_hochberg, group_numbers, group_sums

DOC = """Heads whose ablation is shown to change next to nothing.

Of an exact ablation with examples: zero, mean or resample; of several the score itself, or the first by name.
Equivalence test: two one-sided t tests (Schuirmann 1987), corrected for skewness, of the mean signed effect of ablating
the head against ± the margin, a share of the effect of ablating all heads ([analysis] margin, 1 % by default), over
resampling groups. Null: the mean effect lies outside of the margin. The largest of three p counts: those of both
halves, and the chance that effects as large as any on such heads, but too rare to be among these examples, lie behind;
Benjamini–Hochberg over heads and tasks. A head that is inert by this is no candidate for pruning yet: each was ablated
alone, and others may have made up for it. Effects that cancel between examples are counted and told.
Silent without exact ablation of single examples or the effect of ablating all heads, with fewer than 8 groups in a
half, on tasks where ablating all heads changes nothing, and where examples are too few for the margin.
"""
ONE_AT_A_TIME = Caveat(
    "one-at-a-time",
    "Each head was ablated alone: what heads make up for each other is not seen, so "
    "several may still be needed together.",
)
PRIORITY = {"of one task": 0.35, "of all tasks": 0.68}
SCHUIRMANN = (
    "Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the power approach for assessing "
    "the equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 15, 657–680."
)
JOHNSON = (
    "Johnson, N. J. (1978). Modified t tests and confidence intervals for asymmetrical populations. Journal of the "
    "American Statistical Association 73, 536–544."
)
# Two one-sided tests turn the burden round: that no effect was found is no evidence for none (Schuirmann 1987).
# Both halves and rare effects: docs/decisions/0015-inert-heads.md.
EVERY = "all heads ablated"  # what scoring calls the mean effect of ablating all heads


@closed
class Data(TypedDict):
    """``bound`` in the metric's unit is ``percent`` of what ablating ``every`` head changes (of one task; the least
    bound of several). ``cancelling`` members change single examples by more than that on average, in both directions.
    """

    ablation: str
    heads: int
    bound: float
    percent: float
    every: float | None
    cancelling: int
    largest_q: float
    tasks: int


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return the inert heads of each task, and those of all tasks."""
    scores, every = exact_ablation(view), _every(view)
    tasks = _testable(view)
    if scores is None or not tasks:
        return Outcome("inert_heads")
    own = View(scores, view.settings)
    bounds = {t: view.settings.margin * abs(every[view.scores.task_names[t]] or 0.0) for t in tasks}
    p = np.stack([equivalence_p(scores, t, bounds[t]) for t in tasks])
    tested = np.broadcast_to(view.present, p.shape)
    family = view.family("inert_heads", int(tested.sum()), "Benjamini–Hochberg over heads and tasks")
    q = np.ones(p.shape)
    q[tested] = benjamini_hochberg(p[tested].tolist())
    inert = q <= family.alpha
    findings = [
        _finding(own, [t], inert[i], p[i], q[i], bounds, every[view.scores.task_names[t]], family)
        for i, t in enumerate(tasks)
        if inert[i].any()
    ]
    if len(tasks) > 1 and (common := np.asarray(inert.all(axis=0))).any():
        findings.append(_finding(own, tasks, common, p.max(axis=0), q.max(axis=0), bounds, None, family))
    silent: dict[str | None, float] = {
        view.scores.task_names[t]: float(q[i][view.present].min()) for i, t in enumerate(tasks) if not inert[i].any()
    }
    return Outcome("inert_heads", findings, family, silent)


def exact_ablation(view: View) -> HeadScores | None:
    """Return the scores of an exact ablation: the report's own, else of several the first by name."""
    return next((s for s in (view.scores, *view.others.values()) if s.method.family == "ablation"), None)


def _every(view: View) -> Mapping[str, float | None]:
    """By task, the mean effect of ablating all heads, as far as it was scored."""
    scores = exact_ablation(view)
    return {} if scores is None else scores.method.diagnostics.get(EVERY, {})


def _testable(view: View) -> list[int]:
    """Return the tasks on which all heads together change something, and whose halves both have groups enough to test
    on.
    """
    scores, every = exact_ablation(view), _every(view)
    return [
        t
        for t, name in enumerate(view.scores.task_names)
        if scores is not None and every.get(name) and all(len(means) >= LEAST for means in _halves(scores, t))
    ]


def _halves(scores: HeadScores, t: int) -> list[Float[np.ndarray, "group layer head"]]:
    """Return the mean signed effect on each group of either half; none without examples."""
    examples = scores.examples[t]
    if examples is None or not 0 < examples.discovery.sum() < len(examples.discovery):
        return [np.empty((0, *scores.present.shape))] * 2
    found = []
    for half in (examples.discovery, ~examples.discovery):
        groups = list(compress(examples.groups, half))
        sums, counts = group_sums(examples.values[half], group_numbers(groups, examples.ordered))
        found.append(sums / counts[:, None, None])
    return found


def equivalence_p(scores: HeadScores, t: int, bound: float) -> Float[np.ndarray, "layer head"]:
    """Return the p of each head of the task: the largest of the two halves' equivalence tests and of ``unseen``."""
    halves = _halves(scores, t)
    sides = [np.maximum(_mean_below(half, bound), _mean_below(-half, bound)) for half in halves]
    result: np.ndarray = np.maximum(np.maximum(*sides), unseen(np.concatenate(halves), bound))
    return result


def _mean_below(means: Float[np.ndarray, "group layer head"], bound: float) -> Float[np.ndarray, "layer head"]:
    """One-sided p of mean ≥ bound, by the t test corrected for skewness (Johnson 1978, J. Am. Stat. Assoc. 73:536)."""
    n, room = len(means), bound - means.mean(axis=0)
    centred = means - means.mean(axis=0)
    variance = (centred**2).sum(axis=0) / (n - 1)
    third = (centred**3).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A long tail toward the bound makes the sample's mean and variance too small together.
        skewed = room - third / (6 * variance * n) - third / (3 * variance**2) * room**2
        t_value = np.where(variance > 0, np.minimum(skewed, room) / np.sqrt(variance / n), np.sign(room) * np.inf)
    result: np.ndarray = np.where(np.isnan(t_value), 1.0, stats.t.sf(t_value, n - 1))
    return result


def unseen(means: Float[np.ndarray, "group layer head"], bound: float) -> float:
    """Return the chance that effects too rare to be among these groups lie behind an apparently small mean.

    An effect as large as the largest on any group of a head whose mean lies within the bound, on as many texts as bring
    the true mean to the bound, would escape all n groups with probability (1 − bound/largest)^n.
    """
    within = np.abs(means.mean(axis=0)) <= bound
    largest = float(np.abs(means[:, within]).max()) if within.any() else 0.0
    return float((1 - bound / largest) ** len(means)) if largest > bound else 0.0


def _finding(
    view: View,
    tasks: list[int],
    inert: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
    bounds: dict[int, float],
    every: float | None,
    family: Family,
) -> Finding:
    heads = [Head(int(i), int(j)) for i, j in np.argwhere(inert)]
    worst = max(heads, key=lambda h: q[h])
    held = [_halves(view.scores, t)[1] for t in tasks]
    mean = np.stack([np.abs(means.mean(axis=0)) / bounds[t] for means, t in zip(held, tasks, strict=True)]).max(axis=0)
    size = np.stack([np.abs(means).mean(axis=0) / bounds[t] for means, t in zip(held, tasks, strict=True)]).max(axis=0)
    one = len(tasks) == 1
    data = Data(
        ablation=view.scores.method.name,
        heads=int(view.present.sum()),
        bound=min(bounds[t] for t in tasks),
        percent=100 * view.settings.margin,
        every=every if one else None,
        largest_q=float(q[worst]),
        cancelling=int((size[inert] > 1).sum()),
        tasks=len(tasks),
    )
    test = view.test(
        "two one-sided t tests on both halves",
        "the mean effect lies outside of the margin",
        float(mean[worst]),
        max(float(p[worst]), 1e-12),
        max(float(q[worst]), 1e-12),
        family,
    )
    names = [view.scores.task_names[t] for t in tasks]
    return view.finding(
        "inert_heads",
        tasks[0] if one else None,
        "tested",
        PRIORITY["of one task" if one else "of all tasks"],
        tasks=None if one else names,
        members=[str(h) for h in heads],
        cells=[(h.layer, h.head) for h in heads],
        layers=(min(h.layer for h in heads), max(h.layer for h in heads)),
        heads=(min(h.head for h in heads), max(h.head for h in heads)),
        test=test,
        data=data,
        effect=Effect("largest mean effect of one of them, held-out, over the margin", float(mean[inert].max())),
        caveats=[ONE_AT_A_TIME.code],
    )


DETECTOR = Detector(
    "inert_heads",
    detect,
    order=190,
    doc=DOC,
    topic="heads",
    data=Data,
    noun="head that is inert within the margin",
    caveats=(ONE_AT_A_TIME,),
    priority=PRIORITY,
    references=(SCHUIRMANN, JOHNSON),
    signed=True,
    important=False,
    weight=1,
    able=lambda view: bool(_testable(view)),
)
