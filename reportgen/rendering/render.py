"""Render a report's folder: figures, tables, page and PDF from the scores and findings that lie in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reportgen.core.blocks import Blocks, as_blocks, written
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.patterns import Patterns
from reportgen.core.plugins import Plugin, plain
from reportgen.core.scores import Head, HeadScores
from reportgen.core.trials import Validation
from reportgen.core.venues import widths
from reportgen.errors import InputError
from reportgen.rendering.context import TOP, MapView, Report, TaskView, finding_views, head_table, task_views
from reportgen.rendering.html.page import html
from reportgen.rendering.paper.files import paper_files
from reportgen.rendering.pdf.document import attachments, moment, unattached
from reportgen.rendering.pdf.process import press
from reportgen.rendering.plots import figures as draw
from reportgen.rendering.plots.attention import attention
from reportgen.rendering.plots.drawing import Drawing, Look, look_for
from reportgen.rendering.plots.knockout import knockout
from reportgen.rendering.plots.medium import LEGIBLE, Sheet
from reportgen.rendering.plots.method_ranks import method_ranks
from reportgen.rendering.sections import chosen, third_party
from reportgen.rendering.sections.tables import finding_table, layer_tables
from reportgen.rendering.tables import csv_text, latex
from reportgen.rendering.trial_tables import tables as trial_tables
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import canonical_json, pretty_json
from reportgen.storage.manifest import manifest
from reportgen.storage.scores_file import scores_csv

FORMS = ("svg", "pdf", "png")
PAPER = "figures/paper"  # where the figures for a venue lie
Progress = Callable[[str], None]


def render(
    scores: HeadScores | Sequence[HeadScores],
    findings: Findings,
    study: Study,
    folder: Path,
    *,
    others: Mapping[str, Blocks] | None = None,
    validation: Validation | None = None,
    patterns: Patterns | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    figures: Sequence[str] = ("svg",),
    apart: bool = False,
) -> list[Path]:
    """Write the report's files into ``folder`` and list them in order.

    ``scores`` are those of one method: a HeadScores, or one for each block of an encoder-decoder.
    ``scores.safetensors`` and ``findings.json`` lie in the folder already. ``others`` are scores of the study's further
    methods by name, ``validation`` what interventions on found heads showed, ``patterns`` where named heads
    look, ``provenance`` goes into the manifest and the provenance section, ``progress`` is told each step, ``figures``
    are the files drawn of each figure: svg, pdf, png. ``apart`` lets a process of its own lay out the PDF meanwhile.
    Raises MissingResourceError where the PDF cannot be made; all else is complete then.
    """
    _check_forms(figures)
    blocks, paths = as_blocks(scores), list[Path]()

    def save(name: str, content: bytes | str) -> None:
        write_atomic(folder / name, content)
        paths.append(folder / name)

    def say(step: str) -> None:
        if progress is not None:
            progress(step)

    printed = "pdf" in study.report.formats
    bounded = printed and study.report.templates is not None
    with press(sum(b.importance.size for b in blocks), apart and printed, bounded) as printing:
        if study.source:
            save("study.toml", study.source)
        save("scores.csv", scores_csv(blocks))
        say("figures")
        report = build_report(blocks, findings, study, others or {}, provenance or {}, validation, patterns)
        report = replace(report, unattached=unattached(folder))
        say("page")
        pages, plugins = html(report, printing.begin if printed else None)
        if "html" in study.report.formats:
            for name, content in pages.items():
                save(name, content)
        say("tables")
        for name, drawn in (*_figure_files(report, figures), *paper_figures(report, validation)):
            save(name, drawn)
        for name, text in (*_table_files(report), ("heads.json", heads_json(report)), *paper_files(report, figures)):
            save(name, text)
        others_own = {"plugins": plain(plugins)} if plugins else {}
        save("manifest.json", pretty_json(manifest(folder, **(provenance or {}), **others_own)))
        if "pdf" in study.report.formats:
            say("PDF")
            save("report.pdf", printing.finish(attachments(folder)))
    return paths


def _check_forms(figures: Sequence[str]) -> None:
    for form in figures:
        if form not in FORMS:
            raise InputError(f"no figure can be written as {form!r}", "--figures", f"Choose from: {', '.join(FORMS)}")


def build_report(
    blocks: Blocks,
    findings: Findings,
    study: Study,
    others: Mapping[str, Blocks],
    provenance: Mapping[str, Any],
    validation: Validation | None = None,
    patterns: Patterns | None = None,
) -> Report:
    """Everything that sections draw on, computed once."""
    names = tuple(section.name for section in chosen(study.report.sections))
    views = finding_views(findings)
    tasks = task_views(blocks, findings, views)
    looks = [look_for(b, study.report.colormap, study.report.layer_order) for b in blocks]
    figures = [[m.figure for m in t.maps] for t in tasks]
    drawings = tuple(_with_patterns(_drawn(blocks, findings, looks, figures, others, validation), tasks, patterns))
    shown = sorted((d for d in drawings if d.section in names), key=lambda d: names.index(d.section))
    return Report(
        blocks=blocks,
        findings=findings,
        study=study,
        others=dict(others),
        provenance=dict(provenance),
        tasks=tasks,
        views=views,
        looks=tuple(looks),
        drawings=drawings,
        numbers={d.name: i for i, d in enumerate(shown, 1)},
        sections=names,
        validation=validation,
        patterns=patterns,
        date=moment().strftime("%Y-%m-%d"),
        plugins=_plugins(blocks, findings, study),
    )


def _drawn(
    blocks: Blocks,
    findings: Findings,
    looks: Sequence[Look],
    names: Sequence[Sequence[str]],
    others: Mapping[str, Blocks],
    validation: Validation | None,
) -> tuple[Drawing, ...]:
    """Every figure, for what the looks say that it is drawn for."""
    ranks = [
        method_ranks(block, {name: each[i] for name, each in others.items()}, looks[i])
        for i, block in enumerate(blocks)
    ]
    further = [*ranks, knockout(validation, looks[0].sheet)]
    return (*draw.all_figures(blocks, findings, looks, names), *(d for d in further if d is not None))


def _with_patterns(
    drawings: Sequence[Drawing], tasks: Sequence[TaskView], patterns: Patterns | None
) -> Iterator[Drawing]:
    """The figures, each task's attention patterns behind the last of its maps."""
    last = {task.maps[-1].figure: task for task in tasks}
    for drawing in drawings:
        yield drawing
        task = last.get(drawing.name)
        found = attention(patterns.of(task.task.name), task.anchor) if task and patterns else None
        if found is not None:
            yield found


