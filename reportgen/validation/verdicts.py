"""Findings joined with what interventions say of them, and the findings that only interventions give."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from statistics import fmean

from scipy.stats import spearmanr

from reportgen.analysis.detectors.causal_validation import DETECTOR, PRIORITY
from reportgen.core.findings import Effect, Family, Finding, Findings, Test, numbered
from reportgen.core.kinds import kind_of
from reportgen.core.sentences import Prose
from reportgen.core.trials import TOP, Best, Interval, Outcome, Overlooked, RawValidation, Trial, Trials, Validation
from reportgen.validation.derive import derive
from reportgen.validation.robustness import of_scores
from reportgen.validation.sets import Index, layers_of
from reportgen.validation.statistics import DRAWS, FEWEST, GROUPS

KIND, PRINTED = DETECTOR.name, "validation"
# The families of tests that interventions bring
NEED, SPECIFIC = KIND, f"{KIND}/other heads"
SINGLE, OVERLOOKED, CHOICE = (f"{KIND}/{name}" for name in ("single heads", "overlooked heads", "choice"))
BELOW = "under some voting intervention the loss is at most the margin"
ABOVE = "under some voting intervention the loss is at least the margin"
T_TEST = "t test over groups of examples, its skewness removed"
FIRST = "the heads of largest importance on the discovery half, a twentieth of all, one at least"
ALONE = "a head that costs the margin, is none of the first ones and costs more by the margin than these do together"
SOONEST = "the scored method whose order of heads has the largest area under its knock-out curve"
CORRELATED = "rank correlation, over all heads, of the scores on the discovery half with what each head alone costs"
CLEAR = 0.1  # rank correlations nearer than that are not told apart in words


def joined(findings: Findings, outcomes: RawValidation | None, prose: Prose) -> Trials:
    """Return the findings with all that follows from the outcomes (None: nothing was tried)."""
    plain = bare(findings, prose)
    if outcomes is None:
        return Trials(_robust(plain, prose))
    validation = derive(outcomes)
    found = judged(plain, validation, prose)
    shown = validation if validation.problem or any(f.verdict for f in found.findings) else None
    return Trials(_robust(found, prose), shown, outcomes=outcomes)


def bare(findings: Findings, prose: Prose) -> Findings:
    """Return the findings as the analysis made them, without what interventions say."""
    own = [f for f in findings.findings if not kind_of(f.kind).apart]
    plain = [_reworded(_silenced(f), prose) if f.verdict or f.robustness else f for f in own]
    families = [f for f in findings.families if not kind_of(f.id.partition("/")[0]).apart]
    return replace(findings, findings=plain, families=families)


def _silenced(finding: Finding) -> Finding:
    data = {key: value for key, value in (finding.data or {}).items() if key != PRINTED}
    return replace(finding, verdict=None, specific=None, robustness=None, data=data or None)


def _robust(findings: Findings, prose: Prose) -> Findings:
    """Count, for findings whose heads were not knocked out, the ways of reading the scores in which they hold."""
    scores = findings.source
    if scores is None:
        return findings
    found = []
    for f in findings.findings:
        counted = None if f.verdict not in (None, "untested") else of_scores(f, scores.blocks)
        found.append(f if counted is None else _reworded(replace(f, robustness=counted), prose))
    return replace(findings, findings=found)


def judged(findings: Findings, validation: Validation, prose: Prose) -> Findings:
    """Return the analysis' findings with verdicts and sentences that state them, and those of the validation itself.

    Where nothing could be run, the findings whose sets would have been tried are untested.
    """
    found = [_reworded(_with_verdict(f, validation), prose) if kind_of(f.kind).tried else f for f in findings.findings]
    own = [] if validation.problem or not validation.tasks else [*_own(validation, findings)]
    heads = len(next(iter(validation.losses.values()), {}).get("mean", {}))
    made = [
        Family(NEED, validation.tests, validation.level, "Benjamini–Hochberg over cores and their tasks"),
        Family(SPECIFIC, validation.compared, validation.level, "Benjamini–Hochberg over cores and their tasks"),
        Family(SINGLE, heads * _tested(validation), validation.single_level, "Benjamini–Hochberg over heads and tasks"),
        Family(OVERLOOKED, heads, validation.single_level, "simultaneous bounds over heads, Bonferroni over tasks"),
        Family(CHOICE, int(validation.choice is not None), validation.single_level, "a single test"),
    ]
    families = [*findings.families, *(family for family in made if family.size)]
    worded = [replace(f, sentence=prose.sentence(f)) for f in numbered(own)]
    return replace(findings, findings=[*found, *worded], families=families)


def _reworded(finding: Finding, prose: Prose) -> Finding:
    return replace(finding, sentence=prose.sentence(finding))


def _with_verdict(finding: Finding, validation: Validation) -> Finding:
    trial = validation.trial(finding.id)
    if trial is None:
        if not validation.problem:
            return finding  # it names no head
        printed: dict[str, object] = {"problem": validation.problem}
        return replace(finding, verdict="untested", data={**(finding.data or {}), PRINTED: printed})
    data = {**(finding.data or {}), PRINTED: printed_of(trial, validation)}
    return replace(finding, verdict=trial.verdict, specific=trial.specific, robustness=trial.robustness, data=data)


def printed_of(trial: Trial, validation: Validation) -> dict[str, object]:
    """Return what a sentence says of one of the validation's trials; losses in nats, shares in per cent.

    ``carries``: the heads are needed, cost more than others of their layers, and neutral text is spared.
    """
    return {
        "reason": trial.reason,
        "heads": len(trial.core),
        "core": trial.core,
        "dropped": [head for head in trial.heads if head not in trial.core],
        "tasks": len(trial.tasks),
        "examples": trial.examples,
        "groups": trial.groups,
        "margin": trial.margin,
        "shown": {
            each.name: {**_plain(each.loss), "votes": each.votes, "above": each.loss.estimate > trial.margin}
            for each in trial.shown
        },
        "q": trial.q,
        "more": trial.more,
        "before": _share(trial.intact),
        "after": _share(trial.knocked_out),
        "after_controls": _share(trial.after_controls),
        "alone": _share(trial.kept),
        "without_any": _share(trial.floor),
        "specific": trial.specific,
        "silence": trial.silence,
        "controls": trial.controls,
        "distinct": trial.distinct,
        "rank": None if trial.rank is None else asdict(trial.rank),
        "specific_q": trial.specific_q,
        "needed": {"few-groups": GROUPS, "few-sets": FEWEST}.get(trial.reason or trial.silence or ""),
        "neutral": None if trial.neutral is None else trial.neutral.estimate,
        "spared": trial.spared,
        "sink": trial.sink,
        "carries": trial.verdict == "necessary" and trial.specific is True and trial.spared is True,
        "readout": validation.readout,
    }


def _share(outcome: Outcome | None) -> float | None:
    return None if outcome is None else 100 * outcome.accuracy


def _plain(interval: Interval) -> dict[str, float | None]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _own(validation: Validation, findings: Findings) -> Iterator[Finding]:
    """Yield the findings that only interventions give."""
    method = findings.findings[0].method if findings.findings else ""
    for trial in (t for t in validation.trials if t.kind == TOP):
        yield _top(trial, validation, method)
    yield from _specialists(validation, method)
    yield from _shared(validation, method)
    yield from _overlooked(validation, method)
    yield from _choice(validation, method)
    yield from _order(validation)
    yield from _reference(validation, findings, method)


def _finding(case: str, method: str, data: Mapping[str, object], **fields: object) -> Finding:
    return Finding(
        id="",
        kind=KIND,
        method=method,
        register="observed" if fields.get("test") is None else "tested",
        priority=PRIORITY[case],
        data=data,
        **fields,  # type: ignore[arg-type]
    )


def _top(trial: Trial, validation: Validation, method: str) -> Finding:
    """Return what knocking out a task's first heads did."""
    test, effect = None, None
    if trial.p is not None and trial.q is not None:
        null = ABOVE if trial.verdict == "unnecessary" else BELOW
        test = Test(T_TEST, null, trial.loss.estimate, trial.p, trial.q, NEED, validation.tests, None)
    if trial.excess is not None:
        excess = trial.excess
        name = "loss of log-probability over other sets of the same layers"
        effect = Effect(name, excess.estimate, excess.low, excess.high)
    return _finding(
        "necessary or not" if trial.verdict in ("necessary", "unnecessary", "mixed") else "undecided",
        method,
        {"of": TOP, PRINTED: printed_of(trial, validation)},
        rule=None if test else FIRST,
        verdict=trial.verdict,
        specific=trial.specific,
        robustness=trial.robustness,
        task=trial.tasks[0],
        members=list(trial.heads),
        test=test,
        effect=effect,
        n_examples=trial.examples,
    )


