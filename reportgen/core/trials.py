"""What interventions on found heads gave, example by example, and what follows: verdicts, intervals, curves."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import ConfigDict

from reportgen.core.findings import Findings, Robustness, Verdict
from reportgen.core.patterns import Patterns

TOP = "top"  # the kind of the sets that are a task's first heads
# What is put in the place of heads' outputs: their mean, zero, or what they put out on another row
InterventionName = Literal["mean", "zero", "resample"]
# Why a set is undecided: what it would take to decide, or what forbids it
Reason = Literal["examples", "at-chance", "no-worth", "few-groups", "in-sample"]
# Why it is not told whether a set costs more than others of its layers
Silence = Literal["rank", "few-sets", "whole-layer", "budget", "at-chance", "no-worth", "few-groups", "in-sample"]
# How answers are read: off the model's logits, or off its states by a probe, where it gives none
ReadoutName = Literal["answer", "probe"]
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)  # of what is read from a file


@dataclass(frozen=True)
class Cost:
    """Runs of one example through all layers, counted in parts where layers are left out: of this validation, of exact
    zero ablation of the same study, and the budget as a multiple of the latter.
    """

    __pydantic_config__ = STRICT
    runs: float
    ablation: float
    budget: float


@dataclass(frozen=True)
class Answers:
    """How each of a task's examples goes: a "1" for every right answer and a "0" for every wrong one, and the answers'
    log-probabilities (natural log).
    """

    __pydantic_config__ = STRICT
    right: str
    log_probability: list[float]


@dataclass(frozen=True)
class RawTask:
    """A task's held-out examples (their ids and groups), and their answers with the model as it is and with the mean in
    place of every head.

    ``chance`` is the share of right answers that guessing gives, ``guess`` its mean log-probability of the answer
    (natural log; None: unknown), ``at_chance``, that the model is not shown to do better. ``discovery`` is the mean
    log-probability of the answers on the discovery rows on which sets are cut to their cores. ``neutral``: it is the
    study's control task of neutral text.
    """

    __pydantic_config__ = STRICT
    name: str
    chance: float | None
    guess: float | None
    at_chance: bool
    neutral: bool
    discovery: float
    examples: list[str]
    groups: list[str]
    intact: Answers
    floor: Answers


@dataclass(frozen=True)
class Subset:
    """Some heads of a set, and what their knock-out costs on discovery rows, the mean over the set's tasks."""

    __pydantic_config__ = STRICT
    heads: list[str]
    loss: float


@dataclass(frozen=True)
class Control:
    """Another set of heads, what its knock-out to the mean costs every example of the found set's tasks, one task after
    another (loss of log-probability), and the accuracy left, the mean over these tasks.
    """

    __pydantic_config__ = STRICT
    heads: list[str]
    losses: list[float]
    accuracy: float


@dataclass(frozen=True)
class RawControls:
    """Sets that share no head with the core and have its number of heads in each layer: how many there are, and those
    that were run (none: beyond the budget). ``layers``: the core is a whole layer, and they are the other layers.
    """

    __pydantic_config__ = STRICT
    distinct: int
    layers: bool
    sets: list[Control]


@dataclass(frozen=True)
class RawSet:
    """A found set of heads and the answers, by task, under every intervention on it.

    ``id`` is the finding's, or ``top/<n>`` for the first heads of task number n; ``held_out`` says that what names its
    heads does not rest on the examples that it is tried on. ``tried`` are the subsets whose loss on discovery rows was
    measured, the set itself first: the ``core`` follows from them.

    Of the core: ``mean``, on every task, the mean in place of its heads; ``zero``, on its own tasks and on neutral
    text; ``resample``, on its own tasks, the heads' outputs on other rows, several draws; ``elsewhere``, by
    intervention, the same three on its own tasks at the study's other positions. Of the whole set, on its own tasks:
    ``whole``, the mean in place of its heads; ``kept``, the mean in place of all other heads; ``amplified`` by a
    factor. ``controls`` are None where nothing is compared.
    """

    __pydantic_config__ = STRICT
    id: str
    kind: str
    tasks: list[str]
    heads: list[str]
    held_out: bool
    tried: list[Subset]
    core: list[str]
    mean: dict[str, Answers]
    zero: dict[str, Answers]
    resample: dict[str, list[Answers]]
    elsewhere: dict[InterventionName, dict[str, list[Answers]]]
    whole: dict[str, Answers]
    kept: dict[str, Answers]
    amplified: dict[str, dict[str, Answers]]
    controls: RawControls | None


@dataclass(frozen=True)
class RawHead:
    """One head knocked out by itself: what it costs each example of every task with its mean in its place, and each
    task's mean loss with zero there (loss of log-probability).
    """

    __pydantic_config__ = STRICT
    head: str
    mean: dict[str, list[float]]
    zero: dict[str, float]


