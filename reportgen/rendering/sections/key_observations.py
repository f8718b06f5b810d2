"""Key observations: the claims with links to their evidence; on the page beside them where, whether, which heads."""

from dataclasses import replace

from reportgen.core.claims import Claim
from reportgen.core.topics import TOPICS
from reportgen.rendering.context import Report
from reportgen.rendering.first_screen import first_table, framed_heads, knock_outs, screen_maps, short_names
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table

FIRST = 4  # claims beside the maps; the others stand below


def view(report: Report) -> dict[str, object] | None:
    """Return the claims and what stands beside them; None in the PDF, whose first page has them."""
    return None if report.printed else {**brief(report), "screen": _screen(report)}


def brief(report: Report) -> dict[str, object]:
    """Return the claims in their order with the links to their evidence, and what is said where there is none."""
    views, claims = report.views, report.claims
    titles = {topic.name: topic.title for topic in TOPICS.known()}
    items = []
    for claim in claims.claims:
        support = [views[name] for name in claim.support if name in views]
        links = (link for view in support if (link := report.link(view)))
        items.append((claim, titles.get(claim.topic, claim.topic), next(links, None), len(support)))
    return {
        "items": items,
        "nothing": claims.nothing,
        "searches": claims.searches,
        "silent": [titles.get(name, name) for name in claims.silent] if claims.claims else [],
        "apart": list(claims.apart),
        "left_out": claims.left_out,
    }


def _screen(report: Report) -> dict[str, object]:
    """Return what stands beside and below the claims on the page."""
    numbers = {t.task.name: i for i, t in enumerate(report.tasks)}
    knocked = knock_outs(report)
    chosen = _chosen(report, [k.task.task.name for k in knocked])
    maps = screen_maps(report)
    return {
        "first": FIRST,
        "tasks_of": {c.id: [numbers[t] for t in c.tasks if t in numbers] for c in report.claims.claims},
        "numbers": numbers,
        "names": short_names(report),
        "maps": maps,
        "framed": bool(knocked),
        "anything": any(framed_heads(report, m.task, m.block) for m in maps),
        "more": len(report.tasks) - len({m.task for m in maps}),
        "unit": report.scores.method.unit,
        "knocked": knocked,
        "chances": any(k.chance is not None for k in knocked),
        "untried": _untried(report) if not knocked else "",
        "chosen": report.tasks[chosen],
        "first_heads": [_glance(first_table(report, chosen, b)) for b in range(len(report.blocks))],
        "said": next((k for k in knocked if k.task is report.tasks[chosen]), None),
        "tasks": report.tasks if "tasks" in report.sections else (),
        "has": report.sections,
    }


def _glance(table: Table) -> Table:
    """Return the table by a name of its own: it stands again with its task."""
    return replace(table, caption=f"At a glance: {table.caption}")


def _chosen(report: Report, tried: list[str]) -> int:
    """Return the task whose heads are listed first: the strongest claim's, of which one was put to the test if any."""
    names = [t.task.name for t in report.tasks]
    claimed = [t for c in report.claims.claims for t in _named(c) if t in names]
    wanted = [*(t for t in claimed if t in tried), *claimed, *tried, *names]
    return names.index(wanted[0])


def _named(claim: Claim) -> tuple[str, ...]:
    return (*claim.tasks, *claim.exceptions)


def _untried(report: Report) -> str:
    """Say that no heads were knocked out, and why where that is known."""
    why = f": {report.untried}" if report.untried else ""
    return f"No head was knocked out{why}. What stands here tells where importance lies, not what a task needs."


SECTION = Section("key_observations", "Key observations", view, order=10, brief=brief, first=True)
