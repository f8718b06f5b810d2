"""example.tex: one page that shows how a paper takes in a report's figures, captions, tables and citation."""

import math
from collections.abc import Iterator, Sequence

from reportgen.core.venues import VENUES, widths
from reportgen.rendering.context import Report
from reportgen.rendering.paper.citation import citation, methods, methods_tex
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.paper.references import references
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.tables import TOP

PREAMBLE = r"""% How a paper takes in this report. Compile it here: pdflatex, bibtex, pdflatex, pdflatex.
\documentclass[10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage{{lmodern}}
\usepackage[paper=letterpaper,textwidth={text:.4f}in,top=0.4in,textheight=10in,footskip=0.3in]{{geometry}}
\usepackage{{booktabs,graphicx,longtable}}
\usepackage[font=footnotesize,skip=4pt]{{caption}}
\emergencystretch=3em
% all on one page, as far as it goes
\renewcommand{{\textfraction}}{{0}}\renewcommand{{\topfraction}}{{1}}\renewcommand{{\bottomfraction}}{{1}}
\setlength{{\intextsep}}{{6pt}}\setlength{{\textfloatsep}}{{8pt}}\setlength{{\floatsep}}{{6pt}}
\let\listofsources\thebibliography
\renewcommand{{\thebibliography}}[1]{{\listofsources{{#1}}\footnotesize\itemsep=0pt\parskip=0pt}}
\makeatletter\renewcommand{{\section}}{{\@startsection{{section}}{{1}}{{0pt}}{{6pt}}{{2pt}}{{\normalfont\bfseries}}}}\makeatother
\input{{figures/captions}}
\begin{{document}}
\begin{{center}}{{\large {title}}}\\ {authors}, {date}\end{{center}}
\suppressfloats[t]
\paragraph{{Methods}} {methods}
"""
SHOWN = ("overview", "task-similarity", "layer-profiles", "method-agreement", "shared-heads", "cross-task")
# Inches: of the page's text, of a line of it (10 on 12 points) and of a smaller one (8 on 9.5), and of title, table
# rules and headings together; letters that an inch of a line holds in Latin Modern, measured on compiled pages.
HEIGHT, LINE, SMALL, FIXED, LETTERS = 10.0, 0.17, 0.135, 1.6, (14, 17)


def example(report: Report, forms: Sequence[str]) -> str | None:
    """Return the page; None where no figure was drawn as PDF."""
    venue = report.study.report.venue
    if venue is None and "pdf" not in forms:
        return None
    text = 6.5 if venue is None else widths(venue)["text"]
    head = PREAMBLE.format(
        text=text,
        date=report.date,
        title=escaped(report.title),
        methods=methods_tex(report),
        authors=", ".join(escaped(printable(a)) for a in report.study.study.authors) or "Anonymous",
    )
    source = f"% Widths as in {VENUES[venue].source}\n" if isinstance(venue, str) else ""
    ends = [r"\bibliographystyle{plain}", r"\bibliography{report}", r"\end{document}", ""]
    figures = [line for drawing in _fitting(report, text) for line in _figure(drawing, venue is not None, text)]
    return source + head + "\n".join([*figures, *_table(report), *ends])


def _fitting(report: Report, text: float) -> list[Drawing]:
    """Return the overview, and of the other figures those for which the page has room."""
    line, small = (text * letters for letters in LETTERS)
    listed = (citation(report), *references(report))
    room = HEIGHT - FIXED - LINE * (2 + len(methods(report)) / line) - SMALL * (TOP + 2)
    room -= SMALL * sum(math.ceil(len(each) / small) for each in listed)
    known, shown = {d.name: d for d in report.drawings}, list[Drawing]()
    for drawing in (known[name] for name in SHOWN if name in known):
        height = drawing.canvas.height * min(1.0, text / drawing.canvas.width) * (1.1 if drawing.wide else 1.0)
        room -= (needed := height + 0.35 + SMALL * math.ceil(len(drawing.caption) / small))
        if room < 0 and shown:
            room += needed
        else:
            shown.append(drawing)
    return shown


def _figure(drawing: Drawing, paper: bool, text: float) -> Iterator[str]:
    path = f"figures/paper/{drawing.name}-text" if paper else f"figures/{drawing.name}"
    size = "" if paper or drawing.canvas.width <= text else r"[width=\textwidth]"
    yield r"\begin{figure}[htbp]"
    yield r"\centering"
    yield f"\\includegraphics{size}{{{path}}}"
    yield f"\\caption{{\\reportcaption{{{drawing.name}}}}}\\label{{fig:{drawing.name}}}"
    yield r"\end{figure}"


def _table(report: Report) -> Iterator[str]:
    name = f"heads-{report.tasks[0].maps[0].figure.removeprefix('task-')}"
    yield "Figure~\\ref{fig:overview} and Table~\\ref{tab:" + name + "} are taken from the report as they are."
    yield rf"{{\footnotesize\input{{tables/{name}}}}}"
