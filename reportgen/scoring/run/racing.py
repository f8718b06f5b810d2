"""A unit that is a race: the heads of one task, scored batch by batch for as long as they may be among the top."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from reportgen.core.scores import Head
from reportgen.scoring.data.batches import plan_batches
from reportgen.scoring.data.metrics import Baseline
from reportgen.scoring.methods import gate_gradient
from reportgen.scoring.methods.common.ablation import most_tokens
from reportgen.scoring.methods.common.method import BatchScores, Setting
from reportgen.scoring.methods.common.race import FIXED, Raced, agreement, explained, race
from reportgen.scoring.run.prepare import Chosen, Prepared, PreparedTask
from reportgen.scoring.run.shards import OVERALL, Unit, UnitScores, unflattened

Done = Callable[[int], None]  # told the number of examples that some head was scored on
Said = Mapping[str, Mapping[str, float | None]]
ScoreBatch = Callable[[Setting, Chosen, PreparedTask, tuple[int, ...]], tuple[BatchScores, Baseline | None]]


class Racing:
    """One unit's race: what the examples say as they are scored, by index in the task."""

    def __init__(self, prepared: Prepared, unit: Unit, setting: Setting, size: int, scored: ScoreBatch) -> None:
        assert unit.task is not None, "a race is over one task"
        self.prepared, self.unit, self.setting, self.size, self.scored = prepared, unit, setting, size, scored
        self.task = prepared.tasks[unit.task]
        sites = setting.heads.sites
        self.place = [(i, head) for i, site in enumerate(sites) for head in range(site.heads)]
        # forwards that one example costs without the head: the layers from its own upward
        self.cost = np.array([(len(sites) - i) / len(sites) for i, _ in self.place])
        self.plain: dict[int, tuple[bool, float]] = {}
        self.checks: dict[str, dict[int, float]] = {}
        self.seen: set[int] = set()

    def run(self, done: Done) -> UnitScores:
        """The unit's scores: NaN where a head was not scored; how many examples a head took, what the gradient would
        have foretold, and the top heads with those tied with them, among its checks.
        """
        scoring, name = self.prepared.study.scoring, self.task.name
        drawn = [self.setting.generator(row, "race").random() for row in self.task.rows]
        order = np.argsort(drawn)
        cheap = Gradients(self, order)

        def ablate(some: np.ndarray, alive: np.ndarray) -> np.ndarray:
            found = self._ablated(some, [self.place[head] for head in alive])
            done(len(self.seen))
            return found

        raced = race(
            order,
            len(self.place),
            self.prepared.top,
            scoring.confidence,
            ablate,
            cheap.where_it_pays,
            scoring.exact_top,
        )
        self._ablated(order[len(self.seen) :], [])  # of the rest, the unchanged model
        done(len(order))
        said = {"share of examples that a head took": raced.taken} | cheap.foretold(raced)
        effects = np.nanmean(np.abs(raced.values), axis=0)
        for title, heads in ((top_of(self.prepared, name), raced.best), (tied_in(name), raced.tied)):
            said |= {f"{OVERALL}\n{title}\n{self._name(head)}": float(effects[head]) for head in heads}
        return self._result(raced.values, said)

    def batches(self, some: np.ndarray, size: int) -> list[tuple[int, ...]]:
        """Batches of examples of like length, given by index in the task."""
        return [tuple(int(some[i]) for i in b) for b in plan_batches([self.task.encoded[i] for i in some], size)]

    def _name(self, head: int) -> str:
        index, number = self.place[head]
        site = self.setting.heads.sites[index]
        return f"{f'{site.block}.' if site.block else ''}{Head(site.layer, number)}"

    def _size(self, some: np.ndarray, heads: list[tuple[int, int]]) -> int:
        """Examples of a batch: up to twice as many as planned, where few heads of a layer would fill no larger one; as
        few as fill the device with a layer's heads, where a tenth of the tokens would else be padding.
        """
        widest = max(Counter(site for site, _ in heads).values(), default=1)
        lengths = np.sort([len(self.task.encoded[i].inputs) for i in some])
        room = most_tokens(self.setting.model.device) // (widest * int(max(lengths, default=1)))
        size = min(2 * self.size, max(self.size, room))
        small = min(size, max(1, room))
        return small if padded(lengths, small) < 0.9 * padded(lengths, size) else size

    def _ablated(self, some: np.ndarray, heads: list[tuple[int, int]]) -> np.ndarray:
        wanted = np.zeros((len(self.setting.heads.sites), self.setting.heads.widest), dtype=bool)
        at = tuple(np.array(heads, dtype=int).reshape(-1, 2).T)
        wanted[at] = True
        setting, found = replace(self.setting, wanted=wanted), dict[int, np.ndarray]()
        for members in self.batches(some, self._size(some, heads)):
            scored, plain = self.scored(setting, self.unit.chosen, self.task, members)
            for e, member in enumerate(members):
                self.seen.add(member)
                found[member] = scored.values[(e, *at)]
                for name, numbers in scored.checks.items():
                    self.checks.setdefault(name, {})[member] = numbers[e]
                if plain is not None:
                    self.plain[member] = bool(plain.correct[e]), float(plain.log_probability[e])
        return np.array([found[int(i)] for i in some]).reshape(len(some), len(heads))

    def _result(self, values: np.ndarray, said: dict[str, float]) -> UnitScores:
        members = [i for batch in self.unit.batches for i in batch]
        by_site = np.full((len(members), len(self.setting.heads.sites), self.setting.heads.widest), np.nan, np.float32)
        by_site[(slice(None), *np.transpose(self.place))] = values[members]
        plain = [self.plain[i] for i in members] if self.plain else None
        checks = {name: np.array([of.get(i, np.nan) for i in members]) for name, of in self.checks.items()}
        checks |= {name: np.full(len(members), value) for name, value in said.items()}
        return UnitScores(
            by_site, None if plain is None else Baseline(*map(np.array, zip(*plain, strict=True))), checks=checks
        )


