"""Race the heads of a task for its top k: a head is ablated for as long as it is unknown where it belongs.

Every head is scored on the first ``FIXED`` examples of an order drawn beforehand, those still in the race on more at
each look. A head is out once k heads are known to have greater effects, and in once all but k - 1 heads' effects, less
``TIE`` of them, are known to be smaller than its own: an (ε, δ)-top-k, ε 5 % of the k-th effect. Heads still in the
race when the examples end are exact. All others keep the estimate of the fixed examples alone, so that when they left
does not bias it.

Heads are compared in pairs on the same examples, by intervals that hold at all looks at once. The mean of the first n
of N examples in a random order, less the mean of all, times n N / (N - n), is a martingale in n, as spread as the sum
of n N / (N - n) independent examples (Serfling 1974, Annals of Statistics 2(1); Bardenet & Maillard 2015, Bernoulli
21(3)). It is held below Robbins's one-sided normal mixture, the spread estimated: an asymptotic confidence sequence
(Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52(6)). Only a claim that another head is
above one of the true top can do harm, so that those pairs share δ, half of it for either kind of claim. Effects have no
known bound, so that nothing can be proven of few examples: that the claims hold is measured, on effects from
half-normal to log-normal (σ = 1.5), and from one example in thirty; not from one in a hundred. A pair's spread has a
least size, for heads that have not mattered yet differ by nearly the same in every example, which is no evidence.

Where a cheap score's mean over all examples is known, effects are taken less their regression on it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from reportgen.core.scores import Head
from reportgen.scoring.data.metrics import Baseline
from reportgen.scoring.methods import gate_gradient
from reportgen.scoring.methods.common.ablation import most_tokens
from reportgen.scoring.methods.common.method import AnySetting
from reportgen.scoring.run.prepare import Chosen, Prepared, PreparedTask
from reportgen.scoring.run.shards import OVERALL, Shard, ShardScores, unflattened

# Every head is scored on so many examples. With 32, heads compared one by one and every top head exact, a race was 3.6
# times as fast as scoring all; with 24, pairs compared and top heads let go of, 6.5 times (docs/scoring-speed.md)
FIXED = 24
STEP = 1.5  # from look to look: the confidence sequence holds at all of them, so that more looks cost time alone
TIE = 0.05  # heads within this share of an effect are tied with it: the ε of an (ε, δ)-top-k
# The least spread of any pair, in greatest mean effects over the number of examples. Heads that have not mattered yet
# differ by nearly the same in every example: without it 2 to 7 races in 100 were wrong where effects came from one
# example in thirty (benchmarks/replayed.py --planted)
LEAST = 1.0
AT_ONCE = 256  # heads compared with all others at once: memory
# scores (example, head) of the examples and heads with these indices
Ablate = Callable[[Int[np.ndarray, "some"], Int[np.ndarray, "alive"]], Float[np.ndarray, "some alive"]]
# a cheap score's sizes of all examples, where it pays, given the sizes of the fixed ones and the heads in the race
Cheap = Callable[[Float[np.ndarray, "fixed head"], Int[np.ndarray, "alive"]], Float[np.ndarray, "example head"] | None]
Done = Callable[[int], None]  # called with the number of examples that some head was scored on
Effects = Mapping[str, Mapping[str, float | None]]  # of the heads that a title names, by title
ScoreBatch = Callable[[AnySetting, Chosen, PreparedTask, tuple[int, ...]], ShardScores]


@dataclass(frozen=True)
class Raced:
    """Signed scores, NaN where a head was not scored or what was scored must not count; the top heads, greatest first;
    the other heads that are within ``TIE`` of the last of them, or that were not told apart from it; and the share of
    all pairs of an example and a head that were scored.
    """

    values: Float[np.ndarray, "example head"]
    best: tuple[int, ...]
    tied: tuple[int, ...]
    taken: float


def race(
    order: Int[np.ndarray, "example"],
    heads: int,
    top: int,
    confidence: float,
    ablate: Ablate,
    cheap: Cheap | None = None,
    exact: bool = False,
) -> Raced:
    """Find the ``top`` heads by mean |s|, with probability ``confidence`` but for heads tied with the last of them.

    ``exact``: the top heads are scored on every example.
    """
    n, field = len(order), _Field(np.arange(heads), top, 0 if exact else top)
    values, done, beside = np.full((n, heads), np.nan), 0, None
    for look in _looks(n):
        values[np.ix_(order[done:look], field.alive)] = ablate(order[done:look], field.alive)
        done = look
        if done < n and heads > top:
            sizes = np.abs(values[np.ix_(order[:done], field.alive)])
            first, was = done == FIXED, sizes
            if beside is not None:
                sizes = adjusted(sizes, beside[np.ix_(order, field.alive)])
            # δ in equal shares over the pairs of a top head and one that is not, half of it for either kind of claim
            field.look(sizes, n, (1 - confidence) / (2 * top * (heads - top)), 1 if beside is None else 2)
            if first and cheap is not None and not field.over:
                beside = cheap(was, field.alive)
        if field.over:
            break
    return field.result(values, order, done)


def _looks(n: int) -> Iterator[int]:
    look = min(FIXED, n)
    while look < n:
        yield look
        look = min(n, int(np.ceil(STEP * look)))
    yield n


class _Field:
    """The heads that are in the race, in, and out; the counts of what is known of those in the race against others."""

    def __init__(self, heads: Int[np.ndarray, "head"], top: int, seats: int) -> None:
        self.alive, self.heads, self.top, self.seats = heads, len(heads), top, seats
        self.chosen = list[int]()
        self.above, self.below = np.zeros(len(heads), dtype=int), np.zeros(len(heads), dtype=int)

    @property
    def over(self) -> bool:
        """Whether no place is left."""
        return len(self.chosen) == self.top

    def look(self, sizes: Float[np.ndarray, "done alive"], n: int, alpha: float, fitted: int) -> None:
        """Let go the heads of which it is now known where they belong."""
        greater, close = claims(sizes, n, alpha, fitted)
        out = self.above + greater.sum(axis=0) >= self.top
        worse = self.below + close[:, ~out].sum(axis=1) + out.sum()
        enter = np.flatnonzero(~out & (worse >= self.heads - self.top))
        mean = sizes.mean(axis=0)
        enter = enter[np.argsort(-mean[enter], kind="stable")][: max(0, self.seats - len(self.chosen))]
        if self.seats and len(out) - out.sum() + len(self.chosen) == self.top:
            enter = np.flatnonzero(~out)
        self.chosen += self.alive[enter].tolist()
        stay = ~out
        stay[enter] = False
        self.above = (self.above + greater[enter].sum(axis=0))[stay]
        self.below = (self.below + close[:, enter].sum(axis=1) + out.sum())[stay]
        self.alive = self.alive[stay]

    def result(self, values: Float[np.ndarray, "example head"], order: Int[np.ndarray, "example"], done: int) -> Raced:
        """Say how it ended, after so many examples."""
        taken, whole = float(np.isfinite(values).mean()), done == len(order)
        chosen, tied = self.chosen, self.alive.tolist()
        if whole:
            exact = np.abs(values[:, self.alive]).mean(axis=0)
            ranks, free = np.argsort(-exact, kind="stable"), self.top - len(chosen)
            chosen = [*chosen, *self.alive[ranks[:free]].tolist()]
            tied = [int(self.alive[r]) for r in ranks[free:] if free and exact[r] >= (1 - TIE) * exact[ranks[free - 1]]]
        left = np.setdiff1d(np.arange(self.heads), self.alive) if whole else np.arange(self.heads)
        values[np.ix_(order[FIXED:], left)] = np.nan
        found = np.nanmean(np.abs(values), axis=0)
        return Raced(values, tuple(sorted(chosen, key=lambda head: -found[head])), tuple(tied), taken)


def claims(
    sizes: Float[np.ndarray, "done head"], n: int, alpha: float, fitted: int = 1
) -> tuple[Bool[np.ndarray, "head head"], Bool[np.ndarray, "head head"]]:
    """Say of which pairs of heads the first one's mean over all examples is greater than the second one's.

    And of which it is greater than that less ``TIE``: both by the first of all ``n`` examples in a random order, each
    wrong at any look with probability ``alpha``. ``fitted``: parameters of each head that were fitted to the same
    examples.
    """
    done, mean = len(sizes), sizes.mean(axis=0)
    centred = (sizes - mean) / np.sqrt(done - fitted)
    variance = (centred**2).sum(axis=0)
    reach = bound(done, n, alpha) * np.sqrt(1 / done - 1 / n)
    least = (LEAST * mean.max(initial=0.0) / done) ** 2
    made = [np.zeros((len(mean), len(mean)), dtype=bool) for _ in range(2)]
    for start in range(0, len(mean), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        together = centred[:, some].T @ centred
        for claim, share in zip(made, (1.0, 1 - TIE), strict=True):
            spread = variance[some, None] + share**2 * variance - 2 * share * together
            claim[some] = mean[some, None] - share * mean > reach * np.sqrt(np.maximum(spread, 0) + least)
    for claim in made:
        np.fill_diagonal(claim, False)
    return made[0], made[1]


def bound(done: int, n: int, alpha: float) -> float:
    """Return the standard errors that a mean stays below at all looks, but for a probability ``alpha``."""
    log = -2 * np.log(2 * alpha)
    # Waudby-Smith et al. (2024) choose ρ so that the bound is about narrowest at a time of one's own, here about
    # twice the fixed examples; one-sided, so that 2 α stands for their α
    rho = (log + np.log(log) + 1) / (2 * FIXED)
    time = done * n / (n - done) * rho
    return float(np.sqrt(2 * (1 + 1 / time) * np.log1p(np.sqrt(time + 1) / (2 * alpha))))


def adjusted(
    sizes: Float[np.ndarray, "done head"], cheap: Float[np.ndarray, "example head"]
) -> Float[np.ndarray, "done head"]:
    """Take off sizes each head's regression on its cheap score, about that score's mean over all examples."""
    centred = cheap[: len(sizes)] - cheap[: len(sizes)].mean(axis=0)
    spread: np.ndarray = (centred**2).sum(axis=0)
    slopes: np.ndarray = (centred * sizes).sum(axis=0) / np.where(spread > 0, spread, 1)
    result: np.ndarray = sizes - slopes * (cheap[: len(sizes)] - cheap.mean(axis=0))
    return result


def explained(
    sizes: Float[np.ndarray, "done head"], cheap: Float[np.ndarray, "done head"]
) -> Float[np.ndarray, "head"]:
    """Return the share of each head's variance over examples that its cheap score explains (0 where it has none)."""
    whole: np.ndarray = sizes.var(axis=0)
    left: np.ndarray = adjusted(sizes, cheap).var(axis=0)
    return 1 - np.where(whole > 0, left, 1) / np.where(whole > 0, whole, 1)


