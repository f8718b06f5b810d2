"""The importance of every head on every task: what scoring makes, analysis reads and rendering draws."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from reportgen.core.plugins import Plugin
from reportgen.core.stats import resampling_groups
from reportgen.errors import InputError

Reduction = Literal["mean", "mean_abs"]
READ = "Read as: "  # begins a note on how a file of scores was read
Rest = Literal["below", "unknown"]  # what is known of heads that were not scored
# The kind of evidence that a method's scores are, whoever measured them
Family = Literal[
    "ablation",  # the exact loss of a metric without a head
    "patching",  # the exact change of a metric with what a head puts out for another prompt
    "coalitions",  # a head's share of a metric over sets of heads
    "gradient",  # a metric's slope at the unchanged model
    "gradient estimate",  # what changing a head would do, estimated by gradients
    "direct effect",  # what a head itself writes into the logits
    "attention pattern",  # where a head looks
    "probing",  # what can be decoded from a head
    "control",  # knows nothing of the answer: what other scores are held against
]
# Of one report, which draws a map of each: 1,000 take 77 s of processor time and 1.1 GiB (docs/reliability.md).
MOST_TASKS = 1000


class Head(NamedTuple):
    """One attention head: zero-based layer and head, written ``L6H24``."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"

    @classmethod
    def parse(cls, name: str) -> "Head":
        """Read ``L6H24``; raises InputError for anything else."""
        match = re.fullmatch(r"L(\d+)H(\d+)", name)
        if match is None:
            raise InputError(f"{name!r} is no head", "head name", "Write heads as L6H24 (zero-based layer and head)")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class Task:
    """One task and the model's baseline performance on it.

    ``group`` is the user's name for a set of tasks (``complex``); ``n`` the number of examples; ``accuracy``, the share
    of examples that are right: whose answer has a log-probability above those of all other choices, or of the foil, or
    where an example has neither, whose every answer token is the argmax (teacher-forced); ``chance``, what guessing
    gives; ``log_probability``, the mean over examples of the answer's summed log-probability; ``miss``, the mean over
    examples of 1 − p(answer); ``argmax``, the share right by the argmax alone, where some are judged by choices. Each
    is None where unknown.
    """

    name: str
    group: str | None = None
    n: int | None = None
    accuracy: float | None = None
    chance: float | None = None
    log_probability: float | None = None
    miss: float | None = None
    argmax: float | None = None


@dataclass(frozen=True, eq=False)
class Examples:
    """Per-example scores of one task: ``values`` (example, layer, head), signed where the method is.

    ``errors`` are the standard errors of sampled values (None where nothing is sampled).
    ``groups`` names each example's resampling group; ``ordered`` says that examples are a sequence whose neighbours
    depend on each other, so that splits and bootstraps take contiguous blocks; ``discovery`` marks the half on which
    findings are detected, the other half being where their values are read.
    """

    values: Float[np.ndarray, "example layer head"]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    discovery: Bool[np.ndarray, "example"]
    ordered: bool = False
    errors: Float[np.ndarray, "example layer head"] | None = None

    def __post_init__(self) -> None:
        n = len(self.values)
        if self.errors is not None and self.errors.shape != self.values.shape:
            problem = f"standard errors of shape {self.errors.shape} for scores of shape {self.values.shape}"
            raise InputError(problem, "per-example scores", "Give one standard error per score")
        if not (self.values.ndim == 3 and len(self.ids) == len(self.groups) == len(self.discovery) == n):
            raise InputError(
                f"per-example scores of shape {self.values.shape} do not match {len(self.ids)} ids, "
                f"{len(self.groups)} groups and {len(self.discovery)} halves",
                "per-example scores",
                "Give (example, layer, head) values and one id, group and half per example",
            )

    def by_id(self) -> "Examples":
        """Return the examples in the order of their ids, numbers by their size; a sequence as it is."""
        order = sorted(range(len(self.ids)), key=lambda i: (len(self.ids[i]), self.ids[i], self.groups[i]))
        if self.ordered or order == [*range(len(order))]:
            return self
        errors = None if self.errors is None else self.errors[order]
        ids, groups = (tuple(each[i] for i in order) for each in (self.ids, self.groups))
        return replace(
            self, values=self.values[order], ids=ids, groups=groups, discovery=self.discovery[order], errors=errors
        )


