"""What interventions on found heads showed, as tables."""

from reportgen.core.kinds import kind_of
from reportgen.core.trials import TOP, Interval, Outcome, TaskTrial, Trial, Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.tables import Table

WIDE = 8  # tasks side by side
NAMED = 6  # heads of a set that are written out
REASONS = {
    "examples": "more examples needed",
    "controls": "too few controls exist",
    "exceeded": "controls lose as much",
    "few-controls": "fewer than 20 control sets",
    "whole-layer": "the set is a whole layer",
    "at-chance": "task at chance",
    "no-range": "no loss without any head",
    "few-groups": "too few examples",
    "in-sample": "found on all examples",
    "budget": "beyond the budget",
}


def tables(validation: Validation) -> list[Table]:
    """All of them, in reading order, each with its file name; what nothing was run for is left out."""
    if validation.problem or not validation.trials:
        return []
    return [
        published(validation),
        verdicts(validation),
        sufficiency(validation),
        amplification(validation),
        *matrix(validation),
        orders(validation),
        tasks(validation),
    ]


def published(validation: Validation) -> Table:
    """Accuracy of each task with matched controls, and with its first heads, knocked out: the published form."""
    rows = []
    for trial in (t for t in validation.trials if t.kind == TOP):
        controls = fmt.NONE if trial.after_controls is None else fmt.share(trial.after_controls.accuracy)
        rows.append(
            (
                printable(trial.tasks[0]),
                heads(trial),
                _accuracy(trial.intact),
                controls,
                _accuracy(trial.knocked_out),
                _accuracy(trial.zeroed),
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
        "Accuracy on held-out examples with their mean in place of the heads. Random: the mean over matched "
        "control sets, none of which touches a found head. Found at zero: with zero in their place, which lies off the "
        "model’s distribution and decides nothing."
    )
    return Table(
        "validation-tasks",
        "Random heads → found heads: accuracy with each task’s most important heads out",
        columns,
        tuple(rows),
        note,
    )


def verdicts(validation: Validation) -> Table:
    """Every found set against its controls."""
    rows = []
    for trial in validation.trials:
        excess = fmt.NONE if trial.excess is None else _interval(trial.excess)
        loss = fmt.NONE if trial.loss is None else fmt.number(trial.loss.estimate)
        q = fmt.NONE if trial.q is None else fmt.probability(trial.q)
        rows.append(
            (
                _name(trial, validation),
                heads(trial),
                loss,
                excess,
                fmt.number(trial.margin),
                _controls(trial),
                q,
                _verdict(trial),
            )
        )
    columns = (
        ("Set", False),
        ("Heads", False),
        ("Loss", True),
        ("Over controls", True),
        ("Margin", True),
        ("Controls", True),
        ("q", True),
        ("Verdict", False),
    )
    note = (
        f"Loss: of the {wanted(validation)}’s log-probability, by mean ablation. Over controls: loss less the mean "
        "loss of matched control sets, with its 95 % interval over examples. Controls: distinct sets of as many heads "
        "of the same layers (+n: of up to n layers further) and of like activation norm."
    )
    return Table("validation-sets", "Found sets against matched controls", columns, tuple(rows), note)


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
        note = "Percentage points of accuracy, by mean ablation, without controls; * marks the set’s own tasks."
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


def heads(trial: Trial) -> str:
    """Return the set's heads, the first few of many."""
    more = trial.size - NAMED
    return f"{', '.join(trial.heads[:NAMED])} and {more} more" if more > 1 else ", ".join(trial.heads)


def _name(trial: Trial, validation: Validation) -> str:
    """Return ``Retrieval: first heads``, ``Math: single head``, ``3 tasks: shared head``."""
    whose = printable(trial.tasks[0]) if len(trial.tasks) == 1 else fmt.count(len(trial.tasks), "task")
    what = "first heads" if trial.kind == TOP else kind_of(trial.kind).label
    same = [t for t in validation.trials if (t.tasks, t.kind) == (trial.tasks, trial.kind)]
    number = f" {same.index(trial) + 1}" if len(same) > 1 else ""
    return f"{whose}: {what}{number}"


def _controls(trial: Trial) -> str:
    if not trial.controls:
        return fmt.NONE
    return f"{len(trial.controls):,}{f' (+{trial.widened})' if trial.widened else ''}"


def _verdict(trial: Trial) -> str:
    why = f": {REASONS[trial.reason]}" if trial.reason else ""
    return f"{trial.verdict}{why}{f' (about {trial.more:,})' if trial.more else ''}"


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
