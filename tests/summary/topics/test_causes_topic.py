"""What knocking out shows."""

from hand_made import KIND, finding, said, top


def test_tasks_of_one_verdict_are_one_claim_and_the_exception_another() -> None:
    claims = said(
        top("Math", "necessary", 0, after_controls=100 * 32 / 37),
        top("Recall", "necessary", 28, after_controls=100.0),
        top("Syntax", "unnecessary", 37),
        top("Logic", "undecided", 30),
    )
    needed = claims["causes/needed"]
    assert needed.headline == "Math and Recall need their top two heads"
    assert needed.body == (
        "Without them 0 (Math) to 28 (Recall) of 37 answers stay right, without as many others at least 32 on average. "
        "Undecided for Logic. L0H1, L0H2 (Math); L0H1, L0H2 (Recall)."
    )
    assert (needed.verdict, needed.register, needed.exceptions) == ("necessary", "tested", ("Logic",))
    spared = claims["causes/spared"]
    assert spared.headline == "Syntax does not need its top two heads"
    assert spared.body == "37 of 37 answers stay right without them. Other heads may stand in."
    assert needed.strength > spared.strength, "what is not needed costs nothing"


def test_interventions_that_disagree_are_never_worded_as_need() -> None:
    (claim,) = said(top("Math", "mixed", 20)).values()
    assert claim.headline == "Whether Math needs its top two heads depends on how they are removed"


def test_a_head_that_costs_more_than_those_named_is_told() -> None:
    data = {"of": "overlooked", "heads": [{"head": "L0H6", "loss": 2.14}], "first": ["L0H1", "L0H2"], "of_first": 1.19}
    claim = said(finding(KIND, "Recall", 0.01, data=data, members=["L0H6"]))["causes/overlooked"]
    assert claim.headline == "On Recall another head costs more than the top heads together"
    assert claim.body == "L0H6 alone costs the answer of Recall 2.1 nats, its top two heads 1.2 (q = 0.010)."
