"""What every section sees: the scores, findings and figures as plain values ready to print."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from reportgen.core.blocks import Blocks, title
from reportgen.core.caveats import AT_CHANCE
from reportgen.core.claims import ClaimsFile
from reportgen.core.config import Study
from reportgen.core.findings import Finding, Findings, Value
from reportgen.core.kinds import kind_of
from reportgen.core.patterns import Patterns
from reportgen.core.plugins import Plugin
from reportgen.core.scores import Examples, Head, HeadScores, Task
from reportgen.core.sentences import badges
from reportgen.core.stats import mean_intervals, shared_ranks, wilson
from reportgen.core.trials import Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import BlockStyle, Drawing

CHUNK = 1024  # cells resampled at once, to bound memory


@dataclass(frozen=True)
class FindingView:
    """A finding as it is printed."""

    id: str
    anchor: str
    kind: str
    register: str
    verdict: str | None
    sentence: str
    evidence: tuple[str, ...]
    caveats: tuple[str, ...]
    finding: Finding


@dataclass(frozen=True)
class MapView:
    """One task's scores in one block, intervals where examples allow them, ranks, and findings.

    Ranks begin at 1, the largest |value|, and equal values share one; 0 is no head.

    ``error`` is the standard error that sampled scores leave in each head's mean, None where nothing is sampled.
    """

    block: str | None
    figure: str
    values: Float[np.ndarray, "layer head"]
    low: Float[np.ndarray, "layer head"] | None
    high: Float[np.ndarray, "layer head"] | None
    signed: Float[np.ndarray, "layer head"] | None
    error: Float[np.ndarray, "layer head"] | None
    ranks: Int[np.ndarray, "layer head"]
    findings: tuple[FindingView, ...]

    @property
    def title(self) -> str:
        """The block's name as a heading, empty for heads that are in no block."""
        return title(self.block).capitalize()

    def top(self, n: int) -> list[Head]:
        """Return the n heads of largest absolute value, largest first."""
        present = int((self.ranks > 0).sum())
        order = np.argsort(np.where(self.ranks > 0, self.ranks, present + 1), axis=None, kind="stable")
        return [Head(*map(int, np.unravel_index(i, self.ranks.shape))) for i in order[: min(n, present)]]


@dataclass(frozen=True)
class TaskView:
    """One task: its map in each block, and what was found about the task but not about a block."""

    task: Task
    name: str
    anchor: str
    maps: tuple[MapView, ...]
    general: tuple[FindingView, ...]
    at_chance: str | None

    @property
    def findings(self) -> tuple[FindingView, ...]:
        """The findings that stand with the task."""
        return self.general + tuple(f for m in self.maps for f in m.findings)


