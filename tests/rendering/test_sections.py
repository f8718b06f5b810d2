"""Sections that print findings of kinds of their own, and print nothing where there are none."""

import re
from dataclasses import replace

import numpy as np
from made_reports import build, make_findings, make_scores, make_study

from reportgen.core.findings import Family, Finding, Findings, Value
from reportgen.rendering.plots.figures import percentile_of
from reportgen.rendering.tables import Table

RULE = {"register": "observed", "rule": "as stated"}
SHOWN = [
    "summary",
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
    "provenance",
    "tables",
]
SPECIAL = [
    Finding(
        "method_agreement/Recall",
        "method_agreement",
        "m",
        priority=0.4,
        sentence="Both rank alike.",
        task="Recall",
        **RULE,
    ),
    Finding(
        "causal_validation/Recall",
        "causal_validation",
        "m",
        priority=0.8,
        sentence="Knocking out did it.",
        task="Recall",
        **RULE,
    ),
    Finding("reliability/Recall", "reliability", "m", priority=0.3, sentence="Halves agree.", task="Recall", **RULE),
    Finding("competence/Recall", "competence", "m", priority=0.2, sentence="Above chance.", task="Recall", **RULE),
    Finding(
        "cluster/x",
        "cluster",
        "m",
        priority=0.7,
        sentence="A judged cluster.",
        task="Recall",
        layers=(0, 1),
        heads=(0, 1),
        verdict="refuted",
        value=Value(0.1, None, None, "mean", "in-sample"),
        **RULE,
    ),
]


def sections(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    parts = re.split(r'<section id="([a-z-]+)" class', page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


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
    assert "<b>1</b> refuted: it did not, within the stated margin" in found["validation"]
    assert 'href="#finding-cluster-x">cluster/x</a>' in found["validation"]


def test_sections_without_matter_print_nothing(tmp_path):
    build(tmp_path, make_scores(("One",)), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
    absent = {"anomalies", "agreement", "validation", "reliability"}
    assert list(sections(tmp_path)) == [s for s in SHOWN if s not in absent]


def test_a_race_tells_what_it_cannot_promise(tmp_path):
    scores = make_scores(("One",))
    for settings in ({}, {"examples": "adaptive", "confidence": 0.95, "top_k": 3, "exact_top": False}):
        method = replace(scores.method, name="zero_ablation", parameters=settings)
        folder = tmp_path / f"{len(settings)}"
        build(folder, replace(scores, method=method), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
        assert ("raced for the top 3 of each task" in sections(folder)["limits"]) == bool(settings)
        assert ("one in a hundred, can be missed" in sections(folder)["limits"]) == bool(settings)


def test_single_heads_are_listed_with_their_evidence_and_have_an_address(report):
    found = sections(report)
    assert 'href="#finding-anomaly-0">L5H7, L0H0</a>' in found["anomalies"]
    assert '<tr id="L5H7">' in found["tables"]
    assert "called an anomaly only where a test says" in found["anomalies"]


def test_figures_are_described_in_words_from_the_findings(report):
    page = (report / "report.html").read_text(encoding="utf-8")
    svg = (report / "figures" / "task-recall.svg").read_text(encoding="utf-8")
    description = re.search(r"<title>(.*?)</title>", svg, re.S)[1]
    assert description in page.split("in words</summary>", 1)[1]
    assert description.startswith("Heatmap of 6 layers (rows, layer 0 at the top) by 8 heads (columns), with bars")
    assert re.search(r"Median head [\d.]+, middle 80 % of heads [\d.]+ to [\d.]+, largest head L\dH\d", description)
    assert description.endswith("Found: Recall: a cluster. Recall: L0H0.")


def test_percentiles_are_ranks_within_the_task():
    values = np.array([[4.0, -8.0, 1.0], [1.0, np.nan, 2.0]])
    assert np.array_equal(percentile_of(values), [[80, 100, 30], [30, np.nan, 60]], equal_nan=True)


def test_the_shared_overview_says_what_its_colours_cannot_say(report):
    overview = sections(report)["overview"]
    assert "Brightness is not comparable between tasks" in overview
    assert "100 being the largest" in overview
    assert (report / "figures" / "percentiles.svg").exists()


def test_a_table_breaks_words_only_where_it_must():
    def classes(name, columns):
        return Table("t", "", tuple((f"{name} {i}", False) for i in range(columns)), ((name, "x"),)).classes

    assert classes("Recall", 3) == ""
    assert classes("x" * 300, 3) == ""
    assert classes("Recall", 8) == "dense whole"
    assert classes("x" * 300, 8) == "dense"
    assert Table.breaks("a name " + "x" * 25)
    assert not Table.breaks("sparse layers, an ordinary-name-with-hyphens " * 9)


def test_the_tests_of_interventions_are_said_to_have_an_alpha_of_their_own(tmp_path):
    """All other families share one; without interventions nothing is said of them."""
    families = [Family("cluster", 8, 0.01, "corrected"), Family("causal_validation/top", 3, 0.025, "corrected")]
    said = []
    for n in (1, 2):
        findings = Findings({}, 0.05, 0, families[:n], [])
        build(tmp_path / str(n), make_scores(("One",), (2, 2)), findings, make_study(formats=["html"]))
        said.append({name: re.sub(r"<[^>]*>|\s+", " ", text) for name, text in sections(tmp_path / str(n)).items()})
    alone, both = said
    assert "The families share α = 0.05: where nothing is to be found, at most 5 % of reports" in alone["how-to-read"]
    assert "carry any tested finding." in alone["how-to-read"]
    assert "those of interventions not counted: they have α = 0.025 of their own." in both["how-to-read"]
    assert "All families of tests share α = 0.05" in alone["methods"]
    assert "All families of tests but that of interventions share α = 0.05" in both["methods"]
    assert "their tests have α = 0.025 of their own" in both["methods"]
    assert "nterventions" not in alone["methods"] + alone["how-to-read"]
