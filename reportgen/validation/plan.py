"""What is run: which sets under which interventions, against which others, on how many examples, within the budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.caveats import AT_CHANCE
from reportgen.core.config import Study, ValidationSection
from reportgen.core.findings import Findings
from reportgen.core.kinds import kind_of
from reportgen.core.stats import wilson
from reportgen.core.trials import TOP, Cost
from reportgen.errors import InputError
from reportgen.scoring.methods.common.ablation import forwards
from reportgen.scoring.run.cost import Plan
from reportgen.scoring.run.prepare import PreparedTask
from reportgen.validation.controls import Controls, of_same_layers
from reportgen.validation.curves import knocked
from reportgen.validation.engine import Intervention
from reportgen.validation.orders import RANDOMS, Order, orders, prefixes
from reportgen.validation.prepare import Setup
from reportgen.validation.sets import TOP_SHARE, FoundSet, Heads, found_sets
from reportgen.validation.statistics import GROUPS

# Held-out examples a task: as many groups as a conclusion takes at least; beyond the most, intervals narrow little and
# validation.json, which keeps every example's loss under every control set, grows to tens of megabytes.
LEAST_EXAMPLES, MOST_EXAMPLES = GROUPS, 128
# Discovery rows a task on which sets are cut to their cores: a difference of the margin shows on so many.
CORE_EXAMPLES = 32
# Of amplification. Stronger heads are claimed to help; the published claim is put to the test at two strengths
# (docs/validation.md), the outputs being far from the model's own beyond twice their size.
FACTORS = (1.5, 2.0)
# Rows whose outputs stand in for an example's, one after another: the spread between them is that of single rows, so
# that four halve it, and each costs as much as any other intervention.
DRAWS = 4
# Heads that are knocked out one by one: all of most models; of larger ones, those of the layers that hold most of the
# tasks' first heads.
SINGLES = 1024


@dataclass(frozen=True)
class Planned:
    """Everything that will be run.

    ``cores`` are the sets' cores by id, ``controls`` the sets that they are held against (none: not compared).
    ``members`` are the numbers of each task's held-out examples that are run, ``texts`` how many the model reads for
    them, the rivals of answers among them that it must read by themselves; ``wanted`` are each task's interventions,
    the first with nothing changed. ``orders`` are the tasks' orders of heads for the curves, ``singles`` the heads that
    are knocked out alone. ``smallest`` is the least budget that would do, all comparisons left out.
    """

    sets: tuple[FoundSet, ...]
    cores: Mapping[str, Heads]
    controls: Mapping[str, Controls]
    singles: tuple[tuple[int, int], ...]
    members: tuple[tuple[int, ...], ...]
    texts: tuple[int, ...]
    discovery: tuple[tuple[int, ...], ...]
    wanted: tuple[tuple[Intervention, ...], ...]
    orders: tuple[Mapping[str, list[Order]], ...]
    cost: Cost
    smallest: float

    @property
    def runs(self) -> int:
        """Texts under interventions on held-out examples, all in all."""
        return sum(texts * len(w) for texts, w in zip(self.texts, self.wanted, strict=True))


def planned(
    setup: Setup,
    findings: Findings,
    methods: Mapping[str, Blocks],
    section: ValidationSection,
    cores: Mapping[str, Heads] | None = None,
) -> Planned:
    """Choose the sets to hold each found one against, and as many examples a task as the budget allows.

    ``cores`` are those of the sets, once they are known; until then each set is taken for its own. Where the budget
    does not allow ``LEAST_EXAMPLES``, the least important sets are compared with none, last first. Raises InputError
    where it does not even cover what has no control sets.
    """
    sets = found_sets(findings, setup.index)
    cores = {s.id: s.heads for s in sets} if cores is None else cores
    controls = {s.id: _controls(setup, cores[s.id], section.controls) for s in sets if _comparable(setup, findings, s)}
    sites = len(setup.setting.heads.sites)
    made = tuple(orders(setup.index, methods, t, setup.norms, setup.setting.seed) for t in range(len(setup.tasks)))
    singles = _singles(setup, sets)
    ablation = sum(len(t.rows) for t in setup.tasks) * forwards(setup.setting.heads)
    held = [_in_turn(setup, task, discovery=False)[:MOST_EXAMPLES] for task in setup.tasks]
    found = tuple(tuple(_in_turn(setup, task, discovery=True)[:CORE_EXAMPLES]) for task in setup.tasks)
    cutting = sum(
        (3 * len(s.heads) + 1) * Intervention(s.heads).share(sites) * sum(_texts(setup, t, found[t]))
        for s in sets
        for t in s.tasks
    )
    sizes = [_texts(setup, t, rows) for t, rows in enumerate(held)]
    bare = tuple(_wanted(setup, sets, cores, {}, singles, made[t], t) for t in range(len(held)))
    smallest = (_affordable(bare, sizes, 0, sites)[1] + cutting) / ablation
    for name in ["", *(s.id for s in reversed(sets) if s.id in controls)]:
        controls.pop(name, None)
        wanted = tuple(_wanted(setup, sets, cores, controls, singles, made[t], t) for t in range(len(held)))
        n, _ = _affordable(wanted, sizes, section.budget * ablation - cutting, sites)
        if n:
            members = tuple(tuple(sorted(rows[:n])) for rows in held)
            texts = tuple(sum(each[:n]) for each in sizes)
            runs = sum(_work(w, sites) * count for w, count in zip(wanted, texts, strict=True))
            cost = Cost(runs + cutting, ablation, section.budget)
            return Planned(tuple(sets), cores, controls, singles, members, texts, found, wanted, made, cost, smallest)
    problem = "the budget covers no more than a part of the interventions, so that none was made"
    hint = f"Raise it to at least {np.ceil(100 * smallest) / 100:g}, or set [validation] enabled = false"
    raise InputError(problem, f"[validation] budget = {section.budget:g}", hint)


def _comparable(setup: Setup, findings: Findings, each: FoundSet) -> bool:
    """Whether a set is compared with others: those on which nothing is concluded are not."""
    groups = (
        len({row.group for row, d in zip(setup.tasks[t].rows, setup.tasks[t].discovery, strict=True) if not d})
        for t in each.tasks
    )
    return each.held_out and min(groups) >= GROUPS and not any(at_chance(setup, findings, t) for t in each.tasks)


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


def _controls(setup: Setup, core: Heads, most: int) -> Controls:
    rng = np.random.default_rng([setup.setting.seed, *(n for cell in sorted(core) for n in cell)])
    return of_same_layers(core, setup.index.layers, most, rng)


def _singles(setup: Setup, sets: Sequence[FoundSet]) -> tuple[tuple[int, int], ...]:
    """Return the heads that are knocked out alone, whole layers of them."""
    layers, tops = setup.index.layers, [cell for each in sets if each.kind == TOP for cell in each.heads]
    chosen: list[int] = []
    for site in sorted(range(len(layers)), key=lambda i: (-sum(cell[0] == i for cell in tops), i)):
        if sum(layers[i].heads for i in [*chosen, site]) <= SINGLES:
            chosen.append(site)
    return tuple((site, head) for site in sorted(chosen) for head in range(layers[site].heads))


def _in_turn(setup: Setup, task: PreparedTask, discovery: bool) -> list[int]:
    """Return the numbers of one half's examples in a seeded order that takes one of each group in turn."""
    rows = [(i, row) for i, row in enumerate(task.rows) if bool(task.discovery[i]) is discovery]
    rows.sort(key=lambda pair: setup.setting.generator(pair[1], "validation").random())
    turn: dict[str, int] = {}
    placed: list[tuple[int, int, int]] = []
    for i, row in rows:
        turn[row.group] = turn.get(row.group, 0) + 1
        placed.append((turn[row.group], len(placed), i))
    return [i for _, _, i in sorted(placed)]