def _plugins(blocks: Blocks, findings: Findings, study: Study) -> tuple[Plugin, ...]:
    """Other packages' methods, detectors and sections of the report."""
    wanted = study.report.sections
    sections = (each.plugin for each in third_party() if wanted is None or each.plugin.name in wanted)
    return (*blocks[0].plugins, *findings.plugins, *sections)


def _figure_files(report: Report, forms: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
    for drawing in report.drawings:
        yield f"figures/{drawing.name}.svg", drawing.svg
        if "pdf" in forms:
            yield f"figures/{drawing.name}.pdf", drawing.canvas.bitmap("pdf")
        if "png" in forms:
            yield f"figures/{drawing.name}.png", drawing.canvas.bitmap("png")


def paper_figures(report: Report, validation: Validation | None) -> Iterator[tuple[str, bytes | str]]:
    """Every figure once more as PDF, SVG and PNG for the column and the text of the study's venue; none without one."""
    venue = report.study.report.venue
    names = [[m.figure for m in t.maps] for t in report.tasks]
    for kind, width in ({} if venue is None else widths(venue)).items():
        looks = [replace(look, sheet=Sheet(width, LEGIBLE, paper=True)) for look in report.looks]
        for drawing in _drawn(report.blocks, report.findings, looks, names, report.others, validation):
            stem = f"{PAPER}/{drawing.name}-{kind}"
            yield f"{stem}.svg", drawing.canvas.sized(drawing.svg)
            yield f"{stem}.pdf", drawing.canvas.bitmap("pdf")
            yield f"{stem}.png", drawing.canvas.bitmap("png")


def _table_files(report: Report) -> Iterator[tuple[str, str]]:
    unit = report.scores.method.unit
    tables = {
        f"heads-{m.figure.removeprefix('task-')}": head_table(t.name, m, unit) for t in report.tasks for m in t.maps
    }
    tables |= {table.name: table for table in layer_tables(report)}
    tables["findings"] = finding_table(report)
    if report.validation is not None:
        tables |= {table.name: table for table in trial_tables(report.validation)}
    for name, table in tables.items():
        yield f"tables/{name}.tex", latex(table, name)
    block = ["block"] if report.named else []
    errors = ["sampling_error"] if _sampled(report) else []
    columns = ["task", *block, "layer", "head", "value", "low", "high", "rank", *errors]
    yield "tables/heads.csv", csv_text(columns, _head_rows(report))
    yield "tables/layers.csv", csv_text(["task", *block, "layer", "mean", "median", "largest"], _layer_rows(report))
    columns = ["id", "kind", *block, "task", "register", "p", "q", "effect", "effect_size", "low", "high", "n"]
    yield "tables/findings.csv", csv_text([*columns, "sentence"], _finding_rows(report))


def _sampled(report: Report) -> bool:
    return any(m.error is not None for t in report.tasks for m in t.maps)


def _head_rows(report: Report) -> list[list[object]]:
    rows: list[list[object]] = []
    for task in report.tasks:
        for m in task.maps:
            first, more = [task.task.name, *([m.block] if m.block else [])], _sampled(report)
            for row in head_rows(m, TOP):
                error = None if m.error is None else float(f"{m.error[row[0], row[1]]:.6g}")
                rows.append([*first, *row, *([error] if more else [])])
    return rows


def head_rows(view: MapView, most: int | None = None) -> list[list[Any]]:
    """``[layer, head, value, low, high, rank]`` of a map's heads (the first ``most``), most important first."""
    order, layers, heads, values = _ordered(view, most)
    low, high = _bounds(view.low, order), _bounds(view.high, order)
    columns = (layers, heads, map(float, values), low, high, range(1, len(order) + 1))
    return [list(row) for row in zip(*columns, strict=True)]


def _ordered(view: MapView, most: int | None = None) -> tuple[np.ndarray, list[int], list[int], list[str]]:
    """The cells of a map's heads, most important first, their layers, heads, and values as text.

    The text is the shortest that gives back the float32, not its 17 digits as a double.
    """
    n = int((view.ranks > 0).sum())
    order = np.argsort(np.where(view.ranks > 0, view.ranks, n + 1), axis=None, kind="stable")[: min(n, most or n)]
    layers, heads = np.unravel_index(order, view.ranks.shape)
    values = view.values.astype(np.float32).ravel()[order].astype(str)
    return order, layers.tolist(), heads.tolist(), values.tolist()


def _bounds(array: np.ndarray | None, order: np.ndarray) -> list[float | None]:
    if array is None:
        return [None] * len(order)
    return [None if np.isnan(x) else float(f"{x:.6g}") for x in array.ravel()[order].tolist()]


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


def heads_json(report: Report) -> str:
    """The scores for other tools: every task's heads, the found sets by finding id, and what was scored.

    Where heads are in named blocks, a task holds the rows of each block under the block's name.
    """
    scores, model = report.scores, report.scores.model
    head = {
        "schema": "reportgen/heads/1",
        "model": {"path": model.path, "revision": model.revision, "weights_sha256": model.weights_sha256},
        "method": scores.method.name,
        "unit": scores.method.unit,
        "synthetic": scores.synthetic,
        **({"blocks": [b.block for b in report.blocks]} if report.named else {}),
        "columns": ["layer", "head", "value", "low", "high", "rank"],
        "found": _found(report),
    }
    # One line a task: indented, a large model's file would be mostly line breaks.
    tasks = (f"{canonical_json(t.task.name)}:{_task_rows(t)}" for t in report.tasks)
    return pretty_json(head).rstrip("}\n ") + '},\n "tasks": {\n' + ",\n".join(tasks) + "\n }\n}\n"


def _task_rows(task: TaskView) -> str:
    rows = {m.block: _json_rows(m) for m in task.maps}
    return rows[None] if None in rows else f"{{{','.join(f'{canonical_json(b)}:{r}' for b, r in rows.items())}}}"


def _json_rows(view: MapView) -> str:
    """All of a map's rows; written by hand, as json takes three times as long over a million of them."""
    order, layers, heads, values = _ordered(view)
    low, high = (["null" if x is None else repr(x) for x in _bounds(b, order)] for b in (view.low, view.high))
    rows = zip(layers, heads, values, low, high, range(1, len(order) + 1), strict=True)
    return f"[{','.join([f'[{la},{h},{v},{lo},{hi},{rank}]' for la, h, v, lo, hi, rank in rows])}]"


def _found(report: Report) -> dict[str, list[str]]:
    present, found = {b.block: b.present for b in report.blocks}, dict[str, list[str]]()
    for f in report.findings.findings:
        there = present.get(f.block)
        marked = np.argwhere(f.mask((there.shape[0], there.shape[1])) & there).tolist() if there is not None else []
        cells = [written(f.block, Head(*cell)) for cell in marked]
        named = [m for m in f.members or [] if isinstance(m, str)]
        if named or cells:
            found[f.id] = named or cells
    return found
