"""How to read the report: indices, colour, the two registers, the numbers."""

from reportgen.core.blocks import title
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object]:
    """Return what depends on the study in this otherwise fixed text."""
    return {
        "top_down": report.study.report.layer_order == "down",
        "intervals": any(e is not None for e in report.scores.examples),
        "patterns": report.patterns is not None and report.patterns.problem is None,
        "signed": any(style.scale.signed for style in report.styles),
        "absent": any(b.coverage[1] < b.present.size for b in report.blocks),
        "unscored": any(b.unscored is not None for b in report.blocks),
        "alpha": f"α = {report.findings.alpha:g}",
        "apart": report.validation_alpha,
        "percent": f"{100 * report.findings.alpha:g}",
        "blocks": [(b.block, title(b.block)) for b in report.blocks if b.block],
    }


SECTION = Section("how_to_read", "How to read this report", view, order=40)
