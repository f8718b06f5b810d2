"""A unit that is a race: the heads of one task, scored batch by batch for as long as they may be among the top."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reportgen.scores import Head
from reportgen.scoring.heads import Site
from reportgen.scoring.method import BatchScores, Setting
from reportgen.scoring.methods import gate_gradient
from reportgen.scoring.metrics import Baseline
from reportgen.scoring.prepare import Chosen, Prepared, PreparedTask
from reportgen.scoring.race import FIXED, agreement, race, ranked
from reportgen.scoring.tokens import plan_batches
from reportgen.scoring.units import Unit, UnitScores

Done = Callable[[int], None]  # told the number of examples that some head was scored on
ScoreBatch = Callable[[Setting, Chosen, PreparedTask, tuple[int, ...]], tuple[BatchScores, Baseline | None]]


class Racing:
    """One unit's race: what the examples say as they are scored, by index in the task."""

    def __init__(self, prepared: Prepared, unit: Unit, setting: Setting, size: int, scored: ScoreBatch) -> None:
        assert unit.task is not None, "a race is over one task"
        self.prepared, self.unit, self.setting, self.size, self.scored = prepared, unit, setting, size, scored
        self.task = prepared.tasks[unit.task]
        self.place = [(i, head) for i, site in enumerate(setting.heads.sites) for head in range(site.heads)]
        self.plain: dict[int, tuple[bool, float]] = {}
        self.checks: dict[str, dict[int, float]] = {}
        self.seen: set[int] = set()

    def run(self, done: Done) -> UnitScores:
        """The unit's scores: NaN where a head was not scored; how many examples a head took, and what the gradient
        would have foretold, among its checks.
        """
        task, scoring, top = self.task, self.prepared.study.scoring, self.prepared.top
        drawn = [self.setting.generator(row, "race").random() for row in task.rows]

        def ablate(some: np.ndarray, alive: np.ndarray) -> np.ndarray:
            found = self._ablated(some, [self.place[head] for head in alive])
            done(len(self.seen))
            return found

        order = np.argsort(drawn)
        values = race(order, len(self.place), top, scoring.confidence, ablate)
        share = {"share of examples that a head took": float(np.isfinite(values).mean())}
        return self._result(values, share | self._foretold(values, order))

    def _ablated(self, some: np.ndarray, heads: list[tuple[int, int]]) -> np.ndarray:
        wanted = np.zeros((len(self.setting.heads.sites), self.setting.heads.widest), dtype=bool)
        wanted[tuple(np.transpose(heads))] = True
        setting, result = replace(self.setting, wanted=wanted), np.full((len(some), len(heads)), np.nan)
        for batch in plan_batches([self.task.encoded[i] for i in some], self.size):
            members = tuple(int(some[i]) for i in batch)
            scored, plain = self.scored(setting, self.unit.chosen, self.task, members)
            result[batch] = scored.values[(slice(None), *np.transpose(heads))]
            for e, member in enumerate(members):
                self.seen.add(member)
                for name, numbers in scored.checks.items():
                    self.checks.setdefault(name, {})[member] = numbers[e]
                if plain is not None:
                    self.plain[member] = bool(plain.correct[e]), float(plain.log_probability[e])
        return result

    def _foretold(self, values: np.ndarray, order: np.ndarray) -> dict[str, float]:
        """What the gradient of the examples that all heads were scored on says; nothing where there is none."""
        if self.prepared.metric.generated:
            return {}
        cheap = Chosen(gate_gradient.METHOD, gate_gradient.METHOD.defaults, signed=False)
        setting, fixed = self.prepared.setting(cheap), [int(i) for i in order[:FIXED]]
        batches = [[fixed[i] for i in b] for b in plan_batches([self.task.encoded[i] for i in fixed], self.size)]
        found = [self.scored(setting, cheap, self.task, tuple(b))[0].values
                 for b in batches]  # fmt: skip
        cheaply = np.concatenate(found)[(slice(None), *np.transpose(self.place))]
        correlation, recall = agreement(values, cheaply, self.prepared.top)
        return {"rank correlation with the gradient": correlation, "top heads among the gradient's": recall}

    def _result(self, values: np.ndarray, said: dict[str, float]) -> UnitScores:
        members = [i for batch in self.unit.batches for i in batch]
        by_site = np.full((len(members), len(self.setting.heads.sites), self.setting.heads.widest), np.nan, np.float32)
        by_site[(slice(None), *np.transpose(self.place))] = values[members]
        plain = [self.plain[i] for i in members] if self.plain else None
        checks = {name: np.array([of[i] for i in members]) for name, of in self.checks.items()}
        checks |= {name: np.full(len(members), value) for name, value in said.items()}
        return UnitScores(by_site, None if plain is None else Baseline(*map(np.array, zip(*plain, strict=True))),
                          checks=checks)  # fmt: skip


def finish(prepared: Prepared, chosen: Chosen, task: PreparedTask, unit: UnitScores) -> tuple[str, dict[str, float]]:
    """How a race ended, in words, and the effects of its top heads and of those tied with the last of them, by name."""
    place = [(i, head) for i, site in enumerate(prepared.model.heads.sites) for head in range(site.heads)]
    values = unit.values[(slice(None), *np.transpose(place))]
    best, tied = ranked(values, prepared.top)
    names = [_name(prepared.model.heads.sites[i], head) for i, head in place]
    said = f"{chosen.method.name}, task {task.name}: the top {len(best)} of {len(place)} heads are "
    said += ", ".join(names[head] for head in best)
    if tied:
        said += f"; within 5 % of the last of them: {', '.join(names[head] for head in tied if head != best[-1])}"
    return said, {names[h]: float(np.abs(values[:, h]).mean()) for h in dict.fromkeys([*best, *tied])}


def _name(site: Site, head: int) -> str:
    return f"{f'{site.block}.' if site.block else ''}{Head(site.layer, head)}"
