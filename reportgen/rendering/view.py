"""What every section sees: the scores, findings and figures as plain values ready to print, computed once."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from reportgen.findings import Finding, Findings, Value
from reportgen.prose import CAVEATS
from reportgen.rendering import format as fmt
from reportgen.rendering.canvas import printable
from reportgen.rendering.figures import Drawing
from reportgen.scores import Examples, Head, HeadScores, Task
from reportgen.stats import mean_intervals, wilson
from reportgen.study import Study

TOP = 10  # heads in a task's table
CHUNK = 1024  # cells resampled at once, to bound memory
KINDS = {
    "cluster": "cluster", "row_segment": "row segment", "anomaly": "single head", "cross_task_head": "shared head",
    "layer_gradient": "layer gradient", "diagonal_gradient": "diagonal gradient", "weakest_layers": "weakest layers",
    "sparse_layers": "sparse layers", "scattered_heads": "scattered heads", "concentration": "concentration",
    "competence": "competence", "absence": "nothing found",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of strings: ``columns`` are (title, is a number); the first column heads its row."""

    name: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


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
class TaskView:
    """One task: its scores, intervals where examples allow them, ranks (1: largest |value|), and findings."""

    task: Task
    name: str
    anchor: str
    figure: str
    values: Float[np.ndarray, "layer head"]
    low: Float[np.ndarray, "layer head"] | None
    high: Float[np.ndarray, "layer head"] | None
    signed: Float[np.ndarray, "layer head"] | None
    ranks: Int[np.ndarray, "layer head"]
    findings: tuple[FindingView, ...]
    at_chance: str | None

    def top(self, n: int) -> list[Head]:
        """The n heads of largest absolute value, largest first."""
        present = int((self.ranks > 0).sum())
        order = np.argsort(np.where(self.ranks > 0, self.ranks, present + 1), axis=None, kind="stable")
        return [Head(*map(int, np.unravel_index(i, self.ranks.shape))) for i in order[: min(n, present)]]


@dataclass(frozen=True)
class Report:
    """Everything that sections draw on."""

    scores: HeadScores
    findings: Findings
    study: Study
    others: dict[str, HeadScores]
    provenance: dict[str, Any]
    tasks: tuple[TaskView, ...]
    shared: tuple[FindingView, ...]
    drawings: tuple[Drawing, ...]
    numbers: dict[str, int]
    sections: tuple[str, ...]
    date: str

    @property
    def views(self) -> dict[str, FindingView]:
        """Every finding's view by its id."""
        return {v.id: v for v in (*self.shared, *(v for t in self.tasks for v in t.findings))}

    def drawn(self, section: str) -> list[Drawing]:
        """A section's figures in order."""
        return [d for d in self.drawings if d.section == section]

    def link(self, view: FindingView) -> str | None:
        """The address of a finding's evidence, None where its section is left out."""
        home = "tasks" if view.finding.task is not None else "across_tasks"
        return f"#{view.anchor}" if home in self.sections else None


def task_views(scores: HeadScores, findings: Findings) -> tuple[TaskView, ...]:
    """The view of every task."""
    anchors = _unique([slug(t.name) for t in scores.tasks])
    finding_anchors = anchors_of(findings)
    return tuple(_task_view(scores, findings, t, anchor, finding_anchors) for t, anchor in enumerate(anchors))


def _task_view(scores: HeadScores, findings: Findings, t: int, anchor: str, anchors: dict[str, str]) -> TaskView:
    task, values, examples = scores.tasks[t], scores.importance[t].astype(float), scores.examples[t]
    low, high = _intervals(examples, scores) if examples is not None else (None, None)
    found = findings.by_task(task.name)
    signs = examples is not None and scores.reduction == "mean_abs" and bool((examples.values < 0).any())
    return TaskView(
        task=task, name=printable(task.name), anchor=f"task-{anchor}", figure=f"task-{anchor}", values=values, low=low,
        high=high, signed=examples.values.mean(axis=0, dtype=float) if signs and examples is not None else None,
        ranks=_ranks(values), findings=tuple(finding_view(f, findings, anchors[f.id]) for f in found),
        at_chance=_at_chance(task, found),
    )  # fmt: skip


def _intervals(examples: Examples, scores: HeadScores) -> tuple[np.ndarray, np.ndarray]:
    values = np.abs(examples.values) if scores.reduction == "mean_abs" else examples.values
    flat = values.reshape(len(values), -1)
    low, high = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    present = np.flatnonzero(scores.present.ravel())
    for start in range(0, len(present), CHUNK):
        cells = present[start : start + CHUNK]
        low[cells], high[cells] = mean_intervals(flat[:, cells], examples.groups, examples.ordered, scores.seed)
    shape = values.shape[1:]
    return low.reshape(shape), high.reshape(shape)


