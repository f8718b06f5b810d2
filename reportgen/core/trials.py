"""What interventions on found heads showed: trials of sets, knock-out curves, and the validation.json format."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from reportgen.core.findings import Verdict
from reportgen.core.schema import plain_of, read_plain

# Kinds of findings that name heads which are said to matter; and of sets that are a task's first heads
TRIED = ("cluster", "row_segment", "head_band", "anomaly", "cross_task_head", "specialist_head", "scattered_heads")
TOP = "top"
# Why a set is undecided: what it would take to tell, or what forbids it
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
class Control:
    """A matched set of heads and what its knock-out does: the loss of log-probability, and the accuracy left."""

    heads: list[str]
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Trial:
    """One found set on its own tasks (their mean, where it has several).

    ``id`` is the finding's, or ``top/<n>`` for the first ``size`` heads of task number n. Outcomes: ``intact``;
    ``knocked_out``, with the mean in place of the set; ``zeroed``; ``kept``, with the mean in place of all other heads;
    ``floor``, of all heads; ``amplified`` by the factor. ``controls`` are as many heads of the same layers, or of up to
    ``widened`` layers further; ``norm`` is the range and median of control by found activation norm. ``loss`` is the
    loss of log-probability, ``excess`` what it exceeds the mean control's by, ``gain`` the rise on amplification by
    the factor. ``p`` and ``q`` belong to the permutation test of the loss against the controls'; ``margin`` is the loss
    below which a set counts as not needed; ``more`` the number of further examples that would tell.
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
class Cost:
    """Runs of one example through all layers, counted in parts where layers are left out: of this validation, of exact
    zero ablation of the same study, and the budget as a multiple of the latter.
    """

    runs: float
    ablation: float
    budget: float


@dataclass(frozen=True)
class Validation:
    """The content of validation.json.

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
    notes: list[str] = field(default_factory=list)
    problem: str | None = None
    schema: Literal["reportgen/validation/1"] = "reportgen/validation/1"

    def trial(self, identifier: str) -> Trial | None:
        """The trial of that finding's set; None where it had none."""
        return next((trial for trial in self.trials if trial.id == identifier), None)


_ADAPTER = TypeAdapter(Validation)


def to_json(validation: Validation) -> dict[str, Any]:
    """The validation as plain JSON values, the schema first."""
    return plain_of(_ADAPTER, validation)


def from_json(plain: Any, place: str = "validation.json") -> Validation:
    """Read validation.json's content; raises InputError with the field that does not fit."""
    return read_plain(_ADAPTER, plain, place, "build")
