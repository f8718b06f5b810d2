"""What a scoring method is: a frozen record, one file per method under ``methods/``."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from reportgen.core.plugins import Record, Registry
from reportgen.core.scores import Reduction
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch, Encoded
from reportgen.scoring.data.metrics import ANSWERING, LANGUAGE, AnswerReduction, Metric, measure
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.loaded import LoadedModel

Need = Literal["corrupted", "gradient", "attention", "references", "logits"]
Value = int | float | bool | str
ANY = ANSWERING | {"encoder"}

MICHEL = (
    "Michel, P., Levy, O. & Neubig, G. (2019). Are sixteen heads really better than one? NeurIPS 32. arXiv:1905.10650."
)
VOITA = (
    "Voita, E., Talbot, D., Moiseev, F., Sennrich, R. & Titov, I. (2019). Analyzing multi-head self-attention: "
    "specialized heads do the heavy lifting, the rest can be pruned. ACL. arXiv:1905.09418."
)


@dataclass(frozen=True)
class Parameter:
    """A method's setting: its ``default`` fixes its type, ``minimum`` bounds numbers, ``choices`` list texts."""

    default: Value
    doc: str
    minimum: float | None = 1
    choices: tuple[str, ...] = ()

    def check(self, value: Any, name: str, place: str) -> Value:
        """The value as it is; raises InputError where it is of another type or out of bounds."""
        wanted = type(self.default)
        fits = isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value, fits = float(value), True
        if wanted in (int, float):
            fits = fits and (self.minimum is None or value >= self.minimum)
        if wanted is str:
            fits = fits and (not self.choices or value in self.choices)
        if not fits:
            raise InputError(f"{name} is {value!r}", place, f"Give {self._wanted()}")
        result: Value = value
        return result

    def _wanted(self) -> str:
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return " or ".join(repr(choice) for choice in self.choices) if self.choices else "a text"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return kind if self.minimum is None else f"{kind} from {self.minimum:g}"


@dataclass(frozen=True)
class Setting:
    """All that a method may use while it scores a study.

    ``positions`` and ``seed`` are those of the study; ``reference`` is what the method's ``prepare`` made; ``wanted``
    are the heads that a method that races is to score (None: all).
    """

    model: LoadedModel
    metric: Metric
    answer_reduction: AnswerReduction
    parameters: Mapping[str, Any]
    positions: Literal["all", "prompt", "answer", "last"] = "all"
    seed: int = 0
    reference: Any = None
    wanted: Bool[np.ndarray, "site head"] | None = None

    @property
    def heads(self) -> Heads:
        """The model's heads."""
        return self.model.heads

    def value(self, batch: Batch) -> tuple[Float[Tensor, "example"], Float[Tensor, "answer_token vocabulary"]]:
        """Run the model: the metric of each example (the graph kept where gradients are on), and the answer's logits.

        For a generated metric the logits are those of the answer as it stands, and the value is 0 or 1.
        """
        logits = self.model.answer_logits(batch)
        if self.metric.generated:
            return self.model.generated_match(batch), logits
        return measure(self.metric, logits, batch, self.answer_reduction), logits

    def generator(self, row: Row, purpose: str = "") -> np.random.Generator:
        """Random numbers of one example: the same for the study's seed whatever batch the example stands in."""
        name = f"{purpose}\n{row.task}\n{row.id}".encode()
        return np.random.default_rng([self.seed, *hashlib.sha256(name).digest()])

    def where(self, batch: Batch, site: int) -> Bool[Tensor, "example token"] | None:
        """The tokens at which a site's heads are touched (None: all of them, padding too, which changes nothing)."""
        if self.positions == "all":
            return None
        return batch.gated(self.heads.sites[site].block, self.positions)


@dataclass(frozen=True)
class BatchScores:
    """Signed scores of one batch (absent heads NaN) in the order of ``Heads.sites``.

    ``logits`` are the unchanged model's at answer positions (None: it was not asked for an answer); ``errors`` the
    standard errors of sampled scores; ``checks`` numbers by which an example's scores can be judged, by name.
    """

    values: Float[np.ndarray, "example site head"]
    logits: Float[Tensor, "answer_token vocabulary"] | None
    errors: Float[np.ndarray, "example site head"] | None = None
    checks: Mapping[str, Float[np.ndarray, "example"]] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyScores:
    """Scores of all tasks made in one go: signed ``values`` of each task's examples, by task, ``diagnostics``
    (check → task → number), and what is said of all tasks together (``overall``, check → what it is of → number).
    """

    values: Mapping[str, Float[np.ndarray, "example site head"]]
    diagnostics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    overall: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskExamples:
    """A task as a method of all tasks sees it: its examples in file order and the indices of each batch's."""

    name: str
    encoded: Sequence[Encoded]
    batches: Sequence[Sequence[int]]


