"""The papers that a report rests on: those of its methods of scoring, and those of the statistics that it uses."""

import re
from collections.abc import Iterator

from reportgen.core.kinds import KINDS
from reportgen.rendering.context import Report
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.plots.canvas import printable

BENJAMINI = (
    "Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate: a practical and powerful approach to "
    "multiple testing. Journal of the Royal Statistical Society B 57, 289–300."
)
BLANCHARD = (
    "Blanchard, G. & Roquain, E. (2008). Two simple sufficient conditions for FDR control. Electronic Journal of "
    "Statistics 2, 963–992."
)
HALL = (
    "Hall, P. (1992). On the removal of skewness by transformation. Journal of the Royal Statistical Society B 54, "
    "221–228."
)
PHIPSON = (
    "Phipson, B. & Smyth, G. K. (2010). Permutation p-values should never be zero: calculating exact p-values when "
    "permutations are randomly drawn. Statistical Applications in Genetics and Molecular Biology 9, 39."
)
WILSON = (
    "Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the "
    "American Statistical Association 22, 209–212."
)
LEX = (
    "Lex, A., Gehlenborg, N., Strobelt, H., Vuillemot, R. & Pfister, H. (2014). UpSet: visualization of intersecting "
    "sets. IEEE Transactions on Visualization and Computer Graphics 20, 1983–1992."
)
# A title that asks ends before a venue written in capitals, not before a second sentence of its own.
_PARTS = re.compile(
    r"(?P<authors>.+?) \((?P<year>\d{4})\)\. (?P<title>.+?(?:\.(?= )|[?!](?= \w+[A-Z])))"
    r"( (?!arXiv:|https:)(?P<where>.+?)\.)?"
    r"( arXiv:(?P<arxiv>\d{4}\.\d{4,5})\.)?( (?P<url>https://.+)\.)?"
)


def references(report: Report) -> list[str]:
    """Return what Methods lists, in the order of authors: each paper once."""
    methods = [blocks[0].method.references for blocks in (report.blocks, *report.others.values())]
    cited = [printable(text) for each in methods for text in each]
    return sorted({*cited, *_statistics(report)})


def _statistics(report: Report) -> Iterator[str]:
    findings, scores = report.findings, report.scores
    kinds = {f.kind for f in findings.findings}
    tested = {f.id.partition("/")[0] for f in findings.families}
    wanted = {
        BENJAMINI: any("Benjamini" in f.correction for f in findings.families),
        BLANCHARD: any("rank before" in f.correction for f in findings.families),
        HALL: any(e is not None for e in scores.examples),
        PHIPSON: any(f.test is not None and f.test.draws for f in findings.findings),
        WILSON: any(t.accuracy is not None for t in scores.tasks),
        LEX: any(d.name.startswith("shared-heads") for d in report.drawings),
    }
    yield from (text for text, used in wanted.items() if used)
    for kind in KINDS.known():
        if kind.name in (tested if kind.weight else kinds):
            yield from kind.references


def entry(name: str, /, **fields: str) -> str:
    """Return a BibTeX entry; the fields are LaTeX already."""
    return "".join([f"@misc{{{name},\n", *(f"  {field} = {{{text}}},\n" for field, text in fields.items()), "}\n"])


def bibtex_of(key: str, reference: str) -> str:
    """Return a reference "Authors (year). Title. Venue. arXiv:…." as BibTeX; one of another form as a note."""
    found = _PARTS.fullmatch(reference)
    if found is None:
        return entry(key, note=escaped(reference), key=escaped(reference.split()[0] if reference else key))
    people = re.split(r"(?<=\.), | & ", re.sub(r" et al\.$", ", et al.", found["authors"]))
    names = ["others" if name == "et al." else escaped(name) for name in people]
    fields = {
        "author": " and ".join(names),
        "title": f"{{{escaped(found['title'].removesuffix('.'))}}}",
        "year": found["year"],
    }
    if found["where"]:
        fields["howpublished"] = escaped(found["where"])
    if found["arxiv"]:
        fields |= {"eprint": found["arxiv"], "archiveprefix": "arXiv", "note": f"arXiv:{found['arxiv']}"}
    if found["url"]:
        fields["url"] = escaped(found["url"])
    return entry(key, **fields)
