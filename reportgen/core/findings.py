"""Findings: what the analysis says about the scores, each with its evidence, and the findings.json format."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import TypeAdapter

from reportgen.core.blocks import parsed
from reportgen.core.plugins import Plugin
from reportgen.core.schema import read_plain
from reportgen.core.study_scores import Scores
from reportgen.errors import InputError

Register = Literal["observed", "tested"]
# What interventions say of a set of heads: its knock-out costs the task more than the margin; it does not; the
# interventions disagree; it cannot be told; nothing was tried
Verdict = Literal["necessary", "unnecessary", "mixed", "undecided", "untested"]


@dataclass(frozen=True)
class Value:
    """An estimate in the scores' unit, with bounds where there are any.

    ``of`` says what was measured and what the bounds are (a 95 % interval, or a range of cells); ``split`` on which
    examples: ``held-out`` (not used to find it) or ``in-sample``.
    """

    estimate: float
    low: float | None
    high: float | None
    of: str
    split: Literal["held-out", "in-sample"]

    @property
    def named(self) -> tuple[str, str]:
        """What was measured, and what the bounds are: an interval, or a range of cells."""
        name, _, bounds = self.of.partition("; ")
        return name, bounds or "95 % interval"

    @property
    def interval(self) -> tuple[float, float] | tuple[None, None]:
        """The bounds where they are an interval: those of a range of cells say nothing of how sure the estimate is."""
        if self.low is None or self.high is None or "interval" not in self.named[1]:
            return None, None
        return self.low, self.high


@dataclass(frozen=True)
class Test:
    """The evidence behind a tested finding: its null, p, the q-value over ``family``, and Monte-Carlo ``draws``."""

    __test__ = False  # not a test case for pytest
    name: str
    null: str
    statistic: float
    p: float
    q: float
    family: str
    family_size: int
    draws: int | None


@dataclass(frozen=True)
class Effect:
    """An effect size and its 95 % interval where examples allow one."""

    name: str
    estimate: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Robustness:
    """In how many specifications of its test, ``holds`` of ``of``, a claim holds; ``fails`` names those in which it
    does not by what they have in common.
    """

    holds: int
    of: int
    fails: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A set of tests corrected together."""

    id: str
    size: int
    alpha: float
    correction: str


@dataclass(frozen=True)
class Finding:
    """One claim. Ranges are inclusive and zero-based; fields that do not apply are None, never missing.

    ``layers``, ``heads``: [first, last] of the region or of its bounding box, ``cells`` then listing [layer, head].
    ``members`` names a set of heads (``"L14H7"``, in a block ``"enc.L14H7"``) or of layers; ``block`` is the block of
    heads that the finding is about. ``rule`` is an observed finding's exact condition.

    ``verdict``, ``specific`` (whether the heads cost more than others of their layers; None: not told) and
    ``robustness`` follow from interventions: they stand in validation.json, and are joined when a folder is read.
    """

    id: str
    kind: str
    method: str
    register: Register
    priority: float
    sentence: str = ""
    block: str | None = None
    rule: str | None = None
    verdict: Verdict | None = None
    specific: bool | None = None
    robustness: Robustness | None = None
    data: Mapping[str, object] | None = None
    task: str | None = None
    tasks: list[str] | None = None
    layers: tuple[int, int] | None = None
    heads: tuple[int, int] | None = None
    cells: list[tuple[int, int]] | None = None
    members: Sequence[str | int] | None = None
    value: Value | None = None
    test: Test | None = None
    effect: Effect | None = None
    n_examples: int | None = None
    caveats: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if (self.register == "tested") != (self.test is not None) or (self.register == "observed" and not self.rule):
            raise ValueError(f"{self.id}: a tested finding carries its test, an observed one its rule")

    @property
    def index(self) -> str:
        """The index of its heads in a map (layer, head), as Python writes it; empty where it names no heads."""
        if self.layers is None or self.heads is None:
            return ""
        if self.cells is not None:
            return ", ".join(str([cell[axis] for cell in self.cells]) for axis in (0, 1))
        (top, bottom), (first, last) = self.layers, self.heads
        return f"{top}:{bottom + 1}, {first}:{last + 1}"

    def mask(self, shape: tuple[int, int]) -> Bool[np.ndarray, "layer head"]:
        """Return the cells that the finding names, on a layer × head grid; all False where it names no heads."""
        grid = np.zeros(shape, dtype=bool)
        if self.cells is not None:
            grid[tuple(np.array(self.cells).T)] = True
        elif self.layers is not None and self.heads is not None:
            grid[self.layers[0] : self.layers[1] + 1, self.heads[0] : self.heads[1] + 1] = True
        return grid


# The share of alpha that one family of tests gets, however few there are (docs/decisions/0013-shared-alpha.md).
MOST = 0.5


def _ranked(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: -f.priority)


@dataclass(frozen=True)
class FindingsFile:
    """The content of findings.json: ``scores`` are the sha256 of the scores files by name, ``alpha`` is shared by all
    families of tests, ``plugins`` are other packages' detectors, those that failed among them.
    """

    scores: dict[str, str]
    alpha: float
    seed: int
    families: list[Family]
    findings: list[Finding]
    schema: Literal["reportgen/findings/2"] = "reportgen/findings/2"
    plugins: tuple[Plugin, ...] = ()


