"""What papers and catalogues take from a report: how to cite it, the figures' captions, and schema.org metadata."""

import json
from collections.abc import Iterator, Sequence

from reportgen.rendering.context import Report
from reportgen.rendering.paper.citation import bibtex, citation, methods
from reportgen.rendering.paper.example import example
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.plots.canvas import printable

CAPTIONS = r"""% \input this file in the preamble, then: \caption{\reportcaption{overview}}
\DeclareRobustCommand{\reportcaption}[1]{\csname reportcaption:#1\endcsname}
"""


def paper_files(report: Report, forms: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the files beside figures and tables that a paper uses, by name; ``forms`` are the figures'."""
    yield "cite.txt", f"{citation(report)}\n\n{methods(report)}\n\n{bibtex(report)}"
    yield "report.bib", bibtex(report)
    yield "figures/captions.tex", captions(report)
    page = example(report, forms)
    if page is not None:
        yield "example.tex", page


def captions(report: Report) -> str:
    """Return the captions of all figures, as LaTeX that calls each by the name of its file."""
    lines = [
        f"\\expandafter\\def\\csname reportcaption:{d.name}\\endcsname{{{escaped(d.caption)}}}" for d in report.drawings
    ]
    return "\n".join([CAPTIONS, *lines, ""])


def schema_org(report: Report) -> str:
    """Return the report as a schema.org Dataset, JSON that is safe within a page's script element."""
    about, model = report.study.study, report.scores.model
    described: dict[str, object] = {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "name": printable(about.title),
        "description": printable(about.notes) or "Importance of every attention head of a transformer on every task.",
        "datePublished": report.date,
        "creator": [{"@type": "Person", "name": printable(a)} for a in about.authors],
        "keywords": ["interpretability", "attention heads", "transformers"],
        "variableMeasured": [printable(t.task.name) for t in report.tasks],
        "measurementTechnique": report.scores.method.name,
        "about": model.path or "",
        "isBasedOn": [f"sha256:{digest}" for digest in report.findings.scores.values()],
        "creditText": citation(report),
    }
    return json.dumps({k: v for k, v in described.items() if v}, ensure_ascii=True).replace("<", "\\u003c")
