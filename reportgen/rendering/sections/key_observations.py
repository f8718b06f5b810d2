"""Key observations: the claims, each linked to the evidence behind it."""

from reportgen.core.kinds import kind_of
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object]:
    """Return the claims in their order; how many findings there are besides; what searches found nothing."""
    views = report.views
    claimed = [views[claim.support[0]] for claim in report.claims]
    empty = [views[f.id] for f in report.findings.ranked() if kind_of(f.kind).remark]
    return {
        "items": [(v, report.link(v)) for v in claimed],
        "more": len(report.findings.findings) - len(claimed) - len(empty),
        "empty": [(v, report.link(v)) for v in empty],
    }


SECTION = Section("key_observations", "Key observations", view, order=20)
