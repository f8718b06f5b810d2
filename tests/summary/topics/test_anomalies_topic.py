"""Anomalies."""

from hand_made import finding, said


def largest(
    head: str, task: str, ratio: float, value: float, layers: list[int] | None = None, **rest: object
) -> object:
    scope = "of all layers" if layers is None else "in layers"
    place = tuple(int(x) for x in head[1:].split("H"))
    return finding(
        "anomaly", task, None, ratio, members=[head], value=value, layers=(place[0],) * 2, heads=(place[1],) * 2,
        **{"data": {"scope": scope, "range": layers, "next": 1.0}, **rest},
    )  # fmt: skip


def test_single_heads_are_joined_the_largest_of_all_layers_first() -> None:
    claims = said(
        largest("L5H10", "Inference", 1.77, 0.0018, [0, 14]), largest("L6H24", "Decision-making", 1.4, 0.0028)
    )
    claim = claims["anomalies/largest"]
    assert claim.headline == "L6H24 is the largest head of Decision-making, 1.4 times the next"
    assert claim.body == (
        "It reaches 0.0028. Beside it stands out L5H10 (Inference) at 0.0018. A heavy tail gives as much."
    )


def test_a_head_that_leads_several_tasks_is_one_thing_to_say() -> None:
    claim = said(*(largest("L3H5", t, 2.0 + i, 16.0) for i, t in enumerate("ABC")))["anomalies/largest"]
    assert claim.headline == "L3H5 is the largest head of all three tasks, 2.0 to 4.0 times the next"


def test_heads_that_were_knocked_out_are_told_by_what_became_of_them() -> None:
    def tried(loss: float, margin: float) -> dict[str, object]:
        shown = {"mean": {"estimate": loss}}
        return {"scope": "of all layers", "validation": {"margin": margin, "shown": shown}}

    claims = said(
        largest("L1H2", "Math", 1.4, 4.4, verdict="necessary", data=tried(4.66, 0.2)),
        largest("L0H1", "Syntax", 1.6, 0.5, verdict="unnecessary", data=tried(0.0002, 0.08)),
    )
    assert claims["anomalies/alone"].headline == "L1H2 alone is needed for Math"
    assert claims["anomalies/alone"].body == "Knocked out by itself it costs the answer of Math 4.7 nats."
    assert claims["anomalies/spared"].headline == "L0H1, the largest head of Syntax, is not needed alone"
    assert "0.00020 nats" in claims["anomalies/spared"].body


def test_a_head_on_which_interventions_disagree_is_told_as_that() -> None:
    shown = {"mean": {"estimate": 0.01, "votes": True}, "zero": {"estimate": 0.5, "votes": True}}
    data = {"scope": "of all layers", "validation": {"margin": 0.1, "shown": shown}}
    claims = said(largest("L1H2", "Math", 1.4, 4.4, verdict="mixed", data=data))
    assert claims.keys() == {"anomalies/depends"}
    assert claims["anomalies/depends"].headline == "Whether L1H2 is needed alone depends on how it is removed"
    assert claims["anomalies/depends"].body.startswith("Zeroing costs 0.50 nats, mean ablation 0.010")


def test_the_first_heads_of_scores_without_examples_are_named_where_none_stands_out() -> None:
    heads = [
        finding("top_heads", task, None, ratio, members=[head], value=value, data={"examples": False, "equal": 1})
        for task, ratio, head, value in (("A", 1.4, "L6H24", 0.0028), ("B", 1.1, "L5H10", 0.0018))
    ]
    beside = finding("layer_gradient", "A", 0.001, -0.8, layers=(0, 7), data={"direction": "falls", "whole": True})
    claim = said(*heads, beside)["anomalies/ordinary"]
    assert claim.headline == "L6H24 is the largest head of A, 1.4 times the next"
    assert claim.body == (
        "It reaches 0.0028; on other tasks the first is at most 1.1 times the second. A heavy tail gives as much."
    )
    assert "anomalies/ordinary" not in said(*heads, largest("L3H1", "B", 2.0, 0.1), beside)
    assert said(*heads).keys() == {"heads/nothing"}, "it says how to read other claims"


def test_numbers_out_of_range_come_before_all_else() -> None:
    data = {"low": 0.0, "high": 1.0, "values": [1.0028], "examples": 0}
    found = finding("out_of_range", "Recall", None, 0.0028, members=["L12H2"], data=data)
    first = next(iter(said(found, largest("L6H24", "Recall", 9.0, 0.9)).values()))
    assert first.headline == "Scores on Recall leave the range that their unit allows"
    assert first.body.startswith("L12H2 has 1.0028 on Recall, where 0 to 1 is possible.")


def test_tested_heads_and_leading_heads_with_negative_scores() -> None:
    data = {"robust_sd": 7.2, "side": "above", "out_of_pattern": True}
    far = finding("anomaly", "A", 0.003, 5.0, members=["L2H1"], value=3.0, data=data)
    lead = {"signs": [1, -1], "signed": [0.5, -0.4], "separable": True, "equal": 1}
    against = finding("top_heads", "B", members=["L0H0", "L24H4"], data=lead)
    claims = said(far, against)
    assert claims["anomalies/beyond"].body.startswith(
        "L2H1 lies 7.2 robust standard deviations above what other tasks lead to expect on A (q = 0.0030)."
    )
    assert claims["anomalies/against"].headline == "L24H4 has a negative score on B"
    assert claims["anomalies/against"].body == "The mean signed score of L24H4 on B is −0.40."


def test_a_handful_of_heads_near_the_largest_is_named() -> None:
    data = {"values": [0.943, 0.920, 0.8, 0.6], "heads": 1024, "regions": False, "shown": 4, "more": 0}
    found = finding("anomaly", "Retrieval", members=["L16H19", "L11H15", "L8H26", "L6H9"], data=data)
    claim = said(found)["anomalies/outstanding"]
    assert claim.headline == "Four of 1,024 heads stand out on Retrieval"
    assert claim.body == (
        "L16H19 (0.94), L11H15 (0.92) and L8H26 (0.80) come first; each has at least half the largest value."
    )
