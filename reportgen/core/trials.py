"""What interventions on found heads gave, example by example, and what follows: verdicts, intervals, curves."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import ConfigDict

from reportgen.core.findings import Findings, Verdict
from reportgen.core.patterns import Patterns

TOP = "top"  # the kind of the sets that are a task's first heads
# Why a set is undecided: what it would take to decide, or what forbids it
Reason = Literal[
    "examples",
    "controls",
    "exceeded",
    "few-controls",
    "whole-layer",
    "at-chance",
    "no-range",
    "few-groups",
    "in-sample",
    "budget",
]
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
    place of every head. ``chance`` is what guessing gives; ``at_chance``, that the model is not shown to do better.
    """

    __pydantic_config__ = STRICT
    name: str
    chance: float | None
    at_chance: bool
    examples: list[str]
    groups: list[str]
    intact: Answers
    floor: Answers


@dataclass(frozen=True)
class Control:
    """A matched set of heads and what its knock-out does, the mean over the found set's tasks: the loss of
    log-probability, and the accuracy left.
    """

    __pydantic_config__ = STRICT
    heads: list[str]
    loss: float
    accuracy: float


@dataclass(frozen=True)
class RawControls:
    """The control sets of a found set: how many exist, how many layers further they reach, and the least, median and
    greatest ratio of their activation norm to the set's. ``sets`` are those that were run (none: beyond the budget),
    ``mean_loss`` is each example's loss, the mean over them, the examples of the found set's tasks one after another.
    """

    __pydantic_config__ = STRICT
    distinct: int
    widened: int
    norm: tuple[float, float, float] | None
    mean_loss: list[float]
    sets: list[Control]


@dataclass(frozen=True)
class RawSet:
    """A found set of heads and the answers, by task, under every intervention on it.

    ``id`` is the finding's, or ``top/<n>`` for the first heads of task number n; ``held_out`` says that what names its
    heads does not rest on the examples that it is tried on. ``mean``, on every task: the mean in place of its heads. On
    its own tasks: ``zero``; ``kept``, the mean in place of all other heads; ``amplified`` by a factor. ``controls`` are
    None where nothing is compared.
    """

    __pydantic_config__ = STRICT
    id: str
    kind: str
    tasks: list[str]
    heads: list[str]
    held_out: bool
    mean: dict[str, Answers]
    zero: dict[str, Answers]
    kept: dict[str, Answers]
    amplified: dict[str, dict[str, Answers]]
    controls: RawControls | None


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

    ``alpha`` is the level of the tests, ``margin`` the share of what all heads are worth below which a set is not
    needed, ``controls`` the number of control sets asked for; ``layers`` gives each layer's number of heads (``L0``, in
    a block ``enc.L0``). ``problem`` says why nothing could be run: all else is empty then.
    """

    __pydantic_config__ = STRICT
    key: str
    scores: dict[str, str]
    alpha: float
    seed: int
    margin: float
    controls: int
    positions: str = "all"
    readout: ReadoutName = "answer"
    cost: Cost | None = None
    layers: dict[str, int] = field(default_factory=dict)
    tasks: list[RawTask] = field(default_factory=list)
    sets: list[RawSet] = field(default_factory=list)
    curves: list[RawCurve] = field(default_factory=list)
    problem: str | None = None
    schema: Literal["reportgen/validation/2"] = "reportgen/validation/2"

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

    ``chance`` is what guessing gives; ``reason`` says why nothing is tested on the task (None: it is).
    """

    name: str
    examples: int
    groups: int
    intact: Outcome
    floor: Outcome
    chance: float | None
    reason: Reason | None


@dataclass(frozen=True)
class Trial:
    """One found set on its own tasks (their mean, where it has several).

    ``id`` is the finding's, or ``top/<n>`` for the first ``size`` heads of task number n. Outcomes: ``intact``;
    ``knocked_out``, with the mean in place of the set; ``zeroed``; ``kept``, with the mean in place of all other heads;
    ``floor``, of all heads; ``amplified`` by the factor. ``controls`` are as many heads of the same layers, or of up to
    ``widened`` layers further; ``norm`` is the range and median of control by found activation norm. ``loss`` is the
    loss of log-probability, ``excess`` what it exceeds the mean control's by, ``gain`` the rise on amplification by
    the factor. ``p`` and ``q`` belong to the permutation test of the loss against the controls'; ``margin`` is the loss
    below which a set counts as not needed; ``more`` the number of further examples that would decide.
    """

    id: str
    kind: str
    tasks: list[str]
    heads: list[str]
    verdict: Verdict
    reason: Reason | None
    examples: int
    groups: int
    margin: float | None = None
    intact: Outcome | None = None
    knocked_out: Outcome | None = None
    zeroed: Outcome | None = None
    kept: Outcome | None = None
    floor: Outcome | None = None
    amplified: dict[str, Outcome] = field(default_factory=dict)
    gain: dict[str, Interval] = field(default_factory=dict)
    loss: Interval | None = None
    excess: Interval | None = None
    after_controls: Outcome | None = None
    controls: list[Control] = field(default_factory=list)
    distinct: int = 0
    as_strong: int = 0
    widened: int = 0
    norm: tuple[float, float, float] | None = None
    p: float | None = None
    q: float | None = None
    more: int | None = None

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
class Validation:
    """All that follows from a validation's raw outcomes.

    ``tests`` counts the tests that were corrected together, ``wanted`` the control sets that each was to have;
    ``matrix`` gives, by set and task, the outcome with the set knocked out. ``problem`` says why nothing could be run:
    all else is empty then.
    """

    key: str
    scores: dict[str, str]
    alpha: float = 0.05
    seed: int = 0
    wanted: int = 0
    positions: str = "all"
    readout: str = "answer"
    tests: int = 0
    cost: Cost | None = None
    tasks: list[TaskTrial] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    matrix: dict[str, dict[str, Outcome]] = field(default_factory=dict)
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