def _specialists(validation: Validation, method: str) -> Iterator[Finding]:
    """Yield each task's heads that cost it alone."""
    by_task = defaultdict(list)
    for each in validation.specialists:
        by_task[each.task].append(each)
    for task, found in by_task.items():
        found.sort(key=lambda each: -each.loss.estimate)
        first = found[0]
        loss = first.loss
        others = max(each.others for each in found)
        rows = [{"head": each.head, "loss": each.loss.estimate, "others": each.others} for each in found]
        data = {"of": "specialists", "heads": rows, "others": others, "tasks": _tested(validation) - 1}
        test = _matrix_test(validation, "the head costs no task more than its margin, or another one as much", found)
        effect = Effect("loss of log-probability", loss.estimate, loss.low, loss.high)
        members = [each.head for each in found]
        yield _finding(
            "specialists",
            method,
            data,
            task=task,
            members=members,
            test=test,
            effect=effect,
            n_examples=_n(validation, task),
        )


def _matrix_test(validation: Validation, null: str, found: Sequence[object]) -> Test:
    size = len(next(iter(validation.losses.values()))["mean"]) * _tested(validation)
    p, q = (max(getattr(each, name) for each in found) for name in ("p", "q"))
    return Test(T_TEST, null, float(len(found)), p, q, SINGLE, size, None)


