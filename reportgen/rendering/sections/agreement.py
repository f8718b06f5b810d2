"""Do the methods agree? What was found of it, and how alike the study's methods rank the heads."""

from reportgen.core.blocks import title
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.plots.method_ranks import rank_correlation
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table


def view(report: Report) -> dict[str, object] | None:
    """Return the findings on agreement and the rank correlations; None for a single method without either."""
    found, tables = report.at("agreement"), _ranks(report)
    if not found and not tables:
        return None
    groups = list(report.drawn("agreement").values())
    return {
        "findings": found,
        "ranks": tables,
        "norm": any(_is_control(report, name) for name in report.others),
        "groups": groups,
        "numbers": report.numbers,
    }


def _ranks(report: Report) -> list[Table]:
    """How alike the first method and each other rank the heads, a table a block."""
    names = sorted(report.others, key=lambda name: (not _is_control(report, name), name))
    return [_rank_table(report, i, names) for i in range(len(report.blocks))] if names else []


def _is_control(report: Report, name: str) -> bool:
    return report.others[name][0].method.family == "control"


def _rank_table(report: Report, block: int, names: list[str]) -> Table:
    first, others = report.blocks[block], [report.others[name][block] for name in names]
    rows = tuple(
        (t.name, *(fmt.fixed(rank_correlation(first.importance[i], o.importance[i]), 2) for o in others))
        for i, t in enumerate(report.tasks)
    )
    columns = (("Task", False), *((name.replace("_", " "), True) for name in names))
    over = f"{title(first.block)} heads" if first.block else "heads"
    caption = f"Spearman’s rank correlation over {over} between {first.method.name.replace('_', ' ')} and"
    return Table("", f"{caption} {'another method' if len(names) == 1 else 'other methods'}", columns, rows)


SECTION = Section("agreement", "Do the methods agree?", view, order=80)
