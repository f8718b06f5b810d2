"""Each task's leading heads: which, in which ranks, with which sign."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made_maps import ablated, found, named, noise, with_examples

from reportgen.analysis.statistics.rank_intervals import rank_intervals
from reportgen.core.findings import Finding
from reportgen.core.scores import HeadScores
from reportgen.core.sentences import significant
from reportgen.core.stats import among_top, shared_ranks


def leaders(scores: HeadScores) -> list[Finding]:
    return found(scores, "top_heads")


def test_every_task_has_its_five_largest_heads_in_order() -> None:
    tensor = noise(2, (3, 8, 8))
    listed = leaders(named(tensor))
    assert [f.task for f in listed] == ["Task 0", "Task 1", "Task 2"]
    for each, finding in zip(tensor.astype(np.float32), listed, strict=True):
        largest = np.argsort(-each, axis=None)[:5]
        assert finding.members == [f"L{i // 8}H{i % 8}" for i in largest]
        assert finding.data is not None
        assert finding.data["values"] == pytest.approx(each.ravel()[largest].tolist())
        assert (finding.data["ranks"], finding.data["first_ranks"]) == ([1, 2, 3, 4, 5], [])


def test_a_head_far_above_all_others_is_shown_to_be_the_first() -> None:
    tensor = noise(2, (1, 16, 16))
    tensor[0, 3, 4], tensor[0, 5, 6] = 60.0, 50.0
    (finding,) = leaders(with_examples(tensor, 60, 0.3))
    assert finding.members is not None
    assert finding.data is not None
    assert finding.members[:2] == ["L3H4", "L5H6"]
    assert (finding.data["first_ranks"][:2], finding.data["last_ranks"][:2]) in (([1, 2], [1, 2]), ([1, 1], [2, 2]))
    assert finding.data["separable"]
    assert finding.sentence.startswith("Task 0: the leading heads of 256 on held-out examples are L3H4 ")
    assert finding.value is not None
    assert finding.value.split == "held-out"


def test_heads_that_cannot_be_told_apart_are_said_to_be_so() -> None:
    (finding,) = leaders(with_examples(np.ones((1, 16, 16)), 40))
    assert finding.data is not None
    assert finding.data["separable"] is False
    assert finding.data["tied"] > 25
    words = (
        f"no head leads on held-out examples: {finding.data['tied']} of the 256 heads cannot be told from the largest"
    )
    assert words in finding.sentence


def test_where_no_head_leads_the_whole_set_is_listed() -> None:
    tensor = noise(2, (1, 8, 8)).clip(0.5, 1.5)
    tied = [3, 11, 17, 22, 30, 38, 41, 55, 60]
    tensor[0].flat[tied] = 20.0
    (finding,) = leaders(with_examples(tensor, 60, 0.5))
    data = finding.data or {}
    assert (data["separable"], data["tied"]) == (False, 9)
    assert set(finding.members or []) == {f"L{i // 8}H{i % 8}" for i in tied}
    assert all(len(data[k]) == 9 for k in ("values", "lows", "highs", "ranks", "first_ranks", "last_ranks"))
    assert data["values"] == sorted(data["values"], reverse=True)
    assert "9 of the 64 heads cannot be told from the largest by rank; they are L" in finding.sentence


def test_tied_heads_share_a_rank_and_are_counted() -> None:
    tensor = noise(1, (1, 16, 16))
    tensor[0].flat[:57] = 100.0
    (finding,) = leaders(named(tensor))
    assert finding.sentence.startswith("Task 0: 57 of the 256 heads tie at 100, the largest value; among them L0H0, ")
    assert finding.data is not None
    assert finding.data["ranks"] == [1] * 5
    tensor[0].flat[:57] = 0.5
    tensor[0].flat[:3] = [9e3, 9e2, 9e2]
    (finding,) = leaders(named(tensor))
    assert finding.data is not None
    assert finding.data["ranks"][:3] == [1, 2, 2]


def test_a_tie_across_the_fifth_place_is_left_out() -> None:
    tensor = np.ones((1, 4, 8))
    tensor[0].flat[:3] = [9, 8, 7]
    (finding,) = leaders(named(tensor))
    assert finding.members == ["L0H0", "L0H1", "L0H2"]


def test_signs_say_which_scores_are_positive_and_which_negative() -> None:
    effects = np.random.default_rng(0).normal(size=(1, 60, 8, 8))
    effects[:, :, 2, 2] += 4
    effects[:, :, 3, 3] -= 6
    sizes = ablated(effects)
    signed = replace(sizes, importance=effects.mean(axis=1), reduction="mean")
    for scores, sign in ((sizes, 1), (signed, -1)):
        (finding,) = leaders(scores)
        assert finding.members is not None
        assert finding.data is not None
        assert finding.members[:2] == ["L3H3", "L2H2"]
        assert finding.data["signs"][:2] == [-1, 1]
        assert np.sign(finding.data["values"][0]) == sign
        assert finding.data["lows"][0] < finding.data["values"][0] < finding.data["highs"][0]
        assert "negative; L2H2 " in finding.sentence
    (alone,) = leaders(named(effects.mean(axis=1)))
    assert alone.data is not None
    assert alone.data["values"][0] == pytest.approx(effects.mean(axis=1)[0, 3, 3])
    assert "L3H3 −" in alone.sentence


def test_every_bracket_and_rank_is_that_of_its_head() -> None:
    tensor = noise(2, (1, 16, 16))
    tensor[0].flat[:3] *= [30, 20, 10]
    (finding,) = leaders(with_examples(tensor, 60, 0.5))
    data = finding.data or {}
    told = re.findall(r"(L\d+H\d+) ([\d.]+) \(([\d.]+) to ([\d.]+)\), rank (\d+)(?:–(\d+))?", finding.sentence)
    assert len(told) == 5
    for i, (head, value, low, high, first, last) in enumerate(told):
        assert head == (finding.members or [])[i]
        assert [value, low, high] == [significant(data[k][i]) for k in ("values", "lows", "highs")]
        assert [int(first), int(last or first)] == [data["first_ranks"][i], data["last_ranks"][i]]


def test_nothing_leads_on_a_task_of_zeros() -> None:
    tensor = np.ones((2, 4, 4))
    tensor[1] = 0
    tensor[0, 0, 0] = 2
    assert [f.task for f in leaders(named(tensor))] == ["Task 0"]


@pytest.mark.parametrize("truth", [np.ones(64), np.exp(0.6 * np.random.default_rng(1).normal(size=64))])
def test_intervals_of_ranks_hold_all_at_once(truth: np.ndarray) -> None:
    """On equal heads and on unequal ones, with skewed scores."""
    missed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        first, second = (truth * np.exp(rng.normal(size=(20, 64)) - 0.5) for _ in range(2))
        chosen = np.argsort(-first.mean(axis=0))[:5].tolist()
        bounds = rank_intervals(second, [str(i) for i in range(20)], False, chosen, 0)
        assert bounds is not None
        for i, low, high in zip(chosen, *bounds[:2], strict=True):
            above, below = (truth > truth[i] + 1e-9).sum(), (truth < truth[i] - 1e-9).sum()
            if not low <= 1 + above <= 64 - below <= high:
                missed += 1
                break
    assert missed <= 12  # at 5 %, thirteen or more of 100 happen in .15 % of runs


def test_few_groups_give_no_intervals_and_equal_values_one_rank() -> None:
    assert rank_intervals(np.ones((7, 4)), list("abcdefg"), False, [0], 0) is None
    assert shared_ranks(np.array([3.0, 5.0, 5.0, 1.0])).tolist() == [3, 1, 1, 4]


def test_a_tie_across_the_border_is_in_no_top() -> None:
    sizes = np.array([3.0, np.nan, 2.0, 2.0, 1.0])
    assert [among_top(sizes, k).tolist().count(True) for k in (1, 2, 3, 4)] == [1, 1, 3, 4]
    assert shared_ranks(sizes).tolist() == [1, 0, 2, 2, 4]


def test_heads_of_no_sign_are_seldom_given_one() -> None:
    """Forty heads are listed in each of these: by intervals of one head each, nearly all would carry a false sign."""
    signed = 0
    for seed in range(20):
        listed = leaders(ablated(np.random.default_rng(seed).normal(size=(8, 40, 6, 6))))
        signed += any(sign for f in listed for sign in (f.data or {})["signs"])
    assert signed <= 4  # at 5 %, five or more of 20 happen in .3 % of runs
