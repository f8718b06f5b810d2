"""What the matrix of single knock-outs says: specialists, shared heads, heads that were overlooked, and whether the
score chooses better than chance.
"""

import warnings
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, ttest_ind

from reportgen.core.stats import benjamini_hochberg, mean_p, monte_carlo_p
from reportgen.core.trials import (
    TOP,
    Choice,
    InterventionName,
    Overlooked,
    RawSet,
    RawValidation,
    SharedHead,
    Specialist,
)
from reportgen.validation.statistics import TIE, Sample, max_t

SHUFFLES = 4999  # of the heads within each layer


class Matrix:
    """The losses of every head's knock-out on every task that can be tested, with the task's margin, at a level."""

    def __init__(self, raw: RawValidation, margins: Mapping[str, float], level: float) -> None:
        self.raw, self.margins, self.level = raw, margins, level
        self.heads = [each.head for each in raw.singles]
        self.samples = {task.name: Sample.of([task.groups]) for task in raw.tasks}
        self.neutral = {task.name for task in raw.tasks if task.neutral}
        self.tops = {each.tasks[0]: each for each in raw.sets if each.kind == TOP}

    @cached_property
    def lost(self) -> dict[str, Float[np.ndarray, "head example"]]:
        """Each task's losses."""
        return {task: np.array([each.mean[task] for each in self.raw.singles]) for task in self.margins}

    @cached_property
    def mean(self) -> Float[np.ndarray, "task head"]:
        """The mean losses."""
        return np.array([lost.mean(axis=1) for lost in self.lost.values()])

    @cached_property
    def above(self) -> Float[np.ndarray, "task head"]:
        """P of "the loss is at most the task's margin"."""
        return np.array([mean_p(lost.T, self.samples[t].groups, self.margins[t]) for t, lost in self.lost.items()])

    @cached_property
    def corrected(self) -> Float[np.ndarray, "task head"]:
        """The same, Benjamini–Hochberg over heads and tasks."""
        return np.array(benjamini_hochberg([*self.above.ravel()])).reshape(self.above.shape)

    @property
    def usable(self) -> bool:
        """Whether there are heads, and tasks to tell apart."""
        return bool(self.heads) and bool(self.margins)

    def losses(self) -> dict[str, dict[InterventionName, dict[str, float]]]:
        """Return the mean loss of each head, by task, intervention and head."""
        return {
            task.name: {
                "mean": {each.head: float(np.mean(each.mean[task.name])) for each in self.raw.singles},
                "zero": {each.head: each.zero[task.name] for each in self.raw.singles if task.name in each.zero},
            }
            for task in self.raw.tasks
            if self.raw.singles
        }

    def specialists(self) -> list[Specialist]:
        """Return the heads that cost one task more than its margin and more than any other one, which all lose less
        than theirs, the surest first.

        Losses on two tasks are compared in units of their margins, by Welch's test over groups; every comparison has to
        hold: an intersection–union test (Berger 1982).
        """
        if not self.usable or len(self.margins) < 2:
            return []
        margins = np.array([*self.margins.values()])[:, None]
        shares, chosen = self.mean / margins, list[tuple[int, int]]()
        for h in range(len(self.heads)):
            t = int(np.argmax(shares[:, h]))
            if self.corrected[t, h] <= self.level and np.delete(shares[:, h], t).max() < 1:
                chosen.append((h, t))
        p = [max(self._above(h, t, other) for other in range(len(margins)) if other != t) for h, t in chosen]
        q = [max(q, float(self.corrected[t, h])) for q, (h, t) in zip(benjamini_hochberg(p), chosen, strict=True)]
        found = [self._specialist(h, t, *pq) for (h, t), *pq in zip(chosen, p, q, strict=True) if pq[1] <= self.level]
        return sorted(found, key=lambda each: each.q)

    def _above(self, h: int, t: int, other: int) -> float:
        """Return the p of "the head costs the other task as many margins"."""
        spread = []
        for task in (t, other):
            name = [*self.margins][task]
            sums, counts = self.samples[name].by_group(self.lost[name][[h]] / self.margins[name])
            spread.append(sums[:, 0] / counts)
        with warnings.catch_warnings():  # losses that are all but equal, whose spread is mere rounding
            warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
            p = float(ttest_ind(*spread, equal_var=False, alternative="greater").pvalue)
        # without any spread the means are known
        return p if np.isfinite(p) else float(spread[0].mean() <= spread[1].mean())

    def _specialist(self, h: int, t: int, p: float, q: float) -> Specialist:
        tasks = [*self.margins]
        spans = [self.samples[name].interval(self.lost[name][h]) for name in tasks]
        rest = [span.estimate for i, span in enumerate(spans) if i != t]
        return Specialist(self.heads[h], tasks[t], spans[t], max(rest), p, q)

    def shared(self) -> list[SharedHead]:
        """Return the heads that cost several tasks more than their margins, those of most tasks first.

        Neutral text is no task that heads are shared with.
        """
        names = [*self.margins]
        rows = [i for i, name in enumerate(names) if name not in self.neutral]
        if not self.usable:
            return []
        found = []
        for h, head in enumerate(self.heads):
            held = [i for i in rows if self.corrected[i, h] <= self.level]
            if len(held) > 1:
                lost = [float(self.mean[i, h]) for i in held]
                largest = (float(max(each[i, h] for i in held)) for each in (self.above, self.corrected))
                found.append(SharedHead(head, [names[i] for i in held], lost, *largest))
        return sorted(found, key=lambda each: (-len(each.tasks), -sum(each.losses)))

    def overlooked(self) -> list[Overlooked]:
        """Return the heads that cost a task the margin, are none of its first ones, and cost it more by the margin,
        alone, than these do together, the costliest first.

        Their p are simultaneous over all heads, and over tasks by Bonferroni.
        """
        tested = [task for task in self.margins if task in self.tops]
        return [one for task in tested for one in self._overlooked(task, self.tops[task], len(tested))]

    def _overlooked(self, task: str, top: RawSet, tasks: int) -> list[Overlooked]:
        raw, sample = next(t for t in self.raw.tasks if t.name == task), self.samples[task]
        others = [h for h, head in enumerate(self.heads) if head not in top.heads]
        if not others:
            return []
        of_first = np.array(raw.intact.log_probability) - np.array(top.whole[task].log_probability)
        differences = self.lost[task][others] - of_first
        mean, error, largest, _ = max_t(differences, sample, self.raw.seed)
        p = [min(1.0, tasks * monte_carlo_p(int((largest >= t).sum()), len(largest))) for t in (mean - TIE) / error]
        row = [*self.margins].index(task)
        made = [
            Overlooked(
                task,
                self.heads[h],
                sample.interval(self.lost[task][h]),
                [*top.heads],
                float(sample.mean(of_first)),
                sample.interval(differences[i]),
                p[i],
            )
            for i, h in enumerate(others)
            # of two heads that cost alike one comes first by chance: the difference too has to be one that counts
            if mean[i] > self.margins[task] and self.corrected[row, h] <= self.level
        ]
        return sorted(made, key=lambda each: -each.loss.estimate)

    def choice(self) -> Choice | None:
        """Hold the tasks' first heads against the heads of their layers, by what each costs alone.

        The null shuffles the heads of each layer, in all tasks alike, for these may have their first heads in common.
        """
        tops = {t: self.tops[t] for t in self.margins if t in self.tops and self.tops[t].held_out}
        numbers = {head: h for h, head in enumerate(self.heads)}
        layers = [head.rpartition("H")[0] for head in self.heads]
        members = [np.flatnonzero(np.array(layers) == name) for name in dict.fromkeys(layers)]
        members = [layer for layer in members if len(layer) > 1]
        if not tops or not members or any(head not in numbers for top in tops.values() for head in top.heads):
            return None
        ranks = np.full((len(tops), len(self.heads)), np.nan)
        chosen = np.zeros(ranks.shape, dtype=bool)
        for row, (task, top) in enumerate(tops.items()):
            chosen[row, [numbers[head] for head in top.heads]] = True
            lost = self.lost[task].mean(axis=1)
            for layer in members:
                ranks[row, layer] = (rankdata(np.round(lost[layer] / TIE)) - 1) / (len(layer) - 1)
        weights = chosen & ~np.isnan(ranks)
        if not weights.any(axis=1).all():  # a task's first heads are alone in their layers
            return None
        observed = _mean_rank(ranks, weights)
        rng, draws = np.random.default_rng([self.raw.seed, len(self.heads)]), 0
        for _ in range(SHUFFLES):
            order = np.arange(len(self.heads))
            for layer in members:
                order[layer] = layer[rng.permutation(len(layer))]
            draws += _mean_rank(ranks[:, order], weights) >= observed - 1e-9
        return Choice(observed, monte_carlo_p(draws, SHUFFLES), SHUFFLES, int(weights.sum()), len(tops))


def _mean_rank(ranks: Float[np.ndarray, "task head"], weights: np.ndarray) -> float:
    """Return the mean over tasks of the mean rank of its chosen heads."""
    return float((np.where(weights, ranks, 0).sum(axis=1) / weights.sum(axis=1)).mean())
