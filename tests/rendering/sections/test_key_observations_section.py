"""The claims that stand first."""

from made_reports import build, make_findings, make_scores, make_study, text_of, view_of

from reportgen.core.trials import Trials
from reportgen.summary.summarize import summarize


def test_no_finding_says_so(tmp_path):
    from reportgen.core.findings import Findings

    build(tmp_path, make_scores(), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
    assert "Nothing was found that stands out." in text_of(tmp_path)


def test_key_observations_hold_the_best_of_each_kind():
    from reportgen.summary.summarize import MOST, pick

    findings = make_findings(make_scores(tuple(f"t{i}" for i in range(20))))
    picked = pick(findings.ranked(), 20)
    assert len(picked) == MOST
    assert {f.kind for f in picked} == {"cluster", "anomaly"}
    assert [f.priority for f in picked] == sorted((f.priority for f in picked), reverse=True)


def test_claims_stand_in_their_order_and_searches_without_result_apart():
    findings = make_findings(make_scores(("Recall",)))
    claims = summarize(Trials(findings)).claims
    view = view_of("key_observations", findings, claims=claims)
    assert [item.id for item, _ in view["items"]] == [claim.support[0] for claim in claims]
    assert next(link for _, link in view["items"]) == "#finding-cluster-recall-1"
    assert [item.id for item, _ in view["empty"]] == ["absence/1"]
    assert view["more"] == len(findings.findings) - len(claims) - 1
    nothing = view_of("key_observations")
    assert (nothing["items"], nothing["empty"], nothing["more"]) == ([], [], 0)
