"""Kinds of findings: each has a record that holds all about it, in the file of the detector that finds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from reportgen.core.caveats import SHARED, Caveat
from reportgen.core.findings import Finding
from reportgen.core.plugins import Record, Registry

Maps = Mapping[str, Float[np.ndarray, "layer head"]]  # by task
closed = with_config(ConfigDict(extra="forbid"))  # of a TypedDict: further keys are errors


class Similarity(TypedDict):
    """What the figure of similarity draws, as ``data`` of a finding: correlations between its tasks (``overall``), the
    tasks in the ``order`` of a clustering, and its ``merges``, each (cluster, cluster, height, size).
    """

    overall: list[list[float]]
    order: list[str]
    merges: list[list[float]]


@closed
class Leading(TypedDict):
    """A task's largest heads or layers, of ``total``, as ``data`` of a finding, in the members' order.

    ``values`` are means over examples in the scores' unit, with their signs where importance has them, ``lows`` and
    ``highs`` their 95 % intervals (None: examples are missing or few). ``ranks`` count from 1 by size, equal values
    share one; ``first_ranks`` and ``last_ranks`` are the ends of simultaneous 95 % intervals of ranks (empty where
    nothing is held out). ``signed`` are mean signed scores, ``signs`` 1 where these are shown to be positive, -1 where
    negative, 0 where neither is shown (empty: scores have no signs).

    ``tied`` units may be where the first one is by rank; it is not ``separable`` where these are more than a tenth of
    all and more than three (None: not known), and the members are then all of these, if not many.
    ``equal`` units share exactly the largest value. ``examples`` says whether there were single examples.
    """

    total: int
    values: list[float]
    lows: list[float | None]
    highs: list[float | None]
    ranks: list[int]
    first_ranks: list[int]
    last_ranks: list[int]
    signed: list[float]
    signs: list[int]
    separable: bool | None
    tied: int | None
    equal: int
    examples: bool


@dataclass(frozen=True)
class Guidance:
    """What kinds of findings can and cannot show; it never speaks of a model's inner workings."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Kind(Record):
    """All about a kind of finding: words, figure, arithmetic, and its part of alpha.

    ``doc`` says how it is found, its first line what it is. ``label`` names the kind in tables, ``noun`` what a search
    in vain did not find, on any task or, ``together``, among all of them; ``several``, the noun of many, and
    ``missed``, which of them it would often not see, word the line of such searches. ``topic`` is that of the claims
    which it supports, ``home`` the section that prints it (empty: its task's, or across tasks). ``priority`` gives by
    case what a finding's priority begins with. ``data`` is the type that findings' ``data`` fit (None: they have none).

    ``region`` is the shape of regions whose heads later searches leave out; ``shown`` is the figure that shows it: as
    outlines or framed heads on its task's map, framed on the map of counts over tasks, or as the figure of its own;
    ``listed``, a row each in the tables of leading heads and layers.
    ``recompute`` are lines of Python that print the effect from ``importance``, the finding's map (layer, head).
    ``measured`` reads the effect of a finding on layers or groups of tasks off other maps (layer, head) of its tasks.
    ``references`` are cited where the kind was tested, of a kind without tests where it was found.

    ``signed``: its numbers keep the scores' signs, or are none of the scores. ``important``: it names heads for
    mattering. ``tried``: validation knocks them out. ``apart``: its tests have an alpha that is not part of the shared
    one. ``performance``: it says whether the model does the task. ``remark``: it says that a search found nothing, and
    counts as no finding. ``key`` says which of its findings may be key observations, ``by_head`` what a finding says of
    single heads, for tables of heads: by a column's title, by head, in a word or two. ``weight`` are the parts of alpha
    that its family gets where the scores can be tested (0: it tests nothing).
    """

    doc: str = ""
    label: str = ""
    noun: str = ""
    several: str = ""
    missed: str = ""
    together: bool = False
    topic: str = ""
    home: str = ""
    caveats: tuple[Caveat, ...] = ()
    priority: Mapping[str, float] = field(default_factory=dict)
    data: Any = None
    guidance: Guidance | None = None
    references: tuple[str, ...] = ()
    region: Literal["rectangle", "row"] | None = None
    shown: Literal["outlined", "framed", "counted", "similarity", "listed"] | None = None
    recompute: Callable[[Finding], list[str]] = lambda finding: []
    key: Callable[[Finding], bool] = lambda finding: True
    by_head: Callable[[Finding], Mapping[str, Mapping[str, str]]] = lambda finding: {}
    measured: Callable[[Finding, Maps], float] | None = None
    weight: int = 0
    signed: bool = False
    important: bool = True
    tried: bool = False
    apart: bool = False
    performance: bool = False
    remark: bool = False

    def __post_init__(self) -> None:
        for words in ("label", "noun"):
            object.__setattr__(self, words, getattr(self, words) or self.name.replace("_", " "))
        object.__setattr__(self, "several", self.several or f"{self.label}s")

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return (self.doc.strip().splitlines() or [self.label])[0]


KINDS = Registry("detectors", Kind)


def kind_of(name: str) -> Kind:
    """Return the kind of that name; one made from the name where it is not known here."""
    return KINDS.find(name) or Kind(name)


def caveats() -> dict[str, str]:
    """Return what each caveat's code means: shared ones first, then those of single kinds in their order."""
    every = (*SHARED, *(caveat for kind in KINDS.known() for caveat in kind.caveats))
    return {caveat.code: caveat.text for caveat in every}
