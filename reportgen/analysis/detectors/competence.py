"""Competence: whether the model does the task that its heads are scored on."""

from collections.abc import Sequence
from typing import Literal, NotRequired

import numpy as np
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import AT_CHANCE, Caveat
from reportgen.core.findings import Effect, Family, Finding, Value
from reportgen.core.kinds import closed
from reportgen.core.stats import benjamini_hochberg, wilson

DOC = """Whether the model does the task that its heads are scored on.

An answer is right where it is preferred to every other choice, or to the foil; without either, where it is the most
probable of all words. Null: the share of right answers is that of guessing (1 / number of choices, else the commonest
answer's share); exact one-sided binomial test, Benjamini–Hochberg over tasks; Wilson 95 % interval; a group of rows
counts once. A task that is not above chance is said to be so (observed): importance on it means little. Without a
baseline the finding says that competence cannot be told.
Silent about tasks without a baseline where others have one, and about the control task: neutral text asks nothing.
Where a probe of the tasks was scored, one finding for all of them instead (observed): on how many rows that it had not
seen the probe is right, and the best of the simpler separations of the same rows.
"""
SIMPLER = Caveat(
    "simpler-separation",
    "Simpler features of the same rows separate the tasks about as well, so the map may show no "
    "more than where these can be read.",
)
# That a model can do a task is no discovery; that it is not above chance, or what a probe can do, is worth a place.
PRIORITY = {"above chance": 0.2, "at chance": 0.95, "of a probe": 0.95, "not known": 0.2}
NOT_ABOVE = "accuracy not above chance by an exact binomial test after correction over tasks"
PROBED = "accuracy of a probe on rows of groups that it had not seen, beside simpler separations of the same rows"
UNKNOWN = "no accuracy of the unchanged model in the scores"


@closed
class Answers(TypedDict):
    """``right`` of ``n`` answers, of ``units`` groups; the accuracy, its Wilson 95 % interval, that of guessing and the
    mean probability of another answer (``miss``) in percent; whether the accuracy is ``above`` chance. Where answers
    are judged among choices, ``argmax`` is the percentage of those that are the most probable of all words.
    """

    known: Literal[True]
    right: int
    n: int
    units: int
    accuracy: float
    low: float
    high: float
    chance: float
    above: bool
    miss: float | None
    argmax: NotRequired[float]


@closed
class Probed(TypedDict):
    """Accuracies in percent: of the ``probe``, of the best ``simpler`` separation and of always naming the commonest
    task; the first less the second with its standard ``error``, in percentage points.
    """

    known: Literal[True]
    probe: float
    simpler: str
    simpler_accuracy: float
    margin: float
    error: float
    commonest: float


@closed
class Unknown(TypedDict):
    """The scores carry no accuracy of the unchanged model."""

    known: Literal[False]


def _judged(view: View) -> list[int]:
    return [t for t in range(len(view.scores.tasks)) if t != view.control]


def _known(view: View) -> list[int]:
    tasks = view.scores.tasks
    return [t for t in _judged(view) if tasks[t].accuracy is not None and tasks[t].chance is not None and tasks[t].n]


