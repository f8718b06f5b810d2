"""Weights that are stored quantised, against a plain model with the numbers that their blocks stand for."""

import json
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import SIZE, build, word_tokenizer
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GptOssConfig, GptOssForCausalLM

from reportgen.core.config import ModelSection
from reportgen.errors import InputError, MissingResourceError
from reportgen.scoring.model import quantized as quantized_module
from reportgen.scoring.model.checks import made_of
from reportgen.scoring.model.load import read_folder

# the numbers of four bits: a sign, two bits of exponent, one of mantissa (OCP Microscaling Formats, 2023, 5.3.3)
FP4 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])


def blocks(*shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random blocks of 32 numbers (two in a byte, the lower half first), their scales, and the numbers."""
    packed = torch.randint(0, 256, (*shape[:-1], shape[-1] // 32, 16), dtype=torch.uint8)
    scales = torch.randint(122, 126, (*shape[:-1], shape[-1] // 32), dtype=torch.uint8)
    halves = torch.stack([FP4[(packed & 15).long()], FP4[(packed >> 4).long()]], dim=-1).flatten(-2)
    return packed, scales, (halves * torch.exp2(scales.float() - 127)[..., None]).flatten(-2)


def test_mxfp4_is_read_as_the_numbers_that_it_stands_for(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = GptOssConfig(
        **SIZE,
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=64,
        sliding_window=8,
    )
    model = GptOssForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    with torch.no_grad():
        for layer in range(2):
            experts: Any = model.model.layers[layer].mlp.experts
            for name, rows, columns in (("gate_up_proj", 64, 64), ("down_proj", 64, 32)):
                path = f"model.layers.{layer}.mlp.experts.{name}"
                packed, scales, numbers = blocks(4, rows, columns)
                del tensors[path]
                tensors |= {f"{path}_blocks": packed, f"{path}_scales": scales}
                getattr(experts, name).copy_(numbers.transpose(1, 2))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    quantized(tmp_path / "config.json", quant_method="mxfp4")
    folder = read_folder(ModelSection(path=str(tmp_path)))
    ids = torch.tensor([[1, 5, 9, 7, 20]])
    with torch.no_grad():
        torch.testing.assert_close(folder.model(ids).logits, model(ids).logits, rtol=0, atol=1e-5)
    assert folder.weights.quantization == "mxfp4"
    assert "quantization_config" not in folder.model.config.to_dict()


def quantized(path: Path, **said: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": said}))


def test_fp8_is_read_as_the_numbers_that_it_stands_for(tmp_path: Path) -> None:
    model = build("llama", hidden_size=128, intermediate_size=128)
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    for name, module in model.named_modules():
        if name.endswith("_proj"):
            scale = module.weight.abs().max() / 448  # the greatest number of e4m3
            packed = (module.weight / scale).to(torch.float8_e4m3fn)
            tensors |= {f"{name}.weight": packed.detach(), f"{name}.weight_scale_inv": scale.detach().reshape(1, 1)}
            module.weight.data = packed.float() * scale
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    quantized(tmp_path / "config.json", quant_method="fp8", weight_block_size=[128, 128], activation_scheme="dynamic")
    folder, ids = read_folder(ModelSection(path=str(tmp_path))), torch.tensor([[1, 5, 9, 7, 20]])
    with torch.no_grad():
        torch.testing.assert_close(folder.model(ids).logits, model(ids).logits, rtol=0, atol=1e-5)
    assert {p.dtype for p in folder.model.parameters()} == {torch.float32}


@pytest.mark.filterwarnings("ignore")  # bitsandbytes misses kernels that are faster
@pytest.mark.parametrize(("packed", "name"), [("load_in_4bit", "bitsandbytes nf4"), ("load_in_8bit", "bitsandbytes")])
def test_packed_weights_are_had_in_full_and_their_agreement_told(packed: str, name: str, tmp_path: Path) -> None:
    build("llama", hidden_size=64, intermediate_size=64).save_pretrained(tmp_path / "full")
    config = BitsAndBytesConfig(**{packed: True, "bnb_4bit_quant_type": "nf4"})
    whole: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "full", quantization_config=config, device_map="cpu")
    whole.save_pretrained(tmp_path / "packed")
    word_tokenizer().save_pretrained(tmp_path / "packed")
    folder = read_folder(ModelSection(path=str(tmp_path / "packed")))
    for found, stored in zip(folder.model.model.layers, whole.model.layers, strict=True):
        weight = stored.mlp.up_proj.weight
        plain = (
            bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
            if packed == "load_in_4bit"
            else weight.CB.float() * weight.SCB[:, None] / 127
        )
        torch.testing.assert_close(found.mlp.up_proj.weight, plain, rtol=0, atol=1e-6)
    assert folder.weights.quantization == name
    assert folder.weights.apart is not None
    assert 0 < folder.weights.apart < 0.1
    stored_as, apart = made_of(folder)
    assert stored_as == f"its weights were stored as {name} and are read as float32 numbers"
    assert apart.startswith("packed and as plain numbers, its weights put out logits for a short text that differ by ")


def test_without_its_library_a_packed_model_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("llama").save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    quantized(tmp_path / "config.json", quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4")
    monkeypatch.setattr(quantized_module, "find_spec", lambda _: None)
    with pytest.raises(MissingResourceError) as caught:
        read_folder(ModelSection(path=str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path}: its weights are quantised, which needs bitsandbytes. "
        'pip install "reportgen[bitsandbytes]", or score the model it was made from.'
    )


@pytest.mark.parametrize("method", ["gptq", "awq", "hqq"])
def test_a_format_that_cannot_be_turned_back_is_refused_by_name(method: str, tmp_path: Path) -> None:
    build("llama").save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    quantized(tmp_path / "config.json", quant_method=method)
    with pytest.raises(InputError) as caught:
        read_folder(ModelSection(path=str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path}: its weights are quantised ({method}). Score the model it was made from, in bfloat16 or float16; "
        "device_map spreads what does not fit."
    )
