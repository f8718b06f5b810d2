"""From losses to verdicts: is a set needed, and does it cost more than other heads of its layers?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reportgen.core.findings import Verdict
from reportgen.core.stats import mean_intervals, mean_p, monte_carlo_p
from reportgen.core.trials import Interval, Rank, Reason, Shown

# The loss above which heads count as needed: a share of what the model's answers are worth beyond guessing, and no less
# than so many nats. A convention, like that of a large effect: docs/validation.md sweeps it from 2 to 10 %.
SHARE, NATS = 0.05, 0.02
# Of a head's attention: what looks at the first token more than at all else rests there (Xiao et al. 2024, Efficient
# Streaming Language Models with Attention Sinks). And of a set's heads.
SINK = 0.5
# Held-out groups below which nothing is concluded: with fewer, one odd group turns a one-sided t test at .025.
GROUPS = 16
# Sets of the same layers below which a set is compared with none: of six, one chance in seven is the top rank.
FEWEST = 7
# A set costs more than the others where it costs more than 95 % of them; of fewer than 20, than all.
BEYOND, ALL_OF = 0.95, 20
# Losses of log-probability this near count as equal: they are kept to four decimals, and batches of another make-up
# round differently in float32.
TIE = 2e-4
STEPS = 16  # subsets of a set that are tried one after another: of larger sets several members are dropped at once
DRAWS = 1999  # of groups, for simultaneous bounds: p is .0005 at least, which a family of 50 tests at .025 can use
MORE_AT_MOST = 20  # times the groups at hand, beyond which a number of further ones is no advice


@dataclass(frozen=True)
class Sample:
    """The examples of one or several tasks, weighted so that tasks count alike."""

    weights: Float[np.ndarray, "example"]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, groups: Sequence[Sequence[str]]) -> "Sample":
        """Return the sample of the tasks with these examples' groups."""
        total, tasks = sum(map(len, groups)), len(groups)
        weights = np.concatenate([np.full(len(one), total / (tasks * len(one))) for one in groups])
        return cls(weights, tuple(f"{t}\n{group}" for t, one in enumerate(groups) for group in one))

    @property
    def n_groups(self) -> int:
        """Number of independent groups."""
        return len(set(self.groups))

    def mean(self, values: Float[np.ndarray, "*set example"]) -> Float[np.ndarray, "*set"]:
        """Return the mean over tasks of each task's mean over its examples."""
        result: np.ndarray = (values * self.weights).mean(axis=-1)
        return result

    def interval(self, values: Float[np.ndarray, "example"]) -> Interval:
        """Return that mean with its 95 % interval over groups; no bounds under eight groups."""
        # over groups, not examples: rows of one template fail together (docs/glossary.md, group)
        low, high = mean_intervals(values * self.weights, self.groups)
        known = not math.isnan(float(low))
        return Interval(float(self.mean(values)), float(low) if known else None, float(high) if known else None)

    def above(self, values: Float[np.ndarray, "example"], limit: float) -> float:
        """Return the one-sided p of "the mean is at most ``limit``", over groups: small ones say that it lies above."""
        return float(mean_p(values * self.weights, self.groups, limit))

    def below(self, values: Float[np.ndarray, "example"], limit: float) -> float:
        """Return the one-sided p of "the mean is at least ``limit``": small ones say that it lies below."""
        return self.above(-values, -limit)

    def by_group(self, values: Float[np.ndarray, "set example"]) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted sums (group, set) and the groups' weights (group,)."""
        names = {name: i for i, name in enumerate(dict.fromkeys(self.groups))}
        member = np.zeros((len(names), len(self.groups)))
        member[[names[group] for group in self.groups], np.arange(len(self.groups))] = self.weights
        return member @ values.T, member.sum(axis=1)


def margin_of(worth: float, share: float = SHARE) -> float:
    """Return the loss of log-probability above which heads count as needed, of answers worth so much."""
    return max(share * worth, NATS)


def core_of(
    losses: Mapping[frozenset[str], float], heads: Sequence[str], margin: float
) -> tuple[list[str], list[list[str]]]:
    """Return the core of a set as far as the losses of its subsets tell, and the subsets whose losses it takes to go on
    (none: it is told).

    Members that cost less than the margin by themselves are tried smallest first, by what the set's knock-out loses
    less without them, and dropped as long as all that are dropped cost it less than the margin: a filler does not share
    the verdict of the head beside it. Each of two heads that stand in for one another stays, for without one of them
    the set's knock-out loses less; so does each of two that work one after the other, for it costs as much alone.
    """
    whole = frozenset(heads)
    parts = [part for each in heads if len(heads) > 1 for part in ([h for h in heads if h != each], [each])]
    first = list({frozenset(names): names for names in ([*heads], *parts)}.values())
    if missing := [each for each in first if frozenset(each) not in losses]:
        return [*heads], missing
    total = losses[whole]
    if len(heads) == 1 or total < margin:  # what costs nothing has no core
        return [*heads], []
    share = {each: total - losses[whole - {each}] for each in heads}
    fillers = (each for each in heads if share[each] < margin and losses[frozenset({each})] < margin)
    droppable = sorted(fillers, key=lambda each: (share[each], each))
    kept, step = whole, max(1, math.ceil(len(droppable) / STEPS))
    for start in range(0, len(droppable), step):
        smaller = kept - frozenset(droppable[start : start + step])
        if smaller and smaller not in losses:
            return [each for each in heads if each in kept], [[each for each in heads if each in smaller]]
        if smaller and total - losses[smaller] < margin:
            kept = smaller
    return [each for each in heads if each in kept], []


