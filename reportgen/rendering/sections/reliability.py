"""Reliability and competence: whether the model does the tasks, and whether scores would come out the same again."""

from reportgen.core.kinds import kind_of
from reportgen.core.scores import Task
from reportgen.core.stats import wilson
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table


def view(report: Report) -> dict[str, object] | None:
    """Return the findings of both kinds and the unmodified model's performance; None where there is neither."""
    found, table = report.at("reliability"), _performance(report)
    if not found and table is None:
        return None
    verdicts = [v for v in found if kind_of(v.finding.kind).performance]
    return {"performance": table, "verdicts": verdicts, "rankings": [v for v in found if v not in verdicts]}


def _performance(report: Report) -> Table | None:
    known = [t for t in report.tasks if t.task.accuracy is not None]
    chosen = any(t.task.argmax is not None for t in known)
    rows = tuple((t.name, *_row(t.task, chosen)) for t in known)
    columns = (
        ("Task", False),
        ("Examples", True),
        ("Right", True),
        *([("Most probable", True)] if chosen else []),
        ("95 % interval", True),
        ("Chance", True),
        ("Mean log-probability", True),
    )
    note = "Right: every token of the answer is the most probable one. Wilson intervals over examples."
    if chosen:
        note = (
            "Right: the answer is more probable than every other choice, or than the foil; where a row has neither, "
            "every token of it is the most probable one of all. Most probable: the share of the latter among all rows. "
            "Wilson intervals over examples."
        )
    return Table("performance", "The unmodified model on each task", columns, rows, note) if rows else None


def _row(task: Task, chosen: bool) -> tuple[str, ...]:
    accuracy, n = task.accuracy or 0.0, task.n or 0
    low, high = wilson(accuracy * n, n) if n else (None, None)
    interval = f"{fmt.share(low)} to {fmt.share(high)}" if n else fmt.NONE
    return (
        f"{n:,}" if n else fmt.NONE,
        fmt.share(accuracy),
        *([fmt.share(accuracy if task.argmax is None else task.argmax)] if chosen else []),
        interval,
        fmt.share(task.chance),
        fmt.number(task.log_probability),
    )


SECTION = Section("reliability", "Reliability and competence", view, order=100)
