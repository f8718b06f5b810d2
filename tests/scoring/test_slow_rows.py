"""Tokenizers that do not say which characters their tokens cover, held against those that do, and against bytes."""

import re
from typing import Any

import pytest
from tiny_prompts import byte_pairs, row, shown, words
from tiny_tokenizers import tokenizer_of
from transformers import ByT5Tokenizer, PreTrainedTokenizer

from reportgen.errors import InputError
from reportgen.scoring.data.encoding import Options, encode


class Slow(PreTrainedTokenizer):
    """A fast tokenizer's vocabulary and pieces, in a slow one's clothes: special tokens are put around by hand."""

    def __init__(self, fast: Any, ends: bool = False) -> None:
        self.fast, self.ends = fast, ends
        names = ("pad_token", "bos_token", "eos_token", "unk_token", "mask_token", "sep_token")
        super().__init__(**{name: getattr(fast, name) for name in names if getattr(fast, name)})

    @property
    def vocab_size(self) -> int:
        return len(self.fast)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.fast.get_vocab())

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(self.fast.convert_ids_to_tokens(self.fast(text, add_special_tokens=False)["input_ids"]))

    def _convert_token_to_id(self, token: str) -> int:
        return int(self.fast.convert_tokens_to_ids(token))

    def _convert_id_to_token(self, index: int) -> str:
        return str(self.fast.convert_ids_to_tokens(index))

    def build_inputs_with_special_tokens(self, first: list[int], second: list[int] | None = None) -> list[int]:
        end = [self.eos_token_id] if self.ends else []
        more = [] if second is None else [self.sep_token_id, *second]
        return [self.bos_token_id, *first, *more, *end]


KINDS = ["words", "bytes"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ["Paris", " Paris", "a red one .", "yes or no"])
@pytest.mark.parametrize("prompt", ["The capital of France is", "the sky is ", "<s>Is the sky green ?"])
def test_a_slow_tokenizer_finds_the_answer_that_a_fast_one_does(kind: str, prompt: str, answer: str) -> None:
    fast = tokenizer_of(kind)
    slow, example = Slow(fast), row(prompt, answer, choices=(answer, "Rome", "a green one"))
    made, expected = encode(slow, example, Options()), encode(fast, example, Options())
    assert (made.inputs, made.prompt, made.answer, made.positions, made.joined) == (
        expected.inputs,
        expected.prompt,
        expected.answer,
        expected.positions,
        expected.joined,
    )
    assert [(r.inputs, r.answer) for r in made.rivals] == [(r.inputs, r.answer) for r in expected.rivals]


def test_masks_targets_and_pairs_of_slow_tokenizers() -> None:
    fast = tokenizer_of("words", ends=True, pairs=True)
    slow = Slow(fast, ends=True)
    for options in (Options("masked"), Options("seq2seq", decoder_start=2), Options("encoder")):
        for example in (
            row("the sky is <mask> ." if options.kind == "masked" else "the sky is", "red one"),
            row("a man eats", "red", prompt_pair="the sky is <mask> ." if options.kind == "masked" else "the sky is"),
        ):
            made, expected = encode(slow, example, options), encode(fast, example, options)
            assert (made.inputs, made.answer, made.positions, made.decoder) == (
                expected.inputs,
                expected.answer,
                expected.positions,
                expected.decoder,
            )


@pytest.mark.parametrize(("prompt", "answer"), [("The sky is", "green"), ("naïve", "çé"), ("1 +1 =", " 2")])
def test_bytes_are_tokens_of_their_own(prompt: str, answer: str) -> None:
    tokenizer = ByT5Tokenizer()
    made = encode(tokenizer, row(prompt, answer), Options())
    assert tokenizer.decode(made.answer) == answer.strip()
    assert tokenizer.decode([*made.inputs, made.answer[-1]]) == f"{prompt} {answer.strip()}"
    assert len(made.answer) == len(answer.strip().encode())
    for kind in ("seq2seq", "encoder", "classifier"):
        other = encode(tokenizer, row(prompt, answer), Options(kind, decoder_start=0, labels={answer.strip(): 0}))  # type: ignore[arg-type]
        assert other.inputs == tuple(tokenizer(prompt)["input_ids"])
        if kind == "seq2seq":
            assert tokenizer.decode(other.answer) == answer.strip()
            assert other.decoder == (0, *other.answer[:-1])
    doubled = encode(tokenizer, row(f"{prompt}</s>", "x"), Options("encoder"))
    assert doubled.inputs.count(tokenizer.eos_token_id) == 1


def test_a_token_across_prompt_and_answer_belongs_to_the_answer() -> None:
    fast = byte_pairs()
    slow = Slow(fast)
    slow.build_inputs_with_special_tokens = lambda first, second=None: first  # type: ignore[method-assign]
    shared = encode(slow, row("1=", "bo"), Options(delimiter=""))
    assert (shown(fast, shared.inputs), shown(fast, shared.answer), shared.positions) == ("1 =b", "=b o", (0, 1))
    with pytest.raises(InputError, match=re.escape("the answer 'b' leaves no tokens of its own")):
        encode(slow, row("1=", "b"), Options(delimiter=""))


def test_an_answer_beside_a_mask_that_shares_a_token_is_refused() -> None:
    slow = Slow(words("$A"))
    with pytest.raises(InputError, match=r"shares a token|leaves no tokens of its own"):
        encode(slow, row("a<mask>b", "red"), Options("masked"))
