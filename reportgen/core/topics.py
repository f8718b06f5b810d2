"""Topics: what claims are about, and what makes them of the evidence on all tasks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reportgen.core.claims import Number
from reportgen.core.findings import Finding, Verdict
from reportgen.core.plugins import Record, Registry

# What outranks what (docs/claims.md): of a context a claim only says how to read the others
Grade = Literal["context", "observed", "tested", "tried", "carried"]


@dataclass(frozen=True)
class Evidence:
    """What a topic draws on: the findings on one block of heads (``block`` None: on heads that are in none, or on no
    heads), in an order that owes nothing to the file's, and the study's tasks by name, in the order of the alphabet.
    ``metric`` is what the scores are about ("" where that is not recorded).
    """

    findings: tuple[Finding, ...]
    tasks: tuple[str, ...]
    block: str | None = None
    metric: str = ""

    def of(self, *kinds: str) -> list[Finding]:
        """Return the findings of those kinds."""
        return [f for f in self.findings if f.kind in kinds]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A claim before it is worded: ``name`` is the case of its topic's template that words it.

    ``values`` are all numbers and names that the template may say, each from fields of the ``support``. ``effect``,
    from 0 to 1, is the share of the model's worth that is lost where heads were knocked out, else how far importance
    is from what an even spread would give. ``grade`` is what its evidence allows where that is not what verdict and
    register of the support say. It ``voids`` what is only observed: the numbers are not what they are taken for.
    """

    name: str
    support: Sequence[Finding]
    values: Mapping[str, Number | Sequence[str]]
    tasks: Sequence[str] = ()
    exceptions: Sequence[str] = ()
    effect: float = 0.0
    verdict: Verdict | None = None
    grade: Grade | None = None
    voids: bool = False


@dataclass(frozen=True)
class Topic(Record):
    """A topic of claims: its ``title`` as a heading, in ``summary`` what its claims say, and what makes them.

    ``claims`` gets the evidence of one block of heads at a time, any subset of all kinds of findings. What it returns
    is worded by ``templates/summary/<name>.j2``, and ordered and limited with the claims of all other topics.
    """

    title: str
    summary: str
    claims: Callable[[Evidence], Iterable[Draft]] = field(default=lambda evidence: (), kw_only=True)


TOPICS = Registry("topics", Topic)