def _tested(validation: Validation) -> int:
    return sum(task.reason is None for task in validation.tasks)


def _n(validation: Validation, task: str) -> int:
    return next(t.examples for t in validation.tasks if t.name == task)


def _shared(validation: Validation, method: str) -> Iterator[Finding]:
    """Yield the heads that cost several tasks, together."""
    if not (found := validation.shared):
        return
    rows = [{"head": s.head, "tasks": s.tasks, "losses": s.losses} for s in found]
    data = {"of": "shared", "heads": rows, "count": len(found), "tasks": _tested(validation)}
    test = _matrix_test(validation, "the head costs at most one task more than its margin", found)
    tasks = [t.name for t in validation.tasks if any(t.name in each.tasks for each in found)]
    yield _finding(
        "shared heads",
        method,
        data,
        tasks=tasks,
        members=[each.head for each in found],
        test=test,
        n_examples=max(_n(validation, task) for task in tasks),
    )


def _overlooked(validation: Validation, method: str) -> Iterator[Finding]:
    """Yield each task's heads that cost it more, alone, than its first heads do together."""
    by_task: dict[str, list[Overlooked]] = defaultdict(list)
    for each in validation.overlooked:
        by_task[each.task].append(each)
    for task, found in by_task.items():
        difference, p = found[0].difference, max(each.p for each in found)
        data = {
            "of": "overlooked",
            "heads": [{"head": each.head, "loss": each.loss.estimate} for each in found],
            "first": found[0].first,
            "of_first": found[0].of_first,
            "difference": _plain(difference),
        }
        size = len(validation.losses[task]["mean"]) - len(found[0].first)
        null, statistic = "the head alone costs no more than the task's first heads together", found[0].loss.estimate
        name = "largest studentised difference over heads, groups drawn anew"
        test = Test(name, null, statistic, p, p, OVERLOOKED, size, DRAWS) if p <= validation.single_level else None
        effect = Effect("loss beyond that of the first heads", difference.estimate, difference.low, difference.high)
        members = [each.head for each in found]
        n = _n(validation, task)
        yield _finding(
            "overlooked",
            method,
            data,
            rule=None if test else ALONE,
            task=task,
            members=members,
            test=test,
            effect=effect,
            n_examples=n,
        )


