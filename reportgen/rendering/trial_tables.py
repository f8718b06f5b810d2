"""What interventions on found heads showed, as tables."""

from collections.abc import Sequence

from reportgen.core.kinds import kind_of
from reportgen.core.sentences import VERDICTS
from reportgen.core.trials import TOP, Interval, Outcome, Shown, TaskTrial, Trial, Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.tables import Table

WIDE = 8  # tasks side by side
NAMED = 6  # heads of a set that are written out
REASONS = {
    "examples": "more examples needed",
    "at-chance": "task at chance",
    "no-worth": "nothing to lose",
    "few-groups": "too few examples",
    "in-sample": "found on all examples",
    "few-sets": "too small a layer",
    "whole-layer": "a whole layer",
    "budget": "beyond the budget",
    "rank": "open",
}
ALONE = 5  # heads of a task that are listed by what each costs alone


def tables(validation: Validation) -> list[Table]:
    """All of them, in reading order, each with its file name; what nothing was run for is left out."""
    if validation.problem or not validation.trials:
        return []
    return [
        published(validation),
        verdicts(validation),
        specific(validation),
        *alone(validation),
        sufficiency(validation),
        amplification(validation),
        *matrix(validation),
        orders(validation),
        tasks(validation),
    ]


def published(validation: Validation) -> Table:
    """Accuracy of each task with other heads, and with its first heads, knocked out: the published form."""
    rows = []
    for trial in (t for t in validation.trials if t.kind == TOP):
        others = fmt.NONE if trial.after_controls is None else fmt.share(trial.after_controls.accuracy)
        shown = {each.name: each.outcome for each in trial.shown}
        rows.append(
            (
                printable(trial.tasks[0]),
                heads(trial.heads),
                _accuracy(trial.intact),
                others,
                _accuracy(trial.knocked_out),
                _accuracy(shown["zero"]),
                fmt.NONE if trial.q is None else fmt.probability(trial.q),
                _verdict(trial),
            )
        )
    columns = (
        ("Task", False),
        ("Found heads", False),
        ("As it is", True),
        ("Random heads out", True),
        ("Found heads out", True),
        ("Found at zero", True),
        ("q", True),
        ("Verdict", False),
    )
    note = (
        "Accuracy on held-out examples with their mean in place of the heads. Random: the mean over sets of as many "
        "heads of the same layers as the core has. Found at zero: the core with zero in its place."
    )
    return Table(
        "validation-tasks",
        "Random heads → found heads: accuracy with each task’s most important heads out",
        columns,
        tuple(rows),
        note,
    )


def verdicts(validation: Validation) -> Table:
    """Every core under the interventions that decide whether it is needed."""
    rows = []
    for trial in validation.trials:
        shown = {each.name: each for each in trial.shown}
        lost = (_lost(shown.get(name)) for name in ("mean", "resample", "zero"))
        q = fmt.NONE if trial.q is None else fmt.probability(trial.q)
        holds = fmt.NONE if trial.robustness is None else f"{trial.robustness.holds} of {trial.robustness.of}"
        name = _name(trial, validation)
        rows.append((name, heads(trial.core), *lost, fmt.number(trial.margin), q, _verdict(trial), holds))
    columns = (
        ("Set", False),
        ("Core", False),
        ("At the mean", True),
        ("Resampled", True),
        ("At zero", True),
        ("Margin", True),
        ("q", True),
        ("Verdict", False),
        ("Robust", True),
    )
    note = (
        f"Loss of the {wanted(validation)}’s log-probability (nats) with the core’s outputs replaced by their mean, by "
        "those on other rows of the task, by zero (in brackets where that takes the model off its distribution and "
        "does not count). Needed: every loss lies above the margin. Robust: in how many specifications it does "
        "(of sets that are not needed: lies below)."
    )
    return Table("validation-sets", "Are the found sets needed?", columns, tuple(rows), note)


