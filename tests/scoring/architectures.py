"""A tiny random model of every causal, masked and sequence-to-sequence architecture that transformers can build.

Configurations are shrunk by the names of their keys, sub-configurations too; ``CHANGED`` holds what single families
need besides, by model type or by kind and model type.
"""

import copy
from typing import Any

import torch
import transformers
from plain_calls import check_scores, loaded, text
from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from reportgen.errors import InputError
from reportgen.scoring.model.heads import Heads, find
from reportgen.scoring.run.agreement import agreeing

LARGEST = 100_000_000  # parameters; what stays larger after shrinking holds a part that no text passes through
LOADERS = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "classifier": "AutoModelForSequenceClassification",
}
CLASSIFIERS = modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
COLUMNS = ("padded", "long", "classifier")
END = 2  # of every text, where some classifiers of encoder-decoders read its class
SHORT = (3, 5, 8)  # tokens of texts that every window and block holds
LONG = (7, 9, 20, 33, 33, 40)  # and of texts on both sides of them
MAPPINGS = {
    "causal": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "masked": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "seq2seq": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
}
SMALL: dict[str, Any] = {
    **dict.fromkeys("hidden_size d_model n_embd dim emb_dim embedding_size embed_dim word_embed_proj_dim".split(), 32),
    **dict.fromkeys(
        "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers "
        "num_encoder_layers depth".split(),
        2,
    ),
    **dict.fromkeys(
        "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads "
        "num_encoder_attention_heads num_decoder_attention_heads".split(),
        4,
    ),
    **dict.fromkeys(
        "intermediate_size ffn_dim d_ff encoder_ffn_dim decoder_ffn_dim hidden_dim d_inner n_inner "
        "ffn_hidden_size intermediate_size_mlp".split(),
        48,
    ),
    **dict.fromkeys("max_position_embeddings n_positions max_seq_len n_ctx max_sequence_length".split(), 64),
    **dict.fromkeys("num_experts num_local_experts n_routed_experts moe_num_experts".split(), 4),
    **dict.fromkeys(
        "moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size "
        "moe_shared_expert_intermediate_size q_lora_rank kv_lora_rank".split(),
        16,
    ),
    **dict.fromkeys(
        "num_experts_per_tok moe_topk moe_k num_key_value_heads num_key_value_heads_per_layer "
        "linear_num_key_heads".split(),
        2,
    ),
    **dict.fromkeys(
        "head_dim d_kv d_head qk_nope_head_dim v_head_dim linear_key_head_dim linear_value_head_dim "
        "attention_head_size".split(),
        8,
    ),
    **dict.fromkeys(
        "rotary_dim qk_rope_head_dim mamba_n_heads mamba_num_heads linear_num_value_heads state_size "
        "mamba_d_state".split(),
        4,
    ),
    **dict.fromkeys("n_group topk_group first_k_dense_replace moe_layer_start_index".split(), 1),
    # windows and blocks of attention: texts of LONG go beyond them
    **dict.fromkeys(
        "sliding_window attention_chunk_size local_attention window_size attention_window".split(),
        8,
    ),
    "keep_window_size": 8,
    "index_topk": 8,
    "block_size": 4,
    "num_random_blocks": 1,
    "local_radius": 3,
    "global_block_size": 4,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": END,
    "mamba_d_head": 16,
    "mamba_head_dim": 16,
    "entity_vocab_size": 16,
    "entity_emb_size": 16,
    "image_size": 16,
    "patch_size": 8,
    "ngram": 2,
    "num_buckets": 8,
    "vocab_size_per_layer_input": 64,
}
USEFUL_IF_UNSET = {"head_dim", "num_key_value_heads", "vocab_size", "pad_token_id", "bos_token_id", "eos_token_id"}
LEFT = object()  # a key left as it is by default
CHANGED: dict[str, dict[str, Any]] = {
    "classifier/t5": {"decoder_start_token_id": 0},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "xmod": {"default_language": "en_XX"},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 2},
    "bamba": {"attn_layer_indices": [1]},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "cohere_compass_text": {
        "layer_types": LEFT,
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}},
    },
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4}, "ffn_config": LEFT},
    "fsmt": {"src_vocab_size": 64, "tgt_vocab_size": 64},
    "funnel": {"num_hidden_layers": LEFT, "block_sizes": [1, 1], "num_decoder_layers": 1},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.0, 0.0]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "dots1": {"n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "nemotron_h": {"mamba_num_heads": 4, "mamba_head_dim": 16, "expand": 2, "n_groups": 2},
    "prophetnet": {"num_hidden_layers": LEFT},
    "xlnet": {"max_position_embeddings": LEFT},
    "esmc": {"num_key_value_heads": 4},
    "falcon_h1": {"mamba_d_ssm": 64},
    "neomme": {"head_dim": 16},
    "perceiver": {
        "num_latents": 16,
        "d_latents": 32,
        "num_self_attends_per_block": 2,
        "num_self_attention_heads": 4,
        "num_cross_attention_heads": 4,
    },
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 64,
        "indexer_compress_ratio": 2,
    },
    "zamba": {"layer_types": ["mamba", "hybrid"] * 2, "num_hidden_layers": 4},
    "zamba2": {"layer_types": ["mamba", "hybrid"] * 2, "num_hidden_layers": 4, "hybrid_layer_ids": [1, 3]},
    "zaya": {"num_experts_per_tok": 1},
    "causal/reformer": {"is_decoder": True},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "local"]},
    # keys that are set layer by layer, by the layers' numbers
    **{
        name: {
            "layer_types": ["sliding_attention", "full_attention"],
            "num_hidden_layers": 2,
            "hidden_size_per_layer_input": 16,
            "per_layer_config": {"01": {"head_dim": 16}},
        }
        for name in ("gemma4_text", "gemma4_unified_text")
    },
    "dots3_note_text": {
        **{"num_attention_heads": 4, "num_key_value_heads": 4, "kv_lora_rank": 16, "qk_nope_head_dim": 8},
        "per_layer_config": {
            "01": {
                **{"num_attention_heads": 2, "num_key_value_heads": 2, "kv_lora_rank": 8},
                **{"qk_nope_head_dim": 12, "head_dim": 16},
            }
        },
    },
    "kimi_linear": {"linear_head_dim": 8, "linear_num_heads": 4},
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "roc_bert": {"shape_vocab_size": 64, "pronunciation_vocab_size": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
}