def ablations(setup: Setup, core: Heads, t: int) -> dict[str, list[Intervention]]:
    """Return the interventions on a core whose losses vote, by name: one, or several draws."""
    draws = [Intervention(core, draw=d) for d in range(DRAWS)] if setup.resampled[t] else []
    found = {"mean": [Intervention(core)], "zero": [Intervention(core, 0.0)], "resample": draws}
    return {name: some for name, some in found.items() if some}


def moved(interventions: Mapping[str, Sequence[Intervention]]) -> dict[str, list[Intervention]]:
    """Return the same at the study's other positions."""
    return {
        name: [Intervention(each.heads, each.factor, each.draw, elsewhere=True) for each in some]
        for name, some in interventions.items()
    }


def _wanted(
    setup: Setup,
    sets: Sequence[FoundSet],
    cores: Mapping[str, Heads],
    controls: Mapping[str, Controls],
    singles: Sequence[tuple[int, int]],
    made: Mapping[str, list[Order]],
    t: int,
) -> tuple[Intervention, ...]:
    """Return a task's interventions, each once."""
    every = setup.index.all
    wanted = [Intervention(frozenset()), Intervention(every), *(Intervention(cores[each.id]) for each in sets)]
    if setup.neutral == t:
        wanted += [Intervention(cores[each.id], 0.0) for each in sets]
    for each in (one for one in sets if t in one.tasks):
        voting = ablations(setup, cores[each.id], t)
        wanted += [one for some in voting.values() for one in some]
        if len(setup.settings) > 1:
            wanted += [one for some in moved(voting).values() for one in some]
        wanted += [Intervention(each.heads), Intervention(every - each.heads)]
        wanted += [Intervention(each.heads, factor) for factor in FACTORS]
        if each.id in controls:
            wanted += [Intervention(control) for control in controls[each.id].sets]
    wanted += [Intervention(frozenset({cell}), factor) for cell in singles for factor in (None, 0.0)]
    wanted += [step for same in made.values() for order in same for step in prefixes(order)]
    return tuple(dict.fromkeys(wanted))