@dataclass(frozen=True)
class Model:
    """What is known of the scored model. ``kv_groups`` is the number of key/value heads (None: not known).

    ``notes`` are sentences on how its heads were found – what was verified, and which layers are left out and why – and
    how its examples are run.
    ``weights_sha256`` is of all files that the weights were made of: of a base model with an ``adapter`` (its kind),
    both, whose own hashes are in ``parts_sha256``. ``quantization`` is the format that the weights were stored in, and
    turned back from; ``target_language`` what a translation model was asked to answer in.
    """

    path: str | None = None
    revision: str | None = None
    weights_sha256: str | None = None
    kv_groups: int | None = None
    notes: list[str] = field(default_factory=list)
    adapter: str | None = None
    parts_sha256: dict[str, str] = field(default_factory=dict)
    quantization: str | None = None
    target_language: str | None = None


@dataclass(frozen=True)
class Method:
    """How the importance was measured: the method, its parameters, the metric, and the unit of the numbers.

    ``family`` is the kind of evidence (None: not known, as of files written before it was recorded), ``limit`` a
    sentence on what such scores cannot show ("": nothing of their own); ``ordinal``: only their order means anything.
    ``formula`` and ``meaning`` say what one example's score is, ``references`` where the method comes from; they travel
    with the scores so that a report can always say how its numbers were made. Empty where the scores were read from a
    file that does not say. ``diagnostics`` are numbers per task that a reader needs to judge the scores by, as
    ``{"completeness gap": {"Math": 0.07}}`` (None: cannot be computed), and ``overall`` such numbers of all tasks
    together, as ``{"accuracy": {"probe": 0.61, "bag of words": 0.59}}``.
    """

    name: str
    unit: str = "importance"
    metric: str | None = None
    signed: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    formula: str = ""
    meaning: str = ""
    references: list[str] = field(default_factory=list)
    diagnostics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    overall: dict[str, dict[str, float | None]] = field(default_factory=dict)
    family: Family | None = None
    limit: str = ""
    ordinal: bool = False


