"""Outcomes of circuits whose truth is known: what knocking out any set of heads costs is written down, and all else is
done as with a model: cores are cut, other sets drawn, and validation.json's raw outcomes made of noisy examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reportgen.core.trials import (
    TOP,
    Answers,
    Control,
    Cost,
    RawControls,
    RawCurve,
    RawHead,
    RawSet,
    RawTask,
    RawValidation,
    Subset,
)
from reportgen.validation.controls import of_same_layers
from reportgen.validation.curves import LAYERS, NORM, RANDOM, knocked
from reportgen.validation.sets import Layer
from reportgen.validation.statistics import core_of, margin_of

WIDTHS, GROUPS, GUESS, INTACT = (8, 12, 12, 12), (32, 16, 24, 64), -float(np.log(10)), -0.1
WORTH = INTACT - GUESS
Costs = Callable[[frozenset[str], str], float]  # what knocking out these heads costs, by the intervention


@dataclass
class Circuit:
    """Tasks by name, each with what every knock-out costs it (nats, of a worth of 2.2); ``floor`` is what every head at
    its mean does.
    """

    costs: Mapping[str, Costs]
    seed: int = 0
    groups: int = 0  # held-out ones; 0: by the seed
    floor: float = 2.0
    noise: float = 0.004
    neutral: str | None = None
    widths: tuple[int, ...] = WIDTHS
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 7])
        self.groups = self.groups or GROUPS[self.seed % len(GROUPS)]
        # examples differ in what they lose, as they do in models
        self.scale = {name: self.rng.lognormal(-0.08, 0.4, self.groups) for name in self.costs}
        self.every = frozenset(f"L{i}H{h}" for i, width in enumerate(self.widths) for h in range(width))

    def losses(self, task: str, heads: Sequence[str] | frozenset[str], how: str = "mean") -> np.ndarray:
        """Each example's loss; of all heads, the floor's."""
        whole = frozenset(heads)
        cost = self.floor if whole == self.every else self.costs[task](whole, how)
        lost = cost * self.scale[task] + self.rng.normal(0, self.noise, self.groups)
        return np.round(np.maximum(lost, INTACT), 4)

    def answers(self, task: str, heads: Sequence[str] | frozenset[str], how: str = "mean") -> Answers:
        """The answers under a knock-out: right where more probable than one half."""
        left = np.round(INTACT - self.losses(task, heads, how), 6)
        return Answers("".join("1" if x > -0.69 else "0" for x in left), [float(x) for x in left])

    def raw(self, *sets: RawSet, **settings: Any) -> RawValidation:
        """validation.json's outcomes of these sets."""
        names = [f"g{i}" for i in range(self.groups)]
        plain = Answers("1" * self.groups, [INTACT] * self.groups)
        tasks = [
            RawTask(t, 0.1, GUESS, False, t == self.neutral, INTACT, names, names, plain, self.answers(t, self.every))
            for t in self.costs
        ]
        singles = [
            RawHead(
                head,
                {t: self.losses(t, [head]).tolist() for t in self.costs},
                {t: float(np.round(self.losses(t, [head], "zero").mean(), 6)) for t in self.costs},
            )
            for head in sorted(self.every)
        ]
        order, heads = sorted(self.every), len(self.every)
        curves = [
            RawCurve(t, name, [[self.answers(t, order[:k]) for k in knocked(heads)[:-1]]])
            for t in self.costs
            for name in ("score", NORM, RANDOM, LAYERS)
        ]
        layers = {f"L{i}": width for i, width in enumerate(self.widths)}
        made: dict[str, Any] = {"alpha": 0.05, "seed": self.seed, "controls": 399, **settings}
        return RawValidation(
            "",
            {},
            elsewhere="last",
            cost=Cost(1.0, 1.0, 2.0),
            layers=layers,
            tasks=tasks,
            sets=[*sets],
            singles=singles,
            curves=curves,
            **made,
        )

    def found(self, heads: Sequence[str], tasks: Sequence[str] = (), name: str = "", **changed: Any) -> RawSet:
        """A set that was found on the tasks (the first one), with its outcomes."""
        tasks = [*tasks] or [next(iter(self.costs))]
        tried: dict[frozenset[str], float] = {}
        margin = margin_of(WORTH)
        core, missing = core_of(tried, heads, margin)
        while missing:
            for names in missing:
                tried[frozenset(names)] = float(np.mean([self.losses(t, names).mean() for t in tasks]))
            core, missing = core_of(tried, heads, margin)
        own = {
            how: {t: [self.answers(t, core, how) for _ in range(4 if how == "resample" else 1)] for t in tasks}
            for how in ("mean", "zero", "resample")
        }
        also = {self.neutral: self.answers(self.neutral, core, "zero")} if self.neutral else {}
        values: dict[str, Any] = {
            "id": name or f"{TOP}/{[*self.costs].index(tasks[0])}",
            "kind": TOP if not name else name.partition("/")[0],
            "tasks": tasks,
            "heads": [*heads],
            "held_out": True,
            "tried": [Subset([h for h in heads if h in names], loss) for names, loss in tried.items()],
            "core": core,
            "mean": {t: self.answers(t, core) for t in self.costs},
            "zero": {t: own["zero"][t][0] for t in tasks} | also,
            "resample": own["resample"],
            "elsewhere": own,
            "whole": {t: self.answers(t, heads) for t in tasks},
            "kept": {t: self.answers(t, self.every - {*heads}) for t in tasks},
            "amplified": {"2": {t: self.answers(t, []) for t in tasks}},
            "controls": self.controls(core, tasks),
        }
        return RawSet(**(values | changed))

    def controls(self, core: Sequence[str], tasks: Sequence[str]) -> RawControls:
        """The other sets of the core's layers."""
        sites = tuple(Layer(None, i, width) for i, width in enumerate(self.widths))
        cells = frozenset((int(h[1 : h.index("H")]), int(h[h.index("H") + 1 :])) for h in core)
        made = of_same_layers(cells, sites, 399, self.rng)
        sets = []
        for each in made.sets:
            names = [f"L{i}H{h}" for i, h in sorted(each)]
            lost = np.concatenate([self.losses(t, names) for t in tasks])
            sets.append(Control(names, lost.tolist(), float(np.round((lost < 0.59).mean(), 6))))
        return RawControls(made.distinct, made.layers, sets)


