"""Method agreement: whether the study's methods rank heads alike, and whether a score says more than the norm."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.detectors.inert_heads import exact_ablation
from reportgen.analysis.statistics.ranks import jackknife_variance, left_out, ranked
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import Caveat
from reportgen.core.findings import Effect, Finding
from reportgen.core.kinds import closed
from reportgen.core.scores import Family, Head, HeadScores
from reportgen.core.stats import LEVEL, shared_ranks

DOC = """Whether the study's methods rank heads alike, and whether a score says more than the activation norm.

Observed, of the first method and each other one: Spearman's rank correlation of importance on each task and its mean,
how many of the ten heads largest on a task (a tenth of all, where there are fewer than a hundred) are so by both,
beside the number that independent rankings would share, and up to three heads on which they disagree: among the ten by
one method's mean rank over tasks, in the lower half by the other's.
Where an exact ablation and the norm were scored too: how much more each score's ranking agrees with the ablation's
than the norm's does, the mean over tasks, with a 95 % interval by Student's t and the delete-a-group jackknife over
examples, the same examples left out of all three. A bootstrap would repeat examples and so add to the noise that lowers
both agreements. Where the interval includes 0 the ranking shows no more than activation size. Scores of where a head
looks are not held to that.
Silent where one method was scored, and where a method's heads are all tied.
"""
ACTIVATION_SIZE = Caveat(
    "activation-size",
    "A ranking that agrees with exact ablation no better than the activation norm does has shown "
    "how large heads' outputs are, not what they are for.",
)
# That a ranking is no more than activation size changes how all else is read, so it comes first.
PRIORITY = {"more than the norm": 0.5, "no more than the norm": 0.96, "beside the norm": 0.3, "two methods": 0.45}
TOP, SHOWN, HEADS = 10, 3, 20
# What a head looks at is no guess at what its removal costs: "induction shows no more than activation size" would hold
# it to what it does not claim.
APART: tuple[Family, ...] = ("attention pattern", "control")
RULE = "rank correlation and top heads of two methods on the same tasks"
CONTROL = (
    "difference of the rank correlations with exact ablation of a score and of the activation norm, mean over tasks"
)


@closed
class Pair(TypedDict):
    """``shared`` of the ``top`` largest heads are so by both methods, on average over tasks; ``chance`` would be if the
    rankings had nothing in common. The members are ranked ``places`` by the first and ``other_places`` by the other.
    """

    method: str
    other: str
    heads: int
    rhos: list[float]
    mean: float
    lowest: float
    highest: float
    top: int
    shared: float
    chance: float
    places: list[int]
    other_places: list[int]


@closed
class Control(TypedDict):
    """A score's mean rank correlation with ``ablation``, the norm's, and their difference with its interval."""

    method: str
    ablation: str
    agreement: float
    norm: float
    difference: float
    low: float
    high: float
    verdict: str


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a further method, and one for each score that can be held against the norm."""
    if view.present.sum() < HEADS or not view.others:
        return Outcome("method_agreement")
    pairs = [_pair(view, other) for other in view.others.values()]
    ablation, norm = exact_ablation(view), view.control_scores
    controls = list[Finding | None]()
    if ablation is not None and norm is not None:
        scores = [s for s in (view.scores, *view.others.values()) if s is not ablation and s.method.family not in APART]
        controls = [_control(view, score, ablation, norm) for score in scores]
    return Outcome("method_agreement", [f for f in (*controls, *pairs) if f])


def _ranks(view: View, scores: HeadScores) -> Float[np.ndarray, "task cell"]:
    return ranked(np.abs(scores.importance.astype(float)), view.present, "overall")


