"""Render a report's folder: figures, tables, page and PDF from the scores and findings that lie in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reportgen.core.blocks import Blocks, as_blocks
from reportgen.core.claims import ClaimsFile
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.patterns import Patterns
from reportgen.core.plugins import plain
from reportgen.core.scores import HeadScores
from reportgen.core.trials import Validation
from reportgen.errors import InputError
from reportgen.rendering.figures import FORMS, figure_files, paper_figures
from reportgen.rendering.head_ranks import heads_json
from reportgen.rendering.html.assets import PAGE
from reportgen.rendering.html.page import html
from reportgen.rendering.paper.files import paper_files
from reportgen.rendering.paper.table_files import table_files
from reportgen.rendering.pdf.document import attachments, unattached
from reportgen.rendering.pdf.process import pdf_maker
from reportgen.rendering.plots.matplotlib_adapter import unprintable
from reportgen.rendering.report import build_report
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import pretty_json
from reportgen.storage.manifest import manifest
from reportgen.storage.scores_file import scores_csv

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
    claims: ClaimsFile | None = None,
    provenance: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    figures: Sequence[str] = ("svg",),
    separate_process: bool = False,
    carry: Path | None = None,
) -> list[Path]:
    """Write the report's files into ``folder`` and list them in order.

    ``scores`` are those of one method: a HeadScores, or one for each block of an encoder-decoder.
    ``scores.safetensors`` and ``findings.json`` lie in the folder already. ``others`` are scores of the study's further
    methods by name, ``validation`` what interventions on found heads showed, ``patterns`` where named heads look,
    ``claims`` what stands first.
    ``provenance`` goes into the manifest and the provenance section, ``progress`` is called at each step, ``figures``
    are the files drawn of each figure: svg, pdf, png. ``separate_process`` lets another process lay out the PDF.
    The PDF carries the files of ``folder``, or of ``carry`` where there is one.
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
    with pdf_maker(sum(b.importance.size for b in blocks), separate_process and printed, bounded) as printing:
        if study.source:
            save("study.toml", study.source)
        save("scores.csv", scores_csv(blocks))
        say("figures")
        report = build_report(blocks, findings, study, others or {}, provenance or {}, validation, patterns, claims)
        report = replace(report, unattached=unattached(folder))
        say("page")
        pages, plugins = html(report, printing.begin if printed else None)
        if "html" in study.report.formats:
            for name, content in pages.items():
                save(name, content)
        say("tables")
        for name, drawn in (*figure_files(report, figures), *paper_figures(report)):
            save(name, drawn)
        for name, text in (*table_files(report), ("heads.json", heads_json(report)), *paper_files(report, figures)):
            save(name, text)
        more: dict[str, object] = {"plugins": plain(plugins)} if plugins else {}
        if (printed or figures != ("svg",)) and (lacked := unprintable(str(pages[PAGE]))):
            more["lacking"] = lacked
        save("manifest.json", pretty_json(manifest(folder, **(provenance or {}), **more)))
        if printed:
            say("PDF")
            save("report.pdf", printing.finish(attachments(carry or folder)))
    return paths


def _check_forms(figures: Sequence[str]) -> None:
    for form in figures:
        if form not in FORMS:
            raise InputError(f"no figure can be written as {form!r}", "--figures", f"Choose from: {', '.join(FORMS)}")
