"""One row a task: how well the model does it, its first heads, and what knocking these out showed."""

from collections.abc import Mapping
from math import inf

from reportgen.core.blocks import written
from reportgen.core.display_names import shared_prefix, told_apart
from reportgen.core.kinds import kind_of
from reportgen.core.scores import Task
from reportgen.core.sentences import VERDICTS
from reportgen.core.trials import TOP, Outcome, Trial
from reportgen.rendering import format as fmt
from reportgen.rendering.context import FindingView, MapView, Report, TaskView
from reportgen.rendering.sections.tables import leading_rows
from reportgen.rendering.tables import Table
from reportgen.rendering.trial_tables import REASONS

HEADS, ROWS, LETTERS = 5, 24, 60  # heads of a task, tasks, letters of a task's name


def task_table(report: Report) -> Table:
    """Return the table: at most 24 tasks, those that claims name first; what is known of none of them has no column."""
    shown, listed = first_tasks(report, ROWS), _listed(report)
    names = told_apart([task.name for task in shown], lambda name: len(name) <= LETTERS)
    tried = report.validation.trials if report.validation is not None else []
    trials = {t.tasks[0]: t for t in tried if t.kind == TOP}
    sizes = {t.examples for t in trials.values()}
    same = f" of {sizes.pop():,}" if len(sizes) == 1 and len(trials) == len(report.tasks) else ""
    ranked = any(row.ranks for view in listed.values() for row in leading_rows(view, 1))
    known = bool(trials) or any(t.task.accuracy is not None for t in shown)
    columns = [("Task", False), *([(f"Right{same}", True)] if known else [])]
    columns += [(f"First heads ({'possible ranks' if ranked else report.scores.method.unit})", False)]
    columns += [("Without *", True), ("Without others", True), ("Verdict", False)] if trials else []
    rows = []
    for task in shown:
        trial = trials.get(task.task.name)
        heads = "; ".join(_heads(m, listed.get((task.task.name, m.block)), trial) for m in task.maps)
        right = _right(task.task) if trial is None else _count(trial.intact, trial, same)
        cells = [names[task.name], *([right] if known else []), heads]
        if trial is not None:
            cells += [_count(each, trial, same) for each in (trial.knocked_out, trial.after_controls)]
            cells.append(_verdict(trial))
        elif trials:
            cells += [fmt.NONE, fmt.NONE, VERDICTS["untested"]]
        rows.append(tuple(cells))
    return Table("brief-tasks", "", tuple(columns), tuple(rows), _note(report, len(shown), bool(trials), ranked))


def first_tasks(report: Report, most: int) -> list[TaskView]:
    """Return at most so many tasks, those that claims name first, the claims about fewest tasks first, in the study's
    order.
    """
    places: dict[str, tuple[int, int]] = {}
    for i, claim in enumerate(report.claims.claims):
        names = {*claim.tasks, *claim.exceptions}
        for name in names:
            places[name] = min(places.get(name, (len(report.tasks), i)), (len(names), i))
    order = sorted(range(len(report.tasks)), key=lambda i: (places.get(report.tasks[i].task.name, (inf, inf)), i))
    return [report.tasks[i] for i in sorted(order[:most])]


def _listed(report: Report) -> Mapping[tuple[str, str | None], FindingView]:
    """Return the findings that list a task's first heads, by task and block."""
    found = (v for v in report.views.values() if kind_of(v.finding.kind).shown == "listed" and v.finding.heads)
    return {(v.finding.task or "", v.finding.block): v for v in found}


def _heads(view: MapView, listed: FindingView | None, trial: Trial | None) -> str:
    """Return a map's first heads with the ranks that each may have, else with their values; many that tie as a count.

    Those that were knocked out together have an asterisk.
    """
    tied = int((view.ranks == 1).sum())
    if tied > HEADS:
        return f"{tied:,} heads tie at {fmt.number(float(view.values[view.top(1)[0]]))}"
    if listed is None:
        heads = {written(view.block, h): fmt.number(float(view.values[h])) for h in view.top(HEADS)}
    else:
        heads = {row.member: row.ranks or fmt.number(row.value) for row in leading_rows(listed, HEADS)}
    out = [] if trial is None else [h for h in trial.heads if (h.rpartition(".")[0] or None) == view.block]
    named = [f"{head}{'*' * (head in out)} {told}" for head, told in heads.items()]
    return ", ".join([*named, *(f"{head}*" for head in out if head not in heads)])


def _right(task: Task) -> str:
    if task.accuracy is None:
        return fmt.NONE
    return f"{round(task.accuracy * task.n):,} of {task.n:,}" if task.n else fmt.share(task.accuracy)


def _count(outcome: Outcome | None, trial: Trial, same: str) -> str:
    """Return how many answers are right, with a mean's decimal; of how many, where that is not the ``same``."""
    if outcome is None:
        return fmt.NONE
    right = outcome.accuracy * trial.examples
    told = fmt.fixed(right, 0 if abs(right - round(right)) < 1e-6 else 1)
    return told if same else f"{told} of {trial.examples:,}"


def _verdict(trial: Trial) -> str:
    words = VERDICTS[trial.verdict]
    if trial.reason:
        return f"{words}: {REASONS[trial.reason]}"
    return f"{words}, specific" if trial.specific else words


def _note(report: Report, shown: int, tried: bool, ranked: bool) -> str:
    """Return what the columns stand for, and how many tasks are left out."""
    left = len(report.tasks) - shown
    prefix = shared_prefix([task.name for task in report.tasks])
    notes = [f"{fmt.count(left, 'more task')}: in scores.csv, attached, with every head’s score."] if left else []
    notes += [f"Names are without the “{prefix.strip()}” that all begin with."] if prefix else []
    notes += ["Possible ranks hold together with 95 % probability on each task."] if ranked else []
    if tried:
        notes.append(
            "Right: on held-out examples. Without *: these heads, the first ones on other examples, with their mean in "
            "their place. Without others: as many other heads of the same layers, the mean over control sets."
        )
    return " ".join(notes)
