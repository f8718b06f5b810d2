"""Claims in the words of overriding templates: another language, limits that are passed, cases that are left out."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_findings import random_findings, trials_of
from reading import names_in

from reportgen.core.config import ReportSection, Study
from reportgen.core.scores import HeadScores
from reportgen.core.study_scores import Scores
from reportgen.core.topics import TOPICS, Draft
from reportgen.core.trials import Trials
from reportgen.errors import InputError
from reportgen.summary.limits import BODY, HEADLINE, plain
from reportgen.summary.summarize import summarize, tasks_of
from reportgen.summary.wording import Wording

ROOT = Path(__file__).parents[2]
GERMAN = ROOT / "docs" / "examples" / "german"
CASES = re.compile(r'claim (?:==|in) (\("[^)]*\)|"[^"]+")')


def cases(path: Path) -> set[str]:
    """The cases that a template words."""
    return {name for found in CASES.findall(path.read_text()) for name in re.findall(r'"([^"]+)"', found)}


def with_templates(trials: Trials, folder: Path) -> Trials:
    """The same trials, of a study whose templates lie in a folder."""
    names = tasks_of(trials.findings.findings)
    scores = Scores.of(HeadScores.from_array([[[1.0, 2.0]]] * len(names), names))
    study = Study(scores=scores.study.scores, report=ReportSection(templates=folder))
    return replace(trials, findings=replace(trials.findings, source=replace(scores, study=study)))


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS.own()])
def test_the_german_set_words_every_claim_that_ours_do(topic: str) -> None:
    ours = cases(ROOT / "templates" / "summary" / f"{topic}.j2")
    assert len(ours) > 3
    assert cases(GERMAN / "summary" / f"{topic}.j2") == ours


@pytest.mark.parametrize("seed", [0, 1, 2, 6, 9, 16, 19, 24])
def test_german_claims_are_the_same_ones_in_other_words(seed: int) -> None:
    trials = trials_of(random_findings(seed))
    ours, german = summarize(trials).claims, summarize(with_templates(trials, GERMAN)).claims
    same = {c.id: c for c in ours}
    assert {c.id for c in german} & {*same}
    for claim in german:
        assert claim.headline, claim.id
        assert claim.body, claim.id
        assert claim.headline != getattr(same.get(claim.id), "headline", None)
        assert len(claim.headline.split()) <= HEADLINE.words
        assert len(claim.body.split()) <= BODY.words
        if claim.id in same:
            assert (claim.values, claim.support) == (same[claim.id].values, same[claim.id].support)
        said = f"{claim.headline}. {claim.body}"
        for name in names_in(claim):
            said = said.replace(name, "◊")
        assert not re.search(r"\d\.\d", said), "decimal commas"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ 'word ' * 17 }}\n--\nBody.", "the headline of the claim band is too long: “Word word"),
        ("1 2 3\n--\nBody.", "the headline of the claim band is too long: “1 2 3”"),
        ("{% if claim == 'other' %}x{% endif %}", "the template says nothing of the claim band"),
        ("{{ v.nowhere }}", "the template fails ('dict object' has no attribute 'nowhere')"),
    ],
)
def test_templates_that_pass_the_limits_or_say_nothing_are_refused_by_name(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "summary").mkdir()
    (tmp_path / "summary" / "layers.j2").write_text(text)
    (topic,) = TOPICS.chosen(["layers"], "")
    with pytest.raises(InputError) as raised:
        Wording(["A"], tmp_path).claim(topic, Draft(name="band", support=(), values={}), None)
    assert problem in raised.value.problem
    assert "layers.j2" in raised.value.location


def test_a_body_that_is_too_long_keeps_the_sentences_that_fit(tmp_path: Path) -> None:
    (tmp_path / "summary").mkdir()
    (tmp_path / "summary" / "layers.j2").write_text("A claim\n--\n1 of 2 heads. {{ 'word ' * 41 }}end. 3.")
    (topic,) = TOPICS.chosen(["layers"], "")
    words = Wording(["A"], tmp_path).claim(topic, Draft(name="band", support=(), values={}), None)
    assert words[1] == "1 of 2 heads."


def test_a_topic_without_a_template_is_worded_by_the_plain_one() -> None:
    topic = replace(TOPICS.own()[0], name="theirs", title="Their topic")
    draft = Draft(name="case", support=(), values={"label": "odd heads", "members": ["L0H1"]}, tasks=["A"])
    assert tuple(map(plain, Wording(["A"]).claim(topic, draft, None))) == ("odd heads: on A", "L0H1.")