@dataclass(frozen=True)
class Findings(FindingsFile):
    """What the analysis found, and the scores that it found it in (``source``, None where they are not at hand)."""

    source: Scores | None = field(default=None, compare=False, repr=False, kw_only=True)

    @property
    def made_from(self) -> Scores:
        """The scores that were analyzed; raises InputError where they are not at hand."""
        if self.source is None:
            hint = "Take the findings from analyze(), or give the run directory"
            raise InputError("these findings do not hold the scores that they are about", "findings", hint)
        return self.source

    @property
    def apart(self) -> float:
        """The level of a family that is tested in a stage of its own, as the validation's: the most one may get."""
        return MOST * self.alpha

    def by_task(self, task: str | None) -> list[Finding]:
        """Return the findings on one task (None: those on several tasks), most important first."""
        return _ranked(f for f in self.findings if f.task == task)

    def of_block(self, block: str | None) -> "Findings":
        """Return only the findings on the heads of that block (None: on heads that are in no block, or on no heads)."""
        return replace(self, findings=[f for f in self.findings if f.block == block])

    def by_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of those kinds, most important first."""
        return _ranked(f for f in self.findings if f.kind in kinds)

    def ranked(self) -> list[Finding]:
        """Return all findings, most important first; ties keep the order of analysis."""
        return _ranked(self.findings)

    def get(self, identifier: str) -> Finding:
        """Return the finding of that id; raises InputError naming the known ones."""
        for finding in self.findings:
            if finding.id == identifier:
                return finding
        known = ", ".join(f.id for f in self.findings)
        raise InputError(f"no finding is called {identifier!r}", "FINDING_ID", f"Known findings: {known}")

    def refuse_other_scores(
        self, shapes: Mapping[str | None, tuple[int, int]], tasks: Collection[str], location: str
    ) -> None:
        """Raise InputError for a finding on a task, block or head that is not there: it was edited by hand.

        ``shapes`` are the numbers of layers and heads of each block.
        """
        for f in self.findings:
            cells = [*(f.cells or ()), *zip(f.layers or (), f.heads or (0, 0), strict=False)]
            cells += [parsed(m) if isinstance(m, str) else (m, 0) for m in f.members or ()]
            layers, heads = shapes.get(f.block, (0, 0))
            inside = all(0 <= layer < layers and 0 <= head < heads for layer, head in cells)
            known = f.block is None or f.block in shapes
            if not (inside and known and {*(f.tasks or ()), *([f.task] if f.task else [])} <= set(tasks)):
                hint = "Make the file again with `reportgen analyze`"
                raise InputError(f"finding {f.id} is about a task or head that the scores lack", location, hint)

    def with_scores(self, hashes: dict[str, str]) -> "Findings":
        """Return the same findings bound to the scores files they were computed from (name: sha256)."""
        return replace(self, scores=hashes)


def slug(name: str) -> str:
    """Return a task name as part of an id: lower case, words joined by hyphens."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-") or "task"


def numbered(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with ids ``kind/task/1`` or ``kind/block/task/1``; tasks of one slug count as one."""
    seen: Counter[str] = Counter()
    result = []
    for finding in findings:
        prefix = f"{finding.block}/" if finding.block else ""
        stem = f"{finding.kind}/{prefix}{slug(finding.task) if finding.task else 'all'}"
        seen[stem] += 1
        result.append(replace(finding, id=f"{stem}/{seen[stem]}"))
    return result


_ADAPTER = TypeAdapter(FindingsFile)
_ORDER = ["schema", "scores", "alpha", "seed", "families", "plugins", "findings"]
_FINDING_ORDER = (
    "id kind method block register rule priority data task tasks layers heads cells members value test effect "
    "n_examples caveats sentence"
).split()


def to_json(findings: Findings) -> dict[str, Any]:
    """Return the findings as plain JSON values, keys in the documented order, without what is joined to them."""
    plain = _ADAPTER.dump_python(findings, mode="json")
    plain["findings"] = [{k: f[k] for k in _FINDING_ORDER} for f in plain["findings"]]
    return {k: plain[k] for k in _ORDER if k != "plugins" or plain[k]}


def from_json(plain: object, location: str = "findings.json") -> Findings:
    """Read findings.json's content; raises InputError with the field that does not fit, and for verdicts in it."""
    if isinstance(plain, dict) and plain.get("schema") == "reportgen/findings/1":
        problem = "schema: reportgen/findings/1 holds verdicts by rules that no longer hold"
        raise InputError(problem, location, "Make the report again with `reportgen build`")
    found = Findings(**vars(read_plain(_ADAPTER, plain, location, "analyze")))
    for f in found.findings:
        if (f.verdict, f.specific, f.robustness) != (None, None, None):
            problem = f"finding {f.id}: a verdict follows from the outcomes in validation.json, and stands nowhere else"
            raise InputError(problem, location, "Make the file again with `reportgen analyze`")
    return found


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of findings.json."""
    schema: dict[str, Any] = _ADAPTER.json_schema(mode="serialization")
    finding, of = schema["$defs"]["Finding"], schema["$defs"]
    finding["properties"] = {name: finding["properties"][name] for name in _FINDING_ORDER}
    schema["$defs"] = {name: of[name] for name in of if name != Robustness.__name__}
    return schema
