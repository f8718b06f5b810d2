"""What differs between reports: settings, claims, heads, agreement of ranks, and what became of findings."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from reportgen.archive.compare import statistics
from reportgen.archive.compare.statistics import Difference
from reportgen.core.blocks import Blocks, title
from reportgen.core.claims import Claim, Claims
from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import kind_of
from reportgen.core.scores import Head, HeadScores
from reportgen.core.study_scores import Scores
from reportgen.core.trials import Validation
from reportgen.errors import InputError
from reportgen.pipeline.reading import open_folder, read_claims, read_findings, read_trials
from reportgen.storage.files import sha256_file
from reportgen.storage.scores_file import SCORES
from reportgen.validation.verdicts import PRINTED

Status = Literal["kept", "changed", "moved", "gained", "lost", "untested"]
ALIKE: tuple[Status, ...] = ("kept", "untested")  # no evidence of a difference
Progress = Callable[[str, int, int], None]
Judged = Finding | Claim
JUDGEMENTS = ("register", "verdict", "specific")


@dataclass(frozen=True)
class Move:
    """What became of a finding: ``before`` is the reference's, ``after`` the run's (None: it has none).

    ``untested``: one of them did not look, or not with that test, so that nothing can be told; ``why`` says it.
    """

    status: Status
    before: Finding | None
    after: Finding | None
    why: str = ""

    @property
    def finding(self) -> Finding:
        """The one that is there, the reference's first."""
        found = self.before or self.after
        assert found is not None
        return found


@dataclass(frozen=True, eq=False)
class Run:
    """One report that is compared: the name it goes by, its scores block by block, findings and claims, all that
    interventions showed (None: nothing was tried), the settings it was made with, and what it looked for (None: all).
    """

    name: str
    study: str
    scores: Blocks
    findings: Findings
    claims: Claims = field(default_factory=Claims)
    validation: Validation | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    detectors: Sequence[str] | None = None

    def block(self, name: str | None) -> HeadScores | None:
        """Return its heads of that block."""
        return next((b for b in self.scores if b.block == name), None)


