"""The report's tables as files: LaTeX for papers, CSV for spreadsheets."""

import csv
import io
from collections.abc import Iterator

import numpy as np

from reportgen.rendering.context import FindingView, Report, slug
from reportgen.rendering.head_ranks import head_rows
from reportgen.rendering.paper.latex import latex
from reportgen.rendering.sections.tables import (
    depth_rows,
    depth_tables,
    finding_table,
    layer_tables,
    leading_rows,
    leading_tables,
    listings,
)
from reportgen.rendering.tables import TOP, head_table
from reportgen.rendering.trial_tables import tables as trial_tables


def table_files(report: Report) -> Iterator[tuple[str, str]]:
    """Yield every table by its file's name, as LaTeX and, of heads, layers and findings, as CSV too."""
    unit = report.scores.method.unit
    tables = {
        f"heads-{m.figure.removeprefix('task-')}": head_table(t.name, m, unit) for t in report.tasks for m in t.maps
    }
    tables |= {table.name: table for table in (*leading_tables(report), *depth_tables(report), *layer_tables(report))}
    tables["findings"] = finding_table(report)
    if report.validation is not None:
        tables |= {table.name: table for table in trial_tables(report.validation)}
    for name, table in tables.items():
        yield f"tables/{name}.tex", latex(table, name)
    block = ["block"] if report.named else []
    errors = ["sampling_error"] if _sampled(report) else []
    for label, views in listings(report).items():
        yield f"tables/{slug(label)}.csv", csv_text(*_leading(report, views))
    columns = ["task", *block, "first_layer", "last_layer", "name", "value", "times_next", "tied"]
    yield "tables/largest-by-depth.csv", csv_text(columns, _depth_rows(report))
    columns = ["task", *block, "layer", "head", "value", "low", "high", "rank", *errors]
    yield "tables/heads.csv", csv_text(columns, _head_rows(report))
    yield "tables/layers.csv", csv_text(["task", *block, "layer", "mean", "median", "largest"], _layer_rows(report))
    columns = ["id", "kind", *block, "task", "register", "p", "q", "effect", "effect_size", "low", "high", "n"]
    yield "tables/findings.csv", csv_text([*columns, "sentence"], _finding_rows(report))


def _sampled(report: Report) -> bool:
    return any(m.error is not None for t in report.tasks for m in t.maps)


def _leading(report: Report, views: list[FindingView]) -> tuple[list[str], list[list[object]]]:
    """Return the columns and rows of leading heads or layers."""
    block = ["block"] if report.named else []
    columns = (
        "task",
        *block,
        "name",
        "value",
        "low",
        "high",
        "rank",
        "first_rank",
        "last_rank",
        "signed",
        "effect",
        "tied",
        "of",
    )
    rows: list[list[object]] = []
    for row in (row for view in views for row in leading_rows(view)):
        numbers = (row.value, row.low, row.high, row.rank, row.first, row.last, row.signed)
        rows.append([row.task, *([row.block] if block else []), row.member, *numbers, row.sign, row.tied, row.total])
    return list(columns), rows


def _depth_rows(report: Report) -> list[list[object]]:
    rows: list[list[object]] = []
    for row in (row for task in report.tasks for m in task.maps for row in depth_rows(task, m) if row):
        times = None if row.times is None else float(f"{row.times:.6g}")
        first = [row.task, *([row.block] if report.named else []), row.first, row.last]
        rows.append([*first, row.head, float(f"{row.value:.6g}"), times, row.tied])
    return rows


def _head_rows(report: Report) -> list[list[object]]:
    rows: list[list[object]] = []
    for task in report.tasks:
        for m in task.maps:
            first, more = [task.task.name, *([m.block] if m.block else [])], _sampled(report)
            for row in head_rows(m, TOP):
                error = None if m.error is None else float(f"{m.error[row[0], row[1]]:.6g}")
                rows.append([*first, *row, *([error] if more else [])])
    return rows


def _layer_rows(report: Report) -> list[list[object]]:
    rows: list[list[object]] = []
    for task, m in ((t, m) for t in report.tasks for m in t.maps):
        first = [task.task.name, *([m.block] if m.block else [])]
        for layer, values in enumerate(m.values):
            present = values[~np.isnan(values)]
            if len(present):
                numbers = (present.mean(), np.median(present), present[np.argmax(np.abs(present))])
                rows.append([*first, layer, *(float(f"{x:.6g}") for x in numbers)])
    return rows


def _finding_rows(report: Report) -> list[list[object]]:
    rows: list[list[object]] = []
    for f in report.findings.ranked():
        p, q = (f.test.p, f.test.q) if f.test else (None, None)
        effect = [f.effect.name, f.effect.estimate, f.effect.low, f.effect.high] if f.effect else [None] * 4
        block = [f.block] if report.named else []
        rows.append([f.id, f.kind, *block, f.task, f.register, p, q, *effect, f.n_examples, f.sentence])
    return rows


def csv_text(columns: list[str], rows: list[list[object]]) -> str:
    """CSV whose text cells no spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[inert(cell) for cell in row] for row in rows])
    return out.getvalue()


def inert(cell: object) -> object:
    """Return a cell, a text that begins like a formula behind an apostrophe; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
