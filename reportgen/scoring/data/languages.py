"""The language that a translation model is to answer in: a token that its decoder is made to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportgen.errors import InputError, nearest
from reportgen.scoring.data.batches import Kind
from reportgen.scoring.data.encoding import Options

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOCATION = "[tasks] target_language"


def language_token(
    tokenizer: PreTrainedTokenizerBase, kind: Kind, options: Options, language: str | None
) -> int | None:
    """Return the token of the target language, and have the tokenizer write targets in it (None: none is asked for).

    Raises InputError for a language that the tokenizer does not know, for one asked of a model that does not translate,
    and where a model that answers in many languages is told none: it would answer in the one that it reads.
    """
    codes = _codes(tokenizer)
    if language is None:
        told = {options.forced_bos, options.decoder_start} & set(codes.values())
        if kind == "seq2seq" and codes and not told and getattr(tokenizer, "tgt_lang", None) is None:
            some = ", ".join(sorted(codes)[:3])
            raise InputError(
                "the model answers in many languages, and is told none", LOCATION, f"Give one, as {some}, …"
            )
        return None
    if kind != "seq2seq" or not codes:
        raise InputError("the model is no translation model that is told its language", LOCATION, "Remove the key")
    if language not in codes:
        raise InputError(f"the tokenizer knows no language {language!r}", LOCATION, nearest(language, sorted(codes)))
    tokenizer.tgt_lang = language
    return codes[language]


def _codes(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the languages that a tokenizer has tokens for, by their codes (mBART, M2M-100, NLLB; {}: it has none)."""
    if not hasattr(tokenizer, "tgt_lang"):
        return {}
    written = getattr(tokenizer, "lang_code_to_token", None)  # M2M-100 writes fr as __fr__
    named = dict(written) if written else {t: t for t in tokenizer.all_special_tokens if "_" in t.strip("_<>")}
    found: dict[str, Any] = {code: tokenizer.convert_tokens_to_ids(token) for code, token in named.items()}
    return {code: number for code, number in found.items() if number != tokenizer.unk_token_id}