class CannotBuildError(Exception):
    """The reason why no tiny model of an architecture can be made here."""


def architectures() -> list[tuple[str, str]]:
    """(kind, model type) of every entry of the three mappings."""
    return [(kind, name) for kind, mapping in MAPPINGS.items() for name in mapping]


def tiny(kind: str, model_type: str) -> Any:
    """A random tiny model in eval mode; raises CannotBuildError with the reason."""
    try:
        config = tiny_config(kind, model_type)
        loader = getattr(transformers, LOADERS[kind])
        with torch.device("meta"):
            size = sum(p.numel() for p in loader.from_config(config).parameters())
        if size > LARGEST:
            raise CannotBuildError(f"{size / 1e6:,.0f} M parameters even in its smallest configuration")
        torch.manual_seed(0)
        return awake(loader.from_config(tiny_config(kind, model_type)).eval())
    except CannotBuildError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise CannotBuildError(f"{type(error).__name__}: {lines[0] if lines else ''}") from error


@torch.no_grad()
def awake(model: Any) -> Any:
    """The model with weights in place of zeros, from which some families start and which hide what a part does."""
    for name, parameter in model.named_parameters():
        if not name.endswith("bias") and not parameter.any():
            parameter.normal_(std=0.1)
    return model


def tiny_config(kind: str, model_type: str) -> Any:
    """The architecture's default configuration, shrunk."""
    changed = shrunk(CONFIG_MAPPING[model_type]()) | CHANGED.get(f"{kind}/{model_type}", {})
    return AutoConfig.for_model(model_type, **changed)


