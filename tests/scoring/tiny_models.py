"""Tiny random models of several families, a word-level tokenizer and a small task file for them."""

from types import SimpleNamespace
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedTokenizerFast

from reportgen.core.config import TasksSection
from reportgen.core.scores import Model
from reportgen.scoring.data.batches import Encoded
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.metrics import METRICS
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.fast_forward.capabilities import shortcuts
from reportgen.scoring.methods.common.method import MethodSetting
from reportgen.scoring.model.heads import find
from reportgen.scoring.model.load import LOADERS
from reportgen.scoring.model.loaded import LoadedModel

WORDS = "zero one two three four five six seven eight nine red green blue is the of a b c d".split()
SIZE = {"vocab_size": 28, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}
USUAL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}
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
    "bert": {"model_type": "bert", **USUAL},
    "albert": {"model_type": "albert", **USUAL, "embedding_size": 16},
    "t5": {
        "model_type": "t5",
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 24,
        "num_layers": 3,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    },
    "bart": {
        "model_type": "bart",
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "init_std": 0.2,
        "decoder_start_token_id": 2,
        "max_position_embeddings": 32,
    },
}
KINDS = {"bert": "masked", "albert": "masked", "t5": "seq2seq", "bart": "seq2seq"}
ROWS: list[dict[str, Any]] = [
    {"task": "count", "prompt": "one two", "answer": "three", "foil": "four", "id": "c0"},
    {"task": "count", "prompt": "zero one two three four five", "answer": "six seven", "foil": "two one", "id": "c1"},
    {"task": "count", "prompt": "four", "answer": "five", "foil": "nine", "id": "c2"},
    {"task": "count", "prompt": "a b c d one two three", "answer": "four", "foil": "a", "id": "c3"},
    {"task": "colour", "prompt": "the a is red the b is", "answer": "green", "foil": "red", "id": "k0", "group": "g"},
    {"task": "colour", "prompt": "b is", "answer": "blue blue blue", "foil": "red red red", "id": "k1", "group": "g"},
]


def word_tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *WORDS, "<mask>"]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def build(architecture: str, kind: str | None = None, **changed: Any) -> Any:
    """A random model of a tiny size, in eval mode; ``kind`` other than the architecture's usual one on request."""
    settings = {**SIZE, **ARCHITECTURES[architecture], **changed}
    torch.manual_seed(0)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    loader: Any = getattr(transformers, LOADERS[kind or KINDS.get(architecture, "causal")])
    return loader.from_config(config).eval()


def loaded(
    architecture: str, dtype: torch.dtype = torch.float32, kind: str | None = None, **changed: Any
) -> LoadedModel:
    """The tiny model as reportgen loads one."""
    model = build(architecture, kind, **changed).to(dtype).requires_grad_(False)
    kind = kind or KINDS.get(architecture, "causal")
    return wrapped(model, kind)


def wrapped(model: Any, kind: Any = "causal") -> LoadedModel:
    """Any model in memory as reportgen loads one."""
    heads = find(model)
    return LoadedModel(model, word_tokenizer(), kind, heads, shortcuts(model, kind, heads), 32, Model())


def examples(
    model: LoadedModel, rows: list[dict[str, Any]] | None = None, context: int = 32, **wanted: bool
) -> list[Encoded]:
    """The rows (ROWS) as token ids; ``with_foil`` and ``with_corrupted`` on request."""
    options = Options.of(model.kind, model.model, TasksSection(), context=context, **wanted)
    made = [Row(**{"group": r["id"], "location": "", **r}) for r in (ROWS if rows is None else rows)]
    return [encode(model.tokenizer, row, options) for row in made]


def setting(
    model: LoadedModel,
    metric: str = "log_odds",
    positions: Any = "all",
    reference: Any = None,
    seed: int = 0,
    **parameters: Any,
) -> MethodSetting[Any, Any]:
    """What a method works with."""
    own = SimpleNamespace(**parameters)
    return MethodSetting(model, METRICS[metric], "sum", positions, seed, parameters=own, reference=reference)
