"""How the importance of heads differs between two runs: matched rows, tested heads, agreement of ranks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from reportgen.core.scores import Examples, Head, HeadScores
from reportgen.core.stats import LEAST, LEVEL, group_numbers, group_sums, mean_intervals

# With the observed signs 5,000, so that p is never 0 (Phipson & Smyth 2010) and, at its least, 0.0002, still passes
# α = 0.05 after Bonferroni over 250 searches.
DRAWS = 4999
CHUNK = 250  # draws made at once: bounds the memory of large models
# Parts that the jackknife leaves out in turn. Not the bootstrap: repeated rows add noise to both maps, so that its
# intervals lie below the estimate (docs/decisions/0011-comparisons-of-maps.md).
GROUPS = 20
TOP = 0.1  # the share of heads whose overlap is counted: the top tenth, of which a report's other tables speak too


@dataclass(frozen=True)
class Change:
    """A head whose importance differs: both runs' values, and of the difference the 95 % interval and q."""

    head: Head
    before: float
    after: float
    estimate: float
    low: float | None
    high: float | None
    q: float


@dataclass(frozen=True, eq=False)
class Difference:
    """One task of one block in two runs.

    ``values`` is the run's importance minus the reference's (layer, head), None where they are not in one unit.
    ``rank`` is Spearman's correlation of the two maps, ``within`` that of the reference's own two halves. ``shared`` of
    the ``top`` most important heads are in both; ``expected`` by chance. ``silent`` says why no head was tested.
    """

    task: str
    block: str | None
    values: Float[np.ndarray, "layer head"] | None
    rank: float | None
    rank_low: float | None
    rank_high: float | None
    within: float | None
    top: int
    shared: int
    expected: float
    rows: int
    changes: tuple[Change, ...] = ()
    silent: str = ""


@dataclass(frozen=True, eq=False)
class Pair:
    """The rows of one task that two runs share, by id: scores, without sign where importance has none."""

    before: Float[np.ndarray, "row layer head"]
    after: Float[np.ndarray, "row layer head"]
    groups: tuple[str, ...]
    ordered: bool
    discovery: np.ndarray

    @property
    def difference(self) -> Float[np.ndarray, "row layer head"]:
        """The run minus the reference, row by row."""
        result: np.ndarray = self.after - self.before
        return result


def matched(before: Examples | None, after: Examples | None, absolute: bool) -> Pair | None:
    """Return the rows that both have; None where either has no rows or ids are not unique. ``absolute``: of their
    sizes.
    """
    if before is None or after is None or len({*before.ids}) < len(before.ids) or len({*after.ids}) < len(after.ids):
        return None
    position = {name: i for i, name in enumerate(after.ids)}
    rows = [i for i, name in enumerate(before.ids) if name in position]
    if not rows:
        return None
    others = [position[before.ids[i]] for i in rows]
    first, second = before.values[rows].astype(float), after.values[others].astype(float)
    if absolute:
        first, second = np.abs(first), np.abs(second)
    return Pair(first, second, tuple(before.groups[i] for i in rows), before.ordered, before.discovery[rows])


