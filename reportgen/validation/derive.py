"""From raw outcomes to all that is said of them: losses, intervals, tests, verdicts, curves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from reportgen.core.stats import LEAST, benjamini_hochberg
from reportgen.core.trials import (
    Answers,
    Cost,
    Curve,
    Outcome,
    RawControls,
    RawCurve,
    RawSet,
    RawTask,
    RawValidation,
    Reason,
    TaskTrial,
    Trial,
    Validation,
)
from reportgen.validation.curves import CONTROLS, LAYERS, RANDOM, area, best, knocked, rankings
from reportgen.validation.statistics import FEWEST, Compared, Sample, compared, verdict

# Control sets for every test. The smallest p of m tests is held against .05 / m (Benjamini–Hochberg), and n control
# sets give none below 1/(n + 1): 5, 10 and 20 tests need 99, 199 and 399 of them.
PER_TEST = 20
# Rise of log-probability beyond which a probability counts as no larger, so that exp never overflows: e¹⁰⁰ swamps any
# mean over examples already.
HUGE = 100.0


def derive(raw: RawValidation) -> Validation:
    """All that follows from the raw outcomes, the same for the same outcomes wherever they come from."""
    empty = Validation(raw.key, raw.scores, raw.alpha, raw.seed, problem=raw.problem)
    return empty if raw.problem is not None else _Derivation(raw).validation(empty)


def costs(sets: int, tested: int, wanted: int, examples: int, cost: Cost) -> str:
    """Return the sentence on what a validation costs."""
    return (
        f"validation: {sets} sets, {tested} of them against up to {wanted} matched control sets each, on "
        f"{examples} held-out examples a task: {cost.runs:,.0f} runs of one example, "
        f"{cost.runs / cost.ablation:.2f} × exact zero ablation of the study (budget {cost.budget:g} ×)"
    )


@dataclass(frozen=True)
class _Answers:
    """Answers as arrays."""

    right: Bool[np.ndarray, "example"]
    log_probability: Float[np.ndarray, "example"]

    @classmethod
    def of(cls, answers: Answers) -> "_Answers":
        right = np.frombuffer(answers.right.encode(), dtype=np.uint8) == ord("1")
        return cls(right, np.array(answers.log_probability, dtype=np.float64))

    @property
    def outcome(self) -> Outcome:
        return Outcome(float(self.right.mean()), float(self.log_probability.mean()))


class _Derivation:
    """The raw outcomes, and what is read off them."""

    def __init__(self, raw: RawValidation) -> None:
        self.raw = raw
        self.tasks: Mapping[str, RawTask] = {task.name: task for task in raw.tasks}
        self.intact = {task.name: _Answers.of(task.intact) for task in raw.tasks}
        self.floor = {task.name: _Answers.of(task.floor) for task in raw.tasks}

    def validation(self, empty: Validation) -> Validation:
        """Everything, in the order in which one thing rests on another."""
        trials, tests = self.trials()
        areas, sample = self.areas(), self.sample([*self.tasks])
        scored = [name for name in areas if name not in (RANDOM, LAYERS)]
        return replace(
            empty,
            wanted=self.wanted,
            positions=self.raw.positions,
            readout=self.raw.readout,
            tests=tests,
            cost=self.raw.cost,
            tasks=[self.task(task) for task in self.raw.tasks],
            trials=trials,
            matrix=self.matrix(),
            curves=[self.curve(curve) for curve in self.raw.curves],
            rankings=rankings(areas, sample),
            best=best(areas, scored, sample),
        )

    @cached_property
    def untestable(self) -> dict[str, Reason]:
        """Of sets for which no controls are sought, why."""
        found = {each.id: self._untestable(each) for each in self.raw.sets}
        return {name: reason for name, reason in found.items() if reason is not None}

    def _untestable(self, each: RawSet) -> Reason | None:
        tasks = [self.tasks[name] for name in each.tasks]
        if any(task.at_chance for task in tasks):
            return "at-chance"
        if not each.held_out:  # the examples that a set is tried on would have helped to choose it
            return "in-sample"
        if any(len(set(task.groups)) < LEAST for task in tasks):
            return "few-groups"
        layers = Counter(head.rpartition("H")[0] for head in each.heads)
        return "whole-layer" if any(n == self.raw.layers[layer] for layer, n in layers.items()) else None

    @cached_property
    def wanted(self) -> int:
        """The number of control sets that every test was to have."""
        tests = {_key(each) for each in self.raw.sets if each.id not in self.untestable}
        return max(self.raw.controls, PER_TEST * len(tests))

    def reason(self, each: RawSet) -> Reason | None:
        """Why a set is not tested (None: it is)."""
        if each.id in self.untestable:
            return self.untestable[each.id]
        if each.controls is None or each.controls.distinct < FEWEST:
            return "few-controls"
        if not each.controls.sets:
            return "budget"
        return "no-range" if any(self.whole(name) <= 0 for name in each.tasks) else None

    def whole(self, task: str) -> float:
        """Return what a task loses with every head's mean."""
        return float((self.intact[task].log_probability - self.floor[task].log_probability).mean())

    def sample(self, tasks: Sequence[str]) -> Sample:
        """Return the sample of the tasks' examples."""
        return Sample.of([self.tasks[name].groups for name in tasks])

    def loss(self, tasks: Sequence[str], answers: Mapping[str, Answers]) -> Float[np.ndarray, "example"]:
        """Return what each example of the tasks loses in log-probability."""
        lost = [self.intact[name].log_probability - _Answers.of(answers[name]).log_probability for name in tasks]
        return np.concatenate(lost)

    def task(self, task: RawTask) -> TaskTrial:
        """One task with the model as it is, and without any head."""
        reason: Reason | None = "at-chance" if task.at_chance else "no-range" if self.whole(task.name) <= 0 else None
        intact, floor = self.intact[task.name].outcome, self.floor[task.name].outcome
        return TaskTrial(task.name, len(task.examples), len(set(task.groups)), intact, floor, task.chance, reason)

    def trials(self) -> tuple[list[Trial], int]:
        """Every set's trial, and the number of tests: sets that name the same heads on the same tasks are one."""
        reasons = {each.id: self.reason(each) for each in self.raw.sets}
        results = {each.id: self._compared(each) for each in self.raw.sets if reasons[each.id] is None}
        p = {_key(each): results[each.id].p for each in self.raw.sets if each.id in results}
        # Not Bonferroni: a layer of 32 heads offers some 25 single controls, of which no family of more than one test
        # would survive it (docs/decisions/0012-verdicts.md).
        q = dict(zip(p, benjamini_hochberg([*p.values()]), strict=True))
        trials = []
        for each in self.raw.sets:
            result = results.get(each.id)
            trial = self._trial(each, reasons[each.id])
            trials.append(trial if result is None else self._judged(trial, each, result, q[_key(each)]))
        return trials, len(p)

    def _compared(self, each: RawSet) -> Compared:
        controls = _controls(each)
        losses, mean = np.array([control.loss for control in controls.sets]), np.array(controls.mean_loss)
        return compared(self.loss(each.tasks, each.mean), losses, mean, self.sample(each.tasks))

    def _trial(self, each: RawSet, reason: Reason | None) -> Trial:
        """Return what every intervention on a set did, before it is compared."""
        tasks, sample = each.tasks, self.sample(each.tasks)
        return Trial(
            each.id,
            each.kind,
            [*tasks],
            [*each.heads],
            "undecided",
            reason,
            len(sample.groups),
            sample.n_groups,
            intact=_mean([self.intact[name].outcome for name in tasks]),
            knocked_out=_over(tasks, each.mean),
            zeroed=_over(tasks, each.zero),
            kept=_over(tasks, each.kept),
            floor=_mean([self.floor[name].outcome for name in tasks]),
            amplified={factor: _over(tasks, answers) for factor, answers in each.amplified.items()},
            gain={f: sample.interval(-self.loss(tasks, answers)) for f, answers in each.amplified.items()},
            loss=sample.interval(self.loss(tasks, each.mean)),
            distinct=0 if each.controls is None else each.controls.distinct,
            widened=0 if each.controls is None else each.controls.widened,
        )

    def _judged(self, trial: Trial, each: RawSet, result: Compared, q: float) -> Trial:
        """Return the trial of a set that is compared with its controls."""
        # A share of what all heads together are worth, whatever the set's size: the margin by which single heads are
        # called inert too (docs/decisions/0012-verdicts.md).
        margin = self.raw.margin * float(np.mean([self.whole(name) for name in each.tasks]))
        judged, why, more = verdict(result, q, margin, self.raw.alpha)
        assert trial.intact is not None
        controls = _controls(each)
        after = Outcome(
            float(np.mean([control.accuracy for control in controls.sets])),
            trial.intact.log_probability - float(np.mean([control.loss for control in controls.sets])),
        )
        return replace(
            trial,
            verdict=judged,
            reason=why,
            more=more,
            margin=margin,
            excess=result.excess,
            p=result.p,
            q=q,
            as_strong=result.as_strong,
            controls=controls.sets,
            norm=controls.norm,
            after_controls=after,
        )

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


def _key(each: RawSet) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the identity of a set's test: two sets of equal heads and tasks are one test."""
    return frozenset(each.heads), tuple(each.tasks)


def _controls(each: RawSet) -> RawControls:
    assert each.controls is not None  # a set without any is not tested
    return each.controls


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the mean of outcomes, one a task."""
    accuracy = float(np.mean([outcome.accuracy for outcome in outcomes]))
    return Outcome(accuracy, float(np.mean([outcome.log_probability for outcome in outcomes])))


def _over(tasks: Sequence[str], answers: Mapping[str, Answers]) -> Outcome:
    """Return the mean over the tasks of each one's outcome."""
    return _mean([_Answers.of(answers[name]).outcome for name in tasks])
