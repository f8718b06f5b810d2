"""Where the tokens of a text stand in it, for tokenizers that say so and for those that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reportgen.errors import InputError, reason

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase


def tokenized(
    tokenizer: PreTrainedTokenizerBase, parts: tuple[str, str, str], *, special: bool = True, target: bool = False
) -> Mapping[str, Any]:
    """Tokenise what stands before an answer, the answer, and what follows, in one piece: ``input_ids`` and
    ``offset_mapping``, the characters [start, stop) of each token.

    ``special``: special tokens are added; ``target``: the text is what a decoder is to write. A tokenizer of Python
    code knows no offsets: its tokens are then told apart by what they have in common with those of the text before the
    answer, and of the text up to its end, and each has the characters of its whole part.
    """
    text = "".join(parts)
    if tokenizer.is_fast:
        return read(tokenizer, text, special, target, return_offsets_mapping=True)

    def ids(of: str, special: bool = special) -> list[int]:
        return list(read(tokenizer, of, special, target)["input_ids"])

    whole, plain, (before, answer, after) = ids(text), ids(text, special=False), parts
    lead = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0) if special else 0
    tail = lead + len(plain)

    def cut(left: str, right: str) -> tuple[int, bool]:
        """Return how many tokens the text has left of a cut, and whether the next one holds something of both sides:
        it does where the left side has more tokens of its own, and an unknown word may where the right side has others.
        """
        if not left.strip():
            return lead, False
        at = min(tail, max(lead, _shared(ids(left), whole)))
        if lead + len(ids(left.rstrip(), special=False)) > at:
            return at, True
        unknown = lead < at and whole[at - 1] == tokenizer.unk_token_id and whole[at:tail] != ids(right, special=False)
        return at - unknown, unknown

    start, before_too = cut(before, answer + after)
    stop, after_too = cut(before + answer.rstrip(), after) if after.strip() else (tail, False)
    stop = max(start, stop + after_too)
    first, end = len(before) + len(answer) - len(answer.lstrip()), len(before) + len(answer.rstrip())
    offsets = [(0, 0)] * lead + [(0, first)] * (start - lead) + [(first, end)] * (stop - start)
    offsets += [(end, len(text))] * (tail - stop) + [(0, 0)] * (len(whole) - tail)
    if start < stop and before_too:
        offsets[start] = (max(0, len(before.rstrip()) - 1), end)
    if start < stop and after_too:
        offsets[stop - 1] = (offsets[stop - 1][0], len(text))
    return {"input_ids": whole, "offset_mapping": offsets}


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Count the tokens that two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def read(
    tokenizer: PreTrainedTokenizerBase, text: str, special: bool, target: bool = False, **more: object
) -> BatchEncoding:
    """Call the tokenizer on a text, or on what a decoder is to write; raises InputError where it reads no texts."""
    named: dict[str, Any] = {"text_target" if target else "text": text, **more}
    try:
        made: BatchEncoding = tokenizer(**named, add_special_tokens=special, verbose=False)
    except (NotImplementedError, AssertionError, TypeError, AttributeError, ValueError, KeyError) as error:
        problem = f"the tokenizer {type(tokenizer).__name__} does not read a text alone ({reason(error)})"
        raise InputError(problem, text[:80], "Choose a model that reads texts") from error
    if target and hasattr(tokenizer, "tgt_vocab_size"):  # FSMT's writes targets in the numbers that its sources have
        source = {number: token for token, number in tokenizer.encoder.items()}
        numbers = {token: number for number, token in tokenizer.decoder.items()}
        unknown, ids = tokenizer.unk_token_id, made["input_ids"]
        made["input_ids"] = [numbers.get(source[i], unknown) if i in source else i for i in ids]
    return made
