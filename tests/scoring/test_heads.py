"""What the resolver says of models of known layout, and the interventions at its sites."""

from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, KINDS, build, examples, loaded
from torch import nn

from reportgen.errors import InputError
from reportgen.scoring.data.batches import collate
from reportgen.scoring.fast_forward.partial_forward import PartialForward
from reportgen.scoring.model.checks import notes, still, unmoved
from reportgen.scoring.model.heads import find
from reportgen.scoring.model.interventions import captured, edited

HINT = "Choose a model whose attention ends in an output projection of its own (Llama, GPT-2, BERT, T5, …)"

MIXED = "no slices of its input depend on one attention head each: the heads are mixed before it"


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in vars(m)) for m in model.modules())


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a not in KINDS and a != "lfm2"])
def test_a_decoders_heads_by_layer(architecture: str) -> None:
    model = build(architecture)
    heads = find(model)
    assert [(s.block, s.layer, s.heads, s.size, s.call, s.order) for s in heads.sites] == [
        (None, i, 4, 4, 0, "verified") for i in range(3)
    ]
    assert (heads.depth, heads.blocks, heads.widest, heads.skipped) == ({None: 3}, (None,), 4, ())
    assert heads.kv_groups(None) == {"llama-gqa": 2, "mixtral": 2, "gemma2": 2, "falcon": 1}.get(architecture, 4)
    assert [s.within for s in heads.sites] == [f"{heads.stacks[0]}.{i}" for i in range(3)]
    assert hooks(model) == 0


def test_layers_without_heads_keep_their_rows_and_say_why() -> None:
    model = loaded("lfm2")
    assert [(s.layer, s.name, s.kv_heads) for s in model.heads.sites] == [(1, "model.layers.1.self_attn.out_proj", 2)]
    assert model.heads.depth == {None: 3}
    assert [(s.layer, s.reason) for s in model.heads.skipped] == [
        (i, "conv (Lfm2ShortConv) has no softmax over tokens") for i in (0, 2)
    ]
    assert notes(model.heads) == [
        "1 of 3 layers have heads; every slice of the output projection's input was seen to depend on the attention of "
        "one head alone",
        "layers 0, 2 are left out: conv (Lfm2ShortConv) has no softmax over tokens",
    ]


@pytest.mark.parametrize("architecture", ["llama-gqa", "gpt2", "albert", "t5", "bart"])
def test_heads_that_move_nothing_are_told(architecture: str) -> None:
    model = loaded(architecture)
    assert unmoved(model.model, model.kind, model.heads) == []
    last = model.heads.sites[-1]
    last.projection.weight.zero_()
    dead = [site for site in model.heads.sites if site.projection is last.projection]
    if len(dead) < len(model.heads.sites):
        assert unmoved(model.model, model.kind, model.heads) == dead
        assert still(dead) == [
            f"setting the largest head of {last.name} to zero does not change what the model puts out for a short text"
        ]
    for site in model.heads.sites:
        site.projection.weight.zero_()
    with pytest.raises(InputError, match="setting heads to zero does not change what the model puts out"):
        unmoved(model.model, model.kind, model.heads)


def test_layers_that_share_weights_are_told_apart_by_their_calls() -> None:
    heads = loaded("albert").heads
    assert len({site.name for site in heads.sites}) == 1
    assert [(site.layer, site.call) for site in heads.sites] == [(0, 0), (1, 1), (2, 2)]
    assert heads.depth == {None: 3}


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        (
            "t5",
            [
                "encoder.block.2.layer.0.SelfAttention.o",
                "decoder.block.1.layer.0.SelfAttention.o",
                "decoder.block.1.layer.1.EncDecAttention.o",
            ],
        ),
        (
            "bart",
            [
                "model.encoder.layers.1.self_attn.out_proj",
                "model.decoder.layers.2.self_attn.out_proj",
                "model.decoder.layers.2.encoder_attn.out_proj",
            ],
        ),
    ],
)
def test_encoder_decoders_have_three_blocks(architecture: str, names: list[str]) -> None:
    heads = loaded(architecture).heads
    assert heads.blocks == ("enc", "dec", "cross")
    last = [[s for s in heads.sites if s.block == block][-1] for block in heads.blocks]
    assert [s.name for s in last] == names
    assert [s.layer + 1 for s in last] == list(heads.depth.values())


@pytest.mark.parametrize(
    ("model_type", "changed", "said"),
    [
        ("mamba", {"state_size": 4}, "MambaForCausalLM: no softmax attention runs in it"),
        ("bitnet", {"num_key_value_heads": 2}, f"model.layers.0.self_attn.o_proj (Linear): {MIXED}"),
        ("diffllama", {"num_key_value_heads": 2}, f"model.layers.0.self_attn.o_proj (Linear): {MIXED}"),
    ],
)
def test_what_has_no_heads_of_its_own_is_refused_by_name(model_type: str, changed: dict[str, Any], said: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        model_type,
        vocab_size=28,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        **changed,
    )
    with pytest.raises(InputError) as caught:
        find(AutoModelForCausalLM.from_config(config).eval())
    assert str(caught.value) == f"{said}. {HINT}."


def test_a_head_count_that_the_configuration_contradicts_is_refused() -> None:
    model = build("gpt2")
    model.config.n_head = 8
    with pytest.raises(InputError) as caught:
        find(model)
    assert str(caught.value) == (
        "transformer.h.0.attn.c_proj: its attention has 4 heads and the configuration says 8. "
        "Save the model with the configuration it was trained with."
    )


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_heads_summed_make_the_projections_output(architecture: str) -> None:
    model, outputs = loaded(architecture), list[torch.Tensor]()
    site = model.heads.sites[0]
    handle = site.projection.register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad(), captured(model.model, model.heads) as z:
        model.run(collate(examples(model)))
    handle.remove()
    weight: Any = site.projection.weight
    columns = weight.T if type(site.projection).__name__ == "Conv1D" else weight
    parts = [z[0][:, :, h] @ columns[:, h * site.size : (h + 1) * site.size].T for h in range(site.heads)]
    bias = getattr(site.projection, "bias", None)
    torch.testing.assert_close(sum(parts) + (0 if bias is None else bias), outputs[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "albert", "t5", "bart"])
def test_contexts_leave_no_trace_even_after_an_error(architecture: str) -> None:
    model = loaded(architecture)
    batch = collate(examples(model))
    whole = model.answer_logits(batch)
    _, record = model.recording(lambda: model.answer_logits(batch), batch.size)
    assert record is not None
    with (
        pytest.raises(RuntimeError, match="stop"),
        PartialForward(model.model, model.heads, record, 1, 1).running(),
        edited(model.model, model.heads, {0: lambda z: z}),
    ):
        raise RuntimeError("stop")
    assert hooks(model.model) == 0
    assert torch.equal(model.answer_logits(batch), whole)
