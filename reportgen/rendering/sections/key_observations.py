"""Key observations: the most important findings, each linked to its evidence."""

from reportgen.core.findings import Finding
from reportgen.core.kinds import kind_of
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section

MOST, PER_TASK = 12, 2


def view(report: Report) -> dict[str, object]:
    """The chosen findings, most important first; how many more there are; what searches found nothing."""
    views = report.views
    picked = pick(report.findings.ranked(), len(report.tasks))
    empty = [views[f.id] for f in report.findings.ranked() if kind_of(f.kind).remark]
    return {
        "items": [(views[f.id], report.link(views[f.id])) for f in picked],
        "more": len(report.findings.findings) - len(picked) - len(empty),
        "empty": [(v, report.link(v)) for v in empty],
    }


def pick(ranked: list[Finding], tasks: int) -> list[Finding]:
    """The best of each kind, then by priority; so many a task that every task has room, half across tasks."""
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


SECTION = Section("key_observations", "Key observations", view, order=20)