def _able(view: View) -> bool:
    return bool(_known(view)) and not view.scores.method.overall.get("probe minus it")


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task; one for all tasks without a baseline."""
    tasks = view.scores.tasks
    if view.scores.method.overall.get("probe minus it"):
        return Outcome("competence", [_of_probe(view)])
    known = _known(view)
    family = view.family("competence", len(known), "Benjamini–Hochberg over tasks")
    if not _judged(view):
        return Outcome("competence", [], family)
    if not known:
        finding = view.finding(
            "competence",
            None,
            "observed",
            PRIORITY["not known"],
            rule=UNKNOWN,
            tasks=[tasks[t].name for t in _judged(view)],
            data=Unknown(known=False),
        )
        return Outcome("competence", [finding])
    ps = [
        float(stats.binom.sf(np.floor(_share(view, t) * _groups(view, t)) - 1, _groups(view, t), tasks[t].chance))
        for t in known
    ]
    q = benjamini_hochberg(ps)
    findings = [_finding(view, t, p, each, family) for t, p, each in zip(known, ps, q, strict=True)]
    return Outcome("competence", findings, family)


def _of_probe(view: View) -> Finding:
    """How well the probe separates the tasks, and how much better than the best simpler separation."""
    overall = view.scores.method.overall
    accuracy, more, errors = (overall[name] for name in ("accuracy", "probe minus it", "standard error"))
    # what is neither compared with the probe nor made without features; a file may call its method otherwise
    (probe,) = accuracy.keys() - more.keys() - {"always the commonest task", "at random"}
    # shuffled labels are other labels: they are the control, and no separation of these
    best = max(errors, key=lambda name: (accuracy[name] or 0.0, name))
    margin, error = more[best] or 0.0, errors[best] or 0.0
    data = Probed(
        known=True,
        probe=100 * (accuracy[probe] or 0.0),
        simpler=best,
        simpler_accuracy=100 * (accuracy[best] or 0.0),
        margin=100 * margin,
        error=100 * error,
        commonest=100 * (accuracy["always the commonest task"] or 0.0),
    )
    value = Value(accuracy[probe] or 0.0, None, None, "accuracy of the probe", "held-out")
    effect = Effect(f"accuracy minus that of {best}", margin, None, None)
    n = sum(task.n or 0 for task in view.scores.tasks) or None
    return view.finding(
        "competence",
        None,
        "observed",
        PRIORITY["of a probe"],
        rule=PROBED,
        tasks=list(view.scores.task_names),
        value=value,
        effect=effect,
        data=data,
        n_examples=n,
        caveats=[SIMPLER.code] if margin < 2 * error else [],
    )


def _groups(view: View, t: int) -> int:
    """Return the number of independent answers: groups where known, since rows of one group may all go one way."""
    examples = view.scores.examples[t]
    return len(set(examples.groups)) if examples is not None else view.scores.tasks[t].n or 0


def _share(view: View, t: int) -> float:
    return view.scores.tasks[t].accuracy or 0.0


def _finding(view: View, t: int, p: float, q: float, family: Family) -> Finding:
    task, accuracy, count = view.scores.tasks[t], _share(view, t), _groups(view, t)
    n, chance = task.n or 1, task.chance or 0.0
    right = round(accuracy * n)
    low, high = wilson(accuracy * count, count)
    above = q <= family.alpha
    data = Answers(
        known=True,
        right=right,
        n=n,
        units=count,
        accuracy=100 * accuracy,
        low=100 * low,
        high=100 * high,
        chance=100 * chance,
        above=above,
        miss=None if task.miss is None else 100 * task.miss,
    )
    if task.argmax is not None:
        data["argmax"] = 100 * task.argmax
    value = Value(accuracy, low, high, "accuracy; Wilson 95 % interval", "in-sample")
    effect = Effect("accuracy minus chance", accuracy - chance, low - chance, high - chance)
    if above:
        test = view.test(
            "exact binomial",
            "the share of right answers is that of guessing",
            right,
            max(p, 1e-300),
            max(q, 1e-300),
            family,
        )
        return view.finding(
            "competence",
            t,
            "tested",
            PRIORITY["above chance"],
            n_examples=n,
            value=value,
            test=test,
            effect=effect,
            data=data,
        )
    return view.finding(
        "competence",
        t,
        "observed",
        PRIORITY["at chance"],
        rule=NOT_ABOVE,
        value=value,
        effect=effect,
        data=data,
        caveats=[AT_CHANCE.code],
    )


def _telling(finding: Finding) -> bool:
    return AT_CHANCE.code in finding.caveats or "simpler" in (finding.data or {})


DETECTOR = Detector(
    "competence",
    detect,
    order=20,
    doc=DOC,
    topic="trust",
    data=Answers | Probed | Unknown,
    home="reliability",
    caveats=(AT_CHANCE, SIMPLER),
    priority=PRIORITY,
    key=_telling,
    of_heads=False,
    signed=True,
    performance=True,
    weight=1,
    able=_able,
    of_some=True,
    of_ranks=True,
    of_equal=True,
)
