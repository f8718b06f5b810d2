"""The small models and texts on which TransformerLens and reportgen are compared: numpy, torch, transformers alone."""

from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZE = {"vocab_size": 40, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 16},
    "llama": {
        "model_type": "llama",
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 40,
        "max_position_embeddings": 16,
    },
    "gpt_neox": {
        "model_type": "gpt_neox",
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 16,
        "hidden_act": "gelu",
    },
}
# prompt, answer, and a corrupted prompt as long as the prompt
TEXTS: list[tuple[list[int], list[int], list[int]]] = [
    ([1, 5, 9, 7, 5], [9], [1, 6, 9, 7, 5]),
    ([1, 11, 12, 13, 14, 15, 16], [17, 18], [1, 11, 12, 19, 14, 15, 20]),
    ([1, 30], [31], [1, 33]),
    ([1, 8, 8, 8, 21, 22, 8], [21], [1, 8, 23, 8, 21, 22, 8]),
]


def built(name: str) -> Any:
    """A model whose weights numpy's legacy generator draws, the same wherever it runs."""
    settings = {**SIZE, **CONFIGS[name]}
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    random = np.random.RandomState(0)
    with torch.no_grad():
        for parameter_name, parameter in sorted(model.named_parameters()):
            draw = random.standard_normal(tuple(parameter.shape))
            is_scale = parameter.ndim == 1 and parameter_name.endswith("weight")
            parameter.copy_(torch.from_numpy(1 + 0.1 * draw if is_scale else 0.3 * draw))
    return model.requires_grad_(False)