def agreement(
    values: Float[np.ndarray, "example head"], cheap: Float[np.ndarray, "fixed head"], best: tuple[int, ...]
) -> tuple[float, float]:
    """Measure how well a cheap score of the fixed examples foretold the race.

    Return the rank correlation of its mean |·| with the exact one over heads, and the share of the top heads that are
    among its own.
    """
    from scipy.stats import spearmanr

    exact, foretold = np.nanmean(np.abs(values), axis=0), cheap.mean(axis=0)
    own = set(np.argsort(-foretold, kind="stable")[: len(best)].tolist())
    return float(spearmanr(exact, foretold).statistic), len(own & set(best)) / len(best)


class TaskRace:
    """One shard's race over a task, and what is known of its examples as they are scored, by index in the task."""

    def __init__(
        self, prepared: Prepared, shard: Shard, setting: AnySetting, size: int, score_batch: ScoreBatch
    ) -> None:
        assert shard.task is not None, "a race is over one task"
        self.prepared, self.shard, self.setting, self.size, self.score_batch = (
            prepared,
            shard,
            setting,
            size,
            score_batch,
        )
        self.task = prepared.tasks[shard.task]
        sites = setting.heads.sites
        self.heads = [(i, head) for i, site in enumerate(sites) for head in range(site.heads)]
        # forwards that one example costs without the head: the layers from its own upward
        self.cost = np.array([(len(sites) - i) / len(sites) for i, _ in self.heads])
        self.plain: dict[int, Baseline] = {}
        self.checks: dict[str, dict[int, float]] = {}
        self.seen: set[int] = set()

    def run(self, done: Done) -> ShardScores:
        """Race, and return the shard's scores: NaN where a head was not scored.

        Among the checks are how many examples a head took, what the gradient would have foretold, and the top heads
        with those tied with them.
        """
        scoring, name = self.prepared.study.scoring, self.task.name
        order = np.argsort([self.setting.generator(row, "race").random() for row in self.task.rows])
        cheap = Gradients(self, order)

        def ablate(some: np.ndarray, alive: np.ndarray) -> np.ndarray:
            found = self._ablated(some, [self.heads[head] for head in alive])
            done(len(self.seen))
            return found

        raced = race(
            order,
            len(self.heads),
            self.prepared.top,
            scoring.confidence,
            ablate,
            cheap.where_it_pays,
            scoring.exact_top,
        )
        self._ablated(order[len(self.seen) :], [])  # of the rest, the unchanged model
        done(len(order))
        checks = {"share of examples that a head took": raced.taken} | cheap.foretold(raced)
        effects = np.nanmean(np.abs(raced.values), axis=0)
        for title, heads in ((top_of(self.prepared, name), raced.best), (tied_in(name), raced.tied)):
            checks |= {f"{OVERALL}\n{title}\n{self._name(head)}": float(effects[head]) for head in heads}
        return self._result(raced.values, checks)

    def batches(self, some: np.ndarray, size: int) -> list[tuple[int, ...]]:
        """Cut examples into batches of like length, by index in the task."""
        planned = self.setting.model.running.planned([self.task.encoded[i] for i in some], size)
        return [tuple(int(some[i]) for i in batch) for batch in planned]

    def _name(self, head: int) -> str:
        index, number = self.heads[head]
        site = self.setting.heads.sites[index]
        return f"{f'{site.block}.' if site.block else ''}{Head(site.layer, number)}"

    def _size(self, some: np.ndarray, heads: list[tuple[int, int]]) -> int:
        """Choose the examples of a batch.

        Up to twice as many as planned, where few heads of a layer would fill no larger one; as few as fill the device
        with a layer's heads, where a tenth of the tokens would else be padding.
        """
        widest = max(Counter(site for site, _ in heads).values(), default=1)
        lengths = np.sort([len(self.task.encoded[i].inputs) for i in some])
        room = most_tokens(self.setting.model.device) // (widest * int(max(lengths, default=1)))
        size = min(2 * self.size, max(self.size, room))
        small = min(size, max(1, room))
        # where lengths differ so much, small batches saved a third of the time (docs/scoring-speed.md)
        return small if padded(lengths, small) < 0.9 * padded(lengths, size) else size

    def _ablated(self, some: np.ndarray, heads: list[tuple[int, int]]) -> np.ndarray:
        wanted = np.zeros((len(self.setting.heads.sites), self.setting.heads.widest), dtype=bool)
        at = tuple(np.array(heads, dtype=int).reshape(-1, 2).T)
        wanted[at] = True
        setting, found = replace(self.setting, wanted=wanted), dict[int, np.ndarray]()
        for members in self.batches(some, self._size(some, heads)):
            scored = self.score_batch(setting, self.shard.chosen, self.task, members)
            for e, member in enumerate(members):
                self.seen.add(member)
                found[member] = scored.values[(e, *at)]
                for name, numbers in scored.checks.items():
                    self.checks.setdefault(name, {})[member] = numbers[e]
                if scored.baseline is not None:
                    self.plain[member] = scored.baseline.taken([e])
        return np.array([found[int(i)] for i in some]).reshape(len(some), len(heads))

    def _result(self, values: np.ndarray, checks: dict[str, float]) -> ShardScores:
        members = [i for batch in self.shard.batches for i in batch]
        by_site = np.full((len(members), len(self.setting.heads.sites), self.setting.heads.widest), np.nan, np.float32)
        by_site[(slice(None), *np.transpose(self.heads))] = values[members]
        plain = [self.plain[i] for i in members] if self.plain else None
        found = {name: np.array([of.get(i, np.nan) for i in members]) for name, of in self.checks.items()}
        found |= {name: np.full(len(members), value) for name, value in checks.items()}
        return ShardScores(by_site, None if plain is None else Baseline.joined(plain), checks=found)