@dataclass(frozen=True, eq=False)
class Versus:
    """One run against the reference: what differs, what became of the findings, and what cannot be compared."""

    run: Run
    differences: tuple[Difference, ...]
    moves: tuple[Move, ...]
    refused: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every head has the very same importance in both, on all that was compared."""
        maps = [d.values for d in self.differences]
        return bool(maps) and not any(values is None or np.nan_to_num(values).any() for values in maps)

    @property
    def differs(self) -> bool:
        """Whether a head was found to differ, or a finding is not where it was."""
        return any(d.changes for d in self.differences) or any(m.status not in ALIKE for m in self.moves)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The runs, the first of which is the reference; every other against it; and the tests' level."""

    reference: Run
    others: tuple[Versus, ...]
    tasks: tuple[str, ...]
    alpha: float
    searches: int

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, the reference first."""
        return self.reference, *(v.run for v in self.others)

    @property
    def differs(self) -> bool:
        """Whether any run differs from the reference."""
        return any(v.differs for v in self.others)


def comparison(reports: Sequence[Path | str], alpha: float, seed: int, progress: Progress) -> Comparison:
    """Hold every report against the first; raises InputError for runs without a common task."""
    runs = [_open(Path(path), names) for path, names in zip(reports, _names(reports), strict=True)]
    tasks = _shared_tasks(runs)
    pairs = [(run, block, task) for run in runs[1:] for block, task in _subjects(runs[0], run, tasks)]
    searches = max(1, sum(_is_searched(runs[0], *pair) for pair in pairs))
    others, done = [], 0
    for run in runs[1:]:
        made = []
        for block, task in _subjects(runs[0], run, tasks):
            progress("comparing", done, len(pairs))
            made.append(_difference(runs[0], run, block, task, searches, alpha, seed))
            done += 1
        refused = tuple(_refused(runs[0], run))
        found = moves(runs[0], run, _same_shape(runs[0], run))
        others.append(Versus(run, tuple(made), tuple(found), refused))
    progress("comparing", len(pairs), len(pairs))
    return Comparison(runs[0], tuple(others), tasks, alpha, searches)


def _names(reports: Sequence[Path | str]) -> list[str]:
    """Return the shortest last parts of the paths that tell the reports apart; equal paths are numbered."""
    paths = [Path(p).resolve().with_suffix("") if Path(p).is_file() else Path(p).resolve() for p in reports]
    for depth in range(1, 4):
        names = ["/".join(p.parts[-depth:]) for p in paths]
        if len({*names}) == len(names):
            return names
    return [f"{p.name} ({i})" for i, p in enumerate(paths, 1)]


def _open(path: Path, name: str) -> Run:
    from reportgen.archive.checks import opened

    with opened(path) as report:
        scores, source = open_folder(report.folder)
        trials = read_trials(report.folder, read_findings(report.folder, scores))
        claims, study = read_claims(report.folder, trials), source.study
        made = {"reportgen": str(report.manifest.get("reportgen", "not recorded")), **_settings(scores)}
        # scores made elsewhere are told apart by what they are, as nothing says how they were made
        made |= {"scores": sha256_file(report.folder / SCORES)[:12]} if study.scores is not None else {}
        validation, looked_for = trials.validation, study.analysis.detectors
        return Run(name, study.study.title, scores.blocks, trials.findings, claims, validation, made, looked_for)


def _settings(scores: Scores) -> dict[str, str]:
    """Return what may set two runs apart, by its name in study.toml; of the scores, what they record.

    Wording and layout change no result. Of a path only the name counts: where a file lies says nothing of it, and the
    weights are told by their hash.
    """
    study, first, model = scores.study, scores.blocks[0], scores.blocks[0].model
    sections = study.model_dump(mode="json", exclude={"study", "report"}, exclude_none=True)
    made = dict(_flat(sections))
    made |= {"model.path": model.path or "not recorded"} if study.model is not None else {}
    made |= {key: Path(made[key]).name for key in made if key.endswith(".path")}
    sizes = sorted({task.n for task in first.tasks if task.n is not None})
    made |= {
        "weights": (model.weights_sha256 or "not recorded")[:12],
        "method": first.method.name,
        "metric": first.method.metric or "not recorded",
        "unit": first.method.unit,
        "tasks": ", ".join(sorted(first.task_names)),
        "examples a task": "–".join(map(str, dict.fromkeys((sizes[0], sizes[-1])))) if sizes else "not recorded",
    }
    return made


def _flat(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)


def settings_apart(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Return the settings that are not the same in all runs, with each run's own."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    each = {name: tuple(run.settings.get(name, "not set") for run in runs) for name in names}
    return {name: values for name, values in each.items() if len({*values}) > 1}


def _shared_tasks(runs: Sequence[Run]) -> tuple[str, ...]:
    first = runs[0].scores[0].task_names
    for run in runs[1:]:
        theirs = run.scores[0].task_names
        if not {*first} & {*theirs}:
            problem = f"it has no task of {runs[0].name}: {', '.join(theirs)} against {', '.join(first)}"
            raise InputError(problem, run.name, "Compare runs on the same tasks")
    return tuple(t for t in first if all(t in run.scores[0].task_names for run in runs))


def _subjects(reference: Run, run: Run, tasks: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Yield the blocks and tasks on which heads of both runs can be matched by number."""
    for block in reference.scores:
        other = run.block(block.block)
        if other is not None and other.present.shape == block.present.shape:
            yield from ((block.block, task) for task in tasks)


def _same_shape(reference: Run, run: Run) -> bool:
    """Return whether every block of the reference has as many layers and heads in the run."""
    shapes = {b.block: b.present.shape for b in run.scores}
    return all(shapes.get(b.block) == b.present.shape for b in reference.scores)


def _refused(reference: Run, run: Run) -> Iterator[str]:
    """Yield what cannot be compared, and why."""
    for block in reference.scores:
        other, named = run.block(block.block), f"{title(block.block)} " if block.block else ""
        if other is None:
            yield f"{named}heads: {run.name} has no such block"
        elif other.present.shape != block.present.shape:
            sizes = [f"{b.n_layers} layers × {b.n_heads} heads" for b in (block, other)]
            shapes = f"{sizes[0]} in {reference.name}, {sizes[1]} in {run.name}"
            yield f"{named}heads one by one, and places of findings: {shapes}"
        elif unlike := _unlike(block, other):
            yield f"{named}importance as numbers: {unlike}; ranks are compared"
    for task in sorted({*reference.scores[0].task_names} ^ {*run.scores[0].task_names}):
        owner = reference if task in reference.scores[0].task_names else run
        yield f"the task {task}: only {owner.name} has it"


def _unlike(a: HeadScores, b: HeadScores) -> str:
    """Return why two scores are not in one unit, "" where they are."""
    for what, first, second in (
        ("method", a.method.name, b.method.name),
        ("metric", a.method.metric, b.method.metric),
        ("unit", a.method.unit, b.method.unit),
        ("reduction", a.reduction, b.reduction),
    ):
        if first != second:
            return f"their {what}s differ ({first} and {second})"
    return ""


