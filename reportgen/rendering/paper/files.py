"""What papers and catalogues take from a report: how to cite it, the figures' captions, and schema.org metadata."""

import json
import re
from collections.abc import Iterator, Sequence

from reportgen.rendering.context import Report
from reportgen.rendering.paper.citation import bibtex, citation, methods
from reportgen.rendering.paper.example import example
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.plots.canvas import printable

CAPTIONS = r"""% \input this file in the preamble, then: \caption{\reportcaption{overview}}
\DeclareRobustCommand{\reportcaption}[1]{\csname reportcaption:#1\endcsname}
"""
CLAIMS = r"""% \input this file in the preamble, then \reportclaims for all, or \reportclaim{heads/carry} for one
\DeclareRobustCommand{\reportclaim}[1]{\csname reportclaim:#1\endcsname}
"""


def paper_files(report: Report, forms: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the files beside figures and tables that a paper uses, by name; ``forms`` are the figures'."""
    yield "cite.txt", f"{citation(report)}\n\n{methods(report)}\n\n{bibtex(report)}"
    yield "report.bib", bibtex(report)
    yield "figures/captions.tex", captions(report)
    yield "claims.tex", claims_tex(report)
    yield "claims.md", claims_md(report)
    page = example(report, forms)
    if page is not None:
        yield "example.tex", page


def captions(report: Report) -> str:
    """Return the captions of all figures, as LaTeX that calls each by the name of its file."""
    lines = [
        f"\\expandafter\\def\\csname reportcaption:{d.name}\\endcsname{{{escaped(d.caption)}}}" for d in report.drawings
    ]
    return "\n".join([CAPTIONS, *lines, ""])


def claims_tex(report: Report) -> str:
    """Return the claims as LaTeX: all in a list, or each by its id."""
    lines, listed = list[str](), list[str]()
    for claim in report.claims.claims:
        body = f" {escaped(printable(claim.body))}" if claim.body else ""
        lines.append(
            f"\\expandafter\\def\\csname reportclaim:{claim.id}\\endcsname"
            f"{{\\textbf{{{escaped(printable(claim.headline))}.}}{body}}}"
        )
        listed.append(f"\\item \\reportclaim{{{claim.id}}}")
    items = "\n".join([r"\begin{itemize}", *listed, r"\end{itemize}"]) if listed else escaped(report.claims.nothing)
    return "\n".join([CLAIMS, *lines, f"\\DeclareRobustCommand{{\\reportclaims}}{{%\n{items}}}", ""])


def claims_md(report: Report) -> str:
    """Return the claims as Markdown, to paste into a README or an issue."""
    claims = report.claims
    said = [f"- **{_md(c.headline)}.** {_md(c.body)} ({', '.join(c.badges)})".replace("  ", " ") for c in claims.claims]
    notes = [claims.left_out, claims.searches.text if claims.searches is not None else ""]
    parts = [
        f"## {_md(report.title)}",
        "\n".join(said) or claims.nothing,
        *(_md(note) for note in notes if note),
        citation(report),
    ]
    return "\n\n".join(parts) + "\n"


def _md(text: str) -> str:
    """Return text that Markdown prints as it is."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", printable(text))


def schema_org(report: Report) -> str:
    """Return the report as a schema.org Dataset, JSON that is safe within a page's script element."""
    about, model = report.study.study, report.scores.model
    described: dict[str, object] = {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "name": report.title,
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
