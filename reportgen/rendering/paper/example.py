"""example.tex: one page that shows how a paper takes in a report's figures, captions, tables and citation."""

from collections.abc import Iterator, Sequence

from reportgen.core.venues import VENUES, widths
from reportgen.rendering.context import Report
from reportgen.rendering.paper.citation import methods_tex
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.paper.references import references
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.tables import TOP

PREAMBLE = r"""% How a paper takes in this report. Compile it here: pdflatex, bibtex, pdflatex, pdflatex.
\documentclass[10pt]{{article}}
\usepackage[T1]{{fontenc}}
\usepackage{{lmodern}}
\usepackage[paper=letterpaper,textwidth={text:.4f}in,textheight=9.6in,footskip=0.3in]{{geometry}}
\usepackage{{booktabs,graphicx,longtable}}
\emergencystretch=3em
% all on one page, as far as it goes
\renewcommand{{\textfraction}}{{0}}\renewcommand{{\topfraction}}{{1}}\renewcommand{{\bottomfraction}}{{1}}
\setlength{{\intextsep}}{{6pt}}\setlength{{\textfloatsep}}{{8pt}}\setlength{{\floatsep}}{{6pt}}
\setlength{{\abovecaptionskip}}{{4pt}}
\input{{figures/captions}}
\title{{\vspace{{-20mm}}{title}}}
\author{{{authors}}}
\date{{{date}\vspace{{-6mm}}}}
\begin{{document}}
\maketitle
\paragraph{{Methods}} {methods}
"""
SHOWN = ("overview", "task-similarity", "layer-profiles", "method-agreement", "shared-heads", "cross-task")
HEIGHT, LINE = 9.6, 0.17  # inches of the page's text, and of a line of it


def example(report: Report, forms: Sequence[str]) -> str | None:
    """The page; None where no figure was drawn as PDF."""
    venue = report.study.report.venue
    if venue is None and "pdf" not in forms:
        return None
    text = 6.5 if venue is None else widths(venue)["text"]
    head = PREAMBLE.format(
        text=text,
        date=report.date,
        title=escaped(printable(report.study.study.title)),
        methods=methods_tex(report),
        authors=r" \and ".join(escaped(printable(a)) for a in report.study.study.authors) or "Anonymous",
    )
    source = f"% Widths as in {VENUES[venue].source}\n" if isinstance(venue, str) else ""
    ends = [r"\bibliographystyle{plain}", r"\bibliography{report}", r"\end{document}", ""]
    figures = [line for drawing in _fitting(report, text) for line in _figure(drawing, venue is not None, text)]
    return source + head + "\n".join([*figures, *_table(report), *ends])


def _fitting(report: Report, text: float) -> list[Drawing]:
    """The overview, and of the other figures those for which the page has room."""
    lines = text * 14  # letters in one
    room = HEIGHT - 1.4 - LINE * (len(methods_tex(report)) / lines + TOP + 5 + 3 * len(references(report)))
    known, shown = {d.name: d for d in report.drawings}, list[Drawing]()
    for drawing in (known[name] for name in SHOWN if name in known):
        height = drawing.canvas.height * min(1.0, text / drawing.canvas.width) * (1.1 if drawing.wide else 1.0)
        room -= (needed := height + 0.35 + LINE * (1 + len(drawing.caption) / lines))
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