def independent(examples: Examples, ordered: bool | None = None, seed: int = 0) -> Examples:
    """Return the examples in groups that are nearly independent, and in halves of these: see ``resampling_groups``.

    ``ordered`` is what the study says; None: what the examples say, or else show.
    """
    stated = ordered if ordered is not None else True if examples.ordered else None
    groups, sequence = resampling_groups(examples.values, examples.groups, stated)
    return replace(examples, groups=groups, ordered=sequence, discovery=split_halves(groups, seed, sequence))


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Importance (task, layer, head) in float32; a head that the model does not have is NaN in every task.

    So is one that was not scored, of which ``unscored`` (None: all were) marks it as there; ``rest`` says what is known
    of these: that they rank ``below`` all that were scored, or nothing (``unknown``).
    ``reduction`` says how ``importance`` comes from ``examples`` (one entry per task, None where there are none).
    ``plugins`` are other packages' methods that the study asked for, those that failed among them.
    Raises InputError where the arrays do not fit together.
    """

    importance: Float[np.ndarray, "task layer head"]
    tasks: tuple[Task, ...]
    method: Method
    model: Model = Model()
    examples: tuple[Examples | None, ...] = ()
    reduction: Reduction = "mean_abs"
    seed: int = 0
    synthetic: bool = False
    block: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    unscored: Bool[np.ndarray, "layer head"] | None = None
    rest: Rest | None = None

    def __post_init__(self) -> None:
        array = np.asarray(self.importance, dtype=np.float32)
        object.__setattr__(self, "importance", array)
        if not self.examples:
            object.__setattr__(self, "examples", (None,) * len(self.tasks))
        self._check_shape(array)
        self._check_values(array)

    def _check_shape(self, array: np.ndarray) -> None:
        location, names = "importance", [t.name for t in self.tasks]
        if array.ndim != 3 or array.size == 0:
            raise InputError(f"shape {array.shape} is not (task, layer, head)", location, "Give a non-empty 3-d array")
        if len(names) != len(array) or len(self.examples) != len(array):
            raise InputError(f"{len(array)} tasks of scores but {len(names)} names", location, "Name every task once")
        count = Counter(names)  # of ten thousand tasks too
        for name in names:
            if any("\ud800" <= c <= "\udfff" for c in name):
                raise InputError(f"task name {name!r} holds half a character", location, "Write it in UTF-8")
            if count[name] > 1 or not name.strip():
                raise InputError(f"task name {name!r} is empty or not unique", location, "Give each task its own name")
        for task, examples in zip(names, self.examples, strict=True):
            if examples is not None and examples.values.shape[1:] != array.shape[1:]:
                shape = examples.values.shape[1:]
                hint = "Score every task on one model"
                raise InputError(f"{shape} layers × heads per example, {array.shape[1:]} overall", f"task {task}", hint)

    def _check_values(self, array: np.ndarray) -> None:
        missing, hint = np.isnan(array), "Give every head of the model a finite number on every task"
        for t, layer, head in np.argwhere(np.isinf(array) | (missing & ~missing.all(axis=0)))[:1]:
            location, value = f"task {self.tasks[t].name}, {Head(layer, head)}", array[t, layer, head]
            raise InputError(
                f"importance is {value}, but not in every task"
                if missing[t, layer, head]
                else f"importance is {value}",
                location,
                hint,
            )
        if missing.all():
            raise InputError("every head is NaN", "importance", hint)
        if self.rest not in (None, "below", "unknown") or (self.unscored is None) != (self.rest is None):
            hint = 'Give unscored and rest = "below" or "unknown" together, or neither'
            raise InputError(f"rest is {self.rest!r}", "rest", hint)
        if self.unscored is not None and not (
            self.unscored.shape == array.shape[1:] and self.unscored.any() and missing[0][self.unscored].all()
        ):
            problem = "the heads that were not scored do not fit the map"
            raise InputError(problem, "unscored", "Mark (layer, head) cells that are NaN, or give None")

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self.importance.shape[1])

    @property
    def n_heads(self) -> int:
        """Number of heads of the widest layer."""
        return int(self.importance.shape[2])

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks' names in order."""
        return tuple(t.name for t in self.tasks)

    @property
    def present(self) -> Bool[np.ndarray, "layer head"]:
        """Which heads the model has and were scored."""
        present: np.ndarray = ~np.isnan(self.importance[0])
        return present

    @property
    def whole(self) -> bool:
        """Whether all heads have a score, and its size means something: else sums and layers' means are none."""
        return self.unscored is None and not self.method.ordinal

    @property
    def constant(self) -> bool:
        """Whether on every task all heads have one and the same score, so that nothing tells them apart."""
        values = self.importance[:, self.present]
        return bool((values == values[:, :1]).all())

    @property
    def coverage(self) -> tuple[int, int]:
        """How many heads were scored, of how many that the model has."""
        scored = int(self.present.sum())
        return scored, scored + (0 if self.unscored is None else int(self.unscored.sum()))

    def with_groups(self, groups: dict[str, list[str]]) -> "HeadScores":
        """Return the same scores with the user's task groups; raises InputError for a task that does not exist."""
        owner = {name: group for group, names in groups.items() for name in names}
        names = {*self.task_names}
        for name in owner:
            if name not in names:
                known = ", ".join(self.task_names)
                raise InputError(f"no task is called {name!r}", "[tasks] groups", f"The tasks are: {known}")
        return replace(self, tasks=tuple(replace(t, group=owner.get(t.name, t.group)) for t in self.tasks))

    @classmethod
    def from_array(
        cls, importance: object, tasks: str | Sequence[str], method: str = "unknown", **rest: Any
    ) -> "HeadScores":
        """Make scores from an array in memory: (task, layer, head), or (layer, head) of a single task.

        Lists, NumPy arrays and PyTorch tensors on any device are read. ``examples`` among ``rest`` are Examples, or per
        task an array (example, layer, head); ``rest`` are further fields of HeadScores.
        Raises InputError for what is no array of real numbers or does not fit.
        """
        names = [tasks] if isinstance(tasks, str) else list(tasks)
        array = _numbers(importance, "importance")
        array = array[None] if array.ndim == 2 and len(names) == 1 else array
        per_task = rest.pop("examples", ())
        examples = tuple(
            e if e is None or isinstance(e, Examples) else _as_examples(e, name, rest.get("seed", 0))
            for e, name in zip(per_task, names, strict=False)
        )
        return cls(array, tuple(Task(name) for name in names), Method(method), examples=examples, **rest)


