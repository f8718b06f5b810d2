"""Causal validation: what knocking found heads out did, and the verdict on every finding that was put to the test."""

from collections import Counter

from reportgen.core.findings import Verdict
from reportgen.core.sentences import VERDICTS
from reportgen.core.trials import Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.context import FindingView, Report
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table
from reportgen.rendering.trial_tables import tables, wanted

# verdict: what it says of a finding
MEANING: dict[Verdict, str] = {
    "necessary": "knocking the heads out costs the task more than the margin, by every intervention that counts",
    "unnecessary": "it costs less than the margin by each of them; other heads may stand in",
    "mixed": "it costs more by one intervention and less by another",
    "undecided": "it could not be told, for the reason that each names",
    "untested": "no intervention was made",
}


def view(report: Report) -> dict[str, object] | None:
    """Return the findings of the validation, the verdicts and the tables behind them; None where nothing was to be
    tested.
    """
    found, validation = report.at("validation"), report.validation
    judged = [v for v in report.views.values() if v.finding.verdict is not None]
    problem = _problem(report)
    if not problem and not found and all(v.finding.verdict == "untested" for v in judged):
        return None
    counts = Counter(v.finding.verdict for v in judged)
    tally = [(VERDICTS[name], counts[name], meaning) for name, meaning in MEANING.items() if counts[name]]
    specific = sum(v.finding.specific is True for v in judged)
    if specific:
        tally.append(("specific", specific, "the heads cost more than other heads of their layers"))
    run = validation is not None and not problem
    return {
        "problem": problem,
        "findings": found,
        "tally": tally,
        "verdicts": _table(report, judged),
        "drawings": [] if report.printed else _drawings(report),
        "numbers": report.numbers,
        "tables": tables(validation) if validation is not None and run else [],
        "rules": _rules(validation) if validation is not None and run else None,
    }


def brief(report: Report) -> dict[str, object] | None:
    """Return the knock-out curves; None where nothing was knocked out."""
    drawings = _drawings(report)
    return {"drawings": drawings, "numbers": report.numbers} if drawings else None


def _drawings(report: Report) -> list[Drawing]:
    return [d for d in report.drawings if d.section == SECTION.name]


def _problem(report: Report) -> str | None:
    """Why nothing was run although the study asks for it."""
    if report.validation is not None:
        return report.validation.problem
    asked = report.study.model is not None and report.study.validation.enabled
    untold = not any(f.verdict for f in report.findings.findings)
    return "no intervention was made after this analysis; `reportgen build` makes them." if asked and untold else None


def _rules(validation: Validation) -> dict[str, object]:
    """How verdicts are reached, in numbers ready to print."""
    cost = validation.cost
    return {
        "tests": validation.tests,
        "compared": validation.compared,
        "level": f"{validation.level:g}",
        "wanted": f"{validation.wanted:,}",
        "margin": fmt.share(validation.share),
        "nats": f"{validation.nats:g}",
        "neutral": any(trial.neutral is not None for trial in validation.trials),
        "what": wanted(validation),
        "runs": None if cost is None else f"{cost.runs:,.0f}",
        "times": None if cost is None else fmt.number(cost.runs / cost.ablation),
        "tasks": len(validation.tasks),
    }


def _table(report: Report, judged: list[FindingView]) -> Table | None:
    order: list[str] = [*MEANING]
    judged = sorted(judged, key=lambda v: order.index(v.finding.verdict or "untested"))
    rows = tuple((v.id, printable(v.finding.task or "several"), v.kind, v.verdict or "", _holds(v)) for v in judged)
    columns = (("Finding", False), ("Task", False), ("Kind", False), ("Verdict", False), ("Robust", True))
    links = tuple(report.link(v) for v in judged)
    return Table("verdicts", "Verdicts on findings", columns, rows, links=links) if rows else None


def _holds(view: FindingView) -> str:
    robustness = view.finding.robustness
    return fmt.NONE if robustness is None else f"{robustness.holds} of {robustness.of}"


SECTION = Section("validation", "Causal validation", view, order=90, brief=brief)
