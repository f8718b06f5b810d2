"""The heads that findings name: importance and rank on every task, sign, and what knocking them out showed."""

from collections.abc import Iterable
from itertools import zip_longest

from reportgen.core.blocks import parsed
from reportgen.core.kinds import kind_of
from reportgen.core.sentences import VERDICTS
from reportgen.core.trials import Trial
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report, TaskView
from reportgen.rendering.tables import Table

WIDE = 8  # tasks side by side; of more, a head has the tasks on which it ranks highest
BEST = 3
SET = 8  # heads up to which a finding names each of its own; a longer list names none in particular
TASKS = 3  # tasks named in a verdict
VERDICT_ORDER = ("necessary", "mixed", "undecided", "unnecessary")


def named_heads(report: Report) -> list[str]:
    """Return the heads that findings name: those of the most important finding first, then each task's first ones."""
    found = [[m for m in v.finding.members or () if isinstance(m, str)] for v in report.views.values()]
    listed = [kind_of(v.finding.kind).shown == "listed" for v in report.views.values()]
    sets = [heads for heads, of in zip(found, listed, strict=True) if not of and len(heads) <= SET]
    first = [heads for heads, of in zip(found, listed, strict=True) if of]
    named = [head for heads in sets for head in heads]
    named += [head for place in zip_longest(*first) for head in place if head is not None]
    return list(dict.fromkeys(named))


def head_table(report: Report, most: int) -> Table | None:
    """Return the table of at most so many heads that findings name; None where none does."""
    named = named_heads(report)
    signed, tried = any(m.signed is not None for t in report.tasks for m in t.maps), _tried(report)
    wide, digits = len(report.tasks) <= WIDE, _decimals(report, named[:most])
    columns = [("Head", False), *([(t.name, True) for t in report.tasks] if wide else [("Ranks highest on", False)])]
    columns += [("Sign", False)] if signed else []
    columns += [("Out alone", False), ("Out in sets", False)] if tried else []
    rows = []
    for head in named[:most]:
        cells = [_cell(report, head, t, digits) for t in report.tasks] if wide else [_best(report, head, digits)]
        cells += [_sign(report, head)] if signed else []
        cells += [_alone(report, head), _in_sets(tried, head)] if tried else []
        rows.append((head, *cells))
    more = f" {len(named) - most:,} more heads are named in findings.json, attached." if len(named) > most else ""
    note = f"{report.scores.method.unit} and, in brackets, rank on the task."
    note += " Sign: on how many tasks the mean signed score is above and below zero." if signed else ""
    if tried:
        note += (
            " Out alone: the verdict on the head by itself, else its largest loss of log-probability. Out in sets: the "
            "verdicts on sets whose core holds it."
        )
    caption = "Heads that findings name, those of the most important findings first"
    return Table("named", caption, tuple(columns), tuple(rows), f"{note[:1].upper()}{note[1:]}{more}") if rows else None


def _tried(report: Report) -> list[Trial]:
    return report.validation.trials if report.validation is not None and not report.validation.problem else []


def _place(report: Report, head: str) -> tuple[int, int, int]:
    block = head.rpartition(".")[0] or None
    return next(i for i, b in enumerate(report.blocks) if b.block == block), *parsed(head)


def _decimals(report: Report, heads: list[str]) -> int:
    """Return the decimals that give the largest of their values two digits."""
    places = [_place(report, head) for head in heads]
    sizes = [abs(float(t.maps[b].values[layer, column])) for t in report.tasks for b, layer, column in places]
    return fmt.decimals(max(sizes, default=0.0), 2)


def _cell(report: Report, head: str, task: TaskView, digits: int) -> str:
    block, layer, column = _place(report, head)
    view = task.maps[block]
    return f"{fmt.fixed(float(view.values[layer, column]), digits)} ({view.ranks[layer, column]:,})"


def _best(report: Report, head: str, digits: int) -> str:
    block, layer, column = _place(report, head)
    best = sorted(report.tasks, key=lambda t: int(t.maps[block].ranks[layer, column]))[:BEST]
    return "; ".join(f"{task.name} {_cell(report, head, task, digits)}" for task in best)


def _sign(report: Report, head: str) -> str:
    block, layer, column = _place(report, head)
    values = [m.signed[layer, column] for t in report.tasks if (m := t.maps[block]).signed is not None]
    return f"{sum(v > 0 for v in values)} + {sum(v < 0 for v in values)} −"


def _alone(report: Report, head: str) -> str:
    """Return the verdict on a head by itself, else what it costs."""
    validation = report.validation
    assert validation is not None
    single = [t for t in validation.trials if t.heads == [head]]
    if single:
        return _verdicts(single)
    tasks = [each.task for each in validation.specialists if each.head == head]
    tasks += [task for each in validation.shared if each.head == head for task in each.tasks]
    if tasks:
        return f"{VERDICTS['necessary']}: {_some(tasks)}"
    lost = {task: loss for task, by in validation.losses.items() if (loss := by["mean"].get(head)) is not None}
    worst = max(lost, key=lambda task: lost[task], default=None)
    return fmt.NONE if worst is None else f"{fmt.number(lost[worst], 2)} nats ({worst})"


def _in_sets(trials: Iterable[Trial], head: str) -> str:
    return _verdicts([t for t in trials if head in t.core and len(t.heads) > 1])


def _verdicts(trials: Iterable[Trial]) -> str:
    tasks = dict[str, dict[str, None]]()
    for trial in trials:
        tasks.setdefault(trial.verdict, {}).update(dict.fromkeys(trial.tasks))
    told = (f"{VERDICTS[v]}: {_some([*tasks[v]])}" for v in VERDICT_ORDER if v in tasks)
    return "; ".join(told) or fmt.NONE


def _some(tasks: list[str]) -> str:
    more = len(tasks) - TASKS
    return f"{', '.join(tasks[:TASKS])} + {more}" if more > 1 else ", ".join(tasks)