@dataclass(frozen=True)
class ScoringMethod(Record):
    """How to score every head on every example.

    ``unit`` is a template over the metric's ``{label}``; ``sign`` says what a positive value means, ``cost`` the
    price in plain forwards in words and ``forwards`` in numbers, per batch; ``formula`` and ``meaning`` define one
    example's score and ``references`` are the papers, all printed in the report. ``kinds`` are the kinds of model,
    ``needs`` what rows, model and metric must offer. ``reduction`` makes importance of examples' scores; ``cheap``
    scores are printed beside the activation norm. ``check`` raises InputError, before anything is scored, where the
    model or a parameter does not fit, which may take runs on a short text. ``prepare`` makes ``Setting.reference``
    once, from batches of the discovery half of all tasks. ``races``: it can score some heads alone
    (``Setting.wanted``). A method scores a batch at a time (``score``) or all tasks in one go (``together``, with a
    progress callback over batches); both raise InputError where the numbers are not finite.
    """

    summary: str
    unit: str
    sign: str
    cost: str
    formula: str
    meaning: str
    references: tuple[str, ...]
    forwards: Callable[[Heads, Mapping[str, Any]], float]
    score: Callable[[Setting, Batch], BatchScores] | None = None
    together: Callable[[Setting, Sequence[TaskExamples], Callable[[int], None]], StudyScores] | None = None
    check: Callable[[Setting], None] | None = None
    prepare: Callable[[Setting, Sequence[Batch]], Any] | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    kinds: frozenset[str] = ANSWERING
    needs: frozenset[Need] = frozenset()
    reduction: Reduction = "mean_abs"
    cheap: bool = False
    races: bool = False

    @property
    def defaults(self) -> dict[str, Value]:
        """The parameters' defaults."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    @property
    def described(self) -> dict[str, Any]:
        """All that a reader needs to know of the method, in plain data; unit and sign are those of one example's score
        with the metric log_odds.
        """
        parameters = {
            name: {"default": p.default, "doc": p.doc, **({"choices": p.choices} if p.choices else {})}
            for name, p in self.parameters.items()
        }
        return {
            "name": self.name,
            "summary": self.summary,
            "formula": self.formula,
            "meaning": self.meaning,
            "unit": self.unit.format(label="log-odds"),
            "sign": self.sign,
            "cost": self.cost,
            "importance": "mean over examples of |s|, or of s with signed = true"
            if self.reduction == "mean_abs"
            else "mean over examples of s",
            "models": sorted(self.kinds),
            "needs": sorted(self.needs),
            "parameters": parameters,
            "references": list(self.references),
        }


METHODS = Registry("methods", ScoringMethod)


def sampled(draws: Float[np.ndarray, "draw example site head"], logits: Tensor | None) -> BatchScores:
    """Scores that are means of two or more independent draws, with their standard errors; the check "sampling error"
    is the root mean square of an example's standard errors over heads.
    """
    errors = draws.std(axis=0, ddof=1, dtype=np.float64) / np.sqrt(len(draws))
    typical = np.sqrt(np.nanmean(errors**2, axis=(1, 2)))
    return BatchScores(
        draws.mean(axis=0, dtype=np.float64).astype(np.float32),
        logits,
        errors.astype(np.float32),
        {"sampling error": typical},
    )


def absent(heads: Heads, examples: int) -> Float[np.ndarray, "example site head"]:
    """Scores to be filled in: NaN for every head."""
    return np.full((examples, len(heads.sites), heads.widest), np.nan, dtype=np.float32)


__all__ = [
    "ANSWERING",
    "ANY",
    "LANGUAGE",
    "METHODS",
    "MICHEL",
    "VOITA",
    "BatchScores",
    "Need",
    "Parameter",
    "ScoringMethod",
    "Setting",
    "StudyScores",
    "TaskExamples",
    "Value",
    "absent",
    "sampled",
]