def _work(wanted: Sequence[Intervention], sites: int) -> float:
    """Return the number of runs through all layers, for one example: the plain one, and those of donors, among them."""
    return (
        1 + len({each.manner for each in wanted if each.draw is not None}) + sum(each.share(sites) for each in wanted)
    )


def _texts(setup: Setup, t: int, rows: Sequence[int]) -> list[int]:
    """Return how many texts the model reads for each of a task's examples: its own, and rivals of its answer."""
    return [1 + len(setup.tasks[t].encoded[row].unlike) for row in rows]


def _affordable(
    wanted: Sequence[Sequence[Intervention]], sizes: Sequence[Sequence[int]], budget: float, sites: int
) -> tuple[int, float]:
    """Return the greatest number of examples a task that the budget covers (0: too few), and what the least cost.

    ``sizes`` are the texts that each task's examples cost, in the order in which they are taken.
    """
    works = [_work(each, sites) for each in wanted]
    longest = max(map(len, sizes))
    least = min(LEAST_EXAMPLES, longest)

    def cost(n: int) -> float:
        return sum(work * sum(each[:n]) for work, each in zip(works, sizes, strict=True))

    return max((n for n in range(least, longest + 1) if cost(n) <= budget), default=0), cost(least)


@dataclass(frozen=True)
class Foreseen:
    """What a validation will cost before it is known what is found: runs of one example at most, the budget as a
    multiple of exact zero ablation and the smallest that would do for the tasks' first heads, and seconds at most.
    """

    runs: float
    budget: float
    smallest: float
    seconds: float


def foreseen(scoring: Plan, study: Study) -> Foreseen:
    """Estimate the cost of a validation from what scoring its study costs."""
    layers = [found.heads for found in scoring.found if found.heads]
    shares = [(len(layers) - i) / len(layers) for i in range(len(layers))]
    alone = sum(heads * share for heads, share in zip(layers, shares, strict=True))  # each head from its layer upward
    heads, tasks, rows = sum(layers), len(scoring.examples), sum(scoring.examples.values())
    first = max(1, round(TOP_SHARE * heads))
    curves = (len(scoring.methods) + 2 + RANDOMS) * len(knocked(heads))
    # of each task's own first heads: as in ``_wanted``, at both choices of positions; of the others', their mean
    sets = tasks + 2 * (2 + DRAWS) + 2 + len(FACTORS)
    # rivals of answers that the model must read by themselves make an example so many texts
    texts = sum(scoring.texts.get(name, n) / n for name, n in scoring.examples.items())
    least = texts * (LEAST_EXAMPLES * (2 + sets + curves + 2 * alone) + CORE_EXAMPLES * (3 * first + 1))
    ablation, budget = rows * (2 + alone), study.validation.budget
    known = [method.seconds / method.forwards for method in scoring.methods if method.forwards]
    seconds = max(known, default=0.0) * scoring.batches / rows
    return Foreseen(budget * ablation, budget, least / ablation, budget * ablation * seconds)
