"""Findings and a model in, raw outcomes out: knock out what was found, and matched heads, on held-out examples."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from jaxtyping import Bool, Float

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.sentences import rough_time
from reportgen.core.trials import (
    Answers,
    Control,
    RawControls,
    RawCurve,
    RawHead,
    RawSet,
    RawTask,
    RawValidation,
    Subset,
)
from reportgen.errors import InputError, ran_out
from reportgen.scoring.data.batches import Batch, Encoded
from reportgen.scoring.data.metrics import beat
from reportgen.scoring.methods.common.ablation import side_by_side
from reportgen.scoring.run.cost import seconds_per_forward
from reportgen.scoring.run.prepare import versions
from reportgen.storage.json_files import key_of
from reportgen.validation.checkpoints import read_checkpoint, write_checkpoint
from reportgen.validation.engine import Intervention, Outcomes, outcomes
from reportgen.validation.orders import prefixes
from reportgen.validation.plan import FACTORS, Planned, ablations, at_chance, moved, planned
from reportgen.validation.prepare import Setup, set_up
from reportgen.validation.recorded import DIGITS
from reportgen.validation.sets import FoundSet, Heads, layers_of
from reportgen.validation.sinks import on_first_token
from reportgen.validation.statistics import core_of, margin_of

# Interventions on one batch in one file: what a broken run repeats at most
PER_CHECKPOINT = 32
LOSS_DIGITS = 4  # decimals of losses that are compared with others: a two-hundredth of the smallest margin
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
    checkpoints: Path | None = None,
    notify: Notify = _silent,
) -> RawValidation:
    """Intervene on the heads that the findings name, on examples of the held-out half.

    ``methods`` are the scores by method, the first method first. ``notify`` is told the cost before anything is run,
    or why nothing is, ``progress("validation", done, total)`` the examples under interventions; ``checkpoints`` is a
    folder in which what is finished is kept and from which it is taken again. Where the model or its tasks cannot be
    used any more, or the budget is too small, the result says so and holds nothing else.
    """
    blocks = next(iter(methods.values()))
    empty = RawValidation(
        "",
        findings.scores,
        findings.apart,
        study.scoring.seed,
        study.validation.controls,
        study.scoring.positions,
    )
    try:
        setup = set_up(study, blocks)
        announced = planned(setup, findings, methods, study.validation)
        notify(costs(announced, setup))
        runs = _Runs(setup, checkpoints, progress, announced.runs)
        tried = _cut(runs, announced)
        plan = planned(setup, findings, methods, study.validation, _cores(setup, announced, tried))
        runs.total = runs.done + plan.runs
        members, wanted = plan.members, plan.wanted
        found = [runs.outcomes(t, members[t], wanted[t]) for t in range(len(setup.tasks))]
        record = _Record(setup, plan, found)
    except InputError as error:
        notify(f"validation: no intervention was made. {error}")
        return replace(empty, problem=str(error))
    return replace(
        empty,
        elsewhere=None if len(setup.settings) == 1 else setup.settings[1].positions,
        readout=setup.readout.name,
        cost=plan.cost,
        layers={layer.name: layer.heads for layer in layers_of(blocks)},
        tasks=[record.task(t, at_chance(setup, findings, t), tried.intact[t]) for t in range(len(setup.tasks))],
        sets=[record.set(each, tried.losses[each.id]) for each in plan.sets],
        singles=record.singles(),
        curves=record.curves(),
        first_token=on_first_token(setup, plan.discovery, {name for each in plan.sets for name in each.names}),
    )


def costs(plan: Planned, setup: Setup) -> str:
    """Return the sentence on what the validation costs."""
    cost, size = plan.cost, setup.prepared.batch_size
    every = sorted((e for task in setup.tasks for e in task.encoded), key=lambda e: len(e.inputs))
    batch = setup.prepared.model.collated([every[len(every) // 2]] * size)
    seconds = cost.runs / size * seconds_per_forward(setup.prepared.model, batch)
    return (
        f"validation: {len(plan.sets)} sets, {len(plan.controls)} of them against up to "
        f"{max((len(each.sets) for each in plan.controls.values()), default=0)} others of their layers, on "
        f"{max(map(len, plan.members))} held-out examples a task: {cost.runs:,.0f} runs of one example, "
        f"{cost.runs / cost.ablation:.2f} × exact zero ablation of the study (budget {cost.budget:g} ×, the smallest "
        f"that would do {np.ceil(100 * plan.smallest) / 100:g} ×), {rough_time(seconds)}"
    )


@dataclass
class _Runs:
    """Interventions on examples, batch by batch; what is finished is kept in ``checkpoints`` and taken from there."""

    setup: Setup
    checkpoints: Path | None
    progress: Progress
    total: int
    done: int = 0

    def outcomes(self, t: int, members: Sequence[int], wanted: Sequence[Intervention]) -> Outcomes:
        """Return the outcomes of a task's examples of these numbers, (intervention, example) in the order of both."""
        order = sorted(range(len(wanted)), key=lambda i: wanted[i].order)  # those that share layers in one checkpoint
        encoded, reduction = self.setup.with_rivals(t, members), self.setup.prepared.study.scoring.answer_reduction
        correct = np.zeros((len(wanted), len(encoded)), dtype=bool)
        log_probability = np.zeros((len(wanted), len(encoded)))
        for rows, batch in self.setup.batches(encoded):
            for start in range(0, len(order), PER_CHECKPOINT):
                chosen = order[start : start + PER_CHECKPOINT]
                some = self._kept(t, [encoded[row] for row in rows], batch, [wanted[i] for i in chosen])
                correct[np.ix_(chosen, rows)] = some.correct
                log_probability[np.ix_(chosen, rows)] = some.log_probability
        examples = encoded[: len(members)]
        own = log_probability[:, : len(members)]
        if not np.isfinite(own).all():
            problem = "the answer's log-probability is not finite with heads knocked out"
            raise InputError(problem, f"task {self.setup.tasks[t].name}", 'Compute in dtype = "float32"')
        return Outcomes(beat(correct[:, : len(members)], log_probability, examples, reduction), own)

    def _kept(self, t: int, examples: Sequence[Encoded], batch: Batch, some: Sequence[Intervention]) -> Outcomes:
        setup, study = self.setup, self.setup.prepared.study
        assert study.model is not None
        identity = [
            setup.prepared.model.described.weights_sha256,
            study.model.dtype,
            study.model.device,
            versions(),
            [setting.positions for setting in setup.settings],
            study.scoring.seed,
            setup.prepared.batch_size,
            setup.readout.identity,
        ]
        task = setup.tasks[t]
        read = [[e.inputs, e.answer, e.positions, e.decoder, *e.content[5:]] for e in examples]
        if any(e.rivals for e in examples):
            identity.append(study.scoring.answer_reduction)
        means = [float(m.double().sum()) for each in setup.means for m in (*each.first, *each.others)]
        asked = [[sorted(i.heads), i.factor, i.draw, i.elsewhere] for i in some]
        key = key_of([identity, task.name, read, means, asked])
        stored, before = read_checkpoint(self.checkpoints, key), self.done
        if stored is None:
            stored = self._fresh(t, batch, some)
            write_checkpoint(self.checkpoints, key, stored)
        self.done = before + len(some) * batch.size
        self._tell()
        return stored

    def _tell(self) -> None:
        self.progress("validation", min(self.done, self.total), self.total)

    def _fresh(self, t: int, batch: Batch, some: Sequence[Intervention]) -> Outcomes:
        before, found, together = self.done, None, side_by_side(self.setup.setting.model, batch)

        def step(interventions: int) -> None:
            self.done += interventions * batch.size
            self._tell()

        while found is None:
            try:
                found = outcomes(self.setup.ground, batch, some, together, step)
            except (RuntimeError, MemoryError) as error:
                together, self.done = _fewer(error, together, self.setup.tasks[t].name), before
        return found