@dataclass(frozen=True)
class Report:
    """Everything that sections draw on."""

    blocks: Blocks
    findings: Findings
    study: Study
    others: dict[str, Blocks]
    provenance: dict[str, object]
    tasks: tuple[TaskView, ...]
    views: dict[str, FindingView]
    styles: tuple[BlockStyle, ...]
    drawings: tuple[Drawing, ...]
    numbers: dict[str, int]
    sections: tuple[str, ...]
    date: str
    validation: Validation | None = None
    patterns: Patterns | None = None
    claims: ClaimsFile = field(default_factory=ClaimsFile)
    plugins: tuple[Plugin, ...] = ()
    unattached: Mapping[str, int] = field(default_factory=dict)
    printed: bool = False

    @property
    def title(self) -> str:
        """The report's title: where the study gives none, the strongest claim's."""
        return printable(self.claims.title or self.study.study.title)

    @property
    def scores(self) -> HeadScores:
        """The first block, for what all blocks share: tasks, method, model, examples."""
        return self.blocks[0]

    @property
    def validation_alpha(self) -> str:
        """The α of the tests of interventions, which is not part of the one that all other families share, or empty."""
        apart = [f.alpha for f in self.findings.families if kind_of(f.id.partition("/")[0]).apart]
        return f"{sum(apart):g}" if apart else ""

    @property
    def untried(self) -> str | None:
        """Why no head was knocked out, empty where that is not known; None where some were."""
        validation, study = self.validation, self.study
        if validation is not None:
            return printable(validation.problem) if validation.problem else None
        off = study.model is not None and not study.validation.enabled
        return "the study switches it off" if off else "the scores came without the model" if study.scores else ""

    @property
    def named(self) -> bool:
        """Whether heads are in named blocks."""
        return self.scores.block is not None

    def at(self, section: str) -> list[FindingView]:
        """Return the findings that a section is the home of, most important first."""
        return [v for v in self.views.values() if home(v.finding) == section]

    def drawn(self, section: str) -> dict[str | None, list[Drawing]]:
        """Return a section's figures in order, block by block; a block without any is left out."""
        drawn = {b.block: [d for d in self.drawings if (d.section, d.block) == (section, b.block)] for b in self.blocks}
        return {block: drawings for block, drawings in drawn.items() if drawings}

    def figure(self, name: str) -> Drawing | None:
        """Return the figure of that name, such as ``maps`` or ``dumbbell``; None where it was not drawn."""
        return next((d for d in self.drawings if d.name == name), None)

    def link(self, view: FindingView) -> str | None:
        """Return the address of a finding's evidence, None where its section is left out, or of the PDF nothing but
        its first two pages; a listing has a row of the page's tables for each of its heads, and none in the PDF.
        """
        left_out = self.printed and (
            self.study.report.length == "brief" or kind_of(view.finding.kind).shown == "listed"
        )
        return f"#{view.anchor}" if home(view.finding) in self.sections and not left_out else None


def home(finding: Finding) -> str:
    """Return the section that prints a finding with its evidence."""
    return kind_of(finding.kind).home or ("across_tasks" if finding.task is None else "tasks")


def task_views(
    blocks: Blocks, findings: Findings, views: Mapping[str, FindingView], control: str | None = None
) -> tuple[TaskView, ...]:
    """Return the view of every task; whether the model does the ``control`` task is not judged."""
    anchors = _unique([slug(t.name) for t in blocks[0].tasks])
    return tuple(_task_view(blocks, findings, t, anchor, views, control) for t, anchor in enumerate(anchors))


def _task_view(
    blocks: Blocks, findings: Findings, t: int, anchor: str, known: Mapping[str, FindingView], control: str | None
) -> TaskView:
    task = blocks[0].tasks[t]
    found = findings.by_task(task.name)
    views = [known[f.id] for f in found if home(f) == "tasks"]
    maps = tuple(_map_view(b, t, f"task-{anchor}", [v for v in views if v.finding.block == b.block]) for b in blocks)
    general = tuple(v for v in views if v.finding.block is None) if blocks[0].block else ()
    weak = None if task.name == control else _at_chance(task, found)
    return TaskView(task, printable(task.name), f"task-{anchor}", maps, general, weak)


def _map_view(scores: HeadScores, t: int, figure: str, found: Sequence[FindingView]) -> MapView:
    values, examples = scores.importance[t].astype(float), scores.examples[t]
    low, high = _intervals(examples, scores) if examples is not None else (None, None)
    signs = examples is not None and scores.reduction == "mean_abs" and bool((examples.values < 0).any())
    return MapView(
        block=scores.block,
        figure=f"{figure}-{scores.block}" if scores.block else figure,
        values=values,
        low=low,
        high=high,
        signed=examples.values.mean(axis=0, dtype=float) if signs and examples is not None else None,
        error=_sampling_error(examples),
        ranks=_ranks(values),
        findings=tuple(found),
    )


def _sampling_error(examples: Examples | None) -> Float[np.ndarray, "layer head"] | None:
    """Return the standard error of each head's mean over examples that are each sampled: √(Σ se²) / n."""
    if examples is None or examples.errors is None:
        return None
    result: np.ndarray = np.sqrt((examples.errors.astype(float) ** 2).sum(axis=0)) / len(examples.errors)
    return result


