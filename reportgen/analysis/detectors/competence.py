"""Competence: whether the model does the task that its heads are scored on."""

from collections.abc import Sequence

from scipy import stats

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.findings import Effect, Family, Finding, Value
from reportgen.stats import benjamini_hochberg, wilson

DOC = """Whether the model does the task that its heads are scored on.

Null: the share of right answers is that of guessing (1 / number of choices, else the commonest answer's share); exact
one-sided binomial test, Benjamini–Hochberg over tasks; Wilson 95 % interval. A task that is not above chance is said to
be so (observed): importance on it means little. Without a baseline the finding says that competence cannot be told.
Silent about tasks without a baseline where others have one.
"""
AT_CHANCE = "accuracy not above chance by an exact binomial test after correction over tasks"
UNKNOWN = "no accuracy of the unchanged model in the scores"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task; one for all tasks without a baseline."""
    tasks = view.scores.tasks
    known = [t for t, task in enumerate(tasks) if task.accuracy is not None and task.chance is not None and task.n]
    family = Family("competence", len(known), view.settings.alpha, "Benjamini–Hochberg over tasks")
    if not known:
        finding = view.finding(
            "competence", None, "observed", 0.2, rule=UNKNOWN, tasks=list(view.scores.task_names), data={"known": False}
        )
        return Outcome("competence", [finding])
    ps = [float(stats.binom.sf(_right(view, t) - 1, tasks[t].n, tasks[t].chance)) for t in known]
    q = benjamini_hochberg(ps)
    findings = [_finding(view, t, p, each, family) for t, p, each in zip(known, ps, q, strict=True)]
    return Outcome("competence", findings, family)


def _right(view: View, t: int) -> int:
    task = view.scores.tasks[t]
    return round((task.accuracy or 0.0) * (task.n or 0))


def _finding(view: View, t: int, p: float, q: float, family: Family) -> Finding:
    task, right = view.scores.tasks[t], _right(view, t)
    n, chance, accuracy = task.n or 1, task.chance or 0.0, task.accuracy or 0.0
    low, high = wilson(right, n)
    above = q <= view.settings.alpha
    data = {
        "known": True,
        "right": right,
        "n": n,
        "accuracy": 100 * accuracy,
        "low": 100 * low,
        "high": 100 * high,
        "chance": 100 * chance,
        "above": above,
        "miss": None if task.miss is None else 100 * task.miss,
    }
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
        return view.finding("competence", t, "tested", 0.2, value=value, test=test, effect=effect, data=data)
    return view.finding(
        "competence", t, "observed", 0.95, rule=AT_CHANCE, value=value, effect=effect, data=data, caveats=["at-chance"]
    )


DETECTOR = Detector("competence", detect, DOC)
