from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, build
from torch import nn

from reportgen.errors import InputError
from reportgen.scoring.decoder import short_batch
from reportgen.scoring.heads import ablated, check, find, gated, recorded, resumed

MEND = "Choose a decoder whose attention ends in an output projection (Llama, GPT-2, GPT-NeoX, Falcon, OPT, …)"


def logits(model: Any, rows: int = 1) -> torch.Tensor:
    batch = short_batch(model, rows)
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=batch.input_ids).logits
    return result


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in vars(m)) for m in model.modules())


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "lfm2"])
def test_heads_are_found_by_name_and_size(architecture: str) -> None:
    model = build(architecture)
    heads = find(model)
    assert heads.shape == (3, 4)
    assert [(layer.heads, layer.size) for layer in heads.layers] == [(4, 4)] * 3
    assert heads.kv_groups == {"llama-gqa": 2, "mixtral": 2, "gemma2": 2, "falcon": 1}.get(architecture, 4)
    assert check(heads, lambda rows: logits(model, rows)) == heads
    assert hooks(model) == 0


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "lfm2"])
def test_heads_summed_make_the_projections_output(architecture: str) -> None:
    model, seen = build(architecture), []
    heads = find(model)
    layer = heads.layers[1]
    assert layer.projection is not None
    handle = layer.projection.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    logits(model)
    handle.remove()
    (given, output), total = seen[0], torch.zeros(())
    for head in range(layer.heads):
        alone = torch.zeros_like(given)
        part = slice(head * layer.size, (head + 1) * layer.size)
        alone[..., part] = given[..., part]
        total = total + layer.projection(alone) - layer.projection(torch.zeros_like(given))
    torch.testing.assert_close(total + layer.projection(torch.zeros_like(given)), output, rtol=1e-5, atol=1e-5)


def test_a_gate_of_one_changes_nothing_and_of_zero_ablates() -> None:
    model = build("llama")
    heads, plain = find(model), logits(model, 2)
    with gated(heads, {i: torch.ones(2, 4) for i in range(3)}):
        assert torch.equal(logits(model, 2), plain)
    gate = torch.ones(2, 4)
    gate[0, 3] = gate[1, 1] = 0
    with gated(heads, {1: gate}):
        by_gate = logits(model, 2)
    with ablated(heads, 1, torch.tensor([3, 1])):
        assert torch.equal(logits(model, 2), by_gate)
    assert not torch.equal(by_gate[0], plain[0])


def test_contexts_leave_no_hook_behind_when_they_break() -> None:
    model = build("llama")
    heads, outputs = find(model), list[Any]()
    with recorded(heads, outputs):
        logits(model)
    for context in (gated(heads, {0: torch.ones(1, 4)}), ablated(heads, 2, torch.tensor([0])),
                    recorded(heads, []), resumed(heads, 2, outputs, 1)):  # fmt: skip
        with pytest.raises(KeyError), context:
            raise KeyError
        assert hooks(model) == 0


def test_resumed_layers_do_no_work() -> None:
    model, outputs, ran = build("gpt2"), list[Any](), []
    heads, plain = find(model), logits(model)
    with recorded(heads, outputs):
        logits(model)
    for i, layer in enumerate(heads.layers):
        assert layer.projection is not None
        layer.projection.register_forward_pre_hook(lambda *_, i=i: ran.append(i))
    with resumed(heads, 2, outputs, 3):
        torch.testing.assert_close(logits(model, 3), plain.repeat(3, 1, 1), rtol=0, atol=1e-5)
    assert ran == [2]


def refusal(model: Any, checked: bool = False) -> str:
    def attempt() -> None:
        heads = find(model)
        if checked:
            check(heads, lambda rows: logits(model, rows))

    with pytest.raises(InputError) as caught:
        attempt()
    return str(caught.value)


def test_a_renamed_projection_is_refused_by_the_modules_name() -> None:
    model = build("llama")
    for block in model.model.layers:
        block.self_attn.mixer = block.self_attn.o_proj
        del block.self_attn.o_proj
    message = refusal(model)
    assert message.startswith("model.layers.0 (LlamaDecoderLayer): no attention output projection (o_proj, c_proj,")
    assert message.endswith(f"post_attention_layernorm. {MEND}.")


def test_two_candidates_and_a_size_that_does_not_fit_are_refused() -> None:
    model = build("llama")
    model.model.layers[1].self_attn.out_proj = nn.Linear(16, 16)
    assert refusal(model) == (
        "model.layers.1 (LlamaDecoderLayer): several modules could be the attention output projection "
        f"(self_attn.o_proj, self_attn.out_proj). {MEND}.")  # fmt: skip
    model = build("gpt2")
    model.transformer.h[2].attn.head_dim = 5
    assert refusal(model) == f"transformer.h.2.attn.c_proj (Conv1D): its input of 16 is not 4 heads of 5. {MEND}."


def test_heads_that_move_nothing_or_run_twice_are_refused() -> None:
    model = build("llama")
    nn.init.zeros_(model.model.layers[1].self_attn.o_proj.weight)
    assert refusal(model, checked=True) == (
        f"model.layers.1: zeroing all heads of its attention does not move the model's output. {MEND}.")  # fmt: skip
    model = build("llama")
    model.model.layers[2] = model.model.layers[0]
    assert "its attention runs 2 times in one forward, so that one gate is not one head" in refusal(model, checked=True)
