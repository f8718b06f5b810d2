"""The study card: what was measured, on what, by what, and how much was found."""

from reportgen.core.blocks import title
from reportgen.core.kinds import kind_of
from reportgen.core.scores import HeadScores
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.sections.common import Section

NAMED = 8  # tasks on the card


def view(report: Report) -> dict[str, object]:
    """Facts in pairs, and the three numbers at a glance."""
    return {"notes": report.study.study.notes, "facts": _facts(report), "counts": _counts(report)}


def _facts(report: Report) -> list[tuple[str, str]]:
    scores = report.scores
    heads = "; ".join(map(_heads, report.blocks))
    authors = [printable(a) for a in report.study.study.authors]
    facts = [("Authors", ", ".join(authors))] if authors else []
    facts += [("Model", _model(report)), ("Heads", heads), ("Tasks", _tasks(report)), ("Method", method_name(report))]
    facts += [("Metric", scores.method.metric.replace("_", " "))] if scores.method.metric else []
    examples = [e for e in scores.examples if e is not None]
    per_task = sorted({len(e.values) for e in examples})
    if per_task:
        n = f"{per_task[0]:,}" if len(per_task) == 1 else f"{per_task[0]:,} to {per_task[-1]:,}"
        facts.append(("Examples", f"{n} per task, scored one by one"))
    else:
        facts.append(("Examples", "no per-example scores, so no intervals"))
    return [*facts, ("Date", report.date)]


def _tasks(report: Report) -> str:
    """Return the tasks by name, the first eight of many."""
    names = [t.name for t in report.tasks]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def _heads(scores: HeadScores) -> str:
    """``4 layers × 8 heads``, after the block's name where it has one."""
    name = f"{title(scores.block)} " if scores.block else ""
    scored, there = scores.coverage
    absent = scores.present.size - there
    holes = [f"{absent:,} of these positions hold no head"] if absent else []
    holes += [f"{scored:,} of {there:,} were scored"] if scored < there else []
    noted = f" ({'; '.join(holes)})" if holes else ""
    return f"{name}{scores.n_layers} layers × {scores.n_heads} heads{noted}"


def _model(report: Report) -> str:
    model = report.scores.model
    if report.scores.synthetic:
        return "none: the scores are synthetic"
    name = model.path or "not recorded in the scores"
    return f"{name} (revision {model.revision})" if model.revision else name


def method_name(report: Report) -> str:
    """Return the scoring method in words."""
    name = report.scores.method.name
    origin = ", read from a file" if report.study.scores is not None else ""
    return f"{name.replace('_', ' ')}{origin}"


def _counts(report: Report) -> list[tuple[str, str]]:
    found = [f for f in report.findings.findings if not kind_of(f.kind).remark]
    tested = sum(f.register == "tested" for f in found)
    n_heads = sum(int(b.present.sum()) for b in report.blocks)
    return [
        (f"{len(report.tasks):,}", "task" if len(report.tasks) == 1 else "tasks"),
        (f"{n_heads:,}", "head" if n_heads == 1 else "heads"),
        (f"{tested:,}", f"tested {'finding' if tested == 1 else 'findings'}"),
        (f"{len(found) - tested:,}", fmt.count(len(found) - tested, "observation").split(" ")[1]),
    ]


SECTION = Section("summary", "The study", view, order=135)
