"""What a scoring method is: a frozen record, one file per method under ``methods/``."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from reportgen.core.plugins import Record, Registry
from reportgen.core.scores import Family, Reduction
from reportgen.errors import InputError, nearest
from reportgen.scoring.data.batches import Batch, Encoded, Positions
from reportgen.scoring.data.metrics import ANSWERING, AnswerReduction, Metric, measure
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.loaded import LoadedModel

Need = Literal["corrupted", "gradient", "attention", "references", "logits"]
ANY = ANSWERING | {"encoder"}

MICHEL = (
    "Michel, P., Levy, O. & Neubig, G. (2019). Are sixteen heads really better than one? NeurIPS 32. arXiv:1905.10650."
)
VOITA = (
    "Voita, E., Talbot, D., Moiseev, F., Sennrich, R. & Titov, I. (2019). Analyzing multi-head self-attention: "
    "specialized heads do the heavy lifting, the rest can be pruned. ACL. arXiv:1905.09418."
)


class MethodParameters(BaseModel):
    """A method's settings in a study: each field's default, bounds and description are printed to readers.

    Numbers are whole or not as their type says, texts are ``Literal``s; ``read_parameters`` makes errors of the rest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


P = TypeVar("P", bound=MethodParameters)  # the method's own parameters
R = TypeVar("R")  # what its ``prepare`` makes: its references (None: it has none)


def read_parameters(model: type[P], values: Mapping[str, object], location: str, others: Sequence[str] = ()) -> P:
    """Return the values as the method's parameters; ``others`` are names that the study may give beside them.

    Raises InputError for an unknown name, naming the nearest known one, and for a value of another type or out of
    bounds, saying what to give.
    """
    try:
        return model(**values)
    except ValidationError as error:
        refused = {str(fault["loc"][0]): fault for fault in error.errors() if fault["loc"]}
        for name in (name for name in values if name in refused):
            if name not in model.model_fields:
                known = [*model.model_fields, *others]
                raise InputError(
                    f"unknown parameter {name!r}",
                    location,
                    nearest(name, known) if known else "Remove it: this method has none",
                ) from error
            raise InputError(f"{name} is {values[name]!r}", location, f"Give {_wanted(model, name)}") from error
        raise InputError(f"its parameters do not fit ({error.errors()[0]['msg']})", location, "Change them") from error


def _wanted(model: type[MethodParameters], name: str) -> str:
    """Say what may be set for a parameter, in words."""
    described = model.model_json_schema()["properties"][name]
    if "enum" in described:
        return " or ".join(repr(choice) for choice in described["enum"])
    kind = {"boolean": "true or false", "string": "a text", "integer": "a whole number", "number": "a number"}
    least, most = (described.get(bound) for bound in ("minimum", "maximum"))
    bounds = (f" from {least:g}" if least is not None else "") + (f" to {most:g}" if most is not None else "")
    return kind.get(described.get("type", ""), "a value of the type that `reportgen methods` names") + bounds


@dataclass(frozen=True)
class Setting:
    """A model and how its answers are measured: all that methods and interventions share.

    ``positions`` and ``seed`` are those of the study; ``wanted`` are the heads that a method that races is to score
    (None: all).
    """

    model: LoadedModel
    metric: Metric
    answer_reduction: AnswerReduction
    positions: Positions = "all"
    seed: int = 0
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
        return self.measured(logits, batch), logits

    def measured(self, logits: Float[Tensor, "answer_token vocabulary"], batch: Batch) -> Float[Tensor, "example"]:
        """Return the metric of each example, given the logits that predict its answer."""
        return measure(self.metric, logits, batch, self.answer_reduction)

    def generator(self, row: Row, purpose: str = "") -> np.random.Generator:
        """Return one example's random numbers: the same for the study's seed whatever batch it stands in."""
        name = f"{purpose}\n{row.task}\n{row.id}".encode()
        return np.random.default_rng([self.seed, *hashlib.sha256(name).digest()])

    def where(self, batch: Batch, site: int) -> Bool[Tensor, "example token"] | None:
        """Return the tokens at which a site's heads are touched (None: all, padding too, which changes nothing)."""
        if self.positions == "all":
            return None
        return batch.gated(self.heads.sites[site].block, self.positions)


@dataclass(frozen=True, kw_only=True)
class MethodSetting(Setting, Generic[P, R]):
    """What one method may use while it scores a study: its ``parameters`` there, and the ``reference`` that its
    ``prepare`` made.
    """

    parameters: P
    reference: R


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
class ScoringMethod(Record, Generic[P, R]):
    """How to score every head on every example: all that is known of a method.

    ``family`` is what kind of evidence its scores are, ``limit`` what they cannot show, as the report's Limits print it
    ("": nothing of their own).
    ``unit`` is a template over the metric's ``{label}``; ``sign`` says what a positive value means, ``cost`` the
    price in plain forwards in words and ``forwards`` in numbers, per batch; ``formula`` and ``meaning`` define one
    example's score and ``references`` are the papers, all printed in the report. ``kinds`` are the kinds of model,
    ``needs`` what rows, model and metric must offer. ``reduction`` makes importance of examples' scores; ``cheap``
    scores are printed beside the activation norm. ``check`` raises InputError, before anything is scored, where the
    model or a parameter does not fit, which may take runs on a short text. ``prepare`` makes ``reference`` once, from
    batches of the discovery half of all tasks. ``races``: it can score some heads alone (``Setting.wanted``). A method
    scores a batch at a time (``score``) or all tasks in one go (``together``, with a progress callback over batches);
    both raise InputError where the numbers are not finite.
    """

    family: Family
    summary: str
    unit: str
    sign: str
    cost: str
    formula: str
    meaning: str
    references: tuple[str, ...]
    forwards: Callable[[Heads, P], float]
    limit: str = ""
    score: Callable[[MethodSetting[P, R], Batch], BatchScores] | None = None
    together: Callable[[MethodSetting[P, R], Sequence[TaskExamples], Callable[[int], None]], StudyScores] | None = None
    check: Callable[[MethodSetting[P, None]], None] | None = None
    prepare: Callable[[MethodSetting[P, None], Sequence[Batch]], R] | None = None
    parameters: type[P] = MethodParameters  # type: ignore[assignment]  # a type variable has no default
    kinds: frozenset[str] = ANSWERING
    needs: frozenset[Need] = frozenset()
    reduction: Reduction = "mean_abs"
    cheap: bool = False
    races: bool = False

    @property
    def described(self) -> dict[str, object]:
        """All that a reader needs to know of the method, in plain data; unit and sign are those of one example's score
        with the metric log_odds.
        """
        parameters = {
            name: {
                "default": of.get("default"),
                "doc": of.get("description", ""),
                **({"choices": tuple(of["enum"])} if "enum" in of else {}),
            }
            for name, of in self.parameters.model_json_schema().get("properties", {}).items()
        }
        return {
            "name": self.name,
            "family": self.family,
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
            **({"limit": self.limit} if self.limit else {}),
            "references": list(self.references),
        }


AnyMethod: TypeAlias = ScoringMethod[Any, Any]  # of whatever parameters and references
AnySetting: TypeAlias = MethodSetting[Any, Any]
METHODS: Registry[AnyMethod] = Registry("methods", ScoringMethod)


def sampled(draws: Float[np.ndarray, "draw example site head"], logits: Tensor | None) -> BatchScores:
    """Average two or more independent draws of scores, with their standard errors.

    The check "sampling error" is the root mean square of an example's standard errors over heads.
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
    """Return scores to be filled in: NaN for every head."""
    return np.full((examples, len(heads.sites), heads.widest), np.nan, dtype=np.float32)
