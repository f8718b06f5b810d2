"""Every method on models whose causal heads are known, because their weights are written by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from designed_models import (
    Does,
    dead,
    designed,
    induction,
    induction_pair,
    induction_rows,
    previous_token,
    unheard,
)
from known_heads import BY_NAME, DEAD, ranked, scored

from reportgen.scoring.data.batches import collate
from reportgen.scoring.data.metrics import baseline

# What a head does to the answer: these find the pair, and give nothing to the others
EFFECTS = [
    "gate_gradient",
    "zero_ablation",
    "mean_ablation",
    "resample_ablation",
    "shapley",
    "integrated_gradients",
    "activation_patching",
    "attribution_patching",
    "eap_ig",
]
# What else is scored, each with a test in its own file
OTHERS = ["activation_norm", "direct_logit_attribution", "previous_token", "induction", "retrieval", "probe"]


def test_every_method_has_its_truth_here() -> None:
    assert sorted(EFFECTS + OTHERS) == sorted(BY_NAME)


def test_the_models_do_their_tasks(known: Any) -> None:
    name, model, some, _ = known
    batch = collate(some)
    plain = baseline(model.answer_logits(batch), batch)
    assert plain.correct.all()
    assert (plain.log_probability > np.log(0.5)).all()
    corrupted = model.answer_logits(batch.corrupted())
    assert not baseline(corrupted, batch).by_argmax.any(), "nothing in the corrupted prompt tells the answer"
    assert {model.heads.sites[i].heads for i in range(2)} == {4}, name


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_those_of_the_causal_heads_alone(name: str, known: Any) -> None:
    which, model, some, causal = known
    found = scored(name, model, some)
    assert set(ranked(found)[: len(causal)]) == set(causal)
    assert all(found[head] > 0.1 for head in causal), found
    rest = [abs(found[head]) for head in np.ndindex(2, 4) if head not in causal]
    assert max(rest) < 0.05 * min(found[head] for head in causal), found
    np.testing.assert_allclose([found[head] for head in DEAD[which]], 0, atol=1e-6)


def test_the_published_circuit_is_looked_for_in_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPT-2 small is at hand: scores of its shape, in which a part of the circuit was put first."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks" / "known")
    from ioi_gpt2 import CIRCUIT, SHAPE, overlap

    heads = [head for part in CIRCUIT.values() for head in part]
    assert len(heads) == len({*heads}) == 26
    importance = np.zeros(SHAPE)
    for rank, head in enumerate([*CIRCUIT["name mover"], *CIRCUIT["negative name mover"]]):
        importance[head] = 1 - rank / 10
    importance[:, 3] += 0.01  # others, of which L7H3 is the circuit's, fill up the first 26
    found, p = overlap(importance - 0.001 * np.arange(144).reshape(SHAPE))
    assert found[:3] == ["L9H6 (name mover)", "L9H9 (name mover)", "L10H0 (name mover)"]
    assert 0 < p < 1
    assert overlap(importance * 0 + np.isin(np.arange(144).reshape(SHAPE), [12 * a + b for a, b in heads]))[1] < 1e-20


def test_a_head_told_nothing_leaves_the_model_as_it_was() -> None:
    """The dead heads of the tests above are dead: with their writing taken away too, not a bit changes."""
    zero = np.zeros((112, 28))
    gone = Does(zero, zero, zero, zero.T)
    one = induction_pair()
    other = designed([[unheard(), previous_token(), gone, unheard()], [dead(), unheard(), induction(), gone]])
    batch = collate(induction_rows(one))
    assert torch.equal(one.answer_logits(batch), other.answer_logits(batch))
