"""Limits: what this report cannot tell, as far as it can be known from the scores and findings."""

from reportgen.core.kinds import caveats
from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section


def view(report: Report) -> dict[str, object]:
    """Which limits apply."""
    scores, findings = report.scores, report.findings.findings
    examples = [e for e in scores.examples if e is not None]
    shared = scores.model.kv_groups
    return {
        "synthetic": scores.synthetic,
        "no_examples": not examples,
        "ordered": any(e.ordered for e in examples),
        "kv_groups": shared if shared is not None and any(b.n_heads != shared for b in report.blocks) else None,
        "kv_unknown": scores.model.kv_groups is None and not scores.synthetic,
        "no_baseline": all(t.accuracy is None for t in scores.tasks)
        and not scores.synthetic
        and "accuracy" not in scores.method.overall,
        "at_chance": [t.name for t in report.tasks if t.at_chance],
        "caveats": [(code, text) for code, text in caveats().items() if any(code in f.caveats for f in findings)],
        "method": scores.method.limit,
        "raced": _raced(report),
        "unseen": _unseen(report),
        "one_method": not report.others,
    }


def _raced(report: Report) -> dict[str, object] | None:
    """Return the settings of a race for the top heads, where there was one."""
    methods = [blocks[0].method for blocks in (report.blocks, *report.others.values())]
    return next((m.parameters for m in methods if m.parameters.get("examples") == "adaptive"), None)


def _unseen(report: Report) -> str | None:
    """Why the heads' attention patterns are not shown; None where they are, or where the study wants none."""
    if report.patterns is not None:
        return report.patterns.problem
    if report.study.scores is not None and report.study.report.patterns and not report.scores.synthetic:
        return "the scores were read from a file, without the model"
    return None


SECTION = Section("limits", "Limits", view, order=130)
