"""What a detector sees: the scores, split into what findings are detected on and what their values are read from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import Literal, Unpack

import numpy as np
from jaxtyping import Bool, Float, Int
from typing_extensions import TypedDict

from reportgen.analysis.statistics.ties import Ties
from reportgen.core import caveats
from reportgen.core.caveats import Caveat
from reportgen.core.config import Study
from reportgen.core.findings import Effect, Family, Finding, Register, Test, Value
from reportgen.core.kinds import Kind, kind_of
from reportgen.core.plugins import Registry
from reportgen.core.scores import Head, HeadScores, reduce_examples
from reportgen.core.stats import group_numbers, mean_intervals, ratio_interval

# A largest head's value read from the numbers that it was chosen on is too large by 125, 47 and 6 % at 10, 25 and 100
# examples: so findings are detected on one half and read off the other (docs/decisions/0002).
LEAST_GROUPS = 4  # in each half
DEAD = 0.01  # of the usual head: background heads lie within a factor of ten of it, so that no layer of them is dead


@dataclass(frozen=True)
class Settings:
    """The ``[analysis]`` settings: ``alpha``, which all families of tests share, Monte-Carlo draws, seed, ``margin`` of
    inert heads; and what the study says of its tasks and scores: the ``control`` task, the ``bounds`` of their unit,
    and whether tasks are of ``suites``, of which the model's tokenizer may not hold all.
    """

    alpha: float = 0.10
    seed: int = 0
    permutations: int = 4000
    detectors: tuple[str, ...] | None = None
    margin: float = 0.01
    control: str | None = None
    bounds: tuple[float, float] | None = None
    suites: bool = False

    @classmethod
    def of(cls, study: Study) -> "Settings":
        """Return the view of the study."""
        section, bounds = study.analysis, None if study.scores is None else study.scores.bounds
        detectors = None if section.detectors is None else tuple(section.detectors)
        return cls(
            section.alpha,
            section.seed,
            section.permutations,
            detectors,
            section.margin,
            study.tasks.control,
            bounds,
            study.scores is None and bool(study.tasks.asked),
        )


@dataclass(frozen=True)
class Outcome:
    """What one detector found: its findings, its family of tests, and each silent task's smallest q-value
    (under None where one test is about all tasks together)."""

    kind: str
    findings: list[Finding] = field(default_factory=list)
    family: Family | None = None
    silent: dict[str | None, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Detector(Kind):
    """A plug-in of the analysis: its kind of finding, and ``detect``, which reads the view and the earlier detectors'
    outcomes.

    ``of_heads`` says that it is about heads, and so runs once for each block of them. Its family gets its part of alpha
    where the scores are ``able`` to be tested. ``of_some``: it is true of maps in which some heads were not scored;
    ``of_ranks``: of scores of which only the order means anything; ``of_equal``: of maps that hold one number.
    """

    detect: Callable[["View", Sequence[Outcome]], Outcome]
    of_heads: bool = field(default=True, kw_only=True)
    able: Callable[["View"], bool] = field(default=lambda view: True, kw_only=True)
    of_some: bool = field(default=False, kw_only=True)
    of_ranks: bool = field(default=False, kw_only=True)
    of_equal: bool = field(default=False, kw_only=True)

    def fits(self, scores: HeadScores) -> bool:
        """Whether what it finds is true of such scores."""
        known = (self.of_some or scores.unscored is None) and (self.of_ranks or not scores.method.ordinal)
        return known and (self.of_equal or not scores.constant)


DETECTORS = Registry("detectors", Detector)


class Fields(TypedDict, total=False):
    """The fields of a finding that only its detector knows, as Finding has them."""

    rule: str | None
    data: Mapping[str, object] | None
    tasks: list[str] | None
    layers: tuple[int, int] | None
    heads: tuple[int, int] | None
    cells: list[tuple[int, int]] | None
    members: Sequence[str | int] | None
    value: Value | None
    test: Test | None
    effect: Effect | None
    n_examples: int | None
    caveats: list[str]


@dataclass(frozen=True, eq=False)
class View:
    """The scores of one block, the settings of its analysis, the block's scores by the study's further methods, and
    each family's part of alpha by kind.
    """

    scores: HeadScores
    settings: Settings
    others: Mapping[str, HeadScores] = field(default_factory=dict)
    ties: Ties | None = None
    open_runs: tuple[int, ...] = ()  # lengths, in columns of by_group, of runs that may share keys and values as well
    levels: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def control(self) -> int | None:
        """The number of the control task (None: there is none)."""
        return next((t for t, name in enumerate(self.scores.task_names) if name == self.settings.control), None)

    @cached_property
    def maps(self) -> Float[np.ndarray, "task layer head"]:
        """What findings are detected on: |importance| of the discovery half, or of all where there are no examples."""
        return np.stack([self._map(t, True) for t in range(len(self.scores.tasks))])

    @cached_property
    def report_maps(self) -> Float[np.ndarray, "task layer head"]:
        """What values are read from: |importance| of the held-out half, or ``maps`` where there are no examples."""
        return np.stack([self._map(t, False) for t in range(len(self.scores.tasks))])

    def _map(self, t: int, discovery: bool) -> np.ndarray:
        examples = self.scores.examples[t]
        if examples is None or not self.held_out(t):
            whole: np.ndarray = self.whole[t]
            return whole
        half = examples.discovery if discovery else ~examples.discovery
        result: np.ndarray = np.abs(reduce_examples(examples.values[half], self.scores.reduction))
        return result

    @cached_property
    def whole(self) -> Float[np.ndarray, "task layer head"]:
        """|importance| over all examples, as scores.csv prints it: what observed findings speak of."""
        return np.abs(self.scores.importance.astype(np.float64))

    @cached_property
    def turned(self) -> bool:
        """Whether any score is negative, so that findings speak of another number than scores.csv prints."""
        return bool((self.scores.importance < 0).any())

    def held_out(self, t: int) -> bool:
        """Whether half of the task's examples are kept from detection: both halves need 4 groups of resampling."""
        examples = self.scores.examples[t]
        if examples is None:
            return False
        number = group_numbers(examples.groups, examples.ordered)
        return min(len(set(number[half])) for half in (examples.discovery, ~examples.discovery)) >= LEAST_GROUPS

    @property
    def control_scores(self) -> HeadScores | None:
        """The study's further scores that know nothing of the answer; None without such."""
        return next((scores for scores in self.others.values() if scores.method.family == "control"), None)

    @property
    def present(self) -> Bool[np.ndarray, "layer head"]:
        """Which heads the model has."""
        return self.scores.present

    @cached_property
    def width(self) -> int:
        """The median number of heads of the layers that have any."""
        heads = self.present.sum(axis=1)
        return round(float(np.median(heads[heads > 0])))

    @cached_property
    def dead(self) -> Bool[np.ndarray, "layer"]:
        """Which layers are near zero: on every task their largest head is below ``DEAD`` of the usual head above zero.

        What they share is that nothing happens there, which a test over layers would take for what tasks share.
        """
        some = np.asarray(self.present.any(axis=1))
        quiet = some.copy()
        for values in self.whole:
            usual = np.median(values[values > 0]) if (values > 0).any() else 0.0
            quiet &= np.max(np.nan_to_num(values), axis=1) <= DEAD * usual
        return quiet & bool((some & ~quiet).any())

    @cached_property
    def layers(self) -> Int[np.ndarray, "layer"]:
        """The layers that have heads and are not dead: those that tests over layers speak of."""
        return np.flatnonzero(self.present.any(axis=1) & ~self.dead)

    @cached_property
    def group_size(self) -> int:
        """Heads that share one key/value head, or seem to: what is exchangeable under grouped-query attention."""
        groups, heads = self.scores.model.kv_groups, self.scores.n_heads
        if groups is None and self.ties is not None:
            return self.ties.size
        return heads // groups if groups and heads % groups == 0 else 1

    @property
    def exchangeable(self) -> str:
        """What is exchangeable within a layer, as nulls name it."""
        size = self.group_size
        named = "heads" if size == 1 else "key/value groups" if self.ties is None else f"runs of {size} tied heads"
        runs = [str(size * n) for n in self.open_runs]
        return f"{named}, or runs of {' or '.join(runs)} heads," if runs else named

    @property
    def on_ties(self) -> list[Caveat]:
        """The caveat of tests that take heads to be exchangeable where key/value groups are not known."""
        if self.scores.model.kv_groups is not None:
            return []
        estimated = [caveats.KV_ESTIMATED] if self.group_size > 1 else []
        return [*estimated, *([caveats.KV_UNKNOWN] if self.open_runs else [])] or [caveats.KV_UNTIED]

    def family(self, kind: str, size: int, correction: str) -> Family:
        """Return the family of a kind's tests, with its part of alpha: none where the detector was not ``able`` to
        test.
        """
        return Family(kind, size, self.levels.get(kind, 0.0), correction)

    def test(
        self, name: str, null: str, statistic: float, p: float, q: float, family: Family, draws: int | None = None
    ) -> Test:
        """A Test record of this analysis."""
        return Test(name, null, float(statistic), float(p), float(q), family.id, family.size, draws)

    def finding(self, kind: str, t: int | None, register: Register, priority: float, **rest: Unpack[Fields]) -> Finding:
        """Return a finding on task number ``t`` (None: on several); its id and sentence are given once all are known.

        Observed findings are about all examples, tested ones print values of the held-out half.
        """
        rest.setdefault("n_examples", self.counted(t, register == "observed"))
        if self.turned and not kind_of(kind).signed:
            rest["caveats"] = [*rest.get("caveats", []), caveats.ABSOLUTE.code]
        return Finding(
            id="",
            kind=kind,
            method=self.scores.method.name,
            register=register,
            priority=round(float(priority), 4),
            block=self.scores.block,
            task=None if t is None else self.scores.tasks[t].name,
            **rest,
        )

    def counted(self, t: int | None, whole: bool) -> int | None:
        """Return how many examples a task's values are read from, where that is known."""
        if t is None or (examples := self.scores.examples[t]) is None:
            return self.scores.tasks[t].n if t is not None else None
        return len(examples.ids) if whole or not self.held_out(t) else int((~examples.discovery).sum())

    def sample(self, t: int, whole: bool = False) -> tuple[np.ndarray, Sequence[str], bool] | None:
        """Return the (example, layer, head) values that are read off, their groups, and whether they are a sequence.

        Held-out examples where there are any, or all of them (``whole``); None without per-example scores. The mean
        over examples is the map that is read: signed values whose mean would be negative are turned round.
        """
        examples = self.scores.examples[t]
        if examples is None:
            return None
        half = np.ones(len(examples.ids), dtype=bool) if whole or not self.held_out(t) else ~examples.discovery
        values = examples.values[half].astype(np.float64)
        groups = list(compress(examples.groups, half))
        turned = np.abs(values) if self.scores.reduction == "mean_abs" else values * np.sign(values.mean(axis=0))
        return turned, groups, examples.ordered

    def region_value(self, t: int, cells: Bool[np.ndarray, "layer head"], whole: bool = False) -> Value:
        """Return the mean over a region's cells, with the range that the middle 80 % of its cells cover."""
        inside = self.read(t, whole)[cells]
        low, high = np.quantile(inside, [0.1, 0.9])
        return Value(float(inside.mean()), float(low), float(high), "mean; 10–90 % of cells", self.split(t, whole))

    def head_value(self, t: int, head: Head, whole: bool = False) -> Value:
        """One head's importance, with its sign where importance has them, and its 95 % interval over examples."""
        estimate, known = float(self.read(t, whole)[head]), self.sample(t, whole)
        low: float | None = None
        high: float | None = None
        if known is not None:
            values, groups, ordered = known
            bounds = mean_intervals(values[:, head.layer, head.head], groups, ordered)
            if not np.isnan(bounds[0]):
                low, high = float(bounds[0]), float(bounds[1])
        if self.signs(t, whole)[head] < 0:
            estimate, low, high = -estimate, None if high is None else -high, None if low is None else -low
        return Value(estimate, low, high, "head; 95 % interval", self.split(t, whole))

    def read(self, t: int, whole: bool = False) -> Float[np.ndarray, "layer head"]:
        """Return the map that values are read from: the held-out half's, or that of all examples."""
        result: np.ndarray = self.whole[t] if whole else self.report_maps[t]
        return result

    def signs(self, t: int, whole: bool = False) -> Float[np.ndarray, "layer head"]:
        """Return the signs that the values of ``read`` have lost."""
        examples, signed = self.scores.examples[t], self.scores.importance[t].astype(np.float64)
        if examples is not None and not whole and self.held_out(t):
            signed = reduce_examples(examples.values[~examples.discovery], self.scores.reduction)
        result: np.ndarray = np.sign(signed)
        return result

    def split(self, t: int, whole: bool = False) -> Literal["held-out", "in-sample"]:
        """Return whether a task's values are read from examples that were held out."""
        return "held-out" if self.held_out(t) and not whole else "in-sample"

    def ratio_effect(
        self, t: int, cells: np.ndarray, rest: np.ndarray, name: str, whole: bool = False
    ) -> Effect | None:
        """Mean over ``cells`` divided by mean over ``rest``, with its interval over examples; None for a zero rest."""
        values = self.read(t, whole)
        above, below = float(values[cells].mean()), float(values[rest].mean()) if rest.any() else 0.0
        if below <= 0:
            return None
        known = self.sample(t, whole)
        low: float | None = None
        high: float | None = None
        if known is not None:
            sample, groups, ordered = known
            means = sample[:, cells].mean(axis=1), sample[:, rest].mean(axis=1)
            low, high = ratio_interval(*means, groups, ordered)
        return Effect(name, above / below, low, high)

    def caveats(self, t: int | None, *more: Caveat, whole: bool = False) -> list[str]:
        """Return the codes of a finding's caveats: of those named, and ``in-sample`` where nothing was held out."""
        in_sample = t is not None and (whole or not self.held_out(t))
        return [caveat.code for caveat in (*more, *([caveats.IN_SAMPLE] if in_sample else []))]


def found_cells(outcomes: Sequence[Outcome], task: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the cells of a task that the regions of earlier findings hold."""
    grid, regions = np.zeros(shape, dtype=bool), {d.name for d in DETECTORS.known() if d.region is not None}
    for outcome in outcomes:
        for finding in outcome.findings:
            if finding.task == task and finding.kind in regions:
                grid |= finding.mask(shape)
    return grid