def voting(zero: float, floor: float, neutral: float | None, margin: float) -> bool:
    """Whether zero ablation says something of the heads rather than of a model off its distribution.

    It does not where the set with zero in its place loses as much as every head at its mean, or where neutral text
    loses half of what the task does.
    """
    return zero < floor and (neutral is None or zero <= margin or neutral < zero / 2)


@dataclass(frozen=True)
class Needed:
    """The tests of a core's need: p of "some voting intervention's loss is at most the margin" (``above``), and of
    "some one's is at least the margin" (``below``), each the largest over them.
    """

    above: float
    below: float

    @classmethod
    def of(cls, shown: Sequence[Shown]) -> "Needed":
        """Return them from what voting interventions showed: an intersection–union test (Berger 1982)."""
        voters = [each for each in shown if each.votes]
        return cls(max(each.above for each in voters), max(each.below for each in voters))


def verdict_of(
    q_above: float, q_below: float, some: tuple[float, float], level: float
) -> tuple[Verdict, Reason | None]:
    """Return the verdict from the corrected tests; ``some`` are the least corrected p of any one intervention.

    Necessary: every voting intervention's loss lies above the margin; unnecessary: below it; mixed: one's above and
    one's below. A failed test says none of these.
    """
    if q_above <= level:
        return "necessary", None
    if q_below <= level:
        return "unnecessary", None
    return ("mixed", None) if max(some) <= level else ("undecided", "examples")


def more_groups(shown: Sequence[Shown], margin: float, groups: int) -> int | None:
    """Return how many further groups would bring every voting intervention's bound to its estimate's side of the
    margin, widths going as 1/√n; None where they lie on two sides, or it would take too many.
    """
    ratios = []
    for each in (one for one in shown if one.votes):
        loss, above = each.loss, each.loss.estimate > margin
        if loss.low is None or loss.high is None:
            return None
        half = loss.estimate - loss.low if above else loss.high - loss.estimate
        ratios.append((above, half / max(abs(loss.estimate - margin), 1e-12)))
    if len({above for above, _ in ratios}) != 1:
        return None
    more = math.ceil(groups * (max(ratio for _, ratio in ratios) ** 2 - 1))
    return max(1, more) if more <= MORE_AT_MOST * groups else None


@dataclass(frozen=True)
class Compared:
    """A set beside others of its layers: its ``rank``; ``p`` of "it costs no more than so many of them as it may not";
    ``near``, that too many of them cost as much to within the margin.
    """

    rank: Rank
    p: float
    near: bool


def required(controls: int) -> int:
    """Return of how many control sets a set has to cost more."""
    return controls if controls < ALL_OF else math.ceil(BEYOND * controls)


def compared(
    found: Float[np.ndarray, "example"],
    controls: Float[np.ndarray, "control example"],
    sample: Sample,
    margin: float,
    level: float,
    seed: int,
) -> Compared:
    """Hold a set's losses against those of other sets on the same examples, all at once.

    The differences' bounds are simultaneous: quantiles of the largest studentised difference over sets, when groups are
    drawn anew with replacement (max-t; Romano & Wolf 2005, Econometrica 73:1237). p is the share of draws in which
    that exceeds the statistic of the last set that has to be exceeded.
    """
    difference, error, largest, smallest = max_t(found - controls, sample, seed)
    wanted, n = required(len(controls)), len(controls)
    statistic = np.sort((difference - TIE) / error)[::-1][wanted - 1]
    p = monte_carlo_p(int((largest >= statistic).sum()), len(largest))
    low = difference - np.quantile(largest, 1 - level) * error
    high = difference + np.quantile(smallest, 1 - level) * error
    rank = Rank(1 + int((difference < -TIE).sum()), 1 + int((high < -TIE).sum()), 1 + int((low <= TIE).sum()), n + 1)
    return Compared(rank, p, int((high < margin).sum()) > n - wanted)


def max_t(
    differences: Float[np.ndarray, "set example"], sample: Sample, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each set's mean difference, its standard error over groups, and in each draw of groups the largest
    studentised deviation of a set's mean upwards, and downwards.
    """
    sums, weight = sample.by_group(differences)
    groups, total = len(weight), weight.sum()
    mean = sums.sum(axis=0) / total
    error = _error((sums - mean * weight[:, None]) ** 2, total, groups)
    rng = np.random.default_rng([seed, groups])
    drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS).astype(np.float64)
    totals = (drawn @ weight)[:, None]
    means = drawn @ sums / totals
    squares = drawn @ sums**2 - 2 * means * (drawn @ (sums * weight[:, None])) + means**2 * (drawn @ weight**2)[:, None]
    errors = np.sqrt(np.maximum(squares, 0) * groups / (groups - 1)) / totals
    # of draws that hold hardly any group but one, the error vanishes and the deviation with it
    t = (means - mean) / np.maximum(errors, np.maximum(1e-3 * error, TIE / 10))
    return mean, error, t.max(axis=1), (-t).max(axis=1)


def _error(squares: Float[np.ndarray, "group set"], total: float, groups: int) -> Float[np.ndarray, "set"]:
    """Return the standard errors of means from the groups' squared deviations; no less than rounding leaves."""
    result: np.ndarray = np.maximum(np.sqrt(squares.sum(axis=0) * groups / (groups - 1)) / total, TIE / 10)
    return result


def is_sink(core: Sequence[str], shares: Mapping[str, float]) -> bool | None:
    """Whether most of a set's heads rest on the first token; None where that was not seen of every one."""
    if not all(name in shares for name in core):
        return None
    return sum(shares[name] > SINK for name in core) > SINK * len(core)