def _ranks(values: Float[np.ndarray, "layer head"]) -> Int[np.ndarray, "layer head"]:
    size = np.abs(values).ravel()
    order = np.argsort(-np.where(np.isnan(size), -np.inf, size), kind="stable")
    ranks = np.zeros(len(size), dtype=int)
    ranks[order] = np.arange(1, len(size) + 1)
    ranks[np.isnan(size)] = 0
    return ranks.reshape(values.shape)


def _at_chance(task: Task, found: Iterable[Finding]) -> str | None:
    """What the task's section says where the model is not shown to do the task; the analysis' verdict comes first."""
    verdicts = [f for f in found if f.kind == "competence"]
    if verdicts:
        return CAVEATS["at-chance"] if any("at-chance" in f.caveats for f in verdicts) else None
    if task.accuracy is None or task.chance is None or not task.n:
        return None
    low, high = wilson(task.accuracy * task.n, task.n)
    span = f"{fmt.share(low)} to {fmt.share(high)}"
    return None if low > task.chance else (
        f"The model’s accuracy, {fmt.share(task.accuracy)} (95 % interval {span}), is not shown to be above chance, "
        f"{fmt.share(task.chance)}, so importance on this task means little."
    )  # fmt: skip


def finding_view(finding: Finding, findings: Findings, anchor: str) -> FindingView:
    """A finding's sentence with its evidence in print."""
    return FindingView(
        id=finding.id, anchor=anchor, kind=KINDS.get(finding.kind, finding.kind.replace("_", " ")),
        register=finding.register, verdict=finding.verdict, sentence=finding.sentence,
        evidence=tuple(_evidence(finding, findings)), caveats=tuple(finding.caveats),
        finding=finding,
    )  # fmt: skip


def _evidence(finding: Finding, findings: Findings) -> Iterable[str]:
    test, effect, value = finding.test, finding.effect, finding.value
    if test is not None:
        corrections = {f.id: f.correction for f in findings.families}
        how = corrections.get(test.family, "corrected")
        yield f"q = {fmt.probability(test.q)} ({how}; family of {fmt.count(test.family_size, 'test')})"
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
    name, _, bounds = value.of.partition("; ")
    if value.low is None or value.high is None:
        return f"{name}: {fmt.number(value.estimate)}"
    text = fmt.estimate(value.estimate, value.low, value.high).replace("[", f"({bounds or '95 % interval'}: ")
    return f"{name}: {text}".replace(", ", " to ").replace("]", ")")


def shared_views(findings: Findings) -> tuple[FindingView, ...]:
    """The findings on several tasks."""
    anchors = anchors_of(findings)
    return tuple(finding_view(f, findings, anchors[f.id]) for f in findings.by_task(None))


def anchors_of(findings: Findings) -> dict[str, str]:
    """A unique anchor for every finding id."""
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


@dataclass(frozen=True)
class Section:
    """A section of the report: its template's name, its heading, and the function that makes its values.

    ``view`` returns None where the report has nothing to say in this section.
    """

    name: str
    title: str
    view: Callable[[Report], dict[str, Any] | None]


def head_table(view: TaskView, unit: str, n: int = TOP, name: str = "") -> Table:
    """A task's most important heads: rank, head, value with its interval, and the mean signed effect if any."""
    heads = view.top(n)
    bounded = view.low is not None and bool(np.isfinite(view.low).any())
    columns: list[tuple[str, bool]] = [("Head", False), ("Rank", True), (unit[:1].upper() + unit[1:], True)]
    columns += [("95 % interval", True)] if bounded else []
    columns += [("Mean signed", True)] if view.signed is not None else []
    places = _common_places([float(view.values[h]) for h in heads])
    rows = tuple(_head_row(view, h, bounded, places) for h in heads)
    note = "" if bounded else "No intervals: there are no per-example scores."
    if view.low is not None and not bounded:
        note = "No intervals: there are too few independent examples."
    return Table(name, f"The {len(heads)} most important heads on {view.name}" if len(heads) > 1
                 else f"The most important head on {view.name}", tuple(columns), rows, note)  # fmt: skip


def _common_places(values: list[float]) -> int | None:
    """Decimals that give the largest value three digits; None where powers of ten are needed."""
    top = max((abs(v) for v in values), default=0.0)
    return fmt.decimals(top) if top == 0 or 1e-5 <= top < 1e7 else None


def _head_row(view: TaskView, head: Head, bounded: bool, places: int | None) -> tuple[str, ...]:
    value = float(view.values[head])
    low = float(view.low[head]) if view.low is not None else float("nan")
    high = float(view.high[head]) if view.high is not None else float("nan")
    kept = places
    if places is not None and np.isfinite(high - low):
        kept = min(places, fmt.decimals(value, 3, (high - low) / 2))

    def show(x: float) -> str:
        return fmt.number(x) if kept is None else fmt.fixed(x, kept)

    cells: tuple[str, ...] = (show(value),)
    cells += (f"{show(low)} to {show(high)}",) if bounded else ()
    cells += (show(float(view.signed[head])),) if view.signed is not None else ()
    return (str(head), str(int(view.ranks[head])), *cells)
