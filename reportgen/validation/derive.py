"""From raw outcomes to all that is said of them: losses, intervals, tests, verdicts, curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from reportgen.core.findings import Robustness
from reportgen.core.stats import benjamini_hochberg
from reportgen.core.trials import (
    Answers,
    Curve,
    InterventionName,
    Outcome,
    Rank,
    RawCurve,
    RawSet,
    RawTask,
    RawValidation,
    Reason,
    Shown,
    Silence,
    TaskTrial,
    Trial,
    Validation,
)
from reportgen.validation.curves import CONTROLS, LAYERS, RANDOM, area, best, knocked, rankings
from reportgen.validation.matrix import Matrix
from reportgen.validation.robustness import HALVES, counted
from reportgen.validation.statistics import (
    FEWEST,
    GROUPS,
    NATS,
    SHARE,
    Compared,
    Needed,
    Sample,
    compared,
    is_sink,
    margin_of,
    more_groups,
    verdict_of,
    voting,
)

# Rise of log-probability beyond which a probability counts as no larger, so that exp never overflows: e¹⁰⁰ swamps any
# mean over examples already.
HUGE = 100.0
# What each factor of a specification is called; the first half of the examples are every other group's
INTERVENTIONS: dict[InterventionName, str] = {
    "mean": "mean ablation",
    "zero": "zero ablation",
    "resample": "resample ablation",
}
# Each search of the matrix of single heads gets a quarter of alpha: it names heads that nobody asked for
MATRIX = 4
METRICS = ("log-probability", "accuracy")
# Times the margin that a loss has to lie above (or, where a set is not needed, below)
STRICTNESS = {True: (1.0, 2.0), False: (1.0, 0.5)}
WORDS = {"all": "all tokens", "prompt": "prompt tokens", "answer": "answer tokens", "last": "last token"}


def derive(raw: RawValidation) -> Validation:
    """All that follows from the raw outcomes, the same for the same outcomes wherever they come from."""
    empty = Validation(raw.key, raw.scores, raw.alpha / 2, raw.alpha / MATRIX, raw.seed, problem=raw.problem)
    return empty if raw.problem is not None else _Derivation(raw).validation(empty)


@dataclass(frozen=True)
class _Answers:
    """Answers as arrays; of several draws, their means."""

    right: Float[np.ndarray, "example"]
    log_probability: Float[np.ndarray, "example"]

    @classmethod
    def of(cls, draws: Answers | Sequence[Answers]) -> "_Answers":
        draws = [draws] if isinstance(draws, Answers) else draws
        right: list[Bool[np.ndarray, example]] = [
            np.frombuffer(each.right.encode(), dtype=np.uint8) == ord("1") for each in draws
        ]
        return cls(np.mean(right, axis=0), np.mean([each.log_probability for each in draws], axis=0))

    @property
    def outcome(self) -> Outcome:
        return Outcome(float(self.right.mean()), float(self.log_probability.mean()))


Several = Mapping[str, Answers] | Mapping[str, list[Answers]]


class _Derivation:
    """The raw outcomes, and what is read off them."""

    def __init__(self, raw: RawValidation) -> None:
        self.raw = raw
        self.level = raw.alpha / 2  # of need and of specificity each, so that all verdicts together have alpha
        self.tasks: Mapping[str, RawTask] = {task.name: task for task in raw.tasks}
        self.intact = {task.name: _Answers.of(task.intact) for task in raw.tasks}
        self.floor = {task.name: _Answers.of(task.floor) for task in raw.tasks}
        self.neutral = next((task.name for task in raw.tasks if task.neutral), None)

    def validation(self, empty: Validation) -> Validation:
        """Everything, in the order in which one thing rests on another."""
        trials = self.trials()
        areas, sample = self.areas(), self.sample([*self.tasks])
        scored = [name for name in areas if name not in (RANDOM, LAYERS)]
        tasks = [self.task(task) for task in self.raw.tasks]
        matrix = Matrix(self.raw, {t.name: t.margin for t in tasks if t.reason is None}, self.raw.alpha / MATRIX)
        return replace(
            empty,
            share=SHARE,
            nats=NATS,
            wanted=self.raw.controls,
            positions=self.raw.positions,
            elsewhere=self.raw.elsewhere,
            readout=self.raw.readout,
            tests=len({_key(each) for each in self.raw.sets if self.reason(each) is None}),
            compared=len({(tuple(t.core), tuple(t.tasks)) for t in trials if t.specific_q is not None}),
            cost=self.raw.cost,
            tasks=tasks,
            trials=trials,
            matrix=self.matrix(),
            specialists=matrix.specialists(),
            shared=matrix.shared(),
            overlooked=matrix.overlooked(),
            choice=matrix.choice(),
            losses=matrix.losses(),
            curves=[self.curve(curve) for curve in self.raw.curves],
            rankings=rankings(areas, sample),
            best=best(areas, scored, sample),
        )

    def reason(self, each: RawSet) -> Reason | None:
        """Why nothing is concluded of a set (None: it is tested)."""
        tasks = [self.tasks[name] for name in each.tasks]
        if any(task.at_chance for task in tasks):
            return "at-chance"
        if not each.held_out:  # the examples that a set is tried on would have helped to choose it
            return "in-sample"
        if any(len(set(task.groups)) < GROUPS for task in tasks):
            return "few-groups"
        return "no-worth" if any(self.worth(name) <= margin_of(self.worth(name)) for name in each.tasks) else None

    def worth(self, task: str) -> float:
        """Return what a task's answers are worth beyond guessing; where that is unknown, beyond a model without any
        head.
        """
        guess = self.tasks[task].guess
        intact = self.intact[task].outcome.log_probability
        return intact - (self.floor[task].outcome.log_probability if guess is None else guess)

    def margin(self, tasks: Sequence[str]) -> float:
        """Return the loss above which heads count as needed for the tasks."""
        return fmean(margin_of(self.worth(name)) for name in tasks)

    def sample(self, tasks: Sequence[str]) -> Sample:
        """Return the sample of the tasks' examples."""
        return Sample.of([self.tasks[name].groups for name in tasks])

    def loss(self, tasks: Sequence[str], answers: Several) -> Float[np.ndarray, "example"]:
        """Return what each example of the tasks loses in log-probability."""
        lost = [self.intact[name].log_probability - _Answers.of(answers[name]).log_probability for name in tasks]
        return np.concatenate(lost)

    def accuracy(self, tasks: Sequence[str], answers: Several) -> Float[np.ndarray, "example"]:
        """Return what each example of the tasks loses in accuracy."""
        return np.concatenate([self.intact[name].right - _Answers.of(answers[name]).right for name in tasks])

    def task(self, task: RawTask) -> TaskTrial:
        """One task with the model as it is, and without any head."""
        worth = self.worth(task.name)
        few = len(set(task.groups)) < GROUPS
        reason: Reason | None = (
            "at-chance" if task.at_chance else "few-groups" if few else None if worth > margin_of(worth) else "no-worth"
        )
        intact, floor = self.intact[task.name].outcome, self.floor[task.name].outcome
        n, groups = len(task.examples), len(set(task.groups))
        return TaskTrial(task.name, n, groups, intact, floor, task.chance, worth, margin_of(worth), reason)

    def trials(self) -> list[Trial]:
        """Every set's trial: sets of the same core on the same tasks are one test."""
        reasons = {each.id: self.reason(each) for each in self.raw.sets}
        made = {each.id: self._trial(each, reasons[each.id]) for each in self.raw.sets}
        tested = {_key(each): made[each.id].shown for each in self.raw.sets if reasons[each.id] is None}
        needed = {key: Needed.of(shown) for key, shown in tested.items()}
        # Not Bonferroni: sets overlap, and their tests with them (docs/decisions/0020-needed-and-specific.md).
        above = _corrected({key: each.above for key, each in needed.items()})
        below = _corrected({key: each.below for key, each in needed.items()})
        every = {(key, one.name): one for key, shown in tested.items() for one in shown if one.votes}
        some_above = _corrected({key: one.above for key, one in every.items()})
        some_below = _corrected({key: one.below for key, one in every.items()})
        results = {each.id: self._compared(each) for each in self.raw.sets if made[each.id].silence is None}
        p = {_key(each): results[each.id].p for each in self.raw.sets if each.id in results}
        q = _corrected(p)
        trials = []
        for each in self.raw.sets:
            trial, key = made[each.id], _key(each)
            if reasons[each.id] is None:
                voters = [(key, one.name) for one in trial.shown if one.votes]
                some = min(some_above[v] for v in voters), min(some_below[v] for v in voters)
                trial = self._judged(trial, needed[key], above[key], below[key], some)
            if each.id in results:
                trial = self._specific(trial, results[each.id], q[key])
            elif trial.silence == "whole-layer" and each.controls is not None and each.controls.sets:
                means = self.sample(each.tasks).mean(np.array([one.losses for one in each.controls.sets]))
                place = 1 + int((means > trial.loss.estimate).sum())
                trial = replace(trial, rank=Rank(place, None, None, len(means) + 1))
            trials.append(replace(trial, robustness=self.robustness(each, trial)))
        return trials

    def _trial(self, each: RawSet, reason: Reason | None) -> Trial:
        """Return what every intervention on a set did, before it is judged."""
        tasks, sample = each.tasks, self.sample(each.tasks)
        loss = self.loss(tasks, each.mean)
        controls = each.controls
        losses = None if controls is None or not controls.sets else np.array([one.losses for one in controls.sets])
        intact = _mean([self.intact[name].outcome for name in tasks])
        neutral = None if self.neutral is None or self.neutral in tasks else self.neutral
        lost = None if neutral is None else self.loss([neutral], each.mean)
        return Trial(
            each.id,
            each.kind,
            [*tasks],
            [*each.heads],
            [*each.core],
            "undecided",
            reason,
            len(sample.groups),
            sample.n_groups,
            worth=fmean(self.worth(name) for name in tasks),
            margin=self.margin(tasks),
            intact=intact,
            knocked_out=_over(tasks, each.whole),
            kept=_over(tasks, each.kept),
            floor=_mean([self.floor[name].outcome for name in tasks]),
            shown=self._shown(each),
            loss=sample.interval(loss),
            amplified={factor: _over(tasks, answers) for factor, answers in each.amplified.items()},
            gain={f: sample.interval(-self.loss(tasks, answers)) for f, answers in each.amplified.items()},
            silence=self._silence(each, reason),
            excess=None if losses is None else sample.interval(loss - losses.mean(axis=0)),
            after_controls=None
            if losses is None or controls is None
            else Outcome(
                fmean(one.accuracy for one in controls.sets),
                intact.log_probability - float(sample.mean(losses).mean()),
            ),
            controls=0 if controls is None else len(controls.sets),
            distinct=0 if controls is None else controls.distinct,
            sink=is_sink(each.core, self.raw.first_token),
            neutral=None if neutral is None or lost is None else self.sample([neutral]).interval(lost),
            spared=None
            if neutral is None or lost is None
            else self.sample([neutral]).below(lost, self.margin([neutral])) <= self.level,
        )

    def _shown(self, each: RawSet) -> list[Shown]:
        """Return what each intervention on the core did."""
        found: dict[InterventionName, Several] = {"mean": each.mean, "zero": each.zero, "resample": each.resample}
        sample, margin = self.sample(each.tasks), self.margin(each.tasks)
        return [
            Shown(
                name,
                _over(each.tasks, answers),
                sample.interval(loss := self.loss(each.tasks, answers)),
                name != "zero" or self.zero_votes(each),
                sample.above(loss, margin),
                sample.below(loss, margin),
            )
            for name, answers in found.items()
            if answers
        ]

    def zero_votes(self, each: RawSet) -> bool:
        """Whether zero ablation of a set says something of its heads."""
        sample = self.sample(each.tasks)
        floor = fmean(
            self.intact[name].outcome.log_probability - self.floor[name].outcome.log_probability for name in each.tasks
        )
        neutral = self.neutral
        lost = None if neutral is None or neutral in each.tasks else float(self.loss([neutral], each.zero).mean())
        return voting(float(sample.mean(self.loss(each.tasks, each.zero))), floor, lost, self.margin(each.tasks))

    def _silence(self, each: RawSet, reason: Reason | None) -> Silence | None:
        """Why a set is not compared with others of its layers (None: it is)."""
        if reason is not None and reason != "examples":
            return reason
        if each.controls is None or (each.controls.distinct and not each.controls.sets):
            return "budget"
        if each.controls.layers:
            return "whole-layer"
        return "few-sets" if each.controls.distinct < FEWEST else None

    def _compared(self, each: RawSet) -> Compared:
        assert each.controls is not None  # a set without any is not compared
        losses = np.array([control.losses for control in each.controls.sets])
        found, sample = self.loss(each.tasks, each.mean), self.sample(each.tasks)
        return compared(found, losses, sample, self.margin(each.tasks), self.level, self.raw.seed)

    def _judged(self, trial: Trial, needed: Needed, above: float, below: float, some: tuple[float, float]) -> Trial:
        """Return the trial with what follows from the tests of its need."""
        verdict, reason = verdict_of(above, below, some, self.level)
        more = more_groups(trial.shown, trial.margin, trial.groups) if reason == "examples" else None
        p, q = (needed.below, below) if verdict == "unnecessary" else (needed.above, above)
        return replace(trial, verdict=verdict, reason=reason, p=p, q=max(some) if verdict == "mixed" else q, more=more)

    def _specific(self, trial: Trial, result: Compared, q: float) -> Trial:
        """Return the trial with what follows from the comparison with other sets of its layers."""
        # What costs as much as too many others to within the margin does not cost more than they do, however sure the
        # difference of a thousandth is.
        specific = False if result.near else True if q <= self.level else None
        silence: Silence | None = "rank" if specific is None else None
        return replace(trial, specific=specific, silence=silence, rank=result.rank, specific_p=result.p, specific_q=q)

    def robustness(self, each: RawSet, trial: Trial) -> Robustness | None:
        """Return in how many specifications the set's knock-out costs more than the margin (or less, where it is found
        not needed): interventions that vote, positions, metrics, halves of the groups, and the margin taken once and
        twice (or by half).
        """
        if trial.reason is not None and trial.reason != "examples":
            return None
        needed, sample = trial.verdict != "unnecessary", self.sample(each.tasks)
        votes = [one.name for one in trial.shown if one.votes]
        here: dict[InterventionName, Several] = {"mean": each.mean, "zero": each.zero, "resample": each.resample}
        places: dict[str, Mapping[InterventionName, Several]] = {WORDS[self.raw.positions]: here}
        if self.raw.elsewhere is not None:
            places[WORDS[self.raw.elsewhere]] = each.elsewhere
        margins = dict(zip(METRICS, (trial.margin, self._margin_of_accuracy(each.tasks)), strict=True))
        holds: dict[tuple[str, ...], bool] = {}
        for (place, answers), name, metric in product(places.items(), votes, METRICS):
            if not answers.get(name):
                continue
            lost = (self.loss if metric == METRICS[0] else self.accuracy)(each.tasks, answers[name])
            for half, strict in product(HALVES, STRICTNESS[needed]):
                mean = _mean_of_half(lost, sample, HALVES.index(half))
                above = mean > strict * margins[metric]
                limit = f"{strict:g} × the margin"
                holds[INTERVENTIONS[name], place, metric, half, limit] = above is needed
        return counted(holds)

    def _margin_of_accuracy(self, tasks: Sequence[str]) -> float:
        """Return the loss of accuracy that stands for the margin: the same share of what is above guessing."""
        return fmean(SHARE * max(self.intact[n].outcome.accuracy - (self.tasks[n].chance or 0), 0) for n in tasks)

    def matrix(self) -> dict[str, dict[str, Outcome]]:
        """Every task with every set knocked out."""
        return {each.id: {name: _Answers.of(each.mean[name]).outcome for name in self.tasks} for each in self.raw.sets}

    def areas(self) -> dict[str, Float[np.ndarray, "example"]]:
        """By order, the area over each example, task after task."""
        by_order: dict[str, list[np.ndarray]] = {}
        for name in self.tasks:
            for curve in self.raw.curves:
                if curve.task == name:
                    by_order.setdefault(curve.order, []).append(self._area(curve))
        return {order: np.concatenate(each) for order, each in by_order.items()}

    def _area(self, curve: RawCurve) -> Float[np.ndarray, "example"]:
        """Return the area over each example by the share of the answer's probability that it loses, the mean over
        runs.
        """
        # Of the answer's probability, which is bounded: of log-probability, one method's curve ends before the next
        # one's has begun (docs/decisions/0012-verdicts.md).
        intact = self.intact[curve.task].log_probability
        most = intact.max()  # long answers' probabilities are too small to be divided by one another as they are
        whole = np.exp(intact - most)
        left = [[np.exp(np.minimum(s.log_probability - most, HUGE)) for s in run] for run in self._steps(curve)]
        return area((whole - np.mean(left, axis=0)) / whole.mean(), self.raw.heads)

    def _steps(self, curve: RawCurve) -> list[list[_Answers]]:
        """Return the answers at every number of heads, of each run."""
        return [[*map(_Answers.of, run), self.floor[curve.task]] for run in curve.runs]

    def curve(self, curve: RawCurve) -> Curve:
        """Return what is left of a task after each number of heads, the mean over runs."""
        intact = self.intact[curve.task].outcome
        runs = [[step.outcome for step in run] for run in self._steps(curve)]
        accuracy = np.mean([[outcome.accuracy for outcome in run] for run in runs], axis=0)
        left = np.mean([[outcome.log_probability for outcome in run] for run in runs], axis=0)
        return Curve(
            curve.task,
            curve.order,
            [0, *knocked(self.raw.heads)],
            [intact.accuracy, *map(float, accuracy)],
            [intact.log_probability, *map(float, left)],
            float(self._area(curve).mean()),
            curve.order in CONTROLS,
        )


def _mean_of_half(lost: Float[np.ndarray, "example"], sample: Sample, half: int) -> float:
    """Return the mean over every other group's examples, tasks weighing as in the whole."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(sample.groups))}
    mine = np.array([numbers[group] % 2 == half for group in sample.groups])
    return float(np.average(lost[mine], weights=sample.weights[mine]))


Key = tuple[frozenset[str], tuple[str, ...]]


def _key(each: RawSet) -> Key:
    """Return the identity of a set's test: two sets of equal cores and tasks are one test."""
    return frozenset(each.core), tuple(each.tasks)


K = TypeVar("K")


def _corrected(p: Mapping[K, float]) -> dict[K, float]:
    return dict(zip(p, benjamini_hochberg([*p.values()]), strict=True))


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the mean of outcomes, one a task."""
    accuracy = float(np.mean([outcome.accuracy for outcome in outcomes]))
    return Outcome(accuracy, float(np.mean([outcome.log_probability for outcome in outcomes])))


def _over(tasks: Sequence[str], answers: Several) -> Outcome:
    """Return the mean over the tasks of each one's outcome."""
    return _mean([_Answers.of(answers[name]).outcome for name in tasks])
