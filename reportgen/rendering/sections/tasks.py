"""Task by task: the heatmap, the model's performance, the most important heads, the findings."""

from reportgen.core.scores import Task
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.first_screen import first_table, knock_outs
from reportgen.rendering.html.attention_rows import AttentionRow, attention_rows
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import head_table
from reportgen.rendering.task_table import task_table


def view(report: Report) -> dict[str, object]:
    """One subsection per task, with a map and a table for each block of heads."""
    drawings = {d.name: d for drawn in report.drawn("tasks").values() for d in drawn}
    unit = report.scores.method.unit
    knocked = [] if report.printed else knock_outs(report)
    return {
        "numbers": report.numbers,
        "tasks": [
            {
                "task": t,
                "performance": _performance(t.task),
                "knocked": next((k for k in knocked if k.task is t), None),
                "group": t.task.group,
                "maps": [
                    {
                        "map": m,
                        "drawing": drawings[m.figure],
                        "heads": head_table(t.name, m, unit),
                        "first": None if report.printed else first_table(report, n, b),
                    }
                    for b, m in enumerate(t.maps)
                ],
            }
            for n, t in enumerate(report.tasks)
        ],
        "unit": unit,
        "attention": _attention(report, drawings),
    }


def _attention(report: Report, drawings: dict[str, Drawing]) -> dict[str, tuple[Drawing, list[AttentionRow]]]:
    """Return the figure of each task's attention patterns, by the task's anchor, and for the page the same as text."""
    if report.patterns is None:
        return {}
    made = dict[str, tuple[Drawing, list[AttentionRow]]]()
    for t in report.tasks:
        figure, patterns = drawings.get(f"attention-{t.anchor.removeprefix('task-')}"), report.patterns.of(t.task.name)
        if figure is not None:
            made[t.anchor] = (figure, [] if report.printed else attention_rows(patterns))
    return made


def _performance(task: Task) -> str:
    """Return the baseline performance in one sentence; what is not known is said."""
    if task.accuracy is None:
        known = f"{fmt.count(task.n, 'example')}; " if task.n else ""
        return f"{known}the model’s own performance on this task is not recorded in the scores."
    parts = [f"The unmodified model answers {fmt.accuracy(task.accuracy, task.n)} correctly"]
    if task.argmax is not None:
        parts[0] += f", judged among choices ({fmt.share(task.argmax)} are the most probable of all words)"
    parts += [f"chance is {fmt.share(task.chance)}"] if task.chance is not None else []
    parts += (
        [f"the mean log-probability of the answer is {fmt.number(task.log_probability)}"]
        if (task.log_probability is not None)
        else []
    )
    parts += [f"the mean of 1 − p(answer) is {fmt.number(task.miss)}"] if task.miss is not None else []
    return "; ".join(parts) + "."


def brief(report: Report) -> dict[str, object]:
    """Return the table of a row a task."""
    return {"rows": task_table(report)}


SECTION = Section("tasks", "Task by task", view, order=50, brief=brief)
