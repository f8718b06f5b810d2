"""What the matrix of single knock-outs says: specialists, shared heads, heads that were overlooked, and whether the
score chooses better than chance.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

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
        return self._p(1.0)

    @cached_property
    def below(self) -> Float[np.ndarray, "task head"]:
        """P of "the loss is at least the task's margin"."""
        return self._p(-1.0)

    def _p(self, sign: float) -> Float[np.ndarray, "task head"]:
        return np.array(
            [mean_p(sign * lost.T, self.samples[t].groups, sign * self.margins[t]) for t, lost in self.lost.items()]
        )

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
        """Return the heads that cost one task more than its margin and all others less than theirs, surest first."""
        if not self.usable or len(self.margins) < 2:
            return []
        tasks = [*self.margins]
        own = np.argmax(self.mean / np.array([*self.margins.values()])[:, None], axis=0)
        p = []
        for h, t in enumerate(own):
            others = np.delete(self.below[:, h], t)
            # every part has to hold: an intersection–union test (Berger 1982); the task is the one that it costs most,
            # of as many as there are
            p.append(float(min(1.0, max(self.above[t, h] * len(tasks), others.max()))))
        q = benjamini_hochberg(p)
        surest = sorted(range(len(p)), key=lambda h: (p[h], -self.mean[own[h], h]))
        return [self._specialist(h, int(own[h]), p[h], q[h]) for h in surest if q[h] <= self.level]

    def _specialist(self, h: int, t: int, p: float, q: float) -> Specialist:
        tasks = [*self.margins]
        spans = [self.samples[name].interval(self.lost[name][h]) for name in tasks]
        rest = [span for i, span in enumerate(spans) if i != t]
        return Specialist(
            self.heads[h],
            tasks[t],
            spans[t],
            max(span.estimate for span in rest),
            max(span.estimate if span.high is None else span.high for span in rest),
            p,
            q,
        )

    def shared(self) -> list[SharedHead]:
        """Return the heads that cost several tasks more than their margins, those of most tasks first.

        Neutral text is no task that heads are shared with.
        """
        rows = [i for i, name in enumerate(self.margins) if name not in self.neutral]
        if not self.usable or len(rows) < 2:
            return []
        names, p = [name for name in self.margins if name not in self.neutral], self.above[rows]
        q = np.array(benjamini_hochberg([*p.ravel()])).reshape(p.shape)
        found = []
        for h, head in enumerate(self.heads):
            held = [i for i in range(len(names)) if q[i, h] <= self.level]
            if len(held) > 1:
                lost = [float(self.mean[rows[i], h]) for i in held]
                largest = (float(max(one[i, h] for i in held)) for one in (p, q))
                found.append(SharedHead(head, [names[i] for i in held], lost, *largest))
        return sorted(found, key=lambda each: (-len(each.tasks), -sum(each.losses)))

    def overlooked(self) -> list[Overlooked]:
        """Return the heads that cost a task, alone, more than its first heads do together, costliest first.

        Bounds are simultaneous over all heads, and over tasks by Bonferroni.
        """
        found: list[Overlooked] = []
        tested = [task for task in self.margins if task in self.tops]
        for task in tested:
            found += self._overlooked(task, self.tops[task], self.level / len(tested))
        return found

    def _overlooked(self, task: str, top: RawSet, level: float) -> list[Overlooked]:
        raw, sample = next(t for t in self.raw.tasks if t.name == task), self.samples[task]
        others = [h for h, head in enumerate(self.heads) if head not in top.heads]
        if not others:
            return []
        of_first = np.array(raw.intact.log_probability) - np.array(top.whole[task].log_probability)
        differences = self.lost[task][others] - of_first
        mean, error, largest, _ = max_t(differences, sample, self.raw.seed)
        p = [monte_carlo_p(int((largest >= t).sum()), len(largest)) for t in (mean - TIE) / error]
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
            # a head that costs more than nothing by a hair is no news: its loss has to be one that counts
            if p[i] <= level and self.lost[task][h].mean() > self.margins[task]
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
