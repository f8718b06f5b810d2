"""What the findings may and may not be taken to mean: general guidance, chosen by what was found."""

from reportgen.core.kinds import KINDS
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object] | None:
    """Return the guidance for the kinds that were found; None where the study switches it off."""
    if not report.study.report.interpretation:
        return None
    kinds = {f.kind for f in report.findings.findings}
    known = dict.fromkeys(k.guidance for k in KINDS.known() if k.name in kinds and k.guidance is not None)
    chosen = [(guidance.title, guidance.text) for guidance in known]
    intervened = any(f.verdict not in (None, "untested") for f in report.findings.findings)
    exact = report.scores.method.family == "ablation"
    sentences = [remark.text for remark in report.claims.interpretation]
    return {"sentences": sentences, "guidance": chosen, "intervened": intervened, "exact": exact}


SECTION = Section("interpretation", "Interpretation", view, order=110)
