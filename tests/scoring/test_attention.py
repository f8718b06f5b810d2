"""Attention patterns as they are observed, against what reaches the projections."""

import pytest
import torch
from tiny_models import examples, loaded

from reportgen.scoring.data.batches import collate
from reportgen.scoring.model.attention import AttentionCall, observed_attention
from reportgen.scoring.model.interventions import captured

FUSED = ["llama", "llama-gqa", "gpt2", "gpt_neox", "falcon", "mixtral", "bert", "albert", "bart"]


def kept(_: int, call: AttentionCall) -> AttentionCall:
    return call


@pytest.mark.parametrize("architecture", [*FUSED, "gemma2", "t5"])
def test_patterns_are_distributions_over_the_keys_that_may_be_read(architecture: str) -> None:
    model = loaded(architecture)
    batch = collate(examples(model))
    with torch.no_grad(), observed_attention(model.model, model.heads, kept) as seen:
        model.answer_logits(batch)
    assert sorted(seen) == list(range(len(model.heads.sites)))
    for index, call in seen.items():
        site = model.heads.sites[index]
        assert call.pattern.shape[:2] == (batch.size, site.heads)
        torch.testing.assert_close(call.pattern.sum(dim=-1), torch.ones(call.pattern.shape[:-1]), rtol=0, atol=1e-5)
        asked = batch.gated(site.block, "all")
        read = asked if site.block != "cross" else batch.attention_mask.bool()
        padding = call.pattern.masked_fill(read[:, None, None, :], 0).amax(dim=(1, 3))
        assert float(padding[asked].max()) < 1e-6, "padding is never read"
        if model.kind == "causal":
            assert float(call.pattern.triu(1).abs().max()) < 1e-6


@pytest.mark.parametrize("architecture", FUSED)
def test_pattern_times_value_is_what_reaches_the_projection(architecture: str) -> None:
    model = loaded(architecture)
    batch = collate(examples(model))
    with (
        torch.no_grad(),
        captured(model.model, model.heads) as z,
        observed_attention(model.model, model.heads, kept) as seen,
    ):
        model.answer_logits(batch)
    for index, call in seen.items():
        assert call.value is not None
        expected = (call.pattern @ call.value).transpose(1, 2)
        real = batch.gated(model.heads.sites[index].block, "all")
        torch.testing.assert_close(z[index][real], expected[real], rtol=0, atol=1e-5)


def test_a_plain_softmax_is_the_tensor_that_the_model_goes_on_with() -> None:
    model = loaded("llama-gqa")
    model.model.set_attn_implementation("eager")
    batch = collate(examples(model))
    embeddings = model.model.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda _, __, output: output.requires_grad_())
    with torch.enable_grad(), observed_attention(model.model, model.heads, kept) as seen:
        logits = model.answer_logits(batch)
    handle.remove()
    assert seen[0].query is None
    (gradient,) = torch.autograd.grad(logits.sum(), seen[0].pattern)
    assert gradient.shape == seen[0].pattern.shape
    assert float(gradient.abs().max()) > 0