def padded(lengths: np.ndarray, size: int) -> int:
    """Count tokens of examples, whose lengths ascend, in batches of ``size``, each as long as its longest."""
    return sum(int(lengths[i : i + size][-1]) * len(lengths[i : i + size]) for i in range(0, len(lengths), size))


class Gradients:
    """The gradient's sizes as a race's cheap score: of the fixed examples always, of all where that pays."""

    def __init__(self, task_race: TaskRace, order: np.ndarray) -> None:
        self.task_race, self.order, self.spared = task_race, order, 0.0
        self.chosen = Chosen(gate_gradient.METHOD, gate_gradient.METHOD.parameters(), signed=False)
        self.fixed: np.ndarray | None = None
        if not task_race.prepared.metric.generated:
            self.fixed = self._sizes(order[:FIXED])

    def where_it_pays(self, sizes: np.ndarray, alive: np.ndarray) -> np.ndarray | None:
        """Score all examples, where the share of variance that it explains spares more forwards than it takes."""
        task_race = self.task_race
        if self.fixed is None:
            return None
        cost, share = task_race.cost[alive], explained(sizes, self.fixed)[alive]
        self.spared = float((cost * share).sum() / cost.sum())
        method = self.chosen.method
        # Of the forwards that heads now in the race might still take, it spared a quarter of that share; with a third
        # in its place, simulated races took 0.97 to 1.06 times as long (docs/scoring-speed.md)
        if cost.sum() * self.spared / 4 < method.forwards(task_race.setting.heads, self.chosen.parameters):
            return None
        found = np.empty((len(self.order), len(task_race.heads)))
        found[self.order] = np.concatenate([self.fixed, self._sizes(self.order[FIXED:])])
        return found

    def foretold(self, raced: Raced) -> dict[str, float]:
        """Say how the gradient would have ranked the heads; nothing where there is none."""
        if self.fixed is None:
            return {}
        correlation, recall = agreement(raced.values, self.fixed, raced.best)
        return {
            "rank correlation with the gradient": correlation,
            "top heads among the gradient's": recall,
            "variance that the gradient explains": self.spared,
        }

    def _sizes(self, some: np.ndarray) -> np.ndarray:
        task_race = self.task_race
        setting, found = task_race.prepared.setting(self.chosen), dict[int, np.ndarray]()
        for members in task_race.batches(some, task_race.size):
            scored = task_race.score_batch(setting, self.chosen, task_race.task, members)
            values = np.abs(scored.values[(slice(None), *np.transpose(task_race.heads))])
            found |= dict(zip(members, values, strict=True))
        return np.array([found[int(i)] for i in some])