@dataclass(frozen=True)
class RawCurve:
    """A task's answers as the first heads of an order are knocked out: one run an order, several where it is drawn at
    random. A run has the answers at each number of heads but the last, all heads, which is the task's floor.
    """

    __pydantic_config__ = STRICT
    task: str
    order: str
    runs: list[list[Answers]]


@dataclass(frozen=True)
class RawValidation:
    """The content of validation.json: what only the model could show, and the settings that it is judged by.

    ``alpha`` is the level of the tests, ``controls`` the greatest number of control sets; ``positions`` are those at
    which heads are knocked out, ``elsewhere`` the other ones at which it was tried too (None: there are none);
    ``layers`` gives each layer's number of heads (``L0``, in a block ``enc.L0``), ``first_token`` the mean share of its
    attention that each head of the sets pays to a text's first token (none: not seen). ``problem`` says why nothing
    could be run: all else is empty then.
    """

    __pydantic_config__ = STRICT
    key: str
    scores: dict[str, str]
    alpha: float
    seed: int
    controls: int
    positions: str = "all"
    elsewhere: str | None = None
    readout: ReadoutName = "answer"
    cost: Cost | None = None
    layers: dict[str, int] = field(default_factory=dict)
    tasks: list[RawTask] = field(default_factory=list)
    sets: list[RawSet] = field(default_factory=list)
    singles: list[RawHead] = field(default_factory=list)
    curves: list[RawCurve] = field(default_factory=list)
    first_token: dict[str, float] = field(default_factory=dict)
    problem: str | None = None
    schema: Literal["reportgen/validation/3"] = "reportgen/validation/3"

    @property
    def heads(self) -> int:
        """The number of all heads."""
        return sum(self.layers.values())


@dataclass(frozen=True)
class Outcome:
    """How a task goes: the share of right answers and the mean log-probability of the answer (natural log)."""

    accuracy: float
    log_probability: float


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval over groups of examples (None: there are too few)."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TaskTrial:
    """One task on its held-out examples: with the model as it is, and with the mean in place of every head (``floor``).

    ``chance`` is what guessing gives; ``worth`` what the model's answers are worth beyond guessing, in log-probability,
    and ``margin`` the loss of it above which heads count as needed; ``reason`` says why nothing is tested on the task
    (None: it is).
    """

    name: str
    examples: int
    groups: int
    intact: Outcome
    floor: Outcome
    chance: float | None
    worth: float
    margin: float
    reason: Reason | None


@dataclass(frozen=True)
class Shown:
    """What one intervention on a set showed: the outcome, the loss of log-probability, and whether it votes.

    ``above`` is the p of a loss of at most the margin, ``below`` that of a loss of at least the margin: small ones say
    that the loss lies above it, or below. An intervention that does not vote takes the model off its distribution.
    """

    name: InterventionName
    outcome: Outcome
    loss: Interval
    votes: bool
    above: float
    below: float


@dataclass(frozen=True)
class Rank:
    """A set's rank among itself and its control sets by what their knock-out costs, 1 costing most, and the range that
    simultaneous bounds leave (None: observed only).
    """

    rank: int
    low: int | None
    high: int | None
    of: int


@dataclass(frozen=True)
class Trial:
    """One found set on its own tasks (their mean, where it has several).

    ``id`` is the finding's, or ``top/<n>`` for the first heads of task number n. The ``core`` are the heads without
    which the set's knock-out would cost the margin less; it is judged. Outcomes: ``intact``; ``knocked_out``, with the
    mean in place of the whole set; ``kept``, of all other heads; ``floor``, of all heads; ``amplified`` by the factor;
    ``shown``, of the core by intervention. ``loss`` is the core's by mean ablation, ``excess`` what it exceeds the
    mean control's by, ``gain`` the rise on amplification by the factor. ``margin`` is a share of ``worth``. ``p`` and
    ``q`` belong to the test of the verdict; ``more`` is the number of further groups that would decide.

    ``controls`` counts the sets of the same layers that were run, of ``distinct`` ones; ``specific``, that the core
    costs more than these, ``specific_p`` and ``specific_q`` belong to that test, ``silence`` says why it is not told.
    ``neutral`` is the loss on neutral text, ``spared`` that it lies below that task's margin (None: untried); ``sink``,
    that most heads of the core rest their attention on the first token (None: not seen).
    """

    id: str
    kind: str
    tasks: list[str]
    heads: list[str]
    core: list[str]
    verdict: Verdict
    reason: Reason | None
    examples: int
    groups: int
    worth: float
    margin: float
    intact: Outcome
    knocked_out: Outcome
    kept: Outcome
    floor: Outcome
    shown: list[Shown]
    loss: Interval
    amplified: dict[str, Outcome] = field(default_factory=dict)
    gain: dict[str, Interval] = field(default_factory=dict)
    p: float | None = None
    q: float | None = None
    more: int | None = None
    specific: bool | None = None
    silence: Silence | None = None
    excess: Interval | None = None
    after_controls: Outcome | None = None
    controls: int = 0
    distinct: int = 0
    rank: Rank | None = None
    specific_p: float | None = None
    specific_q: float | None = None
    neutral: Interval | None = None
    spared: bool | None = None
    sink: bool | None = None
    robustness: Robustness | None = None

    @property
    def size(self) -> int:
        """Number of heads."""
        return len(self.heads)