def _pair(view: View, other: HeadScores) -> Finding | None:
    first, second = _ranks(view, view.scores), _ranks(view, other)
    if not (first.any(axis=1).all() and second.any(axis=1).all()):
        return None
    rhos, n = (first * second).mean(axis=1), first.shape[1]
    top = min(TOP, n // 10)
    shared = [float(_among(a, top) @ _among(b, top)) for a, b in zip(first, second, strict=True)]
    ranks = [shared_ranks(each.mean(axis=0)) for each in (first, second)]
    chosen = _disagreeing(ranks[0], ranks[1], top)
    cells = [Head(int(i), int(j)) for i, j in np.argwhere(view.present)]
    heads = [cells[i] for i in chosen]
    data = Pair(
        method=view.scores.method.name,
        other=other.method.name,
        heads=n,
        rhos=rhos.tolist(),
        mean=float(rhos.mean()),
        lowest=float(rhos.min()),
        highest=float(rhos.max()),
        top=top,
        shared=float(np.mean(shared)),
        chance=top**2 / n,
        places=[int(ranks[0][i]) for i in chosen],
        other_places=[int(ranks[1][i]) for i in chosen],
    )
    return view.finding(
        "method_agreement",
        None,
        "observed",
        PRIORITY["beside the norm" if other.method.family == "control" else "two methods"],
        rule=RULE,
        tasks=list(view.scores.task_names),
        members=[str(h) for h in heads] or None,
        cells=[(h.layer, h.head) for h in heads] or None,
        data=data,
        effect=Effect("mean rank correlation over tasks", data["mean"]),
    )


def _among(ranks: Float[np.ndarray, "cell"], top: int) -> Float[np.ndarray, "cell"]:
    """Return each cell's share of a place among the largest: cells that tie across the last place divide what is left.

    So two rankings share what they would on average if ties were broken at random, not by the numbers of heads.
    """
    last = np.sort(ranks)[-top]
    tied, above = ranks == last, ranks > last
    result: np.ndarray = above + tied * (top - above.sum()) / tied.sum()
    return result


def _disagreeing(a: np.ndarray, b: np.ndarray, top: int) -> list[int]:
    """Return the cells that are in the top by one ranking and in the lower half by the other, widest apart first."""
    apart = ((a <= top) & (b > len(b) / 2)) | ((b <= top) & (a > len(a) / 2))
    found = np.flatnonzero(apart)
    return [int(i) for i in found[np.argsort(-np.abs(a - b)[found], kind="stable")][:SHOWN]]


def _control(view: View, score: HeadScores, ablation: HeadScores, norm: HeadScores) -> Finding | None:
    """How a score agrees with exact ablation, beside the norm; None where examples do not pair up."""
    three = [View(s, view.settings) for s in (score, ablation, norm)]
    agreements, variance, degrees = [], 0.0, []
    for t in range(len(view.scores.tasks)):
        rows = {e and (e.ids, e.groups) for e in (v.scores.examples[t] for v in three)}
        without = [list(left_out(v, t)) for v in three]
        if len(rows) != 1 or not without[0]:
            return None
        whole = [ranked(v.whole[t], view.present, "overall") for v in three]
        agreements.append(_agreement(*whole))
        pairs = [_agreement(*(ranked(m, view.present, "overall") for m in maps)) for maps in zip(*without, strict=True)]
        variance += float(jackknife_variance(np.array([a - b for a, b in pairs])))
        degrees.append(len(pairs) - 1)
    mean, of_norm = (float(a) for a in np.mean(agreements, axis=0))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, min(degrees)) * np.sqrt(variance)) / len(agreements)
    difference = mean - of_norm
    verdict = "more" if difference - reach > 0 else "less" if difference + reach < 0 else "no more"
    data = Control(
        method=score.method.name,
        ablation=ablation.method.name,
        agreement=mean,
        norm=of_norm,
        difference=difference,
        low=difference - reach,
        high=difference + reach,
        verdict=verdict,
    )
    return view.finding(
        "method_agreement",
        None,
        "observed",
        PRIORITY["more than the norm" if verdict == "more" else "no more than the norm"],
        rule=CONTROL,
        tasks=list(view.scores.task_names),
        data=data,
        effect=Effect("agreement with exact ablation beyond the norm's", difference, data["low"], data["high"]),
        caveats=[] if verdict == "more" else [ACTIVATION_SIZE.code],
    )


def _agreement(score: np.ndarray, ablation: np.ndarray, norm: np.ndarray) -> tuple[float, float]:
    return float((score * ablation).mean()), float((norm * ablation).mean())


DETECTOR = Detector(
    "method_agreement",
    detect,
    order=200,
    doc=DOC,
    topic="trust",
    data=Pair | Control,
    label="methods",
    home="agreement",
    caveats=(ACTIVATION_SIZE,),
    priority=PRIORITY,
    important=False,  # its heads are those on which methods differ
)