def _choice(validation: Validation, method: str) -> Iterator[Finding]:
    """Yield whether the score chooses better than chance within layers, once a study."""
    choice = validation.choice
    if choice is None:
        return
    data = {"of": "choice", **asdict(choice), "better": choice.p <= validation.single_level}
    data["rank"] = 100 * choice.rank
    null = "within each layer the heads that the score chooses are any heads"
    test = Test("shuffling of heads within layers", null, choice.rank, choice.p, choice.p, CHOICE, 1, choice.draws)
    yield _finding("choice", method, data, tasks=[t.name for t in validation.tasks if t.reason is None], test=test)


def _order(validation: Validation) -> Iterator[Finding]:
    """Yield whose order of heads costs the tasks most, soonest."""
    best = validation.best
    if best is None:
        return
    areas = {ranking.order: ranking for ranking in validation.rankings}
    effect = None
    if (ahead := areas[best.order].over_random) is not None:
        effect = Effect("area over that of random orders", ahead.estimate, ahead.low, ahead.high)
    yield _finding(
        "order of heads",
        best.order,
        {"of": "order", **_printed_order(validation, best)},
        rule=SOONEST,
        tasks=[t.name for t in validation.tasks],
        effect=effect,
        n_examples=max(t.examples for t in validation.tasks),
    )


def _printed_order(validation: Validation, best: Best) -> dict[str, object]:
    areas = {ranking.order: ranking.area for ranking in validation.rankings}
    others: Sequence[str] = ("random order", "layer order")
    return {
        "best": best.order,
        "area": _plain(best.area),
        "following": best.following,
        "difference": None if best.difference is None else _plain(best.difference),
        "clear": best.clear,
        "readout": validation.readout,
        **{name.split()[0]: areas[name].estimate for name in others},
        "layer_order": _plain(areas["layer order"]),
    }


def _reference(validation: Validation, findings: Findings, method: str) -> Iterator[Finding]:
    """Yield how the scores' order of heads agrees with what their knock-out costs, to zero and to the mean."""
    if findings.source is None or not validation.losses:
        return
    blocks = findings.source.blocks
    index = Index(layers_of(blocks), blocks)
    agreement: dict[str, list[float]] = {"mean": [], "zero": []}
    tasks = [t for t, task in enumerate(validation.tasks) if task.reason is None]
    for t in tasks:
        importance = {index.name(cell): value for cell, value in index.discovery(blocks, t).items()}
        for name, lost in validation.losses[validation.tasks[t].name].items():
            heads = [*lost]
            known = [importance[head] for head in heads]
            if len(set(known)) > 1 and len({*lost.values()}) > 1:
                agreement[name].append(float(spearmanr(known, [abs(lost[head]) for head in heads]).statistic))
    if not all(agreement.values()):
        return
    mean, zero = (fmean(agreement[name]) for name in ("mean", "zero"))
    areas = {ranking.order: ranking.area.estimate for ranking in validation.rankings}
    nearer = None if abs(zero - mean) < CLEAR else "zero" if zero > mean else "mean"
    data = {
        "of": "reference",
        "zero": zero,
        "mean": mean,
        "nearer": nearer,
        "area": areas.get(method),
        "random": areas.get("random order"),
        "tasks": len(tasks),
    }
    names = [validation.tasks[t].name for t in tasks]
    yield _finding("reference", method, data, rule=CORRELATED, tasks=names)
