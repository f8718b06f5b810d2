"""What is run: which sets against which controls on how many examples, within the budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.caveats import AT_CHANCE
from reportgen.core.config import ValidationSection
from reportgen.core.findings import Findings
from reportgen.core.kinds import kind_of
from reportgen.core.stats import LEAST, wilson
from reportgen.core.trials import Cost, Reason
from reportgen.errors import InputError
from reportgen.scoring.methods.common.ablation import forwards
from reportgen.scoring.run.prepare import PreparedTask
from reportgen.validation.controls import Controls, matched, whole_layer
from reportgen.validation.derive import PER_TEST
from reportgen.validation.engine import Intervention
from reportgen.validation.orders import Order, orders, prefixes
from reportgen.validation.prepare import Setup
from reportgen.validation.sets import FoundSet, found_sets
from reportgen.validation.statistics import FEWEST

# Held-out examples a task, below which sets are left out rather than all judged on less: twice the eight groups that an
# interval needs.
LEAST_EXAMPLES = 16
# Of amplification. Stronger heads are claimed to help; the published claim is put to the test at two strengths
# (docs/validation.md), the outputs being far from the model's own beyond twice their size.
FACTORS = (1.5, 2.0)


@dataclass(frozen=True)
class Planned:
    """Everything that will be run.

    ``reasons`` says of sets that are not tested why; ``controls`` are the others' by id. ``members`` are the numbers of
    each task's held-out examples that are run, ``wanted`` each task's interventions, the first with nothing changed and
    the second with every head's mean. ``orders`` are the tasks' orders of heads for the curves.
    """

    sets: tuple[FoundSet, ...]
    reasons: Mapping[str, Reason]
    controls: Mapping[str, Controls]
    least: int
    members: tuple[tuple[int, ...], ...]
    wanted: tuple[tuple[Intervention, ...], ...]
    orders: tuple[Mapping[str, list[Order]], ...]
    cost: Cost

    @property
    def runs(self) -> int:
        """Examples under interventions, all in all."""
        return sum(len(m) * len(w) for m, w in zip(self.members, self.wanted, strict=True))


def planned(setup: Setup, findings: Findings, methods: Mapping[str, Blocks], section: ValidationSection) -> Planned:
    """Choose controls for every set that can be tested, and as many examples a task as the budget allows.

    Where it does not allow ``LEAST_EXAMPLES``, the least important sets are left out, last first.
    Raises InputError where the budget does not even cover what has no controls.
    """
    sets = found_sets(findings, setup.index)
    reasons = _reasons(setup, findings, sets)
    tests = {(s.heads, s.tasks) for s in sets if s.id not in reasons}
    least = max(section.controls, PER_TEST * len(tests))
    controls = _controls(setup, sets, reasons, least)
    reasons |= {s.id: "few-controls" for s in sets if s.id not in reasons and len(controls[s.id].sets) < FEWEST}
    made = tuple(orders(setup.index, methods, t, setup.norms, setup.setting.seed) for t in range(len(setup.tasks)))
    ablation = sum(len(t.rows) for t in setup.tasks) * forwards(setup.setting.heads)
    held = [_held_out(setup, task) for task in setup.tasks]
    # The least important sets go first: few examples for all would leave every verdict open.
    for left_out in [None, *(s.id for s in reversed(sets) if s.id not in reasons)]:
        reasons |= {} if left_out is None else {left_out: "budget"}
        wanted = tuple(_wanted(setup, sets, reasons, controls, made[t], t) for t in range(len(held)))
        n = _affordable(wanted, held, section.budget * ablation, len(setup.setting.heads.sites))
        if n:
            members = tuple(tuple(sorted(rows[:n])) for rows in held)
            runs = sum(_work(w, len(setup.setting.heads.sites)) * len(m) for w, m in zip(wanted, members, strict=True))
            return Planned(
                tuple(sets), reasons, controls, least, members, wanted, made, Cost(runs, ablation, section.budget)
            )
    raise InputError(
        "the budget does not cover the curves and the table of all tasks and sets",
        f"[validation] budget = {section.budget:g}",
        "Raise it",
    )


def _reasons(setup: Setup, findings: Findings, sets: Sequence[FoundSet]) -> dict[str, Reason]:
    """Of sets that are not tested, why."""
    chance = {t for t in range(len(setup.tasks)) if at_chance(setup, findings, t)}
    few = {t for t, task in enumerate(setup.tasks) if _groups(task) < LEAST}
    found: dict[str, Reason] = {}
    for each in sets:
        if chance & set(each.tasks):
            found[each.id] = "at-chance"
        elif not each.held_out:
            found[each.id] = "in-sample"
        elif few & set(each.tasks):
            found[each.id] = "few-groups"
        elif whole_layer(each.heads, setup.setting.heads) is not None:
            found[each.id] = "whole-layer"
    return found


def at_chance(setup: Setup, findings: Findings, t: int) -> bool:
    """Whether the model is not shown to do the task better than by guessing: as the analysis says, else by interval.

    The control task asks nothing, and is not judged.
    """
    if setup.tasks[t].name == setup.prepared.study.tasks.control:
        return False
    judged = [f for f in findings.by_task(setup.tasks[t].name) if kind_of(f.kind).performance]
    if judged:
        return any(AT_CHANCE.code in f.caveats for f in judged)
    accuracy, chance = setup.competence(t)
    if accuracy is None or chance is None:
        return False
    # Wilson's interval over groups: rows of one group may all go one way, and it holds for shares near 0 and 1
    groups = len({row.group for row in setup.tasks[t].rows})
    return wilson(accuracy * groups, groups)[0] <= chance


def _groups(task: PreparedTask) -> int:
    return len({row.group for row, discovery in zip(task.rows, task.discovery, strict=True) if not discovery})


def _controls(setup: Setup, sets: Sequence[FoundSet], reasons: Mapping[str, Reason], least: int) -> dict[str, Controls]:
    """Control sets of every set that is tested, none of which touches any found set."""
    # Of another task too: a control that matters for something found would hide that the set matters.
    taken = frozenset(cell for each in sets for cell in each.heads)
    found = {}
    for each in sets:
        if each.id not in reasons:
            rng = np.random.default_rng([setup.setting.seed, *(n for cell in sorted(each.heads) for n in cell)])
            found[each.id] = matched(each.heads, taken, setup.setting.heads, setup.norms, least, rng)
    return found


def _held_out(setup: Setup, task: PreparedTask) -> list[int]:
    """Return the numbers of the held-out half's examples in a seeded order that takes one of each group in turn."""
    rows = [(i, row) for i, row in enumerate(task.rows) if not task.discovery[i]]
    rows.sort(key=lambda pair: setup.setting.generator(pair[1], "validation").random())
    turn: dict[str, int] = {}
    placed: list[tuple[int, int, int]] = []
    for i, row in rows:
        turn[row.group] = turn.get(row.group, 0) + 1
        placed.append((turn[row.group], len(placed), i))
    return [i for _, _, i in sorted(placed)]