def read_as(scores: HeadScores) -> list[str]:
    """Return how the file of the scores was read, where that had to be recognised."""
    return [note.removeprefix(READ) for note in scores.model.notes if note.startswith(READ)]


def _numbers(values: object, location: str) -> np.ndarray:
    """Return real numbers as an array, tensors included; raises InputError for anything else."""
    hint = "Give numbers of shape (task, layer, head)"
    if hasattr(values, "detach"):  # a tensor: off its graph and device; NumPy has no bfloat16
        tensor = values.detach().cpu()
        values = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError("the rows are of unequal length", location, hint) from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{array.dtype} is no real number", location, hint)
    if (np.abs(array[np.isfinite(array)]) > np.finfo(np.float32).max).any():
        raise InputError("a number does not fit into 32 bits", location, "Rescale the scores")
    return array


def refuse_many(tasks: int, location: str) -> None:
    """Raise InputError for more tasks than a report can show."""
    if tasks > MOST_TASKS:
        hint = "Let rows of one kind share a task's name, or make several reports"
        raise InputError(f"{tasks:,} tasks are more than a report can show ({MOST_TASKS:,})", location, hint)


def _as_examples(values: object, task: str, seed: int) -> Examples:
    array = _numbers(values, f"examples of task {task}")
    ids = tuple(str(i) for i in range(len(array)))
    if array.ndim != 3:
        raise InputError(
            f"shape {array.shape} is not (example, layer, head)", f"examples of task {task}", "Give a 3-d array"
        )
    return independent(Examples(array.astype(np.float32), ids, ids, split_halves(ids, seed)), seed=seed)


def reduce_examples(values: Float[np.ndarray, "example layer head"], how: Reduction) -> Float[np.ndarray, "layer head"]:
    """Return the mean over examples of the values (``mean``) or of their absolute values (``mean_abs``), in float64."""
    # Sizes are taken of each example, before the mean: taken of a batch's sum, a map depends on how rows fall into
    # batches, and those of batches of 1 and of 48 correlate at .71 to .95 only.
    exact = values.astype(np.float64)
    result: np.ndarray = (np.abs(exact) if how == "mean_abs" else exact).mean(axis=0)
    return result


def split_halves(groups: Sequence[str], seed: int, ordered: bool = False) -> Bool[np.ndarray, "example"]:
    """Mark half of the groups as discovery: at random, or alternating contiguous blocks where examples are ordered.

    An example's group decides its half, so that rows sharing a template never stand on both sides. Of examples that are
    in no order of their own, the order of the rows decides nothing: groups are drawn by their names, numbers by size.
    """
    # What is found on one half is read on the other: on the same examples the top head's value is too large, in
    # simulations by 125, 47 and 6 % at 10, 25 and 100 examples.
    names = list(dict.fromkeys(groups))
    if ordered:
        # Five blocks a half. Neighbours depend on each other, so halves drawn at random would share their noise: in the
        # probes that Retrieval Head published, lag-1 autocorrelation averages .59 (70 heads of llama-2-7b-80k).
        block = max(1, len(names) // 10)
        chosen = {g for i, g in enumerate(names) if (i // block) % 2 == 0}
    else:
        names.sort(key=lambda name: (len(name), name))
        order = np.random.default_rng([seed, len(names)]).permutation(len(names))
        chosen = {names[i] for i in order[: (len(names) + 1) // 2]}
    return np.array([g in chosen for g in groups])
