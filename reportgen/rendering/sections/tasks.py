"""Task by task: the heatmap, the model's performance, the most important heads, the findings."""

from reportgen.core.scores import Task
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.glance import first_table, knock_outs
from reportgen.rendering.html.attention_rows import AttentionRow, attention_rows
from reportgen.rendering.plots.alt_text import statistics
from reportgen.rendering.plots.attention import attention
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import head_table, tie_note

NAMED = 5  # heads in a brief paragraph
ATTENDED = 3  # heads whose attention the PDF shows of a task; the page shows all that are named


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
                        "paragraph": _paragraph(report, n, b) if report.brief else None,
                    }
                    for b, m in enumerate(t.maps)
                ],
            }
            for n, t in enumerate(report.tasks)
        ],
        "brief": report.brief,
        "printed": report.printed,
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
            unit = report.styles[0].unit
            shorter = attention(patterns, t.anchor, unit, ATTENDED) if report.printed else None
            made[t.anchor] = (shorter or figure, [] if report.printed else attention_rows(patterns))
    return made


def _paragraph(report: Report, task: int, block: int) -> str:
    """Return what panel, layer profile and table say, in a paragraph."""
    view = report.tasks[task].maps[block]
    table = head_table("", view, report.scores.method.unit, NAMED)
    bounded = any("interval" in name for name, _ in table.columns)
    heads = "; ".join(f"{row[0]} {row[2]}{f' [{row[3]}]' if bounded else ''}" for row in table.rows)
    tied = tie_note(view, view.top(NAMED))
    return f"{statistics(report.blocks[block], task)} Largest: {heads}.{f' {tied}' if tied else ''}"


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


SECTION = Section("tasks", "Task by task", view, order=50)