def flipped(sums: Float[np.ndarray, "group cell"], seed: int) -> Float[np.ndarray, "cell"]:
    """Return each cell's p for a mean of zero, corrected over the cells: sign flips of groups, maximum of |t| over
    cells.

    Exact where, under the null, a row's two runs could be exchanged (Nichols & Holmes 2002, Hum. Brain Mapp. 15:1).
    """
    n, rng = len(sums), np.random.default_rng([seed, *sums.shape])
    squares = (sums**2).sum(axis=0)

    def size(signs: np.ndarray) -> np.ndarray:
        mean = signs @ sums / n
        variance = (squares - n * mean**2).clip(0) / (n - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(squares > 0, np.abs(mean) / np.sqrt(variance / n), 0.0)

    observed, reached = size(np.ones(n)), np.zeros(sums.shape[1])
    for start in range(0, DRAWS, CHUNK):
        signs = rng.choice((-1.0, 1.0), (min(CHUNK, DRAWS - start), n))
        # relative slack: a draw that repeats the observed signs must count, whatever the rounding
        reached += (size(signs).max(axis=1)[:, None] >= observed * (1 - 1e-9)).sum(axis=0)
    result: np.ndarray = (1 + reached) / (1 + DRAWS)
    return result


def testable(pair: Pair | None) -> str:
    """Return why no head can be tested on these rows, "" where heads can."""
    if pair is None:
        return "the runs share no rows by id"
    for half in (pair.discovery, ~pair.discovery):
        groups = [g for g, chosen in zip(pair.groups, half, strict=True) if chosen]
        if len(groups) < LEAST or int(group_numbers(groups, pair.ordered).max()) + 1 < LEAST:
            return f"fewer than {LEAST} groups of shared rows in each half"
    return ""


def changes(
    pair: Pair, before: np.ndarray, after: np.ndarray, family: int, alpha: float, seed: int
) -> tuple[Change, ...]:
    """Return the heads that differ: found on the discovery half of the shared rows, their values read on the other
    half.

    ``before``, ``after``: importance (layer, head) of all rows; ``family`` the number of such searches, for Bonferroni.
    """
    found, held = pair.discovery, ~pair.discovery
    present = ~(np.isnan(pair.before).any(axis=0) | np.isnan(pair.after).any(axis=0))
    difference = pair.difference[:, present]
    groups = np.array(pair.groups, dtype=object)
    sums, _ = group_sums(difference[found], group_numbers(list(groups[found]), pair.ordered))
    q = np.minimum(1, flipped(sums, seed) * family)
    cells = np.argwhere(present)
    keep = np.flatnonzero(q <= alpha)
    if not len(keep):
        return ()
    low, high = mean_intervals(difference[held][:, keep], list(groups[held]), pair.ordered)
    estimate = difference[held][:, keep].mean(axis=0)
    made = [
        Change(
            Head(*map(int, cells[c])),
            float(before[tuple(cells[c])]),
            float(after[tuple(cells[c])]),
            float(estimate[i]),
            _known(low[i]),
            _known(high[i]),
            float(q[c]),
        )
        for i, c in enumerate(keep)
    ]
    return tuple(sorted(made, key=lambda c: -abs(c.estimate)))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def agreement(
    before: HeadScores, after: HeadScores, t: int, u: int, pair: Pair | None
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return Spearman's correlation of two maps, its jackknife interval, and that of the reference's two halves.

    All None where they cannot be computed.
    """
    rank = spearman(before.importance[t], after.importance[u])
    examples = before.examples[t]
    within = None
    if examples is not None and 0 < examples.discovery.sum() < len(examples.ids):
        absolute = before.reduction == "mean_abs"
        values = np.abs(examples.values) if absolute else examples.values
        within = spearman(values[examples.discovery].mean(axis=0), values[~examples.discovery].mean(axis=0))
    low, high = (None, None) if pair is None or rank is None else _jackknifed(pair, rank)
    return rank, low, high, within


def spearman(a: Float[np.ndarray, "layer head"], b: Float[np.ndarray, "layer head"]) -> float | None:
    """Return Spearman's correlation of the sizes of heads that both have; None where one map is constant."""
    both = ~(np.isnan(a) | np.isnan(b))
    first, second = np.abs(a[both]), np.abs(b[both])
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(stats.spearmanr(first, second).statistic)


def _jackknifed(pair: Pair, rank: float) -> tuple[float | None, float | None]:
    """Return Student's interval on Fisher's scale, each group of rows left out in turn; (None, None) below 8 groups."""
    number: Int[np.ndarray, row] = group_numbers(pair.groups, pair.ordered)
    parts = min(GROUPS, int(number.max()) + 1)
    if parts < LEAST or abs(rank) >= 1:
        return None, None
    left = [
        spearman(pair.before[number % parts != g].mean(axis=0), pair.after[number % parts != g].mean(axis=0))
        for g in range(parts)
    ]
    if any(r is None or abs(r) >= 1 for r in left):
        return None, None
    # Fisher's scale: there the error of a correlation hardly depends on its size, and no bound leaves -1 to 1.
    z = np.arctanh(np.array(left, dtype=float))
    error = np.sqrt((parts - 1) / parts * ((z - z.mean()) ** 2).sum())
    reach = stats.t.ppf((1 + LEVEL) / 2, parts - 1) * error
    return float(np.tanh(np.arctanh(rank) - reach)), float(np.tanh(np.arctanh(rank) + reach))


def overlap(a: Float[np.ndarray, "layer head"], b: Float[np.ndarray, "layer head"]) -> tuple[int, int, float]:
    """Return the sizes of the top tenth and of both runs' common part of it, and the latter's expectation by chance."""
    both = ~(np.isnan(a) | np.isnan(b))
    heads = int(both.sum())
    top = max(1, round(TOP * heads))
    first, second = (set(np.argsort(-np.abs(m[both]), kind="stable")[:top].tolist()) for m in (a, b))
    return top, len(first & second), top * top / heads