def _wanted(
    setup: Setup,
    sets: Sequence[FoundSet],
    reasons: Mapping[str, Reason],
    controls: Mapping[str, Controls],
    made: Mapping[str, list[Order]],
    t: int,
) -> tuple[Intervention, ...]:
    """Return a task's interventions, each once."""
    every = setup.index.all
    wanted = [Intervention(frozenset()), Intervention(every), *(Intervention(each.heads) for each in sets)]
    for each in sets:
        if t in each.tasks:
            # Zero lies off the model's distribution and decides nothing; it is printed beside the mean, since published
            # tables ablate to it (docs/validation.md).
            wanted += [Intervention(each.heads, factor) for factor in (0.0, *FACTORS)]
            wanted.append(Intervention(every - each.heads))
            if each.id not in reasons:
                wanted += [Intervention(control) for control in controls[each.id].sets]
    wanted += [step for same in made.values() for order in same for step in prefixes(order)]
    return tuple(dict.fromkeys(wanted))


def _work(wanted: Sequence[Intervention], sites: int) -> float:
    """Return the number of runs through all layers, for one example."""
    return 1 + sum(each.share(sites) for each in wanted)


def _affordable(
    wanted: Sequence[Sequence[Intervention]], held: Sequence[Sequence[int]], budget: float, sites: int
) -> int:
    """Return the greatest number of examples a task that the budget covers; 0 where that is too few."""
    works = [_work(each, sites) for each in wanted]
    longest = max(map(len, held))
    least = min(LEAST_EXAMPLES, longest)
    fits = [
        n
        for n in range(least, longest + 1)
        if sum(work * min(n, len(rows)) for work, rows in zip(works, held, strict=True)) <= budget
    ]
    return max(fits, default=0)