@dataclass(frozen=True)
class _Tried:
    """On discovery rows: each task's mean log-probability of the answers, and each set's losses by subset."""

    intact: list[float]
    losses: Mapping[str, Mapping[frozenset[str], float]]


def _cut(runs: _Runs, plan: Planned) -> _Tried:
    """Measure the subsets that it takes to cut every set to its core, all sets a round."""
    setup, plain = runs.setup, Intervention(frozenset())
    losses: dict[str, dict[frozenset[str], float]] = {each.id: {} for each in plan.sets}
    intact: list[float] = []
    while True:
        asked = {each.id: _asked(setup, each, losses[each.id], intact) for each in plan.sets}
        wanted = [
            [
                plain,
                *dict.fromkeys(
                    Intervention(setup.index.cells(names)) for s in plan.sets if t in s.tasks for names in asked[s.id]
                ),
            ]
            for t in range(len(setup.tasks))
        ]
        if intact and not any(asked.values()):
            return _Tried(intact, losses)
        means = []
        for t, some in enumerate(wanted):
            found = runs.outcomes(t, plan.discovery[t], some).log_probability.mean(axis=1)
            means.append(dict(zip(some, np.round(found.astype(np.float64), DIGITS).tolist(), strict=True)))
        intact = intact or [float(each[plain]) for each in means]
        for each in plan.sets:
            for names in asked[each.id]:
                lost = [means[t][plain] - means[t][Intervention(setup.index.cells(names))] for t in each.tasks]
                losses[each.id][frozenset(names)] = round(fmean(lost), DIGITS)


