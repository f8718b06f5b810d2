"""Findings and a model in, raw outcomes out: knock out what was found, and matched heads, on held-out examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.trials import Answers, Control, RawControls, RawCurve, RawSet, RawTask, RawValidation
from reportgen.errors import InputError, ran_out
from reportgen.scoring.data.metrics import beat
from reportgen.scoring.methods.common.ablation import side_by_side
from reportgen.scoring.run.prepare import versions
from reportgen.storage.json_files import key_of
from reportgen.validation.checkpoints import read_checkpoint, write_checkpoint
from reportgen.validation.controls import Controls
from reportgen.validation.derive import costs
from reportgen.validation.engine import Intervention, Outcomes, outcomes
from reportgen.validation.orders import prefixes
from reportgen.validation.plan import FACTORS, Planned, at_chance, planned
from reportgen.validation.prepare import Setup, set_up
from reportgen.validation.recorded import DIGITS
from reportgen.validation.sets import FoundSet, Heads, layers_of

PER_CHECKPOINT = 256  # interventions of a task in one file: what a killed run repeats at most; fewer make more files
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
    ``progress("validation", done, total)`` the examples under interventions; ``checkpoints`` is a folder in which what
    is finished is kept and from which it is taken again. Where the model or its tasks cannot be used any more, or the
    budget is too small, the result says so and holds nothing else.
    """
    blocks = next(iter(methods.values()))
    empty = RawValidation(
        "",
        findings.scores,
        findings.apart,
        study.scoring.seed,
        study.analysis.margin,
        study.validation.controls,
        study.scoring.positions,
    )
    try:
        setup = set_up(study, blocks)
        plan = planned(setup, findings, methods, study.validation)
        notify(_costs(plan))
        record = _Record(setup, plan, _run(setup, plan, progress, checkpoints))
    except InputError as error:
        return replace(empty, problem=str(error))
    return replace(
        empty,
        readout=setup.readout.name,
        cost=plan.cost,
        layers={layer.name: layer.heads for layer in layers_of(blocks)},
        tasks=[record.task(t, at_chance(setup, findings, t)) for t in range(len(setup.tasks))],
        sets=[record.set(each) for each in plan.sets],
        curves=record.curves(),
    )


def _costs(plan: Planned) -> str:
    """Return the sentence on what the validation costs."""
    tested = len(plan.controls) - sum(reason in ("few-controls", "budget") for reason in plan.reasons.values())
    return costs(len(plan.sets), tested, plan.least, max(map(len, plan.members)), plan.cost)


def _run(setup: Setup, plan: Planned, progress: Progress, checkpoints: Path | None) -> list[Outcomes]:
    """Every task's outcomes, (intervention, example) in the plan's order."""
    total, done, found = plan.runs, 0, list[Outcomes]()
    progress("validation", 0, total)
    for t, (members, wanted) in enumerate(zip(plan.members, plan.wanted, strict=True)):
        order = sorted(range(len(wanted)), key=lambda i: wanted[i].order)  # those that share layers in one checkpoint
        correct = np.zeros((len(wanted), len(members)), dtype=bool)
        log_probability = np.zeros((len(wanted), len(members)))
        for start in range(0, len(order), PER_CHECKPOINT):
            chosen = order[start : start + PER_CHECKPOINT]
            some = _checkpointed(setup, t, members, [wanted[i] for i in chosen], checkpoints)
            correct[chosen], log_probability[chosen] = some.correct, some.log_probability
            done += len(chosen) * len(members)
            progress("validation", done, total)
        found.append(Outcomes(correct, log_probability))
    return found


def _checkpointed(
    setup: Setup, t: int, members: Sequence[int], some: Sequence[Intervention], checkpoints: Path | None
) -> Outcomes:
    task, study = setup.tasks[t], setup.prepared.study
    assert study.model is not None
    identity = [
        setup.prepared.model.described.weights_sha256,
        study.model.dtype,
        study.model.device,
        versions(),
        study.scoring.positions,
        study.scoring.seed,
        setup.prepared.batch_size,
        setup.readout.identity,
    ]
    chosen = [task.encoded[i] for i in members]
    examples = [[e.inputs, e.answer, e.positions, e.decoder, *e.content[5:]] for e in chosen]
    if any(e.rivals for e in chosen):
        identity.append(study.scoring.answer_reduction)
    means = [float(m.double().sum()) for m in (*setup.means.first, *setup.means.others)]
    key = key_of([identity, task.name, examples, means, [[sorted(i.heads), i.factor] for i in some]])
    stored = read_checkpoint(checkpoints, key)
    if stored is None:
        stored = _fresh(setup, t, members, some)
        write_checkpoint(checkpoints, key, stored)
    return stored


