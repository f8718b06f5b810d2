"""Findings with their verdicts, and the findings that the validation itself makes."""

from collections.abc import Sequence
from dataclasses import replace

from reportgen.analysis.detectors.causal_validation import DETECTOR, PRIORITY
from reportgen.core.findings import Effect, Family, Finding, Findings, Register, Test, numbered
from reportgen.core.kinds import kind_of
from reportgen.core.sentences import Prose
from reportgen.core.stats import LEAST
from reportgen.core.trials import TOP, Best, Interval, Outcome, Ranking, Trial, Validation
from reportgen.validation.statistics import FEWEST

KIND, FAMILY, PRINTED = DETECTOR.name, DETECTOR.name, "validation"
NULL = "the found heads are exchangeable with matched sets of other heads"
FIRST = "the heads of largest importance on the discovery half, a twentieth of all, one at least"
SOONEST = "the scored method whose order of heads has the largest area under its knock-out curve"


def bare(findings: Findings, prose: Prose) -> Findings:
    """Return the findings as the analysis made them, without verdicts."""
    unjudged = [f if f.verdict is None else _reworded(_silenced(f), prose) for f in findings.findings if f.kind != KIND]
    return replace(findings, findings=unjudged, families=[f for f in findings.families if f.id != FAMILY])


def _silenced(finding: Finding) -> Finding:
    data = {key: value for key, value in (finding.data or {}).items() if key != PRINTED}
    return replace(finding, verdict=None, data=data or None)


def judged(findings: Findings, validation: Validation, prose: Prose) -> Findings:
    """Return the analysis' findings with verdicts and sentences that state them, and those of the validation itself.

    Where nothing could be run, the findings whose sets would have been tried are unvalidated.
    """
    found = [_reworded(_with_verdict(f, validation), prose) if kind_of(f.kind).tried else f for f in findings.findings]
    own = [] if validation.problem else [*_tops(validation, findings), *_order(validation, findings)]
    families = [*findings.families]
    if validation.tests:
        families.append(Family(FAMILY, validation.tests, validation.alpha, "Benjamini–Hochberg over found sets"))
    worded = [replace(f, sentence=prose.sentence(f)) for f in numbered(own)]
    return replace(findings, findings=[*found, *worded], families=families)


def _reworded(finding: Finding, prose: Prose) -> Finding:
    return replace(finding, sentence=prose.sentence(finding))


def _with_verdict(finding: Finding, validation: Validation) -> Finding:
    trial = validation.trial(finding.id)
    if trial is None and not validation.problem:
        return finding  # it names no head
    printed = {"problem": validation.problem} if trial is None else printed_of(trial, validation)
    verdict = "unvalidated" if trial is None else trial.verdict
    return replace(finding, verdict=verdict, data={**(finding.data or {}), PRINTED: printed})


def printed_of(trial: Trial, validation: Validation) -> dict[str, object]:
    """Return what a sentence says of one of the validation's trials; shares in per cent."""
    return {
        "reason": trial.reason,
        "heads": trial.size,
        "tasks": len(trial.tasks),
        "examples": trial.examples,
        "loss": None if trial.loss is None else trial.loss.estimate,
        "excess": _plain(trial.excess),
        "margin": trial.margin,
        "controls": len(trial.controls),
        "as_strong": trial.as_strong,
        "widened": trial.widened,
        "q": trial.q,
        "alpha": validation.alpha,
        "more": trial.more,
        "before": _share(trial.intact),
        "after": _share(trial.knocked_out),
        "after_controls": _share(trial.after_controls),
        "needed": {"few-controls": FEWEST, "few-groups": LEAST}.get(trial.reason or ""),
        "distinct": trial.distinct,
        "readout": validation.readout,
    }


def _share(outcome: Outcome | None) -> float | None:
    return None if outcome is None else 100 * outcome.accuracy


def _plain(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _tops(validation: Validation, findings: Findings) -> list[Finding]:
    method = findings.findings[0].method if findings.findings else ""
    return [_top(trial, validation, method) for trial in validation.trials if trial.kind == TOP]


def _top(trial: Trial, validation: Validation, method: str) -> Finding:
    """Return what knocking out a task's first heads did."""
    test, effect = None, None
    if trial.p is not None and trial.q is not None and trial.loss is not None and trial.excess is not None:
        test = Test(
            "permutation of sets of heads",
            NULL,
            trial.loss.estimate,
            trial.p,
            trial.q,
            FAMILY,
            validation.tests,
            len(trial.controls),
        )
        excess = trial.excess
        effect = Effect("loss of log-probability over matched controls", excess.estimate, excess.low, excess.high)
    register: Register = "observed" if test is None else "tested"
    priority = PRIORITY["necessary or not" if trial.verdict in ("confirmed", "refuted") else "undecided"]
    return Finding(
        id="",
        kind=KIND,
        method=method,
        register=register,
        priority=priority,
        rule=None if test else FIRST,
        verdict=trial.verdict,
        data={"of": TOP, PRINTED: printed_of(trial, validation)},
        task=trial.tasks[0],
        members=list(trial.heads),
        test=test,
        effect=effect,
        n_examples=trial.examples,
    )


def _order(validation: Validation, findings: Findings) -> list[Finding]:
    """Whose order of heads costs the tasks most, soonest."""
    best = validation.best
    if best is None or not findings.findings:
        return []
    areas = {ranking.order: ranking for ranking in validation.rankings}
    effect = None
    if (ahead := areas[best.order].over_random) is not None:
        effect = Effect("area over that of random orders", ahead.estimate, ahead.low, ahead.high)
    return [
        Finding(
            id="",
            kind=KIND,
            method=best.order,
            register="observed",
            priority=PRIORITY["order of heads"],
            rule=SOONEST,
            data={"of": "order", **_printed_order(validation, best, areas)},
            tasks=[t.name for t in validation.tasks],
            effect=effect,
            n_examples=max(t.examples for t in validation.tasks),
        )
    ]


def _printed_order(validation: Validation, best: Best, areas: dict[str, Ranking]) -> dict[str, object]:
    others: Sequence[str] = ("random order", "layer order")
    return {
        "best": best.order,
        "area": _plain(best.area),
        "following": best.following,
        "difference": _plain(best.difference),
        "clear": best.clear,
        "readout": validation.readout,
        **{name.split()[0]: areas[name].area.estimate for name in others},
    }