def _is_searched(reference: Run, run: Run, block: str | None, task: str) -> bool:
    before, after, t, u = sides(reference, run, block, task)
    pair = statistics.matched(before.examples[t], after.examples[u], before.reduction == "mean_abs")
    return not _unlike(before, after) and not statistics.testable(pair)


def sides(reference: Run, run: Run, block: str | None, task: str) -> tuple[HeadScores, HeadScores, int, int]:
    """Return a block of reference and run, which both have it, and the task's index in each."""
    before, after = reference.block(block), run.block(block)
    assert before is not None
    assert after is not None
    return before, after, before.task_names.index(task), after.task_names.index(task)


def _difference(
    reference: Run, run: Run, block: str | None, task: str, searches: int, alpha: float, seed: int
) -> Difference:
    before, after, t, u = sides(reference, run, block, task)
    a, b = before.importance[t].astype(float), after.importance[u].astype(float)
    pair = statistics.matched(before.examples[t], after.examples[u], before.reduction == "mean_abs")
    unlike = _unlike(before, after)
    silent = unlike or statistics.testable(pair)
    changes = () if silent or pair is None else statistics.changes(pair, a, b, searches, alpha, seed)
    return Difference(
        task,
        block,
        None if unlike else b - a,
        *statistics.agreement(before, after, t, u, pair),
        *statistics.overlap(a, b),
        0 if pair is None else len(pair.groups),
        changes,
        silent,
    )


def profile(scores: HeadScores, task: str) -> dict[str, float | None]:
    """Return what is known of a task whatever the model's shape: accuracy, where importance lies, and how
    concentrated.

    ``depth`` is the mean relative depth of the layers weighted by |importance|, 0 the first layer and 1 the last;
    ``top_share`` the share of |importance| that the most important tenth of the heads holds.
    """
    t = scores.task_names.index(task)
    size = np.abs(scores.importance[t].astype(float))
    held = np.sort(size[~np.isnan(size)])[::-1]
    total = float(held.sum())
    layers = np.nansum(size, axis=1)
    depth = float(layers @ np.arange(len(layers)) / max(1, len(layers) - 1) / total) if total else None
    top = float(held[: max(1, round(statistics.TOP * len(held)))].sum() / total) if total else None
    return {"accuracy": scores.tasks[t].accuracy, "chance": scores.tasks[t].chance, "depth": depth, "top_share": top}


def trajectories(made: Comparison, block: str | None, task: str, most: int = 8) -> list[tuple[Head, list[float]]]:
    """Return the heads whose importance moves most over the runs, with each run's value; [] where runs are not in one
    unit.
    """
    scores = [run.block(block) for run in made.runs]
    first = scores[0]
    known = [s for s in scores if s is not None and first is not None and s.present.shape == first.present.shape]
    if first is None or len(known) < len(made.runs) or any(_unlike(first, s) for s in known):
        return []
    maps = np.stack([s.importance[s.task_names.index(task)].astype(float) for s in known])
    spread = np.nan_to_num(maps.max(axis=0) - maps.min(axis=0), nan=-1)
    order = np.argsort(-spread, axis=None, kind="stable")[:most]
    cells = [Head(*map(int, np.unravel_index(i, spread.shape))) for i in order]
    return [(cell, [float(m[cell]) for m in maps]) for cell in cells if spread[cell] > 0]


def moves(reference: Run, run: Run, same_heads: bool) -> list[Move]:
    """Return each finding of either run; those of the same kind, block and tasks are paired by equal, then by shared
    place.

    Where heads of the runs cannot be matched, positions are not compared. ``absence`` only mirrors what was found. What
    one run did not look for, or not by that test, is ``untested``, never lost, gained or changed.
    """
    first, second = _by_subject(reference.findings), _by_subject(run.findings)
    found: list[Move] = []
    for key in dict.fromkeys((*first, *second)):
        found += _paired(first[key], second[key], same_heads)
    return [_as_far_as_tested(move, reference, run) for move in found]


