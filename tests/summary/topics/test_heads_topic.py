"""Head specialization."""

import pytest
from hand_made import KIND, finding, said, top


def test_heads_carry_a_task_only_where_they_are_needed_alone_of_their_layers_and_neutral_text_is_spared() -> None:
    claims = said(top("Math", "necessary", 0, carries=True), top("Recall", "necessary", 9, carries=False))
    assert claims["heads/carry"].headline == "L0H1 and L0H2 carry Math"
    assert claims["heads/carry"].body == (
        "Without them 0 of 37 answers stay right. No other heads of their layers cost as much."
    )
    assert claims["causes/needed"].tasks == ("Recall",)
    assert claims["heads/carry"].strength > claims["causes/needed"].strength


def region(kind: str, task: str, layers: tuple[int, int], effect: float, q: float, **rest: object) -> object:
    return finding(kind, task, q, effect, layers=layers, heads=(2, 6), data={"cells": 20}, **rest)


def test_blocks_and_strips_of_all_tasks_are_one_claim_with_its_extremes() -> None:
    tasks = ("Recall", "Logic", "Math")
    blocks = [region("cluster", t, (8 + i, 12 + i), 5.0 + 3 * i, 0.001) for i, t in enumerate(tasks)]
    strips = [region("row_segment", t, (22 + i, 22 + i), 6.0, 0.004 * (i + 1)) for i, t in enumerate(tasks[:2])]
    (claim,) = said(*blocks, *strips).values()
    assert claim.headline == "All three tasks have a compact block of heads, two of three a strip"
    assert claim.body == (
        "Blocks lie in layers 8–14 and heads 2–6, 5.0 (Recall) to 11 (Math) times as large as the heads beside "
        "(q ≤ 0.0010), strips in layers 22–23 and heads 2–6 (q ≤ 0.0080)."
    )


def test_what_was_refuted_is_not_worded_as_if_it_held() -> None:
    blocks = [region("cluster", t, (1, 3), 5.0, 0.001, verdict="unnecessary") for t in ("Recall", "Logic")]
    (claim,) = said(*blocks).values()
    assert claim.headline == "Both tasks have a compact block of heads, yet none is needed"
    data = {"counts": [6], "tasks": 8, "expected": 1.0, "places": 1, "control": None, "in_control": None}
    rest = {"members": ["L3H3"], "tasks": [f"t{i}" for i in range(8)], "data": data}
    (claim,) = said(finding("cross_task_head", None, 0.0055, 6.0, verdict="unnecessary", **rest)).values()
    assert claim.headline == "L3H3 leads its layer on six of eight tasks, yet is not needed alone"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "L1H2 is needed for Math and for no other task"),
        (2, "L4H2 and L1H2 are each needed for one task and no other"),
    ],
)
def test_heads_that_cost_one_task_alone(count: int, words: str) -> None:
    found = [
        finding(KIND, task, 0.01, loss, members=[head], data={"of": "specialists", "others": 0.012})
        for task, loss, head in (("Math", 4.66, "L1H2"), ("Inference", 0.1, "L4H2"))[:count]
    ]
    claim = said(*found)["heads/single"]
    assert claim.headline == words
    assert "4.7 nats, any other task's at most 0.012" in claim.body


def test_a_head_that_costs_several_tasks() -> None:
    row = {"head": "L0H7", "tasks": ["Retrieval", "Inference"], "losses": [0.5, 0.9]}
    found = finding(
        KIND,
        None,
        0.01,
        tasks=["Retrieval", "Inference", "Math"],
        members=["L0H7"],
        data={"of": "shared", "heads": [row]},
    )
    assert said(found)["heads/several"].headline == "L0H7 is needed for Inference and Retrieval"


def test_pairs_specialists_inert_heads_bands_and_scattered_heads() -> None:
    pair = finding(
        "shared_heads",
        None,
        0.001,
        tasks=["A", "B"],
        members=["L1H1"],
        data={"shared": 9, "first": 10, "second": 10, "expected": 2.5, "units": "heads", "passed": 1, "pairs": 3},
    )
    single = finding("specialist_head", "A", 0.01, 4.2, members=["L2H2"], value=0.5, data={"next": "B"})
    inert = finding(
        "inert_heads", None, 0.01, tasks=["A", "B", "C"], members=["L0H0", "L0H1"], data={"heads": 64, "percent": 1.0}
    )
    band = finding(
        "head_band",
        None,
        0.002,
        tasks=["A", "B", "C"],
        heads=(5, 9),
        layers=(0, 7),
        data={"inside": 2.0, "rest": 1.0, "carried": False},
    )
    claims = said(pair, single, inert, band)
    assert {c.headline for c in claims.values()} == {
        "A and B share heads beyond what shared layers give",
        "L2H2 matters on A more than on any other task",
        "2 of 64 heads can be spared singly on all three tasks",
        "Heads 5–9 are raised through the layers, over all three tasks",
    }
    scattered = finding("scattered_heads", "A", None, 9.0, layers=(30, 30), members=["L30H2", "L30H7"], data={"of": 19})
    assert "Layer 30 holds two of the 19 largest heads of A" in said(scattered)["heads/scattered"].headline
