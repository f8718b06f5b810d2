"""Key observations: the claims, each linked to the evidence behind it."""

from reportgen.core.topics import TOPICS
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object] | None:
    """Return the claims; None in the PDF, whose first page has them."""
    return None if report.printed else brief(report)


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
    }


SECTION = Section("key_observations", "Key observations", view, order=20, brief=brief, first=True)
