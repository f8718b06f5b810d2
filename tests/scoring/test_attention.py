"""Attention patterns as they are observed, against what reaches the projections and the model's own eager attention."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import pairs
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.methods import attribution_patching, induction, previous_token, retrieval
from reportgen.scoring.model import attention
from reportgen.scoring.model.attention import AttentionCall, observed_attention
from reportgen.scoring.model.interventions import captured
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.run.memory import peak_bytes

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


def few_rows_at_once(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(attention, "AT_ONCE", size)


def read(model: LoadedModel, batch: Batch, method: Any, **parameters: Any) -> Any:
    return method.METHOD.score(setting(model, **parameters), batch)


def by_hand(model: LoadedModel, batch: Batch) -> dict[str, np.ndarray]:
    """The methods' formulas in plain loops, one example at a time without padding, over eager attention."""
    eager: Any = type(model.model)._from_config(copy.deepcopy(model.model.config), attn_implementation="eager").eval()
    eager.load_state_dict(model.model.state_dict())
    shape = (batch.size, len(model.heads.sites), model.heads.widest)
    found = {name: np.zeros(shape) for name in ("retrieval", "induction", "previous_token")}
    for e in range(batch.size):
        ids = batch.input_ids[e][batch.attention_mask[e].bool()].tolist()
        with torch.no_grad():
            layers = eager(torch.tensor([ids]), output_attentions=True).attentions
        at = batch.position[batch.owner == e].tolist()
        targets = dict(zip(at, batch.target[batch.owner == e].tolist(), strict=True))
        earlier = {t: [k for k in range(1, t) if ids[k - 1] == ids[t]] for t in range(len(ids))}
        repeated = [t for t, keys in earlier.items() if keys]
        for layer, patterns in enumerate(layers):
            for head, weights in enumerate(patterns[0].double().numpy()):
                where = e, layer, head
                looks = {t: int(weights[t].argmax()) for t in at}
                hits = [k < int(batch.prompt[e]) and ids[k] == targets[t] for t, k in looks.items()]
                found["retrieval"][where] = np.mean(hits)
                found["previous_token"][where] = np.mean([weights[t, t - 1] for t in range(1, len(ids))])
                found["induction"][where] = np.mean([weights[t, earlier[t]].sum() for t in repeated])
    return found


REPEATING = [
    {"task": "t", "prompt": "one two three one two one", "answer": "two three", "id": "a"},
    {"task": "t", "prompt": "a b a b c a a d a b c", "answer": "a", "id": "b"},
    {"task": "t", "prompt": "red blue red", "answer": "blue red", "id": "c"},
]


@pytest.mark.parametrize("architecture", ["llama-gqa", "gpt2", "falcon", "gemma2"])
@pytest.mark.parametrize("size", [1, 2**11])  # one row at a time, and some, the last of them fewer
def test_scores_read_from_rows_are_the_formulas_in_plain_loops(
    architecture: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_rows_at_once(monkeypatch, size)
    model = loaded(architecture)
    batch = collate(examples(model, REPEATING))
    found = {
        "retrieval": read(model, batch, retrieval).values,
        "induction": read(model, batch, induction, source="prompt").values,
        "previous_token": read(model, batch, previous_token).values,
    }
    for name, expected in by_hand(model, batch).items():
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-6, err_msg=name)
        assert expected.max() > 0, name


def test_corrections_of_queries_and_keys_do_not_depend_on_the_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded("llama-gqa", torch.float64)
    batch = collate(pairs(model))
    whole = read(model, batch, attribution_patching, qk_correction=True).values
    few_rows_at_once(monkeypatch, 1)
    few = read(model, batch, attribution_patching, qk_correction=True).values
    np.testing.assert_allclose(few, whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", [retrieval, previous_token, induction])
def test_memory_grows_with_the_rows_that_are_read_and_not_with_the_square_of_the_text(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, size = 512, 2**17
    few_rows_at_once(monkeypatch, size)
    model = loaded("llama", num_attention_heads=8, num_hidden_layers=2, max_position_embeddings=tokens + 8)
    row = {"task": "t", "prompt": "one two " * (tokens // 2), "answer": "one", "id": "a"}
    batch = collate(examples(model, [row], context=tokens + 8))
    with torch.no_grad():
        plain = peak_bytes(lambda: model.answer_logits(batch))
    ours = peak_bytes(lambda: read(model, batch, method, source="prompt"))
    assert ours - plain < 8 * size + 64 * tokens, "a few copies of some rows, and a few numbers for each token"
    assert 8 * tokens**2 * 4 > 60 * size, "of one layer's pattern it is a small part"
