"""Render a report's folder: figures, tables, page and PDF from the scores and findings that lie in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reportgen import __version__
from reportgen.errors import InputError
from reportgen.findings import Findings
from reportgen.rendering import figures as draw
from reportgen.rendering.canvas import printable
from reportgen.rendering.html import html
from reportgen.rendering.latex import csv_text, latex
from reportgen.rendering.pdf import attachments, moment, pdf
from reportgen.rendering.sections import chosen
from reportgen.rendering.sections.tables import finding_table, layer_tables
from reportgen.rendering.view import TOP, Report, TaskView, head_table, shared_views, task_views
from reportgen.scores import Head, HeadScores
from reportgen.store import canonical_json, manifest, pretty_json, scores_csv, write_atomic
from reportgen.study import Study

FORMS = ("svg", "pdf", "png")
Progress = Callable[[str], None]


def render(scores: HeadScores, findings: Findings, study: Study, folder: Path, *,
           others: Mapping[str, HeadScores] | None = None, provenance: Mapping[str, Any] | None = None,
           progress: Progress | None = None, figures: Sequence[str] = ("svg",)) -> list[Path]:  # fmt: skip
    """Write the report's files into ``folder`` and list them in order.

    ``scores.safetensors`` and ``findings.json`` lie in the folder already. ``others`` are scores of the study's further
    methods by name, ``provenance`` goes into the manifest and the provenance section, ``progress`` is told each step,
    ``figures`` are the files drawn of each figure: svg, pdf, png. Raises MissingResourceError where the PDF cannot be
    made; everything else is complete then.
    """
    _check_forms(figures)
    written: list[Path] = []

    def save(name: str, content: bytes | str) -> None:
        write_atomic(folder / name, content)
        written.append(folder / name)

    def say(step: str) -> None:
        if progress is not None:
            progress(step)

    if study.source:
        save("study.toml", study.source)
    save("scores.csv", scores_csv(scores))
    say("figures")
    report = build_report(scores, findings, study, others or {}, provenance or {})
    for name, content in _figure_files(report, figures):
        save(name, content)
    say("tables")
    for name, text in (*_table_files(report), ("heads.json", heads_json(report)), ("cite.txt", citation(report))):
        save(name, text)
    say("page")
    page = html(report)
    if "html" in study.report.formats:
        save("report.html", page)
    save("manifest.json", pretty_json(manifest(folder, **(provenance or {}))))
    if "pdf" in study.report.formats:
        say("PDF")
        save("report.pdf", pdf(page, attachments(folder)))
    return written


def _check_forms(figures: Sequence[str]) -> None:
    for form in figures:
        if form not in FORMS:
            raise InputError(f"no figure can be written as {form!r}", "--figures", f"Choose from: {', '.join(FORMS)}")


def build_report(scores: HeadScores, findings: Findings, study: Study, others: Mapping[str, HeadScores],
                 provenance: Mapping[str, Any]) -> Report:  # fmt: skip
    """Everything that sections draw on, computed once."""
    names = tuple(section.name for section in chosen(study.report.sections))
    tasks = task_views(scores, findings)
    look = draw.look_for(scores, study.report.colormap, study.report.layer_order)
    drawings = tuple(draw.all_figures(scores, findings, look, [t.figure for t in tasks]))
    shown = sorted((d for d in drawings if d.section in names), key=lambda d: names.index(d.section))
    return Report(
        scores=scores, findings=findings, study=study, others=dict(others), provenance=dict(provenance), tasks=tasks,
        shared=shared_views(findings), drawings=drawings, numbers={d.name: i for i, d in enumerate(shown, 1)},
        sections=names, date=moment().strftime("%Y-%m-%d"),
    )  # fmt: skip


def _figure_files(report: Report, forms: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
    for drawing in report.drawings:
        yield f"figures/{drawing.name}.svg", drawing.svg
        if "pdf" in forms:
            yield f"figures/{drawing.name}.pdf", drawing.canvas.bitmap("pdf")
        if "png" in forms:
            yield f"figures/{drawing.name}.png", drawing.canvas.bitmap("png")


def _table_files(report: Report) -> Iterator[tuple[str, str]]:
    unit = report.scores.method.unit
    tables = {f"heads-{t.figure.removeprefix('task-')}": head_table(t, unit) for t in report.tasks}
    tables |= {f"layers-{i}" if i > 1 else "layers": table for i, table in enumerate(layer_tables(report), 1)}
    tables["findings"] = finding_table(report)
    for name, table in tables.items():
        yield f"tables/{name}.tex", latex(table, name)
    yield "tables/heads.csv", csv_text(["task", "layer", "head", "value", "low", "high", "rank"], _head_rows(report))
    yield "tables/layers.csv", csv_text(["task", "layer", "mean", "median", "largest"], _layer_rows(report))
    yield (
        "tables/findings.csv",
        csv_text(
            ["id", "kind", "task", "register", "p", "q", "effect", "effect_size", "low", "high", "n", "sentence"],
            _finding_rows(report.findings),
        ),
    )


def _head_rows(report: Report) -> list[list[object]]:
    return [[t.task.name, *row] for t in report.tasks for row in head_rows(t, TOP)]


def head_rows(view: TaskView, most: int | None = None) -> list[list[Any]]:
    """``[layer, head, value, low, high, rank]`` of a task's heads (the first ``most``), most important first."""
    n = int((view.ranks > 0).sum())
    order = np.argsort(np.where(view.ranks > 0, view.ranks, n + 1), axis=None, kind="stable")[: min(n, most or n)]
    layers, heads = (axis.tolist() for axis in np.unravel_index(order, view.ranks.shape))
    # as text first: the shortest decimals that give back the float32, not its 17 digits as a double
    values = [float(x) for x in view.values.astype(np.float32).ravel()[order].astype(str)]
    low, high = _bounds(view.low, order), _bounds(view.high, order)
    return [list(row) for row in zip(layers, heads, values, low, high, range(1, len(order) + 1), strict=True)]


