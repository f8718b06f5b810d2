"""The two pages before the PDF's appendix: what they say, and that they are two, whatever the study."""

import re
import subprocess

import pytest
from made_reports import build, make_findings, make_scores, make_study

from reportgen.core.claims import ClaimsFile
from reportgen.core.findings import Findings
from reportgen.core.trials import Validation

pytestmark = pytest.mark.pdf
NOTHING = Findings({}, 0.05, 0, [], [])


def pages(folder):
    """The words of each page of a folder's PDF."""
    run = ["pdftotext", "-layout", str(folder / "report.pdf"), "-"]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    return [" ".join(page.split()) for page in text.split("\f")[:-1]]


def test_claims_and_maps_are_on_the_first_page_and_the_appendix_begins_on_the_third(printed):
    first, second, third, *rest = pages(printed)
    assert first.startswith("A study of heads A. Author")
    assert (
        "models/tiny · 6 tasks × 48 heads · 24 examples a task · gate gradient · not above chance on 5 tasks" in first
    )
    assert "Figure 1." in first
    for heading in ("Task by task", "Methods", "Limits", "Cite and check"):
        assert heading in second
    assert re.search(r"Recall 23 of 24 L\dH\d 0\.\d+, L\dH\d ", second)
    assert third.startswith("Appendix · How to read this report 3")
    assert "Figure 2." in " ".join([third, *rest])


def test_no_sentence_of_a_finding_stands_twice_and_all_of_them_once(printed):
    text = " ".join(pages(printed))
    for finding in make_findings(make_scores(("Recall", "Logic"))).findings[:2]:
        assert text.count(finding.sentence) == 1


CASES = {
    "64 tasks": (
        make_scores([f"A measure of {'understanding ' * 4}number {i}" for i in range(64)], (4, 4)),
        {},
        ["40 more tasks: in scores.csv, attached", "number 0", "number 7"],
    ),
    "one task, no claim, a problem": (
        make_scores(("One",), (2, 2), examples=4),
        {"findings": NOTHING, "claims": ClaimsFile(), "validation": Validation("", {}, problem="the model is gone")},
        ["Nothing was found that could be claimed", "No head was knocked out (the model is gone)", "One"],
    ),
    "sections switched off": (
        make_scores(("One", "Two"), (2, 2)),
        {"sections": ["tasks", "limits"]},
        ["Left out by the study ([report] sections): Key observations, Overview, Causal validation, Methods"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_whatever_the_study_there_are_two_pages_that_say_plainly_what_can_be_said(tmp_path, name):
    scores, made, said = CASES[name]
    made = dict(made)
    study = make_study(formats=["pdf"], length="brief", sections=made.pop("sections", None))
    build(tmp_path, scores, study=study, **made)
    first, second = pages(tmp_path)
    for words in said:
        assert words in f"{first} {second}"
    assert "Every finding is in findings.json, attached." in second
    assert "page" not in re.sub(r"one page|no page", "", first)  # no appendix to point to
