"""GGUF files made here block by block, against a plain model with the numbers that the blocks stand for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize
from transformers import LlamaConfig, LlamaForCausalLM

from reportgen.core.config import ModelSection
from reportgen.errors import InputError, MissingResourceError
from reportgen.scoring.model import quantized
from reportgen.scoring.model.load import Folder, read_folder
from reportgen.scoring.score import score

WIDTH, WIDE, HEADS, SHARED, LAYERS = 64, 96, 4, 2, 2
WORDS = [
    "<unk>",
    "<s>",
    "</s>",
    "▁",
    "▁one",
    "▁two",
    "▁three",
    "▁red",
    "▁is",
    "▁the",
    *(f"<0x{i:02X}>" for i in range(256)),
]
TYPES = [GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_1, GGMLQuantizationType.F16, GGMLQuantizationType.F32]


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Order the rows of queries or keys as llama.cpp does: the two halves of each head's rotation interleaved."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write(path: Path, kind: GGMLQuantizationType) -> LlamaForCausalLM:
    """Write a tiny Llama with its matrices in blocks of one kind; return the plain model of the blocks' numbers."""
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        intermediate_size=WIDE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=SHARED,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    model, writer = LlamaForCausalLM(config).eval(), GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(SHARED)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(WORDS)
    writer.add_token_scores([0.0] * 3 + [-float(i) for i in range(len(WORDS) - 3)])
    special = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.NORMAL] * 7]
    writer.add_token_types([*special, *[TokenType.BYTE] * 256])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    parts = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for layer in range(LAYERS):
        names |= {f"model.layers.{layer}.{n}.weight": f"blk.{layer}.{g}.weight" for n, g in parts.items()}
    for name, weight in model.state_dict().items():
        stored = kind if weight.ndim == 2 else GGMLQuantizationType.F32
        plain: np.ndarray = weight.numpy().astype(np.float32)
        heads = HEADS if "q_proj" in name else SHARED if "k_proj" in name else 0
        packed = quantize(permuted(plain, heads) if heads else plain, stored)
        writer.add_tensor(names[name], packed, raw_dtype=stored)
        back = torch.tensor(dequantize(quantize(plain, stored), stored).reshape(plain.shape))
        weight.copy_(back)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=torch.tensor([[1, 5, 9, 7, 4, 6]])).logits
    return found


def read(path: Path, **section: Any) -> Folder:
    return read_folder(ModelSection(path=str(path), **section))


def refused(path: Path) -> str:
    with pytest.raises((InputError, MissingResourceError)) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_a_file_is_the_model_of_the_numbers_that_it_stands_for(kind: GGMLQuantizationType, tmp_path: Path) -> None:
    model = write(tmp_path / "model.gguf", kind)
    folder = read(tmp_path / "model.gguf")
    assert {p.dtype for p in folder.model.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(folder.model), logits(model), rtol=0, atol=1e-5)
    matrices, vectors = 2 + 7 * LAYERS, 1 + 2 * LAYERS
    expected = f"{kind.name} ({matrices}), F32 ({vectors})" if kind.name != "F32" else f"F32 ({matrices + vectors})"
    assert folder.weights.quantization == expected
    assert (
        folder.tokenizer.decode(folder.tokenizer("one two")["input_ids"], skip_special_tokens=True).strip() == "one two"
    )


def test_a_folder_of_one_file_is_scored_and_tells_how_it_was_stored(study_of: Any, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    model = write(tmp_path / "m" / "model.gguf", GGMLQuantizationType.Q8_0)
    rows = [
        {"task": "t", "prompt": "one two", "answer": "three"},
        {"task": "t", "prompt": "the one is", "answer": "red"},
    ]
    found = score(study_of(rows=rows, model={"path": str(tmp_path / "m")}))["gate_gradient"][0]
    read(tmp_path / "m").tokenizer.save_pretrained(tmp_path / "plain")
    model.save_pretrained(tmp_path / "plain")
    plain = score(study_of(rows=rows, model={"path": str(tmp_path / "plain")}))["gate_gradient"][0]
    np.testing.assert_allclose(found.importance, plain.importance, rtol=1e-4, atol=1e-6)
    assert found.model.quantization == "Q8_0 (16), F32 (5)"
    assert "its weights were stored as Q8_0 (16), F32 (5) and are read as float32 numbers" in found.model.notes


def test_the_hint_on_how_to_convert_a_file_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    model = write(tmp_path / "model.gguf", GGMLQuantizationType.Q4_1)
    monkeypatch.setattr(quantized, "find_spec", lambda _: None)
    said = refused(tmp_path / "model.gguf")
    assert said == (
        f"{tmp_path}/model.gguf: a GGUF file needs gguf and accelerate. "
        f'pip install "reportgen[gguf]", or convert it where gguf and accelerate are installed: {quantized.CONVERT}.'
    )
    names = {"folder": str(tmp_path), "name": "model.gguf", "new": str(tmp_path / "new"), "torch": torch}
    exec(quantized.CONVERT, {**vars(transformers), **{n: getattr(transformers, n) for n in AUTO}, **names})
    torch.testing.assert_close(logits(read(tmp_path / "new").model), logits(model), rtol=0, atol=1e-5)


AUTO = ("AutoModelForCausalLM", "AutoTokenizer")


def test_whole_message_of_each_file_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    assert refused(tmp_path) == (
        f"{tmp_path}: the model folder holds 2 GGUF files. Name one as [model] path, such as a.gguf."
    )
    assert refused(tmp_path / "a.gguf").startswith(f"{tmp_path}/a.gguf: the GGUF file cannot be read (")
    (tmp_path / "model.onnx").write_bytes(b"")
    assert refused(tmp_path / "model.onnx") == (
        f"{tmp_path}/model.onnx: this file is no model. Give the model's folder, a GGUF file, or a hub id."
    )
    writer = GGUFWriter(tmp_path / "c.gguf", "clip")
    writer.add_tensor("x", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    said = refused(tmp_path / "c.gguf")
    assert said.startswith(f"{tmp_path}/c.gguf: it holds no model that transformers reads (")
    assert said.endswith(". Score the model it was made from, as safetensors.")