@dataclass(frozen=True)
class Curve:
    """A task under the knock-out of the first heads of an order: what is left at each number of them (``knocked``).

    ``area`` is the mean share of the answer's probability that is lost, over the logarithm of the number of heads.
    ``control``: the order knows nothing of the answer, and is what scores' orders are held against.
    """

    task: str
    order: str
    knocked: list[int]
    accuracy: list[float]
    log_probability: list[float]
    area: float
    control: bool = False


@dataclass(frozen=True)
class Ranking:
    """An order's mean area over the tasks, and by how much it exceeds that of random orders."""

    order: str
    area: Interval
    over_random: Interval | None


@dataclass(frozen=True)
class Best:
    """The scored method whose knock-out curve has the largest area, against the next (None: there is only one).

    ``clear`` says that the interval of the difference to every other method lies above zero.
    """

    order: str
    area: Interval
    following: str | None
    difference: Interval | None
    clear: bool


@dataclass(frozen=True)
class Specialist:
    """A head that costs one task more than its margin, and every other one less than theirs; ``others`` is its largest
    loss on another task.
    """

    head: str
    task: str
    loss: Interval
    others: float
    p: float
    q: float


@dataclass(frozen=True)
class SharedHead:
    """A head that costs several tasks more than their margins, each with its loss; q is the largest of theirs."""

    head: str
    tasks: list[str]
    losses: list[float]
    p: float
    q: float


@dataclass(frozen=True)
class Overlooked:
    """A head that is needed by a task, none of its first heads, and costs it more, by itself, than these together.

    ``first`` are these heads and ``of_first`` their loss; ``difference`` is the head's loss less theirs, ``p`` that of
    no such difference.
    """

    task: str
    head: str
    loss: Interval
    first: list[str]
    of_first: float
    difference: Interval
    p: float


@dataclass(frozen=True)
class Choice:
    """Whether the score chooses better than chance within layers: the mean rank, from 0 to 1 (costs most), of all
    tasks' first heads among the heads of their layers by what each alone costs, over ``tasks`` tasks.
    """

    rank: float
    p: float
    draws: int
    heads: int
    tasks: int


@dataclass(frozen=True)
class Validation:
    """All that follows from a validation's raw outcomes.

    ``level`` is that of the tests of need and of those of specificity, ``single_level`` that of each search among
    single heads; margins are the ``share`` of what answers are worth beyond guessing, and ``nats`` at least; ``tests``
    counts the sets whose need was tested, ``compared`` those that were compared with others of their layers; ``wanted``
    is the greatest number of these; ``matrix`` gives, by set and task, the outcome with the set's core knocked out,
    ``losses``, by task, intervention and head, what each head alone costs. ``problem`` says why nothing could be run:
    all else is empty then.
    """

    key: str
    scores: dict[str, str]
    level: float = 0.025
    single_level: float = 0.0125
    share: float = 0.0
    nats: float = 0.0
    seed: int = 0
    wanted: int = 0
    positions: str = "all"
    elsewhere: str | None = None
    readout: str = "answer"
    tests: int = 0
    compared: int = 0
    cost: Cost | None = None
    tasks: list[TaskTrial] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    matrix: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    specialists: list[Specialist] = field(default_factory=list)
    shared: list[SharedHead] = field(default_factory=list)
    overlooked: list[Overlooked] = field(default_factory=list)
    choice: Choice | None = None
    losses: dict[str, dict[InterventionName, dict[str, float]]] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    rankings: list[Ranking] = field(default_factory=list)
    best: Best | None = None
    problem: str | None = None

    def trial(self, identifier: str) -> Trial | None:
        """Return the trial of that finding's set; None where it had none."""
        return next((trial for trial in self.trials if trial.id == identifier), None)


@dataclass(frozen=True, eq=False)
class Trials:
    """What interventions on the found heads showed: the findings with their verdicts, and all that follows from the
    outcomes (None: nothing was tried); ``patterns`` are where named heads look (None: it was not looked at);
    ``outcomes`` are what the model gave, for validation.json.
    """

    findings: Findings
    validation: Validation | None = None
    patterns: Patterns | None = None
    outcomes: RawValidation | None = None
