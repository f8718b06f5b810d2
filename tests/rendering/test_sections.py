"""Sections that print findings of kinds of their own, and print nothing where there are none."""

import re

import numpy as np
from made_reports import SPECIAL, build, make_findings, make_scores, make_study, sections

from reportgen.core.findings import Findings
from reportgen.rendering.plots.overview import percentile_of
from reportgen.rendering.tables import Table

SHOWN = [
    "key-observations",
    "overview",
    "how-to-read",
    "tasks",
    "across-tasks",
    "anomalies",
    "agreement",
    "validation",
    "reliability",
    "interpretation",
    "methods",
    "limits",
    "summary",
    "provenance",
    "tables",
]


def test_each_kind_stands_in_its_own_section_only(tmp_path):
    findings = Findings({}, 0.05, 0, [], [*SPECIAL, *make_findings(make_scores()).findings])
    build(tmp_path, make_scores(examples=8), findings, make_study(formats=["html"]))
    found = sections(tmp_path)
    assert list(found) == SHOWN
    homes = dict(zip(["agreement", "validation", "reliability", "reliability", "tasks"], SPECIAL, strict=False))
    homes["tasks"] = SPECIAL[-1]
    for section, finding in homes.items():
        claims = {
            name for name, text in found.items() if re.search(f'class="claim">[^/]*/span>.*{finding.sentence}', text)
        }
        assert claims == {section}, finding.kind
    assert "<b>1</b> not needed: it costs less than the margin" in found["validation"]
    assert 'href="#finding-cluster-x">cluster/x</a>' in found["validation"]


def test_sections_without_matter_print_nothing(tmp_path):
    build(tmp_path, make_scores(("One",)), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
    absent = {"anomalies", "agreement", "validation", "reliability"}
    assert list(sections(tmp_path)) == [s for s in SHOWN if s not in absent]


def test_figures_are_described_in_words_from_the_findings(report):
    page = (report / "report.html").read_text(encoding="utf-8")
    svg = (report / "figures" / "task-recall.svg").read_text(encoding="utf-8")
    name = re.search(r"<title>(.*?)</title>", svg, re.S)[1]
    axes = "6 layers (rows, layer 0 at the top) by 8 heads (columns)"
    assert name == f"Heatmap of {axes} on Recall, with bars of the layer means."
    assert page.count(name) == 1
    shown = page.split('id="figure-task-recall"')[1].split("</figure>")[0]
    said = re.findall("<li>(.*?)</li>", shown.split("in words</summary>")[1])
    assert re.match(r"Median head [\d.]+, middle 80 % of heads [\d.]+ to [\d.]+, largest head L\dH\d", said[1])
    assert said[-2:] == ["Recall: a cluster.", "Recall: L0H0."]


def test_a_figures_name_is_short(report):
    for path in (p for p in (report / "figures").glob("*.svg") if not p.name.startswith("task-")):  # with a task's name
        name = re.search(r"<title>(.*?)</title>", path.read_text(encoding="utf-8"), re.S)[1]
        assert len(name.split()) <= 45, path.name


def test_percentiles_are_ranks_within_the_task():
    values = np.array([[4.0, -8.0, 1.0], [1.0, np.nan, 2.0]])
    assert np.array_equal(percentile_of(values), [[80, 100, 30], [30, np.nan, 60]], equal_nan=True)


def test_a_table_breaks_words_only_where_it_must():
    def classes(name, columns):
        return Table("t", "", tuple((f"{name} {i}", False) for i in range(columns)), ((name, "x"),)).classes

    assert classes("Recall", 3) == ""
    assert classes("x" * 300, 3) == ""
    assert classes("Recall", 8) == "dense whole"
    assert classes("x" * 300, 8) == "dense"
    assert Table.breaks("a name " + "x" * 25)
    assert not Table.breaks("sparse layers, an ordinary-name-with-hyphens " * 9)
