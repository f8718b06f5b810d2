"""Key observations: the claims, each linked to the evidence behind it."""

from reportgen.core.topics import TOPICS
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object]:
    """Return the claims in their order with the links to their evidence, and what is said where there is none."""
    views, claims = report.views, report.claims
    titles = {topic.name: topic.title for topic in TOPICS.known()}
    items = []
    for claim in claims.claims:
        support = [views[name] for name in claim.support if name in views]
        items.append((claim, titles.get(claim.topic, claim.topic), support[0] if support else None, len(support)))
    return {
        "items": [(claim, topic, report.link(first) if first else None, n) for claim, topic, first, n in items],
        "nothing": claims.nothing,
        "searches": claims.searches,
        "silent": [titles.get(name, name) for name in claims.silent] if claims.claims else [],
        "apart": list(claims.apart),
        "left_out": claims.left_out,
    }


SECTION = Section("key_observations", "Key observations", view, order=20)
