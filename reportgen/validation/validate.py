"""Findings and a model in, a Validation out: knock out what was found, and matched heads, on held-out examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.stats import benjamini_hochberg
from reportgen.core.trials import Control, Curve, Interval, Outcome, Reason, TaskTrial, Trial, Validation
from reportgen.errors import InputError, ran_out
from reportgen.scoring.methods.common.ablation import at_once
from reportgen.scoring.run.prepare import versions
from reportgen.storage.store import key_of
from reportgen.validation.checkpoints import read_part, write_part
from reportgen.validation.curves import CONTROLS, NORM, area, best, knocked, prefixes, rankings
from reportgen.validation.engine import Heads, Intervention, Outcomes, outcomes
from reportgen.validation.plan import FACTORS, Planned, at_chance, planned
from reportgen.validation.prepare import Ground, ground
from reportgen.validation.sets import FoundSet
from reportgen.validation.statistics import Compared, Sample, compared, verdict

PART = 256  # interventions of a task that are kept together: what a killed run repeats at most
Progress = Callable[[str, int, int], None]
Notify = Callable[[str], None]


def _silent(*_: object) -> None:
    pass


def validate(
    study: Study,
    findings: Findings,
    methods: Mapping[str, Blocks],
    *,
    progress: Progress = _silent,
    parts: Path | None = None,
    notify: Notify = _silent,
) -> Validation:
    """Intervene on the heads that the findings name, on examples of the held-out half.

    ``methods`` are the scores by method, the first method first. ``notify`` is told the cost before anything is run,
    ``progress("validation", done, total)`` the examples under interventions; ``parts`` is a folder in which finished
    parts are kept and from which they are taken again. Where the model or its tasks cannot be used any more, or the
    budget is too small, the Validation says so and holds nothing else.
    """
    blocks = next(iter(methods.values()))
    empty = Validation("", findings.scores, findings.apart, study.scoring.seed)
    try:
        at_hand = ground(study, blocks)
        plan = planned(at_hand, findings, methods, study.validation)
        notify(costs(plan))
        found = _run(at_hand, plan, progress, parts)
    except InputError as error:
        return replace(empty, problem=str(error))
    results = _Results(at_hand, plan, found, study.analysis.margin, findings.apart)
    areas, sample = results.areas(), results.sample(range(len(at_hand.tasks)))
    return replace(
        empty,
        wanted=plan.least,
        positions=study.scoring.positions,
        cost=plan.cost,
        readout=at_hand.readout.name,
        tasks=[results.task(t, at_chance(at_hand, findings, t)) for t in range(len(at_hand.tasks))],
        trials=results.trials(),
        tests=results.tests,
        matrix=results.matrix(),
        curves=results.curves(),
        rankings=rankings(areas, sample),
        best=best(areas, [*dict.fromkeys([*methods, NORM])], sample),
        notes=[costs(plan)],
    )


def costs(plan: Planned) -> str:
    """What the validation costs, in words."""
    tested, n = len(plan.controls) - sum(r in ("few-controls", "budget") for r in plan.reasons.values()), plan.members
    examples = max(map(len, n))
    return (
        f"validation: {len(plan.sets)} sets, {tested} of them against up to {plan.least} matched control sets each, on "
        f"{examples} held-out examples a task: {plan.cost.runs:,.0f} runs of one example, "
        f"{plan.cost.runs / plan.cost.ablation:.2f} × exact zero ablation of the study (budget {plan.cost.budget:g} ×)"
    )


def _run(at_hand: Ground, plan: Planned, progress: Progress, parts: Path | None) -> list[Outcomes]:
    """Every task's outcomes, (intervention, example) in the plan's order."""
    total, done, found = plan.runs, 0, list[Outcomes]()
    progress("validation", 0, total)
    for t, (members, wanted) in enumerate(zip(plan.members, plan.wanted, strict=True)):
        order = sorted(range(len(wanted)), key=lambda i: wanted[i].order)  # those that share layers in one part
        correct = np.zeros((len(wanted), len(members)), dtype=bool)
        log_probability = np.zeros((len(wanted), len(members)))
        for start in range(0, len(order), PART):
            places = order[start : start + PART]
            part = _part(at_hand, t, members, [wanted[i] for i in places], parts)
            correct[places], log_probability[places] = part.correct, part.log_probability
            done += len(places) * len(members)
            progress("validation", done, total)
        found.append(Outcomes(correct, log_probability))
    return found


def _part(
    at_hand: Ground, t: int, members: Sequence[int], some: Sequence[Intervention], parts: Path | None
) -> Outcomes:
    task, study = at_hand.tasks[t], at_hand.prepared.study
    assert study.model is not None
    identity = [
        at_hand.prepared.model.described.weights_sha256,
        study.model.dtype,
        study.model.device,
        versions(),
        study.scoring.positions,
        study.scoring.seed,
        at_hand.prepared.batch_size,
        at_hand.readout.identity,
    ]
    examples = [[e.inputs, e.answer, e.positions, e.decoder] for e in (task.encoded[i] for i in members)]
    means = [float(m.double().sum()) for m in (*at_hand.means.first, *at_hand.means.others)]
    key = key_of([identity, task.name, examples, means, [[sorted(i.heads), i.factor] for i in some]])
    stored = read_part(parts, key)
    if stored is None:
        stored = _fresh(at_hand, t, members, some)
        write_part(parts, key, stored)
    return stored


def _fresh(at_hand: Ground, t: int, members: Sequence[int], some: Sequence[Intervention]) -> Outcomes:
    correct = np.zeros((len(some), len(members)), dtype=bool)
    log_probability = np.zeros((len(some), len(members)))
    for places, batch in at_hand.batches(t, members):
        found, together = None, at_once(batch)
        while found is None:
            try:
                found = outcomes(at_hand.setting, at_hand.means, at_hand.readout.read, batch, some, together)
            except (RuntimeError, MemoryError) as error:
                together = _fewer(error, together, at_hand.tasks[t].name)
        correct[:, places], log_probability[:, places] = found.correct, found.log_probability
    if not np.isfinite(log_probability).all():
        problem = "the answer's log-probability is not finite with heads knocked out"
        raise InputError(problem, f"task {at_hand.tasks[t].name}", 'Compute in dtype = "float32"')
    return Outcomes(correct, log_probability)


def _fewer(error: Exception, together: int, task: str) -> int:
    """Half as many side by side after memory has run out; raises what is another fault or cannot be mended so."""
    if not ran_out(error):
        raise error
    if together == 1:
        hint = "Give a smaller [scoring] batch_size, or use a machine with more memory"
        raise InputError("out of memory with one intervention at a time", f"task {task}", hint) from error
    return together // 2


@dataclass
class _Results:
    """All outcomes, and what is read off them."""

    ground: Ground
    plan: Planned
    outcomes: Sequence[Outcomes]
    margin: float
    alpha: float
    tests: int = 0

    def __post_init__(self) -> None:
        self.rows = [{each: i for i, each in enumerate(wanted)} for wanted in self.plan.wanted]
        self.every = self.ground.index.all

    def of(self, t: int, heads: Heads, factor: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Right or wrong, and log-probabilities, of a task's examples under an intervention."""
        row = self.rows[t][Intervention(heads, factor)]
        return self.outcomes[t].correct[row], self.outcomes[t].log_probability[row]

    def loss(self, tasks: Sequence[int], heads: Heads, factor: float | None = None) -> Float[np.ndarray, "example"]:
        """What each example of the tasks loses in log-probability."""
        return np.concatenate([self.of(t, frozenset())[1] - self.of(t, heads, factor)[1] for t in tasks])

    def outcome(self, tasks: Sequence[int], heads: Heads, factor: float | None = None) -> Outcome:
        """The mean over the tasks of each one's outcome."""
        pairs = [self.of(t, heads, factor) for t in tasks]
        return Outcome(float(np.mean([c.mean() for c, _ in pairs])), float(np.mean([p.mean() for _, p in pairs])))

    def whole(self, t: int) -> float:
        """What a task loses with every head's mean."""
        return float(self.loss([t], self.every).mean())

    def sample(self, tasks: Sequence[int]) -> Sample:
        """The tasks' examples."""
        rows = [[self.ground.tasks[t].rows[i].group for i in self.plan.members[t]] for t in tasks]
        return Sample.of(rows)

    def task(self, t: int, chance: bool) -> TaskTrial:
        """One task with the model as it is, and without any head."""
        described = self.ground.index.blocks[0].tasks[t]
        reason: Reason | None = "at-chance" if chance else "no-range" if self.whole(t) <= 0 else None
        return TaskTrial(
            described.name,
            len(self.plan.members[t]),
            self.sample([t]).units,
            self.outcome([t], frozenset()),
            self.outcome([t], self.every),
            self.ground.competence(t)[1],
            reason,
        )

    def trials(self) -> list[Trial]:
        """Every set's trial; sets that name the same heads on the same tasks are one test."""
        reasons = {**self.plan.reasons}
        for each in self.plan.sets:
            if each.id not in reasons and any(self.whole(t) <= 0 for t in each.tasks):
                reasons[each.id] = "no-range"
        tested = {each.id: self._compared(each) for each in self.plan.sets if each.id not in reasons}
        keys = {each.id: (each.heads, each.tasks) for each in self.plan.sets}
        distinct = list(dict.fromkeys(keys[i] for i in tested))
        p = {keys[i]: result.p for i, result in tested.items()}
        q = dict(zip(distinct, benjamini_hochberg([p[key] for key in distinct]), strict=True))
        self.tests = len(distinct)
        return [
            self._trial(each, reasons.get(each.id), tested.get(each.id), q.get(keys[each.id]))
            for each in self.plan.sets
        ]

    def _compared(self, each: FoundSet) -> Compared:
        controls = np.stack([self.loss(each.tasks, c) for c in self.plan.controls[each.id].sets])
        return compared(self.loss(each.tasks, each.heads), controls, self.sample(each.tasks))

    def _trial(self, each: FoundSet, reason: Reason | None, result: Compared | None, q: float | None) -> Trial:
        tasks, sample, none = each.tasks, self.sample(each.tasks), frozenset[tuple[int, int]]()
        trial = Trial(
            each.id,
            each.kind,
            [self.ground.tasks[t].name for t in tasks],
            list(each.names),
            "undecided",
            reason,
            len(sample.groups),
            sample.units,
            intact=self.outcome(tasks, none),
            knocked_out=self.outcome(tasks, each.heads),
            zeroed=self.outcome(tasks, each.heads, 0.0),
            kept=self.outcome(tasks, self.every - each.heads),
            floor=self.outcome(tasks, self.every),
            amplified={f"{f:g}": self.outcome(tasks, each.heads, f) for f in FACTORS},
            gain={f"{f:g}": self._gain(sample, tasks, each.heads, f) for f in FACTORS},
            loss=sample.interval(self.loss(tasks, each.heads)),
        )
        if each.id in self.plan.controls:
            found = self.plan.controls[each.id]
            trial = replace(trial, distinct=found.distinct, widened=found.widened)
        if result is None or q is None:
            return trial
        margin = self.margin * float(np.mean([self.whole(t) for t in tasks]))
        judged, why, more = verdict(result, q, margin, self.alpha)
        controls = [self._control(tasks, heads) for heads in found.sets]
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
            controls=controls,
            norm=found.norm,
            after_controls=Outcome(
                float(np.mean([c.accuracy for c in controls])),
                float(np.mean([self.outcome(tasks, heads).log_probability for heads in found.sets])),
            ),
        )

    def _gain(self, sample: Sample, tasks: Sequence[int], heads: Heads, factor: float) -> Interval:
        return sample.interval(-self.loss(tasks, heads, factor))

    def _control(self, tasks: Sequence[int], heads: Heads) -> Control:
        outcome = self.outcome(tasks, heads)
        loss = self.outcome(tasks, frozenset()).log_probability - outcome.log_probability
        return Control([self.ground.index.name(place) for place in sorted(heads)], loss, outcome.accuracy)

    def matrix(self) -> dict[str, dict[str, Outcome]]:
        """Every task with every set knocked out."""
        return {
            each.id: {task.name: self.outcome([t], each.heads) for t, task in enumerate(self.ground.tasks)}
            for each in self.plan.sets
        }

    def areas(self) -> dict[str, Float[np.ndarray, "example"]]:
        """By order, the area over each example."""
        found: dict[str, list[np.ndarray]] = {}
        for t, orders in enumerate(self.plan.orders):
            for name in orders:
                found.setdefault(name, []).append(area(self._lost(t, name), len(self.every)))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _lost(self, t: int, name: str) -> Float[np.ndarray, "step example"]:
        """The share of a task's probability of the answer that an example loses at each step, the mean over orders."""
        intact = np.exp(self.of(t, frozenset())[1])
        left = [[np.exp(self.of(t, step.heads)[1]) for step in prefixes(order)] for order in self.plan.orders[t][name]]
        lost: np.ndarray = (intact - np.mean(left, axis=0)) / intact.mean()
        return lost

    def curves(self) -> list[Curve]:
        """What is left of each task after each number of heads, the mean over random orders."""
        return [self._curve(t, name) for t, orders in enumerate(self.plan.orders) for name in orders]

    def _curve(self, t: int, name: str) -> Curve:
        found = [[self.outcome([t], step.heads) for step in prefixes(order)] for order in self.plan.orders[t][name]]
        accuracy = np.mean([[o.accuracy for o in steps] for steps in found], axis=0)
        left = np.mean([[o.log_probability for o in steps] for steps in found], axis=0)
        intact, lost = self.outcome([t], frozenset()), self._lost(t, name)
        return Curve(
            self.ground.tasks[t].name,
            name,
            [0, *knocked(len(self.every))],
            [intact.accuracy, *map(float, accuracy)],
            [intact.log_probability, *map(float, left)],
            float(area(lost, len(self.every)).mean()),
            name in CONTROLS,
        )
