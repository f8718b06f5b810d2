"""Do the methods agree?"""

from dataclasses import replace

from made_reports import SPECIAL, make_scores, view_of

from reportgen.core.scores import Method


def test_a_further_method_gets_its_rank_correlation_and_one_method_alone_has_no_section():
    scores = make_scores(("Recall",))
    same = replace(scores, method=Method("zero_ablation", family="ablation"))
    norm = replace(make_scores(("Recall",), seed=1), method=Method("activation_norm", family="control"))
    view = view_of("agreement", scores=scores, others={"activation_norm": (norm,), "zero_ablation": (same,)})
    (table,) = view["ranks"]
    assert [name for name, _ in table.columns] == ["Task", "activation norm", "zero ablation"]
    assert table.rows[0][2] == "1.00"
    assert view["norm"]
    assert not view_of("agreement", scores=scores, others={"zero_ablation": (same,)})["norm"]
    assert view_of("agreement", scores=scores) is None


def test_a_finding_on_agreement_stands_here():
    assert [v.id for v in view_of("agreement", SPECIAL)["findings"]] == ["method_agreement/Recall"]
