"""From all that was found and tried to what a reader should take away."""

from collections.abc import Sequence

from reportgen.core.claims import Claim, Claims
from reportgen.core.findings import Finding
from reportgen.core.kinds import kind_of
from reportgen.core.trials import Trials

# Claims of one report, and of one task at least: a page that lists more is not read.
MOST, PER_TASK = 12, 2


def summarize(trials: Trials) -> Claims:
    """Choose the findings to claim, the most important first, each as a claim of its own."""
    findings = trials.findings
    tasks = {name for f in findings.findings for name in (f.task, *(f.tasks or ())) if name is not None}
    chosen = pick(findings.ranked(), len(tasks))
    return Claims(tuple(_claim(finding) for finding in chosen), trials=trials)


def _claim(finding: Finding) -> Claim:
    tasks = (finding.task,) if finding.task is not None else tuple(finding.tasks or ())
    return Claim(
        id=finding.id,
        topic=kind_of(finding.kind).topic,
        headline=finding.sentence,
        body="",
        register=finding.register,
        verdict=finding.verdict,
        tasks=tasks,
        exceptions=(),
        support=(finding.id,),
        values={},
        strength=finding.priority,
    )


def pick(ranked: Sequence[Finding], tasks: int) -> list[Finding]:
    """Choose the best of each kind, then by priority; so many a task that every task has room, half across tasks."""
    cap = max(PER_TASK, MOST // max(1, tasks))
    stated = [f for f in ranked if not kind_of(f.kind).remark and kind_of(f.kind).key(f)]
    first = {f.kind: f for f in reversed(stated)}
    # The best of each kind comes in first, or a dozen clusters would hide the one outstanding head.
    queue = [f for f in stated if first[f.kind] is f] + [f for f in stated if first[f.kind] is not f]
    taken: dict[str | None, int] = {}
    picked: list[Finding] = []
    for finding in queue:
        room = max(cap, MOST // 2) if finding.task is None else cap
        if len(picked) < MOST and taken.get(finding.task, 0) < room:
            taken[finding.task] = taken.get(finding.task, 0) + 1
            picked.append(finding)
    return [f for f in stated if f in picked]