def _as_far_as_tested(move: Move, reference: Run, run: Run) -> Move:
    """Return what became of a finding, ``untested`` where one of the runs could not have had it, or not judged it."""
    before, after = move.before, move.after
    if before is None or after is None:
        why = unlooked(move.finding, run if after is None else reference)
        return Move("untested", before, after, why) if why else move
    if move.status == "moved":
        return move
    changed = judged(before, after)
    if changed == ["register"]:
        tested, other = (before, run) if before.register == "tested" else (after, reference)
        if unlooked(tested, other):
            return Move("untested", before, after, f"not tested in {other.name}")
    if changed:
        return Move("changed", before, after)
    silent = reference if untried(before, after) else run if untried(after, before) else None
    if silent is not None:
        return Move("untested", before, after, f"in both, but not tried as far in {silent.name}")
    return Move("kept", before, after)


def judged(before: Judged, after: Judged) -> list[str]:
    """Return in what two findings, or claims, were judged unlike; what only one of them was tried for is left out."""
    pairs = ((name, judgement(before, name), judgement(after, name)) for name in JUDGEMENTS)
    return [name for name, ours, theirs in pairs if None not in (ours, theirs) and ours != theirs]


def untried(each: Judged, other: Judged) -> bool:
    """Return whether ``each`` lacks a judgement that ``other`` has."""
    return any(judgement(each, name) is None and judgement(other, name) is not None for name in JUDGEMENTS)


def judgement(each: Judged, name: str) -> object:
    """Return how a finding or claim was judged, None where nothing was tried: a test that could not tell was made."""
    value = getattr(each, name, None)
    printed = each.data.get(PRINTED) if isinstance(each, Finding) and each.data else None
    if name == "specific" and value is None and isinstance(printed, Mapping) and printed.get("silence") == "rank":
        return "undecided"
    return None if value == "untested" else value


def unlooked(finding: Finding, run: Run) -> str:
    """Return why a run could not have a finding of another, "" where it looked for it and did not find it."""
    test, kind = finding.test, kind_of(finding.kind)
    if missing := sorted({*filter(None, (finding.task, *(finding.tasks or ())))} - {*run.scores[0].task_names}):
        return f"{run.name} has no task {', '.join(missing)}"
    if finding.block is not None and run.block(finding.block) is None:
        return f"{run.name} has no {title(finding.block)} heads"
    if kind.apart:  # only interventions give it
        return _untried(finding.task, run)
    if run.detectors is not None and finding.kind not in run.detectors:
        return f"{run.name} did not look for {kind.several}"
    if finding.n_examples is not None and not any(e is not None for e in run.scores[0].examples):
        return f"{run.name} has no scores of single examples"
    if test is not None and test.family not in {family.id for family in run.findings.families}:
        return f"{run.name} did not test {kind.several}"
    return ""


def _untried(task: str | None, run: Run) -> str:
    if run.validation is None or run.validation.problem is not None:
        return f"nothing was knocked out in {run.name}"
    reasons = {each.name: each.reason for each in run.validation.tasks}
    if task is not None and (task not in reasons or reasons[task] is not None):
        return f"nothing was knocked out on {task} in {run.name}"
    return ""


def _by_subject(findings: Findings) -> dict[tuple[object, ...], list[Finding]]:
    grouped: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for f in findings.ranked():
        if not kind_of(f.kind).remark:
            grouped[f.kind, f.block, f.task, tuple(f.tasks or ())].append(f)
    return grouped


def _paired(before: list[Finding], after: list[Finding], same_heads: bool) -> list[Move]:
    left, right, found = list(before), list(after), list[Move]()

    def pair(alike: bool) -> None:
        for f in list(left):
            partner = next((g for g in right if (_position(f) == _position(g) if alike else _overlap(f, g))), None)
            if partner is not None:
                left.remove(f)
                right.remove(partner)
                found.append(Move("kept" if alike else "moved", f, partner))

    if same_heads:
        pair(alike=True)
        pair(alike=False)
    else:
        found += [Move("kept", f, g) for f, g in zip(left, right, strict=False)]
        left, right = left[len(right) :], right[len(left) :]
    return [*found, *(Move("lost", f, None) for f in left), *(Move("gained", None, g) for g in right)]


def _position(f: Finding) -> tuple[object, ...]:
    return f.layers, f.heads, tuple(map(tuple, f.cells or ())), tuple(sorted(map(str, f.members or ())))


def _overlap(f: Finding, g: Finding) -> bool:
    """Return whether two findings share a member, or their layers and heads meet."""
    if f.members and g.members:
        return bool({*map(str, f.members)} & {*map(str, g.members)})
    return all(
        a is not None and b is not None and a[0] <= b[1] and b[0] <= a[1]
        for a, b in ((f.layers, g.layers), *([(f.heads, g.heads)] if f.heads and g.heads else []))
    )
