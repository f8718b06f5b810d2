"""Attention patterns of named heads on chosen examples, and the patterns.json format."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from reportgen.core.schema import plain_of, read_plain

Role = Literal["median", "strongest", "control"]


@dataclass(frozen=True)
class Pattern:
    """Where a head looks on one example, up to the token from which the answer is predicted.

    ``head`` is written ``L6H24``; ``task`` is the task that the head is shown for, ``source`` the one that the example
    is from (another for a control), ``score`` the head's score on the example. ``tokens`` are as the tokenizer spells
    them, ``expected`` is the expected answer (empty: there is none). ``answer`` holds the attention on each token from
    the one that predicts the answer, ``rows`` (of short texts, else None) the attention of every token on every token,
    one list a query; shares to three decimals.
    """

    task: str
    head: str
    role: Role
    source: str
    example: str
    score: float
    tokens: list[str]
    answer: list[float]
    rows: list[list[float]] | None = None
    expected: str = ""


@dataclass(frozen=True)
class Patterns:
    """The content of patterns.json; ``problem`` says why there are none."""

    key: str
    scores: dict[str, str]
    patterns: list[Pattern] = field(default_factory=list)
    problem: str | None = None
    schema: Literal["reportgen/patterns/1"] = "reportgen/patterns/1"

    def of(self, task: str) -> list[Pattern]:
        """Return those that are shown for a task, head by head."""
        return [p for p in self.patterns if p.task == task]


_ADAPTER = TypeAdapter(Patterns)


def to_json(patterns: Patterns) -> dict[str, object]:
    """Return the patterns as plain JSON values, the schema first."""
    return plain_of(_ADAPTER, patterns)


def from_json(plain: object, location: str = "patterns.json") -> Patterns:
    """Read patterns.json's content; raises InputError with the field that does not fit."""
    return read_plain(_ADAPTER, plain, location, "build")
