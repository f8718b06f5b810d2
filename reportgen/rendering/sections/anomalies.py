"""Anomalies: every single head that stands out, over all tasks, each linked to its evidence."""

from reportgen.core.kinds import kind_of
from reportgen.rendering import format as fmt
from reportgen.rendering.context import FindingView, Report
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table

MOST = 60  # rows; the rest stand with their tasks


def view(report: Report) -> dict[str, object] | None:
    """Return the findings on single heads, tested ones first; None where there are none, and in the PDF, which has them
    with their tasks.
    """
    found = [v for v in report.views.values() if kind_of(v.finding.kind).shown == "framed"]
    if not found or report.printed:
        return None
    found.sort(key=lambda v: v.finding.test is None)
    tested = sum(v.finding.test is not None for v in found)
    return {"table_of": _table(report, found), "tested": tested, "observed": len(found) - tested}


def _table(report: Report, found: list[FindingView]) -> Table:
    columns = (("Head", False), ("Task", False), ("Register", False), ("Value", True), ("q", True), ("Effect", False))
    shown, left = found[:MOST], len(found) - MOST
    note = f"{fmt.count(left, 'more finding')} on single heads {'stands' if left == 1 else 'stand'} with the tasks."
    caption = f"Single heads that stand out, in units of {printable(report.scores.method.unit)}"
    rows, links = tuple(map(_row, shown)), tuple(report.link(v) for v in shown)
    return Table("anomalies", caption, columns, rows, note if left > 0 else "", links)


def _row(view: FindingView) -> tuple[str, ...]:
    f = view.finding
    members = [str(m) for m in f.members or ()]
    heads = ", ".join(members[:3]) + (f" and {len(members) - 3} more" if len(members) > 3 else "")
    value = fmt.NONE if f.value is None else fmt.estimate(f.value.estimate, *f.value.interval)
    effect = fmt.NONE if f.effect is None else f"{fmt.number(f.effect.estimate)} ({f.effect.name})"
    q = fmt.NONE if f.test is None else fmt.probability(f.test.q)
    return heads, printable(f.task or "several"), f.register, value, q, effect


SECTION = Section("anomalies", "Anomalies", view, order=70)
