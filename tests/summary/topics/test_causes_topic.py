"""What knocking out shows."""

from dataclasses import replace

from hand_made import KIND, finding, said, top

from reportgen.core.findings import Finding, Robustness


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


def test_interventions_that_disagree_are_told_by_what_each_costs() -> None:
    def cost(estimate: float, votes: bool = True) -> dict[str, object]:
        return {"estimate": estimate, "votes": votes}

    # what does not count takes no share in it, however much it costs
    shown = {"mean": cost(0.041), "zero": cost(0.87), "resample": cost(9.0, votes=False)}
    (claim,) = said(top("Math", "mixed", 20, shown=shown, margin=0.2)).values()
    assert claim.headline == "Whether Math needs its top two heads depends on how they are removed"
    assert claim.body == (
        "Zeroing costs 0.87 nats, mean ablation 0.041, on either side of the margin of 0.20. "
        "Needed is only what all interventions that count agree on."
    )
    less = {"mean": cost(0.3), "zero": cost(0.1)}
    several = said(top("Math", "mixed", 20, shown=shown), top("Syntax", "mixed", 30, shown=less))
    assert several["causes/depends"].body.startswith("On Math zeroing costs 0.87 nats, mean ablation 0.041")


def test_a_claim_that_hinges_on_how_it_is_tested_names_the_factor_and_the_tasks() -> None:
    def held(task: str, holds: int, fails: str) -> Finding:
        return replace(top(task, "necessary", 5), robustness=Robustness(holds, 48, (fails,)))

    ways = [("Math", 24, "last token"), ("Recall", 34, "last token"), ("Syntax", 30, "accuracy")]
    claim = said(*(held(*way) for way in ways), held("Logic", 37, "accuracy"))["causes/needed"]
    assert "Tests fail most often at the last token alone, on Math and Recall." in claim.body
    assert "Tests fail most often counting right answers." in said(held("Math", 36, "accuracy"))["causes/needed"].body
    assert "fails" not in said(held("Math", 37, "accuracy"))["causes/needed"].body


def test_whether_the_first_heads_are_enough_is_counted() -> None:
    def alone(task: str, kept: int) -> Finding:
        return top(task, "necessary", 5, alone=100 * kept / 37, without_any=100 * 17 / 37)

    # 95 % of the 20 answers that all heads have beyond none are 19
    claims = said(alone("Math", 36), alone("Recall", 35), alone("Syntax", 10))
    assert claims["causes/enough"].headline == "Math keeps its answers with its top heads alone"
    assert claims["causes/enough"].body == (
        "36 of 37 answers are right with all other heads taken out, 17 with no head left. This is a count, not a test."
    )
    few = claims["causes/too-few"]
    assert (few.headline, few.register) == ("The top heads alone are not enough for Recall and Syntax", "observed")
    assert few.body.startswith("At best, on Recall, 35 of 37 answers are right with all other heads taken out")
    assert said(top("Math", "undecided", 5, alone=0.0, without_any=0.0)).keys() == {"trust/undecided"}


def test_a_head_that_costs_more_than_those_named_is_told() -> None:
    data = {"of": "overlooked", "heads": [{"head": "L0H6", "loss": 2.14}], "first": ["L0H1", "L0H2"], "of_first": 1.19}
    claim = said(finding(KIND, "Recall", 0.01, data=data, members=["L0H6"]))["causes/overlooked"]
    assert claim.headline == "On Recall another head costs more than the top heads together"
    assert claim.body == "L0H6 alone costs the answer of Recall 2.1 nats, its top two heads 1.2 (q = 0.010)."