def specific(validation: Validation) -> Table:
    """Every core against other sets of its layers."""
    rows = []
    for trial in validation.trials:
        excess = fmt.NONE if trial.excess is None else _interval(trial.excess)
        q = fmt.NONE if trial.specific_q is None else fmt.probability(trial.specific_q)
        told = {True: "yes", False: "no", None: REASONS[trial.silence] if trial.silence else fmt.NONE}[trial.specific]
        name, neutral = _name(trial, validation), fmt.NONE if trial.neutral is None else _interval(trial.neutral)
        rows.append((name, heads(trial.core), excess, f"{trial.controls:,}", _rank(trial), q, told, neutral))
    columns = (
        ("Set", False),
        ("Core", False),
        ("Over others", True),
        ("Others", True),
        ("Rank", True),
        ("q", True),
        ("Costs more", False),
        ("Neutral text", True),
    )
    note = (
        "Mean ablation. Others: sets that share no head with the core and have as many heads in each layer, heads of "
        "other tasks among them. Over others: the loss less their mean loss, with its 95 % interval. Rank: among "
        "itself and them, with the range of simultaneous bounds. Neutral text: the loss on the control task."
    )
    return Table("validation-others", "Found sets against other heads of their layers", columns, tuple(rows), note)


def alone(validation: Validation) -> list[Table]:
    """Return the heads that cost each task most, one by one; nothing where none were tried so."""
    if not validation.losses:
        return []
    rows = []
    for task in validation.tasks:
        lost = sorted(validation.losses[task.name]["mean"].items(), key=lambda item: -item[1])[:ALONE]
        told = ", ".join(f"{head} {fmt.number(loss)}" for head, loss in lost)
        rows.append((printable(task.name), told, fmt.number(task.margin)))
    columns = (("Task", False), ("Costs most alone", False), ("Margin", True))
    note = f"Loss of the {wanted(validation)}’s log-probability (nats), by mean ablation of one head at a time."
    return [Table("validation-alone", "Heads that cost each task most by themselves", columns, tuple(rows), note)]


def sufficiency(validation: Validation) -> Table:
    """Floor, what a set alone keeps, and ceiling."""
    rows = tuple(
        (_name(trial, validation), _both(trial.floor), _both(trial.kept), _both(trial.intact))
        for trial in validation.trials
    )
    columns = (("Set", False), ("No head (floor)", True), ("Only the set", True), ("All heads (ceiling)", True))
    note = f"Accuracy, and mean log-probability of the {wanted(validation)} in brackets."
    return Table("validation-sufficiency", "Is a set enough?", columns, rows, note)


def amplification(validation: Validation) -> Table:
    """Return what multiplying a set's outputs changes."""
    rows = tuple((_name(trial, validation), *map(_interval, trial.gain.values())) for trial in validation.trials)
    factors = list(next(iter(validation.trials)).gain)
    columns = (("Set", False), *((f"Gain at ×{factor}", True) for factor in factors))
    note = (
        f"Gain: the rise of the {wanted(validation)}’s mean log-probability when the set’s outputs are multiplied, "
        "with its 95 % interval; below zero, amplifying does harm."
    )
    return Table("validation-amplification", "Does amplifying a set help?", columns, rows, note)


def matrix(validation: Validation) -> list[Table]:
    """Return the change of every task's accuracy, in percentage points, with every set knocked out."""
    made = []
    for start in range(0, len(validation.tasks), WIDE):
        shown = validation.tasks[start : start + WIDE]
        rows = tuple(
            (_name(trial, validation), *(_change(validation, trial, task) for task in shown))
            for trial in validation.trials
        )
        columns = (("Set out", False), *((printable(task.name), True) for task in shown))
        name = "validation-matrix" if len(validation.tasks) <= WIDE else f"validation-matrix-{start // WIDE + 1}"
        note = "Percentage points of accuracy, by mean ablation of the cores; * marks the set’s own tasks."
        made.append(Table(name, "Every task with every set knocked out", columns, rows, note))
    return made


