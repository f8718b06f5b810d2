"""What is said of scoring and of tests."""

import re

from made_reports import build, make_findings, make_scores, make_study, sections, view_of

from reportgen.core.findings import Family, Findings


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


def test_tests_and_rules_stand_only_where_findings_used_them():
    bare, found = view_of("methods"), view_of("methods", make_findings(make_scores(("Recall",))))
    assert (bare["tests"], bare["families"], bare["rules"]) == (None, None, None)
    assert found["tests"].rows == (("cluster", "rectangle scan", "heads shuffled within each layer", "4,000"),)
    assert len(found["families"].rows) == 1
    assert (bare["from_file"], bare["others"], bare["diagnostics"]) == (True, [], [])