def _intervals(examples: Examples, scores: HeadScores) -> tuple[np.ndarray, np.ndarray]:
    values = np.abs(examples.values) if scores.reduction == "mean_abs" else examples.values
    flat = values.reshape(len(values), -1)
    low, high = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    present = np.flatnonzero(scores.present.ravel())
    for start in range(0, len(present), CHUNK):
        cells = present[start : start + CHUNK]
        low[cells], high[cells] = mean_intervals(flat[:, cells], examples.groups, examples.ordered)
    shape = values.shape[1:]
    return low.reshape(shape), high.reshape(shape)


def _ranks(values: Float[np.ndarray, "layer head"]) -> Int[np.ndarray, "layer head"]:
    return shared_ranks(np.abs(values).ravel()).reshape(values.shape)


def _at_chance(task: Task, found: Iterable[Finding]) -> str | None:
    """Return what the task's section says where the model is not shown to do the task; the analysis' verdict comes
    first.
    """
    verdicts = [f for f in found if kind_of(f.kind).performance]
    if verdicts:
        return AT_CHANCE.text if any(AT_CHANCE.code in f.caveats for f in verdicts) else None
    if task.accuracy is None or task.chance is None or not task.n:
        return None
    low, high = wilson(task.accuracy * task.n, task.n)
    span = f"{fmt.share(low)} to {fmt.share(high)}"
    return (
        None
        if low > task.chance
        else (
            f"The model’s accuracy, {fmt.share(task.accuracy)} (95 % interval {span}), is not shown to be above "
            f"chance, {fmt.share(task.chance)}, so importance on this task means little."
        )
    )


def finding_view(finding: Finding, findings: Findings, anchor: str) -> FindingView:
    """Return a finding's sentence with its evidence in print."""
    return FindingView(
        id=finding.id,
        anchor=anchor,
        kind=kind_of(finding.kind).label,
        register=finding.register,
        verdict=badges(finding) or None,
        sentence=finding.sentence,
        evidence=tuple(_evidence(finding, findings)),
        caveats=tuple(finding.caveats),
        finding=finding,
    )


def _evidence(finding: Finding, findings: Findings) -> Iterable[str]:
    test, effect, value = finding.test, finding.effect, finding.value
    if test is not None:
        corrections = {f.id: f.correction for f in findings.families}
        how = corrections.get(test.family, "corrected")
        yield f"q {fmt.compared(fmt.probability(test.q))} ({how}; family of {fmt.count(test.family_size, 'test')})"
        drawn = f", {test.draws:,} draws" if test.draws else ""
        yield f"{test.name}; null: {test.null}{drawn}"
    elif finding.rule:
        yield f"rule: {finding.rule}"
    if effect is not None:
        yield f"{effect.name}: {fmt.estimate(effect.estimate, effect.low, effect.high)}"
    if value is not None:
        yield f"{_value(value)}, {value.split}"
    if finding.n_examples is not None:
        yield f"n = {finding.n_examples:,}"


def _value(value: Value) -> str:
    """``mean: 0.00275 (10–90 % of cells: 0.00258 to 0.00294)``; ``of`` names the estimate; its bounds."""
    name, bounds = value.named
    if value.low is None or value.high is None:
        return f"{name}: {fmt.number(value.estimate)}"
    text = fmt.estimate(value.estimate, value.low, value.high).replace("[", f"({bounds}: ")
    return f"{name}: {text}".replace(", ", " to ").replace("]", ")")


def finding_views(findings: Findings) -> dict[str, FindingView]:
    """Every finding's view by its id, most important first."""
    anchors = anchors_of(findings)
    return {f.id: finding_view(f, findings, anchors[f.id]) for f in findings.ranked()}


def anchors_of(findings: Findings) -> dict[str, str]:
    """Return a unique anchor for every finding id."""
    ids = [f.id for f in findings.findings]
    return dict(zip(ids, _unique([f"finding-{slug(i)}" for i in ids]), strict=True))


def slug(text: str) -> str:
    """ASCII letters, digits and hyphens: safe in addresses and in file names everywhere."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:60] or "x"


def _unique(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, n = name, 2
        while candidate in taken:
            candidate, n = f"{name}-{n}", n + 1
        taken.add(candidate)
        result.append(candidate)
    return result