@dataclass(frozen=True)
class Case:
    """A circuit, the heads that were found in it, and the truth about them."""

    circuit: Circuit
    heads: tuple[str, ...]
    verdict: str
    specific: bool
    core: tuple[str, ...]


def _draw(seed: int, kind: str) -> tuple[np.random.Generator, list[str], float]:
    """Random numbers, a dozen heads of one layer in random order, and a cost well above the margin."""
    rng = np.random.default_rng([seed, *kind.encode()])
    layer = int(rng.integers(1, len(WIDTHS)))
    return rng, [f"L{layer}H{int(h)}" for h in rng.permutation(WIDTHS[layer])], float(rng.uniform(0.3, 2.0))


def any_of(heads: Sequence[str], cost: float, idle: float = 0.0) -> Costs:
    """Knocking out any of these costs so much, whatever the intervention; others cost ``idle`` together."""
    return lambda out, how: cost if out & {*heads} else idle * bool(out)


def all_of(heads: Sequence[str], cost: float) -> Costs:
    """Knocking out all of these costs so much; fewer cost nothing."""
    return lambda out, how: cost if {*heads} <= out else 0.0


def one_head(seed: int) -> Case:
    """One head does the task."""
    _, heads, cost = _draw(seed, "one")
    return Case(Circuit({"t": any_of(heads[:1], cost)}, seed), (heads[0],), "necessary", True, (heads[0],))


def redundant_pair(seed: int) -> Case:
    """Two heads of which one is enough, found together."""
    _, heads, cost = _draw(seed, "pair")
    return Case(Circuit({"t": all_of(heads[:2], cost)}, seed), (*heads[:2],), "necessary", True, (*heads[:2],))


def redundant_alone(seed: int) -> Case:
    """One of two heads of which one is enough."""
    _, heads, cost = _draw(seed, "alone")
    return Case(Circuit({"t": all_of(heads[:2], cost)}, seed), (heads[0],), "unnecessary", False, (heads[0],))


def fillers(seed: int) -> Case:
    """One head that does the task, and two that do nothing beside it."""
    _, heads, cost = _draw(seed, "filler")
    return Case(Circuit({"t": any_of(heads[:1], cost)}, seed), (*heads[:3],), "necessary", True, (heads[0],))


def same_layer(seed: int) -> Case:
    """One of many heads of a layer that cost as much."""
    rng, heads, cost = _draw(seed, "layer")
    alike = {head: cost * float(rng.uniform(0.85, 1.15)) for head in heads}
    costs = {"t": lambda out, how: max((alike.get(head, 0.0) for head in out), default=0.0)}
    ordinary = sorted(alike, key=lambda head: alike[head])[len(alike) // 2]
    return Case(Circuit(costs, seed, floor=4.0), (ordinary,), "necessary", False, (ordinary,))


def by_intervention(seed: int) -> Case:
    """A head whose mean does as well as itself, and zero does not."""
    _, heads, cost = _draw(seed, "intervention")
    costs = {"t": lambda out, how: cost if heads[0] in out and how == "zero" else 0.0}
    return Case(Circuit(costs, seed, floor=4.0), (heads[0],), "mixed", False, (heads[0],))


def off_distribution(seed: int) -> Case:
    """A head that does nothing, and whose zero breaks the model more than all heads at their mean do."""
    _, heads, _ = _draw(seed, "off")
    costs = {"t": lambda out, how: 6.0 if heads[0] in out and how == "zero" else 0.0}
    return Case(Circuit(costs, seed), (heads[0],), "unnecessary", False, (heads[0],))


def decoy(seed: int) -> Case:
    """Two heads that do nothing, where another one of their layer does the task."""
    _, heads, cost = _draw(seed, "decoy")
    return Case(Circuit({"t": any_of(heads[:1], cost)}, seed), (*heads[1:3],), "unnecessary", False, (*heads[1:3],))


def nothing(seed: int) -> Case:
    """A head that does nothing in a model of which no single head does anything."""
    _, heads, _ = _draw(seed, "nothing")
    return Case(Circuit({"t": lambda out, how: 0.0}, seed), (heads[0],), "unnecessary", False, (heads[0],))


def in_series(seed: int) -> Case:
    """Two heads that work one after the other: either one's knock-out costs everything."""
    rng, heads, cost = _draw(seed, "series")
    pair = (f"L0H{int(rng.integers(8))}", heads[0])
    return Case(Circuit({"t": any_of(pair, cost)}, seed), pair, "necessary", True, pair)


KINDS: dict[str, Callable[[int], Case]] = {
    made.__name__: made
    for made in (
        one_head,
        redundant_pair,
        redundant_alone,
        fillers,
        same_layer,
        by_intervention,
        off_distribution,
        decoy,
        nothing,
        in_series,
    )
}