def top_of(prepared: Prepared, task: str) -> str:
    """Name the effects of a task's top heads."""
    return f"{task}: top {prepared.top}"


def tied_in(task: str) -> str:
    """Name the effects of the heads that may be as great as the last of the top."""
    return f"{task}: tied with the last of them"


def race_result(
    prepared: Prepared, chosen: Chosen, task: PreparedTask, raced: ShardScores
) -> tuple[str, ShardScores, Effects]:
    """Say how a race ended: a sentence, its scores, and the effects of its top heads and of those tied, by name.

    The scores have no more checks than those of each example.
    """
    stored = {name: of for name, of in raced.checks.items() if name.startswith(f"{OVERALL}\n")}
    effects = unflattened(stored, OVERALL)
    best = sorted(effects[top_of(prepared, task.name)].items(), key=lambda item: -(item[1] or 0.0))
    sentence = f"{chosen.method.name}, task {task.name}: the top {len(best)} of "
    sentence += (
        f"{sum(site.heads for site in prepared.model.heads.sites)} heads are {', '.join(name for name, _ in best)}"
    )
    if tied_in(task.name) in effects:
        sentence += f"; not told apart from the last of them, or within 5 %: {', '.join(effects[tied_in(task.name)])}"
    rest = {name: of for name, of in raced.checks.items() if name not in stored}
    return sentence, replace(raced, checks=rest), effects
