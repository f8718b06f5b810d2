"""Agreement of rankings, and the norm as their control."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import FAMILIES, named, noise, norm_and_ablation, only, with_examples
from scipy import stats

from reportgen.core.scores import HeadScores, Method


def test_a_score_that_knows_no_more_than_the_norm_is_told_so_first() -> None:
    control, *pairs = only(*_order(norm_and_ablation(0.0)))
    assert control.data is not None
    assert control.data["low"] < 0.05
    assert control.data["verdict"] in ("no more", "less")
    assert control.sentence.startswith(
        "The ranking by gate gradient shows no more than activation size: its mean rank "
    )
    assert control.priority > max(p.priority for p in pairs)
    assert control.caveats == ["activation-size"]


def test_a_score_that_knows_more_than_the_norm_is_told_so() -> None:
    control = only(*_order(norm_and_ablation(0.9)))[0]
    assert control.data is not None
    assert control.data["low"] > 0
    assert control.sentence.startswith(
        "The ranking by gate gradient agrees more with zero ablation than the activation"
    )


def _order(three: tuple[HeadScores, HeadScores, HeadScores]) -> tuple[HeadScores, str, HeadScores, HeadScores]:
    return three[0], "method_agreement", three[1], three[2]


@pytest.mark.slow
def test_the_interval_against_the_norm_covers() -> None:
    """Three fixed maps, other examples each time: the interval is about what as many examples would give."""
    rng = np.random.default_rng(5)
    maps = [np.exp(rng.normal(size=(2, 8, 8))) for _ in range(3)]
    rows = []
    for seed in range(60):
        three = [with_examples(m, 40, 1.5, seed=seed * 3 + i) for i, m in enumerate(maps)]
        named = (Method(name, family=FAMILIES[name]) for name in ("gate_gradient", "zero_ablation", "activation_norm"))
        three = [replace(s, method=m) for s, m in zip(three, named, strict=True)]
        data = only(three[0], "method_agreement", three[1], three[2])[0].data
        assert data is not None
        rows.append((data["difference"], data["low"], data["high"]))
    difference, low, high = np.array(rows).T
    assert ((low < difference.mean()) & (high > difference.mean())).mean() >= 0.88


def test_pairs_count_the_heads_that_both_put_on_top() -> None:
    tensor = noise(1, (2, 10, 10))
    other = tensor.copy()
    other[:, 0, 0], tensor[:, 0, 0] = 1e-6, 1e6
    first, second = (replace(with_examples(t, 20, 0.01), method=Method(n)) for t, n in ((tensor, "a"), (other, "b")))
    (pair,) = only(first, "method_agreement", second)
    assert pair.data is not None
    assert pair.data["rhos"][0] == pytest.approx(
        stats.spearmanr(first.importance[0].ravel(), second.importance[0].ravel()).statistic
    )
    assert pair.members == ["L0H0"]
    assert (pair.data["places"], pair.data["other_places"]) == ([1], [100])
    assert (pair.data["top"], pair.data["chance"], pair.data["shared"]) == (10, 1.0, 9.0)
    assert (
        "of the 10 largest heads on a task 9.0 are the same on average, where unrelated rankings would share 1.0; "
        in (pair.sentence)
    )
    assert not only(first, "method_agreement")


def test_where_a_head_looks_is_not_judged_as_what_it_costs_to_lose_it() -> None:
    score, exact, norm = norm_and_ablation(0.0)
    looks = replace(score, method=Method("induction", family="attention pattern"))
    for first, others in ((score, (looks, exact, norm)), (looks, (score, exact, norm))):
        controls = [f for f in only(first, "method_agreement", *others) if "verdict" in (f.data or {})]
        assert [(f.data or {})["method"] for f in controls] == ["gate_gradient"]


def test_ties_across_the_last_place_share_it_whatever_the_heads_numbers() -> None:
    """Of 50 heads 5 are on top: three lead by both methods, and 5 tie for the two places left, or 10 do."""
    tensors = np.ones((2, 1, 10, 5))
    tensors[:, :, 0, :3] = 9
    tensors[0, :, 1] = tensors[1, :, 1:3] = 5
    for order in (np.arange(5), np.arange(5)[::-1]):
        first, second = (replace(named(t[..., order]), method=Method(n)) for t, n in zip(tensors, "ab", strict=True))
        (pair,) = only(first, "method_agreement", second)
        assert pair.data is not None
        assert pair.data["shared"] == pytest.approx(3 + 5 * (2 / 5) * (2 / 10))