def _settable(config: PretrainedConfig, key: str) -> bool:
    """Whether a configuration has the key, in use and not computed from others or set layer by layer."""
    computed = getattr(type(config), getattr(config, "attribute_map", {}).get(key, key), None)
    try:
        value = getattr(config, key, None)
    except Exception:  # some keys refuse to be read: they are set layer by layer, or never
        return False
    known = hasattr(config, key) and not (isinstance(computed, property) and computed.fset is None)
    return known and (value is not None or key in USEFUL_IF_UNSET)


def shrunk(config: PretrainedConfig) -> dict[str, Any]:
    """What makes a configuration small, by the names of its keys."""
    changed = {k: v for k, v in SMALL.items() if _settable(config, k)}
    if "kv_lora_rank" in changed:  # multi-head latent attention: every head has keys of its own, the rotary part shared
        changed |= {"num_key_value_heads": 4} | ({"head_dim": 4} if "head_dim" in changed else {})
    kinds = getattr(config, "layer_types", None) if _settable(config, "layer_types") else None
    if kinds:
        one_of_each = list(dict.fromkeys(kinds))
        changed["layer_types"] = (one_of_each * 2)[: max(2, len(one_of_each))]
        changed |= {
            k: len(changed["layer_types"]) for k in ("num_hidden_layers", "n_layer", "n_layers") if k in changed
        }
    for name, part in vars(config).items():
        if isinstance(part, PretrainedConfig):
            changed[name] = {**part.to_dict(), **shrunk(part)}
    changed |= CHANGED.get(config.model_type, {})
    return {key: value for key, value in changed.items() if value is not LEFT}


def classified(model: Any) -> tuple[str, Heads | None]:
    """The class of a model: what is found in it, and the reason where it is refused."""
    try:
        heads = find(model)
    except InputError as error:
        return f"refused: {error.problem}", None
    order = {site.order for site in heads.sites}
    return ("verified" if order == {"verified"} else "untestable"), heads


def run(kind: str, model: Any, lengths: tuple[int, ...]) -> str:
    """How texts of these lengths are run, so that ablated heads' scores are those of the plain call, one text at a time
    (checked here, on a model that has run nothing before); the reason where they are refused.
    """
    fresh, some = copy.deepcopy(model), [text(kind, n, i, end=END) for i, n in enumerate(lengths)]
    try:
        found, _ = agreeing(loaded(model, kind), [some], len(some), model.config.model_type)
    except InputError as error:
        return f"refused: {error.problem}"
    check_scores(fresh, found, [some[0], some[-1]], 2)
    how = {"padded": "padded", "equal": "equal lengths", "single": "one at a time"}[found.running.batching]
    return how if found.running.copies else "one at a time"


def looked_at(kind: str, name: str) -> dict[str, str]:
    """How an architecture's texts are run, and its classifier's where there is one that can be built, by column."""
    found = {"padded": run(kind, tiny(kind, name), SHORT), "long": run(kind, tiny(kind, name), LONG)}
    return found | classifying(name)


def classifying(name: str) -> dict[str, str]:
    """How the texts of a type's classifier are run; nothing where there is none, or none that can be built."""
    if name not in CLASSIFIERS:
        return {}
    try:
        return {"classifier": run("classifier", tiny("classifier", name), LONG)}
    except CannotBuildError:
        return {}


def verdict(columns: dict[str, str]) -> str:
    """What an architecture is, all columns together, with the reason where it is not verified."""
    if columns["heads"] != "verified":
        return columns["heads"]
    refused = [f"{name}: {columns[name]}" for name in COLUMNS if columns.get(name, "").startswith("refused")]
    if refused:
        return f"in part: {refused[0]}"
    loaded = columns["tokenizer"] in ("fast", "slow")
    return "verified" if loaded else f"verified without its tokenizer: {columns['tokenizer']}"