def padded(lengths: np.ndarray, size: int) -> int:
    """Tokens of examples, whose lengths ascend, in batches of ``size``, each as long as its longest."""
    return sum(int(lengths[i : i + size][-1]) * len(lengths[i : i + size]) for i in range(0, len(lengths), size))


class Gradients:
    """The gradient's sizes as a race's cheap score: of the fixed examples always, of all where that pays."""

    def __init__(self, racing: Racing, order: np.ndarray) -> None:
        self.racing, self.order, self.spared = racing, order, 0.0
        self.chosen = Chosen(gate_gradient.METHOD, gate_gradient.METHOD.defaults, signed=False)
        self.fixed: np.ndarray | None = None
        if not racing.prepared.metric.generated:
            self.fixed = self._sizes(order[:FIXED])

    def where_it_pays(self, sizes: np.ndarray, alive: np.ndarray) -> np.ndarray | None:
        """Of all examples, where the share of variance that it explains spares more forwards than it takes."""
        racing = self.racing
        if self.fixed is None:
            return None
        cost, share = racing.cost[alive], explained(sizes, self.fixed)[alive]
        self.spared = float((cost * share).sum() / cost.sum())
        method = self.chosen.method
        # of the forwards that heads now in the race might still take, it spared a quarter of that share, as measured
        if cost.sum() * self.spared / 4 < method.forwards(racing.setting.heads, self.chosen.parameters):
            return None
        found = np.empty((len(self.order), len(racing.place)))
        found[self.order] = np.concatenate([self.fixed, self._sizes(self.order[FIXED:])])
        return found

    def foretold(self, raced: Raced) -> dict[str, float]:
        """How the gradient would have ranked the heads; nothing where there is none."""
        if self.fixed is None:
            return {}
        correlation, recall = agreement(raced.values, self.fixed, raced.best)
        return {
            "rank correlation with the gradient": correlation,
            "top heads among the gradient's": recall,
            "variance that the gradient explains": self.spared,
        }

    def _sizes(self, some: np.ndarray) -> np.ndarray:
        racing = self.racing
        setting, found = racing.prepared.setting(self.chosen), dict[int, np.ndarray]()
        for members in racing.batches(some, racing.size):
            scored, _ = racing.scored(setting, self.chosen, racing.task, members)
            values = np.abs(scored.values[(slice(None), *np.transpose(racing.place))])
            found |= dict(zip(members, values, strict=True))
        return np.array([found[int(i)] for i in some])


def top_of(prepared: Prepared, task: str) -> str:
    """What the effects of a task's top heads are called."""
    return f"{task}: top {prepared.top}"


def tied_in(task: str) -> str:
    """What the effects of the heads are called that may be as great as the last of the top."""
    return f"{task}: tied with the last of them"


def finish(prepared: Prepared, chosen: Chosen, task: PreparedTask, unit: UnitScores) -> tuple[str, UnitScores, Said]:
    """How a race ended, in words, its scores with no more checks than those of each example, and the effects of its top
    heads and of those tied with the last of them, by name.
    """
    told = {name: of for name, of in unit.checks.items() if name.startswith(f"{OVERALL}\n")}
    effects = unflattened(told, OVERALL)
    best = sorted(effects[top_of(prepared, task.name)].items(), key=lambda item: -(item[1] or 0.0))
    said = f"{chosen.method.name}, task {task.name}: the top {len(best)} of "
    said += f"{sum(site.heads for site in prepared.model.heads.sites)} heads are {', '.join(name for name, _ in best)}"
    if tied_in(task.name) in effects:
        said += f"; not told apart from the last of them, or within 5 %: {', '.join(effects[tied_in(task.name)])}"
    rest = {name: of for name, of in unit.checks.items() if name not in told}
    return said, replace(unit, checks=rest), effects
