"""What the findings may and may not be taken to mean."""

from made_reports import SPECIAL, make_findings, make_scores, view_of

from reportgen.core.kinds import kind_of


def test_guidance_is_that_of_the_kinds_that_were_found_and_can_be_switched_off():
    assert view_of("interpretation")["guidance"] == []
    findings = make_findings(make_scores(("Recall",)))
    titles = [title for title, _ in view_of("interpretation", findings)["guidance"]]
    assert kind_of("cluster").guidance.title in titles
    assert kind_of("layer_gradient").guidance.title not in titles
    assert view_of("interpretation", findings, interpretation=False) is None


def test_interventions_are_spoken_of_only_where_they_were_made():
    assert not view_of("interpretation")["intervened"]
    assert view_of("interpretation", SPECIAL)["intervened"]
