"""How a report is cited and its methods described: text, BibTeX, LaTeX."""

import re
from collections.abc import Iterator

from reportgen import __version__
from reportgen.rendering.context import Report
from reportgen.rendering.format import count
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.paper.references import bibtex_of, entry, references
from reportgen.rendering.plots.canvas import printable


def citation(report: Report) -> str:
    """Return how to cite the report, as a line of text."""
    title = report.title
    return f"{', '.join(_authors(report))} ({report.date[:4]}). {title}. {_note(report)}"


def key(report: Report) -> str:
    """Return the report's key in report.bib."""
    return f"reportgen-{_digest(report) or report.date[:4]}"


def bibtex(report: Report) -> str:
    """Return the report and the papers that it rests on as BibTeX, those in the order of its Methods."""
    authors = " and ".join(map(_name, _authors(report)))
    own = entry(
        key(report),
        title=f"{{{escaped(report.title)}}}",
        author=authors,
        year=report.date[:4],
        note=escaped(_note(report)),
    )
    return own + "".join(f"\n{entry}" for _, entry in _papers(report))


def _name(author: str) -> str:
    """Return an author as BibTeX takes names apart, or whole where it would take apart what is no name of a person."""
    return f"{{{escaped(author)}}}" if re.search(r"\band\b|,", author) else escaped(author)


def _papers(report: Report) -> Iterator[tuple[str, str]]:
    for i, reference in enumerate(references(report), 1):
        name = f"{key(report)}-{i}"
        yield name, bibtex_of(name, reference)


def methods(report: Report) -> str:
    """Return what was done, in a paragraph for a paper's methods section; every clause is a field of scores or
    findings.
    """
    return " ".join([*_sentences(report), f"{_made(report)} ({citation(report).rstrip('.')})."])


def methods_tex(report: Report) -> str:
    """Return the same paragraph as LaTeX that cites report.bib."""
    cited = ",".join([key(report), *(name for name, _ in _papers(report))])
    return f"{escaped(' '.join([*_sentences(report), _made(report)]))}~\\cite{{{cited}}}."


def _made(report: Report) -> str:
    return f"Scores, findings and their tests are those of a report made with reportgen {__version__}"


def _sentences(report: Report) -> Iterator[str]:
    scores, found = report.scores, report.findings
    if scores.synthetic:
        yield "The scores are synthetic: no model was measured."
    size = "; ".join(
        f"{b.block + ': ' if b.block else ''}{b.n_layers} layers of up to {b.n_heads} heads" for b in report.blocks
    )
    rows = [t.n for t in scores.tasks if t.n]
    on = f" ({sum(rows):,} examples)" if len(rows) == len(scores.tasks) else ""
    whose = f" of {printable(scores.model.path)}" if scores.model.path else ""
    how = f"; {printable(scores.method.formula)}" if scores.method.formula else ""
    yield (
        f"The importance of every attention head{whose} ({size}) on {count(len(scores.tasks), 'task')}{on} was scored "
        f"by {printable(scores.method.name).replace('_', ' ')} (unit: {printable(scores.method.unit)}{how})."
    )
    if any(e is not None for e in scores.examples):
        what = "absolute scores" if scores.reduction == "mean_abs" else "scores"
        yield f"A head’s importance is the mean of its {what} over examples."
    if report.others:
        names = ", ".join(printable(n).replace("_", " ") for n in sorted(report.others))
        yield f"Beside it were scored: {names}."
    if found.families:
        yield (
            f"Findings were tested in {count(len(found.families), 'group')} of tests, each corrected for multiplicity "
            f"at its part of α = {found.alpha:g}; other statements are exact statements about the scores."
        )
    if any(e is not None and e.discovery.any() and not e.discovery.all() for e in scores.examples):
        yield "Tested findings were detected on one half of the examples, and their values read from the other."
    if report.validation is not None and not report.validation.problem:
        yield "Found sets of heads were knocked out on held-out examples and compared with matched sets of other heads."


def _authors(report: Report) -> list[str]:
    return [printable(a) for a in report.study.study.authors] or ["Anonymous"]


def _digest(report: Report) -> str:
    return next(iter(report.findings.scores.values()), "")[:12]


def _note(report: Report) -> str:
    digest = _digest(report)
    mark = f" Scores sha256 {digest}." if digest else ""
    return f"Attention-head report made with reportgen {__version__}.{mark}"