def orders(validation: Validation) -> Table:
    """Every order of heads by the area over its knock-out curve."""
    rows = tuple(
        (
            printable(r.order.replace("_", " ")),
            _interval(r.area),
            fmt.NONE if r.over_random is None else _interval(r.over_random),
        )
        for r in validation.rankings
    )
    columns = (("Heads taken out in the order of", False), ("Area", True), ("Over random", True))
    note = (
        f"Area: the mean share of the {wanted(validation)}’s probability that is lost, over the logarithm of the "
        "number of heads taken out, the mean over tasks; 95 % intervals over examples. Layer order: from the first up."
    )
    return Table("validation-orders", "How faithful each ranking of heads is", columns, rows, note)


def tasks(validation: Validation) -> Table:
    """Each task's ceiling and floor."""
    untested = any(t.reason for t in validation.tasks)
    rows = tuple(
        (
            printable(t.name),
            f"{t.examples:,}",
            _both(t.intact),
            _both(t.floor),
            fmt.share(t.chance),
            *([REASONS[t.reason] if t.reason else ""] if untested else []),
        )
        for t in validation.tasks
    )
    columns = (
        ("Task", False),
        ("Held-out examples", True),
        ("All heads", True),
        ("No head", True),
        ("Chance", True),
        *([("Not tested because", False)] if untested else []),
    )
    return Table(
        "validation-range",
        "What there is to lose",
        columns,
        rows,
        "No head: with the mean in place of every head’s output.",
    )


def wanted(validation: Validation) -> str:
    """Return what is right or wrong: the model's answer, or the label that a probe tells."""
    return "answer" if validation.readout == "answer" else "label"


def heads(names: Sequence[str]) -> str:
    """Return a set's heads, the first few of many."""
    more = len(names) - NAMED
    return f"{', '.join(names[:NAMED])} and {more} more" if more > 1 else ", ".join(names)


def _name(trial: Trial, validation: Validation) -> str:
    """Return ``Retrieval: first heads``, ``Math: single head``, ``3 tasks: shared head (sink)``."""
    whose = printable(trial.tasks[0]) if len(trial.tasks) == 1 else fmt.count(len(trial.tasks), "task")
    what = "first heads" if trial.kind == TOP else kind_of(trial.kind).label
    same = [t for t in validation.trials if (t.tasks, t.kind) == (trial.tasks, trial.kind)]
    number = f" {same.index(trial) + 1}" if len(same) > 1 else ""
    return f"{whose}: {what}{number}{' (sink)' if trial.sink else ''}"


def _lost(shown: Shown | None) -> str:
    """Write an intervention's loss, in brackets where it does not vote."""
    if shown is None:
        return fmt.NONE
    return fmt.number(shown.loss.estimate) if shown.votes else f"({fmt.number(shown.loss.estimate)})"


def _rank(trial: Trial) -> str:
    if trial.rank is None:
        return fmt.NONE
    span = "" if trial.rank.low == trial.rank.high else f" ({trial.rank.low}–{trial.rank.high})"
    return f"{trial.rank.rank} of {trial.rank.of}{span}"


def _verdict(trial: Trial) -> str:
    why = f": {REASONS[trial.reason]}" if trial.reason else ""
    return f"{VERDICTS[trial.verdict]}{why}{f' (about {trial.more:,})' if trial.more else ''}"


def _change(validation: Validation, trial: Trial, task: TaskTrial) -> str:
    points = 100 * (validation.matrix[trial.id][task.name].accuracy - task.intact.accuracy)
    return f"{fmt.fixed(points, 1)}{' *' if task.name in trial.tasks else ''}"


def _accuracy(outcome: Outcome | None) -> str:
    return fmt.NONE if outcome is None else fmt.share(outcome.accuracy)


def _both(outcome: Outcome | None) -> str:
    if outcome is None:
        return fmt.NONE
    return f"{fmt.share(outcome.accuracy)} ({fmt.number(outcome.log_probability)})"


def _interval(interval: Interval) -> str:
    return fmt.estimate(interval.estimate, interval.low, interval.high)
