"""Tiny random models of several families, a word-level tokenizer and a small task file for them."""

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

WORDS = "zero one two three four five six seven eight nine red green blue is the of a b c d".split()
SIZE = {"vocab_size": 24, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}
USUAL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24,
         "max_position_embeddings": 32}  # fmt: skip
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", **USUAL},
    "llama-gqa": {"model_type": "llama", **USUAL, "num_key_value_heads": 2},
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 32},
    "gpt_neox": {"model_type": "gpt_neox", **USUAL},
    "mixtral": {"model_type": "mixtral", **USUAL, "num_key_value_heads": 2, "num_local_experts": 4},
    "falcon": {"model_type": "falcon", **USUAL},
    "lfm2": {
        "model_type": "lfm2",
        **USUAL,
        "num_key_value_heads": 2,
        "layer_types": ["conv", "full_attention", "conv"],
    },
    "gemma2": {"model_type": "gemma2", **USUAL, "num_key_value_heads": 2, "head_dim": 4},
}
ROWS: list[dict[str, Any]] = [
    {"task": "count", "prompt": "one two", "answer": "three", "foil": "four", "id": "c0"},
    {"task": "count", "prompt": "zero one two three four five", "answer": "six seven", "foil": "two one", "id": "c1"},
    {"task": "count", "prompt": "four", "answer": "five", "foil": "nine", "id": "c2"},
    {"task": "count", "prompt": "a b c d one two three", "answer": "four", "foil": "a", "id": "c3"},
    {"task": "colour", "prompt": "the a is red the b is", "answer": "green", "foil": "red", "id": "k0", "group": "g"},
    {"task": "colour", "prompt": "b is", "answer": "blue blue blue", "foil": "red red red", "id": "k1", "group": "g"},
]  # fmt: skip


def word_tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *WORDS]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )


def build(architecture: str, **changed: Any) -> Any:
    """A random model of a tiny size, in eval mode."""
    settings = {**SIZE, **ARCHITECTURES[architecture], **changed}
    torch.manual_seed(0)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    return AutoModelForCausalLM.from_config(config).eval()
