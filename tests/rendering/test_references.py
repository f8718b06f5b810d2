"""The references of Methods and their BibTeX: each well formed, each once, none that is used left out."""

import re
from dataclasses import replace

import pytest
from made_reports import make_findings, make_scores, make_study

from reportgen.core.kinds import KINDS
from reportgen.importers import bertology, cognitive_mirrors, duo_attention, function_vectors, retrieval_head
from reportgen.rendering.paper import references as papers
from reportgen.rendering.paper.citation import bibtex
from reportgen.rendering.paper.references import bibtex_of, references
from reportgen.rendering.report import build_report
from reportgen.scoring.methods.common.method import METHODS

STATISTICS = [v for k, v in vars(papers).items() if k.isupper() and isinstance(v, str)]
STATISTICS = sorted({*STATISTICS, *(text for kind in KINDS.own() for text in kind.references)})
IMPORTED = [module.METHOD for module in (bertology, cognitive_mirrors, duo_attention, function_vectors, retrieval_head)]
ALL = sorted({r for m in (*METHODS.own(), *IMPORTED) for r in m.references} | {*STATISTICS})
NAME = re.compile(r"(\{?[^\W\d].*, ([A-Z]\.[ -]?)+|nostalgebraist|others)")


def entries(text):
    """BibTeX by its grammar: entries of fields in balanced braces; what is left over is an error."""
    found = {}
    while text:
        head = re.match(r"@misc\{([\w-]+),\n", text)
        assert head, text[:80]
        text, fields = text[head.end() :], {}
        while not text.startswith("}\n"):
            field = re.match(r"  ([a-z]+) = \{", text)
            assert field, text[:80]
            depth, end = 1, field.end()
            while depth:
                escaped = text[end - 1] == "\\"
                depth += 0 if escaped else {"{": 1, "}": -1}.get(text[end], 0)
                end += 1
            assert text[end : end + 2] == ",\n"
            assert field[1] not in fields
            fields[field[1]], text = text[field.end() : end - 1], text[end + 2 :]
        assert head[1] not in found
        found[head[1]], text = fields, text[2:].lstrip("\n")
    return found


@pytest.mark.parametrize("reference", ALL)
def test_every_reference_of_ours_comes_apart_into_people_title_year_and_place(reference):
    (made,) = entries(bibtex_of("k", reference)).values()
    assert {"author", "title", "year"} <= made.keys()
    assert made.keys() & {"howpublished", "eprint", "url"}
    names = made["author"].split(" and ")
    assert all(NAME.fullmatch(name) for name in names), names
    people = reference.split(" (")[0]
    assert len(names) == people.count(".,") + len(re.findall(r" & | et al\.", people)) + 1
    assert re.fullmatch(r"\{\S.{12,}[^.]\}", made["title"])
    assert f"({made['year']})" in reference
    assert not re.search(r"arXiv|https", made["title"] + made.get("howpublished", ""))


def test_what_a_title_asks_and_how_many_there_are():
    made = entries(bibtex_of("k", next(r for r in ALL if r.startswith("Clark"))))["k"]
    assert made["title"] == "{What does BERT look at? An analysis of BERT's attention}"
    assert (made["howpublished"], made["eprint"]) == ("BlackboxNLP", "1906.04341")
    made = entries(bibtex_of("k", next(r for r in ALL if r.startswith("Michel"))))["k"]
    assert (made["title"], made["howpublished"]) == ("{Are sixteen heads really better than one?}", "NeurIPS 32")
    made = entries(bibtex_of("k", next(r for r in ALL if r.startswith("Chan"))))["k"]
    assert made["author"] == "Chan, L. and Garriga-Alonso, A. and Goldowsky-Dill, N. and others"
    assert entries(bibtex_of("k", "My thesis, 50 % & {more}")).keys() == {"k"}


def report_of(kinds=(), examples=24, others=None, **scores):
    """A report whose families and findings are of these kinds."""
    made = make_scores(("One", "Two"), examples=examples, **scores)
    found = make_findings(made)
    families = [replace(found.families[0], id=kind) for kind in kinds]
    findings = [
        *found.findings,
        *(replace(found.findings[-1], id=f"{k}/1", kind=k) for k in kinds if k in ("reliability", "top_heads")),
    ]
    return build_report((made,), replace(found, families=families, findings=findings), make_study(), others or {}, {})


def test_what_is_used_is_cited_and_nothing_else():
    plain = [papers.BENJAMINI, papers.BLANCHARD, papers.HALL, papers.LEX, papers.PHIPSON, papers.WILSON]
    assert references(report_of(["cluster"])) == sorted(plain)
    all_of_ours = report_of(["cluster", "inert_heads", "reliability", "anomaly", "top_heads"])
    assert references(all_of_ours) == sorted(STATISTICS)
    assert references(report_of([], examples=0)) == sorted([papers.LEX, papers.PHIPSON])


def test_a_reports_bibtex_holds_itself_and_each_reference_once():
    other = make_scores(("One", "Two"))
    other = replace(other, method=replace(other.method, references=[papers.HALL, "A. Nobody: an unpublished note"]))
    report = report_of(["cluster"], others={"other": (other,)})
    made = entries(bibtex(report))
    titles = [fields["title"] for fields in made.values() if "title" in fields]
    assert len(made) == 1 + len(references(report)) == len(titles) + 1
    assert len({*titles}) == len(titles)
    assert next(iter(made.values()))["author"] == "A. Author"
