"""Tokenizers of three kinds, trained on the same few words: bytes with spaces, pieces with a space before, words."""

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "The capital of France is Paris .",
    "The capital of Italy is Rome .",
    "Is the sky green ? Answer : yes or no , a red or a blue one .",
    "a man eats . nobody eats . one two three four",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "<sep>"]
NAMES = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token", "mask_token", "sep_token"), SPECIAL, strict=True))


@cache
def tokenizer_of(kind: str, ends: bool = False, pairs: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer that puts <s> before a text, </s> behind it (``ends``), and <sep> between those of a pair."""
    trainer: Any = {"special_tokens": SPECIAL, "vocab_size": 160, "show_progress": False}
    if kind == "bytes":
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        raw.train_from_iterator(
            TEXTS,
            trainers.BpeTrainer(**{**trainer, "vocab_size": 400}, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
        )
    elif kind == "pieces":
        raw = Tokenizer(models.BPE(unk_token="<unk>"))
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        raw.decoder = decoders.Metaspace(prepend_scheme="first")
        raw.train_from_iterator(TEXTS, trainers.BpeTrainer(**trainer))
    else:
        raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
        raw.normalizer = normalizers.BertNormalizer()
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        raw.train_from_iterator(TEXTS, trainers.WordPieceTrainer(**trainer))
    end = " </s>" if ends else ""
    raw.post_processor = processors.TemplateProcessing(
        single=f"<s> $A{end}",
        pair=f"<s> $A <sep> $B:1{' </s>:1' if ends else ''}" if pairs else None,
        special_tokens=[(name, SPECIAL.index(name)) for name in ("<s>", "</s>", "<sep>")],
    )
    inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if pairs else [])]  # as BERT's own tokenizer returns
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_input_names=inputs, **NAMES)
