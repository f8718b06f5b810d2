"""What papers and catalogues take from a report: how to cite it, the figures' captions, and schema.org metadata."""

import json
from collections.abc import Iterator
from typing import Any

from reportgen import __version__
from reportgen.rendering.canvas import printable
from reportgen.rendering.latex import escaped
from reportgen.rendering.view import Report

CAPTIONS = r"""% \input this file in the preamble, then: \caption{\reportcaption{overview}}
\DeclareRobustCommand{\reportcaption}[1]{\csname reportcaption:#1\endcsname}
"""


def paper_files(report: Report) -> Iterator[tuple[str, str]]:
    """The files beside figures and tables that a paper uses, by name."""
    yield "cite.txt", f"{citation(report)}\n\n{bibtex(report)}"
    yield "report.bib", bibtex(report)
    yield "figures/captions.tex", captions(report)


def citation(report: Report) -> str:
    """How to cite the report, as a line of text."""
    title = printable(report.study.study.title)
    return f"{', '.join(_authors(report))} ({report.date[:4]}). {title}. {_note(report)}"


def bibtex(report: Report) -> str:
    """How to cite the report, as a BibTeX entry."""
    braces, year = str.maketrans("", "", "{}\\"), report.date[:4]
    authors = " and ".join(a.translate(braces) for a in _authors(report))
    title = printable(report.study.study.title).translate(braces)
    return (
        f"@misc{{reportgen-{_digest(report) or year},\n  title = {{{title}}},\n  author = {{{authors}}},\n"
        f"  year = {{{year}}},\n  note = {{{_note(report)}}},\n}}\n"
    )


def captions(report: Report) -> str:
    """The captions of all figures, as LaTeX that calls each by the name of its file."""
    lines = [f"\\expandafter\\def\\csname reportcaption:{d.name}\\endcsname{{{escaped(d.caption)}}}"
             for d in report.drawings]  # fmt: skip
    return "\n".join([CAPTIONS, *lines, ""])


def schema_org(report: Report) -> str:
    """The report as a schema.org Dataset, JSON that is safe within a page's script element."""
    about, model = report.study.study, report.scores.model
    described: dict[str, Any] = {
        "@context": "https://schema.org", "@type": "Dataset", "name": printable(about.title),
        "description": printable(about.notes) or "Importance of every attention head of a transformer on every task.",
        "datePublished": report.date, "creator": [{"@type": "Person", "name": printable(a)} for a in about.authors],
        "keywords": ["interpretability", "attention heads", "transformers"],
        "variableMeasured": [printable(t.task.name) for t in report.tasks],
        "measurementTechnique": report.scores.method.name, "about": model.path or "",
        "isBasedOn": [f"sha256:{digest}" for digest in report.findings.scores.values()],
        "creditText": citation(report),
    }  # fmt: skip
    return json.dumps({k: v for k, v in described.items() if v}, ensure_ascii=True).replace("<", "\\u003c")


def _authors(report: Report) -> list[str]:
    return [printable(a) for a in report.study.study.authors] or ["Anonymous"]


def _digest(report: Report) -> str:
    return next(iter(report.findings.scores.values()), "")[:12]


def _note(report: Report) -> str:
    digest = _digest(report)
    mark = f" Scores sha256 {digest}." if digest else ""
    return f"Attention-head report made with reportgen {__version__}.{mark}"
