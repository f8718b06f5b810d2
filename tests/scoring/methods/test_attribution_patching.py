"""Attribution patching against exact patching, and by queries, keys and values against softmaxes computed anew."""

from typing import Any

import numpy as np
import pytest
import torch
from designed_models import induction_pair, induction_rows
from known_heads import DEAD, PAIR, scored
from reference_loop import hooked, log_odds, pairs, part, run, seen
from tiny_models import loaded
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded
from reportgen.scoring.methods import attribution_patching, eap_ig
from reportgen.scoring.methods.common.query_key import key_effect
from reportgen.scoring.model.loaded import LoadedModel

EAP_IG = eap_ig.METHOD
PATCHING = attribution_patching.METHOD


def patched(model: LoadedModel, example: Encoded, index: int, head: int) -> float:
    """Baseline minus the metric with one head's outputs put in from the corrupted prompt's run."""
    where, (outputs, _) = part(model.heads.sites[index], head), seen(model, example, corrupted=True)

    def put(z: torch.Tensor) -> torch.Tensor:
        z = z.clone()
        z[..., where] = outputs[index][..., where]
        return z

    with torch.no_grad():
        clean = float(log_odds(model, example))
        with hooked(model, {index: put}):
            return clean - float(log_odds(model, example))


@pytest.mark.parametrize("architecture", ["gpt2", "bert", "bart"])
def test_attribution_is_patching_in_the_limit_of_a_small_corruption(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    some = pairs(model)
    words: Any = model.model.get_input_embeddings().weight
    before = words.clone()
    errors = []
    for size in (1e-2, 1e-4):
        for example in some[:2]:  # the corrupted words come ever nearer to the prompt's
            for own, other in zip(example.inputs, example.corrupted or (), strict=True):
                if own != other:
                    words[other] = before[own] + size * (before[other] - before[own])
            exact = np.array([[patched(model, example, i, h) for h in range(4)] for i in range(len(model.heads.sites))])
            found = [run(m, model, [example]).values[0] for m in (PATCHING, EAP_IG)]
            errors.append([np.abs(f - exact).max() / np.abs(exact).max() for f in found])
            words.copy_(before)
    by_size = np.array(errors).reshape(2, 2, 2).max(axis=1)
    assert (by_size[1] < by_size[0] / 20).all()
    assert (by_size[1] < 1e-3).all()


def test_queries_and_keys_carry_the_pairs_effect() -> None:
    model = induction_pair()
    found = scored("attribution_patching", model, induction_rows(model), qk_correction=True)
    assert found[PAIR[1]] > 1, "the induction head's keys are what the corrupted prompt changes"
    np.testing.assert_allclose([found[head] for head in DEAD["pair"]], 0, atol=1e-6)


def test_the_closed_form_of_keys_is_the_softmax_computed_anew_for_every_key() -> None:
    random = torch.Generator().manual_seed(0)
    logits, moved, slope = (torch.randn(3, 6, 5, dtype=torch.float64, generator=random) for _ in range(3))
    logits[0, 0, 2], logits[0, 1, 2] = 60.0, 60.0  # saturated, as float64 cannot tell from 1
    moved[0, 0, 2], moved[0, 2, 1], moved[1, 1] = -80.0, 900.0, 0.0
    logits[2, 3, 1:], logits[2, 4, 0] = -torch.inf, -torch.inf
    expected = torch.zeros(3, 5, dtype=torch.float64)
    for key in range(5):
        changed = logits.clone()
        changed[:, :, key] += moved[:, :, key]
        expected[:, key] = ((changed.softmax(-1) - logits.softmax(-1)) * slope).sum(dim=(1, 2))
    torch.testing.assert_close(key_effect(logits.softmax(-1), moved, slope), expected, rtol=1e-9, atol=1e-12)
    plain = (logits.softmax(-1) * (slope - (logits.softmax(-1) * slope).sum(2, keepdim=True)) * moved).sum(1)
    assert (plain - expected).abs().max() > 0.5  # what the correction corrects
    near = key_effect(logits.softmax(-1), moved * 1e-7, slope) / 1e-7
    torch.testing.assert_close(near, plain, rtol=1e-3, atol=1e-3)


def projected(model: LoadedModel, example: Encoded, index: int, corrupted: bool) -> list[torch.Tensor]:
    """Queries, keys and values (head, token, size) of a site, from the outputs of the layers that make them."""
    site, made = model.heads.sites[index], {}
    module, kind = model.model.get_submodule(site.attention), model.model.config.model_type
    if kind == "bert":
        module = model.model.get_submodule(site.attention.removesuffix(".output") + ".self")
    names = {"gpt2": ["c_attn"], "bert": ["query", "key", "value"], "t5": ["q", "k", "v"]}
    wanted = names.get(kind, ["q_proj", "k_proj", "v_proj"])
    handles = [
        module.get_submodule(n).register_forward_hook(lambda _, __, x, n=n: made.update({n: x[0]})) for n in wanted
    ]
    with torch.no_grad():
        log_odds(model, example, corrupted)
    for handle in handles:
        handle.remove()
    parts = list(made[wanted[0]].split(16, dim=-1)) if kind == "gpt2" else [made[n] for n in wanted]
    q, k, v = (x.unflatten(-1, (-1, site.size)).transpose(0, 1) for x in parts)
    if kind == "llama":
        angles = model.model.model.rotary_emb(q.double(), torch.arange(q.shape[1])[None])
        q, k = (x[0] for x in apply_rotary_pos_emb(q[None], k[None], *angles))
    return [q, *(x.repeat_interleave(site.heads // x.shape[0], dim=0) for x in (k, v))]


def attention_of(model: LoadedModel, index: int, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    site, kind = model.heads.sites[index], model.model.config.model_type
    logits = q @ k.transpose(1, 2)
    if kind == "t5":
        stack = model.model.encoder if site.block == "enc" else model.model.decoder
        if site.block != "cross":
            logits = logits + stack.block[0].layer[0].SelfAttention.compute_bias(q.shape[1], k.shape[1])[0]
    else:
        logits = logits * site.size**-0.5
    if site.block in (None, "dec") and kind != "bert":
        logits = logits.masked_fill(torch.ones(logits.shape[1:]).triu(1).bool(), -torch.inf)
    return logits.softmax(-1)


@pytest.mark.parametrize("architecture", ["llama-gqa", "gpt2", "bert", "t5", "bart"])
def test_corrected_patching_is_the_slope_of_nodes_patched_one_by_one(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    example = pairs(model)[1]
    found = run(PATCHING, model, [example], qk_correction=True).values[0]
    plain = run(PATCHING, model, [example]).values[0]
    outputs, _ = seen(model, example)
    for index, site in enumerate(model.heads.sites):
        (q, k, v), (other_q, other_k, other_v) = (projected(model, example, index, c) for c in (False, True))
        pattern = attention_of(model, index, q, k)
        whole = (pattern @ v).transpose(0, 1).flatten(1)
        torch.testing.assert_close(whole, outputs[index].view_as(whole), rtol=0, atol=1e-6)  # the test's own attention
        change = pattern @ (other_v - v) + (attention_of(model, index, other_q, k) - pattern) @ v
        for key in range(k.shape[1]):
            changed = k.clone()
            changed[:, key] = other_k[:, key]
            change = change + (attention_of(model, index, q, changed) - pattern) @ v
        for head in (0, 3):
            direction = torch.zeros_like(outputs[index])
            direction.view(-1, site.heads, site.size)[:, head] = change[head]
            sides = []
            for step in (1e-4, -1e-4):
                with torch.no_grad(), hooked(model, {index: lambda z, s=step, d=direction: z + s * d}):
                    sides.append(float(log_odds(model, example)))
            expected = -(sides[0] - sides[1]) / 2e-4
            assert found[index, head] == pytest.approx(expected, rel=2e-2, abs=2e-3)
    assert not np.allclose(found, plain, rtol=1e-2, atol=1e-3)


def test_corrected_patching_refuses_attention_whose_queries_it_cannot_see() -> None:
    model = loaded("gemma2")
    assert np.isfinite(run(PATCHING, model, pairs(model)).values).all()
    with pytest.raises(InputError) as raised:
        run(PATCHING, model, pairs(model), qk_correction=True)
    assert str(raised.value) == (
        "model.layers.0.self_attn: its queries and keys are not seen, for it is no scaled_dot_product_attention. "
        "Set [scoring] parameters.attribution_patching qk_correction = false."
    )


def test_corrected_patching_refuses_outputs_that_are_more_than_pattern_times_values() -> None:
    model = loaded("llama")
    projection = model.heads.sites[1].projection
    handle = projection.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 1.01,))  # as an output gate does
    with pytest.raises(InputError, match=r"^model\.layers\.1\.self_attn: its heads' outputs are not their attention"):
        run(PATCHING, model, pairs(model), qk_correction=True)
    handle.remove()