def _bounds(array: np.ndarray | None, order: np.ndarray) -> list[float | None]:
    if array is None:
        return [None] * len(order)
    return [None if np.isnan(x) else float(f"{x:.6g}") for x in array.ravel()[order].tolist()]


def _layer_rows(report: Report) -> list[list[object]]:
    rows: list[list[object]] = []
    for task in report.tasks:
        for layer, values in enumerate(task.values):
            present = values[~np.isnan(values)]
            if len(present):
                numbers = (present.mean(), np.median(present), present[np.argmax(np.abs(present))])
                rows.append([task.task.name, layer, *(float(f"{x:.6g}") for x in numbers)])
    return rows


def _finding_rows(findings: Findings) -> list[list[object]]:
    rows: list[list[object]] = []
    for f in findings.ranked():
        p, q = (f.test.p, f.test.q) if f.test else (None, None)
        effect = [f.effect.name, f.effect.estimate, f.effect.low, f.effect.high] if f.effect else [None] * 4
        rows.append([f.id, f.kind, f.task, f.register, p, q, *effect, f.n_examples, f.sentence])
    return rows


def heads_json(report: Report) -> str:
    """The scores for other tools: every task's heads, the found sets by finding id, and what was scored."""
    scores, model = report.scores, report.scores.model
    head = {
        "schema": "reportgen/heads/1",
        "model": {"path": model.path, "revision": model.revision, "weights_sha256": model.weights_sha256},
        "method": scores.method.name,
        "unit": scores.method.unit,
        "synthetic": scores.synthetic,
        "columns": ["layer", "head", "value", "low", "high", "rank"],
        "found": _found(report),
    }
    # One line a task: indented, a large model's file would be mostly line breaks.
    tasks = (f"{canonical_json(t.task.name)}:{canonical_json(head_rows(t))}" for t in report.tasks)
    return pretty_json(head).rstrip("}\n ") + '},\n "tasks": {\n' + ",\n".join(tasks) + "\n }\n}\n"


def _found(report: Report) -> dict[str, list[str]]:
    shape = (report.scores.n_layers, report.scores.n_heads)
    found: dict[str, list[str]] = {}
    for f in report.findings.findings:
        cells = [str(Head(int(la), int(h))) for la, h in np.argwhere(f.mask(shape) & report.scores.present)]
        named = [m for m in f.members or [] if isinstance(m, str)]
        if named or cells:
            found[f.id] = named or cells
    return found


def citation(report: Report) -> str:
    """How to cite the report: a line of text and a BibTeX entry."""
    study, year = report.study.study, report.date[:4]
    authors = [printable(a) for a in study.authors] or ["Anonymous"]
    title, digest = printable(study.title), next(iter(report.findings.scores.values()), "")[:12]
    mark = f" Scores sha256 {digest}." if digest else ""
    braces = str.maketrans("", "", "{}\\")
    return (
        f"{', '.join(authors)} ({year}). {title}. Attention-head report made with reportgen {__version__}.{mark}\n\n"
        f"@misc{{reportgen-{digest or year},\n  title = {{{title.translate(braces)}}},\n"
        f"  author = {{{' and '.join(a.translate(braces) for a in authors)}}},\n  year = {{{year}}},\n"
        f"  note = {{Attention-head report made with reportgen {__version__}.{mark}}},\n}}\n"
    )
