"""A row as its tokens, for people to see what a model reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reportgen.scoring.data.batches import Encoded, Kind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN = 40  # tokens of a prompt that are shown in one line: its first ones and its last


@dataclass(frozen=True)
class ShownRow:
    """The tokens of one row, as the tokenizer spells them, special ones among them.

    ``decoder`` are those with which an encoder-decoder's decoder begins, before the answer. A classifier's ``answer``
    is a label, an encoder has none.
    """

    task: str
    id: str
    prompt: tuple[str, ...]
    answer: tuple[str, ...]
    decoder: tuple[str, ...] = ()

    def __str__(self) -> str:
        few = self.prompt
        if len(few) > SHOWN:
            few = (*few[: SHOWN // 4], "…", *few[-3 * SHOWN // 4 :])
        parts = [few, *([self.decoder] if self.decoder else []), *([self.answer] if self.answer else [])]
        return " | ".join(" ".join(part) for part in parts)


def shown(tokenizer: PreTrainedTokenizerBase, example: Encoded, kind: Kind) -> ShownRow:
    """Return what the model reads before the answer, and the answer."""

    def spelt(ids: Iterable[int]) -> tuple[str, ...]:
        # what is in no vocabulary has no spelling
        return tuple(str(token) for token in tokenizer.convert_ids_to_tokens(list(ids)))

    prompt = example.inputs[: example.prompt]
    answer = (example.row.answer,) if kind == "classifier" else spelt(example.answer)
    begin = () if example.decoder is None else spelt(example.decoder[: len(example.decoder) + 1 - len(example.answer)])
    return ShownRow(example.row.task, example.row.id, spelt(prompt), answer, begin)
