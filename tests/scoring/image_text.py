"""A tiny random model of every type that reads images and text, built as ``architectures`` builds the others."""

from typing import Any

import torch
import transformers
from architectures import LARGEST, CannotBuildError, awake, shrunk
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

TYPES = tuple(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
LARGER = {"janus": 120_000_000}  # a part that no text passes through
SECTIONS = {"text_config": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}}
HALF = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5}
CHANGED: dict[str, dict[str, Any]] = {
    "chameleon": {"vocabulary_map": {"<image>": 3, "IMGIMGA": 4}},
    "emu3": {"vocabulary_map": {"<image>": 3, "<|extra_200|>": 4}},
    "ernie4_5_vl_moe": {"text_config": {"moe_intermediate_size": [16, 16]}},
    "granite_docling": {"vision_config": {"out_hidden_size": 32}},
    "inkling2": {"vision_config": {"text_hidden_size": 32}},
    "mistral_large4": {"text_config": {"kv_source_layers": [0, 1]}},
    "granite4_vision": {"deepstack_layer_map": []},
    "molmo2": {"vit_config": {"image_size": [16, 16]}},
    "glm5_next": {"text_config": {"qk_rope_head_dim": 0, "index_topk": 16}},
    **dict.fromkeys("glm46v glm4v glm_ocr glmga hunyuan_vl paddleocr_vl qwen2_vl qwen2_5_vl".split(), SECTIONS),
    "glm4v_moe": {"text_config": {"rope_parameters": HALF}},
    "dots3_note": {"vision_config": {"adapter_in_dim": 32}, "audio_config": {"adapter_input_size": 32}},
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 2}},
    "step3p7": {"text_config": {"sliding_window": 8}},
    "qwen2_5_omni_thinker": SECTIONS
    | {"vision_start_token_id": 5, "vision_end_token_id": 6, "audio_start_token_id": 7},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 5, "vision_end_token_id": 6, "audio_start_token_id": 7},
}


def tiny(model_type: str) -> Any:
    """A random tiny model in eval mode; raises CannotBuildError with the reason."""
    try:
        made = CONFIG_MAPPING[model_type]
        config = made(**joined(fitting(shrunk(made())), CHANGED.get(model_type, {})))
        with torch.device("meta"):
            size = sum(p.numel() for p in transformers.AutoModelForImageTextToText.from_config(config).parameters())
        if size > LARGER.get(model_type, LARGEST):
            raise CannotBuildError(f"{size / 1e6:,.0f} M parameters even in its smallest configuration")
        torch.manual_seed(0)
        return awake(transformers.AutoModelForImageTextToText.from_config(config).eval())
    except CannotBuildError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise CannotBuildError(f"{type(error).__name__}: {' '.join(lines)[:200]}") from error


def fitting(part: dict[str, Any]) -> dict[str, Any]:
    """Fit what a configuration lists for each layer, and its rotary sections, to its fewer and smaller layers."""
    part = {name: fitting(value) if isinstance(value, dict) else value for name, value in part.items()}
    part.pop("per_layer_config", None)
    layers = part.get("num_hidden_layers")
    for name, value in part.items():
        if isinstance(value, list) and name.endswith("layer_types") and layers and len(value) != layers:
            part[name] = (list(dict.fromkeys(value)) * layers)[:layers]
    for name in ("rope_parameters", "rope_scaling"):
        rope = part.get(name)
        if isinstance(rope, dict) and "mrope_section" in rope:
            head = part.get("head_dim") or part.get("hidden_size", 32) // part.get("num_attention_heads", 4)
            half = int(head * rope.get("partial_rotary_factor", part.get("partial_rotary_factor") or 1.0)) // 2
            count = len(rope["mrope_section"])
            part[name] = rope | {"mrope_section": [half // count + (i < half % count) for i in range(count)]}
    return part


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Set the values of one nested mapping over another's."""
    both = {
        name: joined(one[name], value) if isinstance(value, dict) and isinstance(one.get(name), dict) else value
        for name, value in other.items()
    }
    return one | both