def _asked(
    setup: Setup, each: FoundSet, losses: Mapping[frozenset[str], float], intact: Sequence[float]
) -> list[list[str]]:
    """Return the subsets of a set whose losses it takes to go on."""
    return core_of(losses, each.names, _margin(setup, each, intact) if intact else math.inf)[1]


def _margin(setup: Setup, each: FoundSet, intact: Sequence[float]) -> float:
    return fmean(margin_of(intact[t] - setup.guesses[t]) for t in each.tasks)


def _cores(setup: Setup, plan: Planned, tried: _Tried) -> dict[str, Heads]:
    return {
        each.id: setup.index.cells(core_of(tried.losses[each.id], each.names, _margin(setup, each, tried.intact))[0])
        for each in plan.sets
    }


def _fewer(error: Exception, together: int, task: str) -> int:
    """Half as many side by side after memory has run out; raises what is another fault or cannot be mended so."""
    if not ran_out(error):
        raise error
    if together == 1:
        hint = "Give a smaller [scoring] batch_size, or use a machine with more memory"
        raise InputError("out of memory with one intervention at a time", f"task {task}", hint) from error
    return together // 2


@dataclass
class _Record:
    """All outcomes, as validation.json keeps them."""

    setup: Setup
    plan: Planned
    outcomes: Sequence[Outcomes]

    def __post_init__(self) -> None:
        self.rows = [{each: i for i, each in enumerate(wanted)} for wanted in self.plan.wanted]
        self.every = self.setup.index.all

    def log_probability(self, t: int, each: Intervention) -> Float[np.ndarray, "example"]:
        """Return the log-probabilities of a task's answers under an intervention, rounded as they are written."""
        found = self.outcomes[t].log_probability[self.rows[t][each]]
        # rounding errors of a sure answer may pass 0; adding 0.0 leaves no -0.0
        rounded: np.ndarray = np.minimum(np.round(found.astype(np.float64), DIGITS), 0.0) + 0.0
        return rounded

    def right(self, t: int, each: Intervention) -> Bool[np.ndarray, "example"]:
        """Which of a task's answers are right under an intervention."""
        found: np.ndarray = self.outcomes[t].correct[self.rows[t][each]]
        return found

    def answers(self, t: int, each: Intervention) -> Answers:
        """Both, of every example."""
        right = "".join("1" if one else "0" for one in self.right(t, each))
        return Answers(right, self.log_probability(t, each).tolist())

    def losses(self, t: int, heads: Heads, factor: float | None = None) -> Float[np.ndarray, "example"]:
        """Return what a knock-out costs every example."""
        plain = self.log_probability(t, Intervention(frozenset()))
        lost: np.ndarray = np.round(plain - self.log_probability(t, Intervention(heads, factor)), LOSS_DIGITS) + 0.0
        return lost

    def task(self, t: int, chance: bool, discovery: float) -> RawTask:
        """One task with the model as it is, and without any head."""
        rows = [self.setup.tasks[t].rows[i] for i in self.plan.members[t]]
        return RawTask(
            self.setup.tasks[t].name,
            self.setup.competence(t)[1],
            round(self.setup.guesses[t], DIGITS),
            chance,
            self.setup.neutral == t,
            discovery,
            [row.id for row in rows],
            [row.group for row in rows],
            self.answers(t, Intervention(frozenset())),
            self.answers(t, Intervention(self.every)),
        )

    def set(self, each: FoundSet, tried: Mapping[frozenset[str], float]) -> RawSet:
        """One set under every intervention on it."""
        core, index, tasks = self.plan.cores[each.id], self.setup.index, self.setup.tasks

        def own(one: Intervention) -> dict[str, Answers]:
            return {tasks[t].name: self.answers(t, one) for t in each.tasks}

        def drawn(elsewhere: bool) -> dict[str, dict[str, list[Answers]]]:
            """By intervention and task; what not all tasks have is left out."""
            by_task = {t: ablations(self.setup, core, t) for t in each.tasks}
            by_task = {t: moved(some) for t, some in by_task.items()} if elsewhere else by_task
            names = [name for name in by_task[each.tasks[0]] if all(name in some for some in by_task.values())]
            return {
                name: {tasks[t].name: [self.answers(t, one) for one in by_task[t][name]] for t in each.tasks}
                for name in names
            }

        neutral = self.setup.neutral
        also = {} if neutral is None else {tasks[neutral].name: self.answers(neutral, Intervention(core, 0.0))}
        found = self.plan.controls.get(each.id)
        return RawSet(
            each.id,
            each.kind,
            [tasks[t].name for t in each.tasks],
            list(each.names),
            each.held_out,
            tried=[Subset([n for n in each.names if n in names], lost) for names, lost in tried.items()],
            core=[name for name in each.names if index.cells([name]) <= core],
            mean={task.name: self.answers(t, Intervention(core)) for t, task in enumerate(tasks)},
            zero=own(Intervention(core, 0.0)) | also,
            resample=drawn(False).get("resample", {}),
            elsewhere=drawn(True) if len(self.setup.settings) > 1 else {},  # type: ignore[arg-type]
            whole=own(Intervention(each.heads)),
            kept=own(Intervention(self.every - each.heads)),
            amplified={f"{factor:g}": own(Intervention(each.heads, factor)) for factor in FACTORS},
            controls=None
            if found is None
            else RawControls(found.distinct, found.layers, [self.control(each, control) for control in found.sets]),
        )

    def control(self, each: FoundSet, control: Heads) -> Control:
        """One set that a found one is held against."""
        names = [self.setup.index.name(cell) for cell in sorted(control)]
        lost = [value for t in each.tasks for value in self.losses(t, control).tolist()]
        accuracy = fmean(float(self.right(t, Intervention(control)).mean()) for t in each.tasks)
        return Control(names, lost, round(accuracy, DIGITS))

    def singles(self) -> list[RawHead]:
        """Return what each head costs alone."""
        tasks = self.setup.tasks
        return [
            RawHead(
                self.setup.index.name(cell),
                {task.name: self.losses(t, frozenset({cell})).tolist() for t, task in enumerate(tasks)},
                {
                    task.name: round(float(self.losses(t, frozenset({cell}), 0.0).mean()), DIGITS)
                    for t, task in enumerate(tasks)
                },
            )
            for cell in self.plan.singles
        ]

    def curves(self) -> list[RawCurve]:
        """Return what is left of every task as heads are knocked out, but for the last step: that of all heads."""
        return [
            RawCurve(
                self.setup.tasks[t].name,
                name,
                [[self.answers(t, step) for step in prefixes(order)[:-1]] for order in runs],
            )
            for t, orders in enumerate(self.plan.orders)
            for name, runs in orders.items()
        ]