def _fresh(setup: Setup, t: int, members: Sequence[int], some: Sequence[Intervention]) -> Outcomes:
    examples = [setup.tasks[t].encoded[i] for i in members]
    size = len(some), len(examples) + sum(len(e.unlike) for e in examples)
    correct, log_probability = np.zeros(size, dtype=bool), np.zeros(size)
    for rows, batch in setup.batches(t, members):
        found, together = None, side_by_side(setup.setting.model, batch)
        while found is None:
            try:
                found = outcomes(setup.setting, setup.means, setup.readout.read, batch, some, together)
            except (RuntimeError, MemoryError) as error:
                together = _fewer(error, together, setup.tasks[t].name)
        correct[:, rows], log_probability[:, rows] = found.correct, found.log_probability
    own, reduction = slice(len(examples)), setup.prepared.study.scoring.answer_reduction
    if not np.isfinite(log_probability[:, own]).all():
        problem = "the answer's log-probability is not finite with heads knocked out"
        raise InputError(problem, f"task {setup.tasks[t].name}", 'Compute in dtype = "float32"')
    return Outcomes(beat(correct[:, own], log_probability, examples, reduction), log_probability[:, own])


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

    def log_probability(self, t: int, heads: Heads, factor: float | None = None) -> Float[np.ndarray, "example"]:
        """Return the log-probabilities of a task's answers under an intervention, rounded as they are written."""
        found = self.outcomes[t].log_probability[self.rows[t][Intervention(heads, factor)]]
        # rounding errors of a sure answer may pass 0; adding 0.0 leaves no -0.0
        rounded: np.ndarray = np.minimum(np.round(found.astype(np.float64), DIGITS), 0.0) + 0.0
        return rounded

    def right(self, t: int, heads: Heads, factor: float | None = None) -> Bool[np.ndarray, "example"]:
        """Which of a task's answers are right under an intervention."""
        found: np.ndarray = self.outcomes[t].correct[self.rows[t][Intervention(heads, factor)]]
        return found

    def answers(self, t: int, heads: Heads, factor: float | None = None) -> Answers:
        """Both, of every example."""
        right = "".join("1" if each else "0" for each in self.right(t, heads, factor))
        return Answers(right, self.log_probability(t, heads, factor).tolist())

    def task(self, t: int, chance: bool) -> RawTask:
        """One task with the model as it is, and without any head."""
        rows = [self.setup.tasks[t].rows[i] for i in self.plan.members[t]]
        return RawTask(
            self.setup.tasks[t].name,
            self.setup.competence(t)[1],
            chance,
            [row.id for row in rows],
            [row.group for row in rows],
            self.answers(t, frozenset()),
            self.answers(t, self.every),
        )

    def set(self, each: FoundSet) -> RawSet:
        """One set under every intervention on it."""

        def own(heads: Heads, factor: float | None = None) -> dict[str, Answers]:
            return {self.setup.tasks[t].name: self.answers(t, heads, factor) for t in each.tasks}

        found = self.plan.controls.get(each.id)
        return RawSet(
            each.id,
            each.kind,
            [self.setup.tasks[t].name for t in each.tasks],
            list(each.names),
            each.held_out,
            mean={task.name: self.answers(t, each.heads) for t, task in enumerate(self.setup.tasks)},
            zero=own(each.heads, 0.0),
            kept=own(self.every - each.heads),
            amplified={f"{factor:g}": own(each.heads, factor) for factor in FACTORS},
            controls=None if found is None else self.controls(each, found),
        )

    def controls(self, each: FoundSet, found: Controls) -> RawControls:
        """Return the set's controls; none were run where the set is not tested."""
        run = found.sets if each.id not in self.plan.reasons else ()
        losses = [
            [self.log_probability(t, frozenset()) - self.log_probability(t, control) for t in each.tasks]
            for control in run
        ]
        mean_loss = np.mean([np.concatenate(each) for each in losses], axis=0) if run else np.zeros(0)
        return RawControls(
            found.distinct,
            found.widened,
            found.norm,
            np.round(mean_loss, DIGITS).tolist(),
            [self.control(each, control, lost) for control, lost in zip(run, losses, strict=True)],
        )

    def control(self, each: FoundSet, control: Heads, lost: Sequence[np.ndarray]) -> Control:
        """One control set, the mean over the found set's tasks."""
        names = [self.setup.index.name(cell) for cell in sorted(control)]
        accuracy = np.mean([self.right(t, control).mean() for t in each.tasks])
        return Control(
            names, round(float(np.mean([one.mean() for one in lost])), DIGITS), round(float(accuracy), DIGITS)
        )

    def curves(self) -> list[RawCurve]:
        """Return what is left of every task as heads are knocked out, but for the last step: that of all heads."""
        return [
            RawCurve(
                self.setup.tasks[t].name,
                name,
                [[self.answers(t, step.heads) for step in prefixes(order)[:-1]] for order in runs],
            )
            for t, orders in enumerate(self.plan.orders)
            for name, runs in orders.items()
        ]
