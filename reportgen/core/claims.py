"""Claims: the few things that a reader should take away, each with its support, and the claims.json format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from pydantic import TypeAdapter

from reportgen.core.findings import Register, Verdict
from reportgen.core.schema import plain_of, read_plain
from reportgen.core.sentences import VERDICTS
from reportgen.core.trials import Trials
from reportgen.errors import InputError

Number = int | float | str


@dataclass(frozen=True)
class Claim:
    """One thing to take away.

    ``headline`` says it and ``body`` gives the evidence; ``tasks`` are those that it is about, ``exceptions`` those
    that it does not hold for; ``support`` lists the ids of the findings that it rests on, ``values`` the numbers and
    names of its text; ``strength``, from 0 to 1, orders claims.
    """

    id: str
    topic: str
    headline: str
    body: str
    register: Register
    verdict: Verdict | None
    tasks: tuple[str, ...]
    exceptions: tuple[str, ...]
    support: tuple[str, ...]
    values: Mapping[str, Number | tuple[str, ...]]
    strength: float

    @property
    def badges(self) -> tuple[str, ...]:
        """What the claim's evidence is, in a word or two: its register, and what knocking out said."""
        return (self.register, *((VERDICTS[self.verdict],) if self.verdict else ()))


@dataclass(frozen=True)
class Remark:
    """A sentence that is no claim, with the findings that it rests on and its numbers and names."""

    text: str
    support: tuple[str, ...] = ()
    values: Mapping[str, Number | tuple[str, ...]] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """Its first sentence, which stands alone where there is little room."""
        head, dot, _ = self.text.partition(". ")
        return head + dot.strip()

    @property
    def rest(self) -> str:
        """What follows the first sentence."""
        return self.text.partition(". ")[2]


@dataclass(frozen=True)
class ClaimsFile:
    """The content of claims.json, the strongest claim first.

    ``title`` is the report's where the study gives none. ``searches`` says what was looked for and not found,
    ``interpretation`` what depth and task groups may mean, in at most three sentences; ``silent`` are the topics
    without a claim, ``apart`` the kinds of findings that no topic speaks of. ``further`` are claims that the limits of
    words and numbers leave no room for.
    """

    claims: tuple[Claim, ...] = ()
    title: str = ""
    searches: Remark | None = None
    interpretation: tuple[Remark, ...] = ()
    silent: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    further: tuple[Claim, ...] = ()
    schema: Literal["reportgen/claims/1"] = field(default="reportgen/claims/1", kw_only=True)

    @property
    def nothing(self) -> str:
        """What is said where there is no claim."""
        return "" if self.claims else "Nothing was found that could be claimed."

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the claims, the strongest first, and what was looked for and not found."""
        claims = "".join(
            f"<li><b>{escape(c.headline)}</b> <small>{', '.join(c.badges)}</small><br>{escape(c.body)}</li>"
            for c in self.claims
        )
        notes = (self.left_out, self.searches.text if self.searches is not None else "")
        said = "".join(f"<p><small>{escape(note)}</small></p>" for note in notes if note)
        return (f"<ol>{claims}</ol>" if claims else f"<p>{escape(self.nothing)}</p>") + said

    @property
    def left_out(self) -> str:
        """What is said of the claims that found no room: how many, and the headlines of the strongest three."""
        if not self.further:
            return ""
        count = f"{len(self.further)} claims have" if len(self.further) > 1 else "One claim has"
        first = "; ".join(claim.headline for claim in self.further[:3])
        return f"{count} no room here but in claims.json: {first}{'; …' if len(self.further) > 3 else '.'}"

    def find(self, name: str) -> Claim | None:
        """Return the claim of that id, None where there is none."""
        return next((claim for claim in (*self.claims, *self.further) if claim.id == name), None)


@dataclass(frozen=True)
class Claims(ClaimsFile):
    """What a reader should take away, and the trials that it rests on."""

    trials: Trials | None = field(default=None, compare=False, repr=False, kw_only=True)

    @property
    def made_from(self) -> Trials:
        """The trials behind the claims; raises InputError where they are not at hand."""
        if self.trials is None:
            hint = "Take the claims from summarize(), or give the run directory"
            raise InputError("these claims do not hold the trials that they rest on", "claims", hint)
        return self.trials


_ADAPTER = TypeAdapter(ClaimsFile)


def to_json(claims: ClaimsFile) -> dict[str, object]:
    """Return the claims as plain JSON values, the schema first."""
    return plain_of(_ADAPTER, claims)


def from_json(plain: object, location: str = "claims.json") -> Claims:
    """Read claims.json's content; raises InputError with the field that does not fit."""
    return Claims(**vars(read_plain(_ADAPTER, plain, location, "summarize")))


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of claims.json."""
    return _ADAPTER.json_schema(mode="serialization")
