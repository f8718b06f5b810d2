"""Inert heads: exact ablations within the margin."""

import numpy as np
import pytest
from made_maps import ablated, only, small_and_large


def test_heads_within_the_margin_are_inert_and_the_rest_are_not() -> None:
    first, second, both = only(ablated(small_and_large()), "inert_heads")
    assert first.members == [f"L{i}H{j}" for i in range(3, 8) for j in range(8)]
    assert (first.task, second.task, both.task, both.tasks) == ("Task 0", "Task 1", None, ["Task 0", "Task 1"])
    assert second.members == both.members == first.members[8:]
    assert first.sentence.startswith(
        "Task 0: 40 of 64 heads are inert within the margin: ablating any one of them (zero ablation) changes the "
        "answer by less than 1.0 on average, 1 % of the 100 that ablating all heads changes (largest q < 0.0001)"
    )
    assert both.caveats == ["one-at-a-time"]
    assert not any("prun" in f.sentence for f in (first, second, both))


def test_a_narrower_margin_and_fewer_examples_leave_less_to_say() -> None:
    effects = small_and_large()
    assert not only(ablated(effects), "inert_heads", margin=0.001)
    assert not only(ablated(effects[:, :14]), "inert_heads")
    assert not only(ablated(effects, every=0.0), "inert_heads")
    assert not only(ablated(effects, name="gate_gradient"), "inert_heads")


def test_the_ablation_of_a_further_method_is_used_and_named() -> None:
    effects = small_and_large()
    found = only(ablated(effects, name="gate_gradient"), "inert_heads", ablated(effects, name="mean_ablation"))
    assert {f.method for f in found} == {"mean_ablation"}
    assert "(mean ablation)" in found[0].sentence


def test_effects_that_cancel_are_told() -> None:
    effects = small_and_large(n=400)
    effects[:, :, 7, 7] = np.resize([3.0, -3.0], 400)
    found = only(ablated(effects), "inert_heads")[0]
    assert "L7H7" in (found.members or [])
    assert found.sentence.endswith(
        "; on held-out examples 1 of them changes single answers by more, in directions that cancel."
    )


@pytest.mark.parametrize("kind", ["rare", "skewed", "symmetric"])
def test_heads_at_the_margin_are_not_called_inert(kind: str) -> None:
    fired = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        shape = (2, 60, 8, 8)
        effects = {
            "rare": (rng.random(shape) < 0.05) * 20.0,
            "skewed": np.exp(1.5 * rng.normal(size=shape) - 1.125),
            "symmetric": rng.normal(1, 1, size=shape),
        }[kind]
        fired += bool(only(ablated(effects), "inert_heads"))
    assert fired <= 4
