"""Layer-specific patterns."""

from hand_made import finding, said


def gradient(task: str, tau: float, q: float) -> object:
    way = "falls" if tau < 0 else "rises"
    return finding("layer_gradient", task, q, tau, layers=(0, 7), data={"direction": way, "whole": True})


def test_tasks_whose_importance_moves_alike_are_one_claim_and_the_others_another() -> None:
    claims = said(gradient("A", -0.8, 0.001), gradient("B", -0.9, 0.002), gradient("C", 0.7, 0.001))
    assert claims["layers/gradient-falls"].headline == "Importance falls with depth on A and B"
    assert claims["layers/gradient-falls"].body == (
        "It falls most steadily on B (Kendall's τ −0.90; q ≤ 0.0020). Not shown on C."
    )
    assert claims["layers/gradient-rises"].headline == "Importance rises with depth on C"


def test_a_band_that_tasks_share() -> None:
    data = {"percent": 63.5, "even": 25.0, "tasks": 2, "control": 31.0}
    (claim,) = said(finding("layer_band", None, 0.0003, 2.5, tasks=["A", "B"], layers=(0, 1), data=data)).values()
    assert claim.headline == "Layers 0–1 hold 64 % of the importance of both tasks"
    assert claim.body == "An even spread would give 25 %; neutral text has 31 % there (q = 0.00030)."


def test_layers_that_few_tasks_share_are_no_claim() -> None:
    few = [finding("weakest_layers", t, 0.001, 0.3, members=[i]) for i, t in enumerate("ABC")]
    assert said(*few).keys() == {"heads/nothing"}
    most = [finding("weakest_layers", t, 0.001, 0.3 + i / 10, members=[7]) for i, t in enumerate("ABC")]
    claim = said(*most)["layers/weakest"]
    assert claim.headline == "Layer 7 matters least on all three tasks"
    assert "0.30 (A) to 0.50 (C) of the average layer's (q ≤ 0.0010)" in claim.body
    strong = {"separable": True, "equal": 1}
    lead = [finding("strongest_layers", t, None, 3.0, members=[0, 1], data=strong) for t in "AB"]
    assert said(*lead)["layers/strongest"].headline == "Layer 0 leads on both tasks"


def test_depth_of_tasks_and_of_their_groups() -> None:
    centres = {"centres": [1.2, 2.0, 4.9], "middle": 3.5, "apart": 2, "pairs": 3}
    groups = {"group": "complex", "other": "basic", "inside": 4.9, "outside": 1.6, "layers": 3.3}
    claims = said(
        finding("depth", None, 0.001, 3.7, tasks=["A", "B", "C"], data=centres),
        finding("depth", None, 0.02, 3.3, tasks=["A", "B", "C"], data=groups),
    )
    assert claims["layers/depths"].headline == "Tasks differ in depth: A lies shallowest, C deepest"
    assert claims["layers/depths"].body == (
        "Their importance is centred at layers 1.2 and 4.9; two pairs of tasks differ (q = 0.0010)."
    )
    assert claims["layers/group-depth"].headline == "The complex tasks lie deeper than the basic tasks"
