"""The heads that findings name: importance and rank on every task, sign, and what knocking them out showed."""

from collections.abc import Iterable
from itertools import zip_longest
from math import isfinite

from reportgen.core.blocks import parsed
from reportgen.core.kinds import kind_of
from reportgen.core.trials import Trial
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report, TaskView
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.tables import Table

WIDE = 8  # tasks side by side; of more, a head has the tasks on which it ranks highest
BEST = 3
SET = 8  # heads up to which a finding names each of its own; a longer list names none in particular


def named_heads(report: Report) -> list[str]:
    """Return the heads that findings name: those of the most important finding first, then each task's first ones."""
    found = [[m for m in v.finding.members or () if isinstance(m, str)] for v in report.views.values()]
    listed = [kind_of(v.finding.kind).shown == "listed" for v in report.views.values()]
    sets = [heads for heads, of in zip(found, listed, strict=True) if not of and len(heads) <= SET]
    first = [heads for heads, of in zip(found, listed, strict=True) if of]
    named = [head for heads in sets for head in heads]
    named += [head for place in zip_longest(*first) for head in place if head is not None]
    return list(dict.fromkeys(named))


def head_matrix(report: Report, most: int) -> Table | None:
    """Return the table of at most so many heads that findings name; None where none does."""
    named, tried, wide = named_heads(report), bool(_tried(report)), len(report.tasks) <= WIDE
    digits = _decimals(report, named[:most])
    columns = [("Head", False), *([(t.name, True) for t in report.tasks] if wide else [("Ranks highest on", False)])]
    columns += [("Most lost alone", True), ("Needed alone", True), ("Needed in sets", True)] if tried else []
    rows = []
    for head in named[:most]:
        cells = [_cell(report, head, t, digits) for t in report.tasks] if wide else [_best(report, head, digits)]
        rows.append((head, *cells, *(_tries(report, head) if tried else ())))
    unit = printable(report.scores.method.unit)
    notes = [f"{unit[:1].upper()}{unit[1:]} and, in brackets, rank on the task."]
    if any(m.signed is not None for t in report.tasks for m in t.maps):
        notes.append("With a minus where the mean signed score is negative.")
    if tried:
        notes.append(
            "Most lost alone: the largest loss of a task’s log-probability (nats) with the head alone at its mean. "
            "Needed: on how many tasks by itself (†), in the core of a set (*); no: not needed; open: undecided."
        )
    notes += [f"{fmt.count(len(named) - most, 'more head')} in findings.json, attached."] if len(named) > most else []
    caption = "Heads that findings name, those of the most important findings first"
    return Table("named", caption, tuple(columns), tuple(rows), " ".join(notes)) if rows else None


def _tried(report: Report) -> list[Trial]:
    return report.validation.trials if report.validation is not None and not report.validation.problem else []


def _place(report: Report, head: str) -> tuple[int, int, int]:
    block = head.rpartition(".")[0] or None
    return next(i for i, b in enumerate(report.blocks) if b.block == block), *parsed(head)


def _decimals(report: Report, heads: list[str]) -> int:
    """Return the decimals that give the largest of their values two digits."""
    places = [_place(report, head) for head in heads]
    sizes = [abs(float(t.maps[b].values[layer, column])) for t in report.tasks for b, layer, column in places]
    return fmt.decimals(max((size for size in sizes if isfinite(size)), default=0.0), 2)


def _cell(report: Report, head: str, task: TaskView, digits: int) -> str:
    block, layer, column = _place(report, head)
    view, name = task.maps[block], task.task.name
    value = float(view.values[layer, column])
    if not isfinite(value):  # not there, or not scored, on this task
        return fmt.NONE
    if view.signed is not None and view.signed[layer, column] < 0:
        value = -abs(value)
    marks = "*" * (name in _needed(_sets(report, head))) + "†" * (name in _needed_alone(report, head))
    return f"{fmt.fixed(value, digits)} ({view.ranks[layer, column]:,}){marks}"


def _best(report: Report, head: str, digits: int) -> str:
    block, layer, column = _place(report, head)
    ranked = [t for t in report.tasks if t.maps[block].ranks[layer, column] > 0]
    best = sorted(ranked, key=lambda t: int(t.maps[block].ranks[layer, column]))[:BEST]
    return "; ".join(f"{task.name} {_cell(report, head, task, digits)}" for task in best)


def _tries(report: Report, head: str) -> tuple[str, str, str]:
    """Return the most that a head costs alone, and on how many tasks it is needed, by itself and in sets."""
    losses = report.validation.losses if report.validation is not None else {}
    lost = [loss for by in losses.values() if (loss := by["mean"].get(head)) is not None]
    needed = _needed_alone(report, head)
    alone = str(len(needed)) if needed else _verdicts(_alone(report, head))
    return fmt.number(max(lost), 2) if lost else fmt.NONE, alone, _verdicts(_sets(report, head))


def _alone(report: Report, head: str) -> list[Trial]:
    return [t for t in _tried(report) if t.heads == [head]]


def _sets(report: Report, head: str) -> list[Trial]:
    return [t for t in _tried(report) if head in t.core and len(t.heads) > 1]


def _needed(trials: Iterable[Trial]) -> set[str]:
    return {task for trial in trials if trial.verdict == "necessary" for task in trial.tasks}


def _needed_alone(report: Report, head: str) -> set[str]:
    """Return the tasks that are shown to need a head by itself."""
    tasks = _needed(_alone(report, head))
    if report.validation is not None:
        tasks |= {each.task for each in report.validation.specialists if each.head == head}
        tasks |= {task for each in report.validation.shared if each.head == head for task in each.tasks}
    return tasks


def _verdicts(trials: list[Trial]) -> str:
    """Return on how many tasks heads are needed, else what can be said."""
    if needed := _needed(trials):
        return str(len(needed))
    if not trials:
        return fmt.NONE
    return "no" if all(trial.verdict == "unnecessary" for trial in trials) else "open"
