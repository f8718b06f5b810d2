"""The claims that stand first."""

from made_reports import build, make_findings, make_scores, make_study, text_of, view_of

from reportgen.core.claims import Claim, ClaimsFile, Remark
from reportgen.core.findings import Findings
from reportgen.core.trials import Trials
from reportgen.summary.summarize import summarize


def test_no_finding_says_so(tmp_path):
    build(tmp_path, make_scores(), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
    assert "Nothing was found that could be claimed." in text_of(tmp_path)


def test_claims_stand_in_their_order_with_links_to_their_evidence():
    findings = make_findings(make_scores(("Recall",)))
    claims = summarize(Trials(findings))
    view = view_of("key_observations", findings, claims=claims)
    assert [claim.id for claim, *_ in view["items"]] == [claim.id for claim in claims.claims]
    assert view["items"][0][1:] == ("Head specialization", "#finding-cluster-recall-1", 1)
    nothing = view_of("key_observations")
    assert (nothing["items"], nothing["nothing"]) == ([], "Nothing was found that could be claimed.")


def test_the_page_says_each_claim_what_found_nothing_and_what_is_left_out(tmp_path):
    scores = make_scores(("Recall",))
    findings = make_findings(scores)
    claim = Claim(
        "heads/blocks", "heads", "A <b> claim", "Its evidence.", "tested", "necessary", ("Recall",), (), (), {}, 0.5
    )
    more = {"silent": ("trust",), "apart": ("odd heads",), "interpretation": (Remark("Depth says little."),)}
    claims = ClaimsFile((claim,), searches=Remark("Looked for and not found: strips."), **more)
    build(tmp_path, scores, findings, make_study(formats=["html"]), claims=claims)
    page, text = (tmp_path / "report.html").read_text(), text_of(tmp_path)
    assert '<span class="headline">A &lt;b&gt; claim</span>' in page
    for said in ("Its evidence.", "needed", "Looked for and not found: strips.", "Depth says little."):
        assert said in text, said
    assert "No claim on: How far to trust this." in text
    assert "Findings of kinds that claims do not speak of stand with the tasks and tables: odd heads." in text
    assert 'content="Importance of every attention head on 1 task. A &lt;b&gt; claim."' in page
