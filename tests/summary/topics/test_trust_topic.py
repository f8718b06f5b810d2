"""How far to trust this."""

import pytest
from hand_made import KIND, finding, said, top

FALL = finding("layer_gradient", "A", 0.001, -0.8, layers=(0, 7), data={"direction": "falls", "whole": True})


def competence(task: str, right: int, above: bool) -> object:
    data = {"known": True, "right": right, "n": 60, "accuracy": 100 * right / 60, "chance": 25.0, "above": above}
    return finding("competence", task, 0.001, data=data)


def test_a_model_at_chance_on_all_tasks_comes_first_and_leaves_nothing_that_was_only_observed() -> None:
    claims = said(
        competence("A", 15, False),
        competence("B", 14, False),
        FALL,
        finding("weakest_layers", "A", None, 0.5, members=[3]),
    )
    assert [*claims] == ["trust/chance", "layers/gradient-falls"]
    assert claims["trust/chance"].headline == "The model does no better than chance on both tasks"
    some = said(competence("A", 15, False), competence("B", 50, True), FALL)["trust/chance"]
    assert (some.headline, some.exceptions) == ("The model does no better than chance on A", ("B",))


@pytest.mark.parametrize(
    ("score", "layer", "words"),
    [
        (0.758, 0.742, "The score (0.76) orders heads no better than plain depth (0.74)"),
        (0.80, 0.60, "The score (0.80) orders heads better than plain depth (0.60)"),
        (0.50, 0.742, "Plain depth (0.74) orders heads better than the score (0.50)"),
    ],
)
def test_the_order_of_the_score_is_held_against_that_of_the_layers(score: float, layer: float, words: str) -> None:
    both = [{"estimate": x, "low": x - 0.02, "high": x + 0.02} for x in (score, layer)]
    data = {
        "of": "order",
        "best": "gate_gradient",
        "area": both[0],
        "layer": layer,
        "layer_order": both[1],
        "random": 0.272,
    }
    (claim,) = said(finding(KIND, tasks=["A", "B"], data=data)).values()
    assert claim.headline == words
    assert "gate gradient" in claim.body
    assert claim.body.count(" to ") == 2, "both intervals"


def test_rankings_that_other_examples_would_not_give_again() -> None:
    def known(task: str, specific: float) -> object:
        data = {"known": True, "overall": 0.9, "specific": specific, "specific_low": specific - 0.3, "examples": 60}
        return finding("reliability", task, data=data)

    good = said(FALL, known("A", 0.9), known("B", 0.97))["trust/reliable"]
    assert good.body == "Reliability of what sets tasks apart is 0.90 (A) to 0.97 (B) on 60 examples."
    poor = said(FALL, known("A", 0.2), known("B", 0.97))["trust/unreliable"]
    assert poor.headline == "Other examples would rank the heads of A differently"


def test_what_is_not_known_undecided_fragile_or_by_chance() -> None:
    unknown = [finding(kind, tasks=["A"], data={"known": False}) for kind in ("reliability", "competence")]
    assert "nor is the model's accuracy known" in said(FALL, *unknown)["trust/unknown"].headline
    undecided = said(top("A", "undecided", 30, reason="examples", more=440))["trust/undecided"]
    assert undecided.headline == "Whether A needs its top heads is undecided"
    assert undecided.body == "About 440 more independent examples would tell."
    from reportgen.core.findings import Robustness

    fragile = finding(
        "cluster",
        "A",
        0.001,
        4.0,
        layers=(1, 2),
        heads=(0, 3),
        robustness=Robustness(12, 48, ("last token",)),
    )
    assert said(fragile)["trust/fragile"].body == (
        "The weakest, on A, holds in 12 of 48 ways of testing it. Tests fail most often at the last token alone."
    )
    chance = finding(KIND, None, 0.4, tasks=["A"], data={"of": "choice", "rank": 52.0, "heads": 24, "better": False})
    assert said(chance)["trust/choice-chance"].headline == "Within layers the score chooses heads no better than chance"


def test_methods_that_disagree_and_a_score_that_is_no_more_than_size() -> None:
    pair = {"method": "gate_gradient", "other": "eap_ig", "mean": -0.3, "top": 10, "shared": 0.5}
    norm = {"method": "gate_gradient", "ablation": "zero_ablation", "agreement": 0.5, "norm": 0.7, "verdict": "no more"}
    claims = said(
        FALL, finding("method_agreement", tasks=["A"], data=pair), finding("method_agreement", tasks=["A"], data=norm)
    )
    assert claims["trust/methods-unlike"].headline == "By gate gradient and eap ig heads rank differently"
    assert claims["trust/norm"].headline == "The score shows no more than how large heads' outputs are"
