"""Tokenise prompt and answer jointly, and cut a task's examples into padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.tasks import Row


@dataclass(frozen=True)
class Encoded:
    """One example as token ids: ``ids`` end with the answer, which begins at index ``start``.

    ``foil`` are the foil's token ids, as many as the answer's, or None where no foil is scored.
    """

    row: Row
    ids: tuple[int, ...]
    start: int
    foil: tuple[int, ...] | None = None

    @property
    def answer(self) -> tuple[int, ...]:
        """The answer's token ids."""
        return self.ids[self.start :]


@dataclass(frozen=True)
class Batch:
    """Examples padded on the right, and the places of their answer tokens.

    Answer tokens of all examples stand in one list: ``owner`` is each token's example in the batch, ``position`` the
    place whose logits predict it, ``target`` its id, ``foil`` the id of the foil's token (None: no foils).
    The last answer token is predicted only, so it is not among ``input_ids``.
    """

    input_ids: Int[Tensor, "example token"]
    attention_mask: Int[Tensor, "example token"]
    position_ids: Int[Tensor, "example token"]
    owner: Int[Tensor, "answer_token"]
    position: Int[Tensor, "answer_token"]
    target: Int[Tensor, "answer_token"]
    foil: Int[Tensor, "answer_token"] | None

    @property
    def size(self) -> int:
        """Number of examples."""
        return int(self.input_ids.shape[0])

    def repeated(self, times: int) -> "Batch":
        """The batch several times over: example e of copy c is example c · size + e."""
        copies = torch.arange(times, device=self.owner.device).repeat_interleave(len(self.owner))
        ids, mask, places = (x.repeat(times, 1) for x in (self.input_ids, self.attention_mask, self.position_ids))
        position, target = self.position.repeat(times), self.target.repeat(times)
        foil = None if self.foil is None else self.foil.repeat(times)
        return Batch(ids, mask, places, self.owner.repeat(times) + copies * self.size, position, target, foil)


def encode(tokenizer: Any, row: Row, delimiter: str, context: int | None, with_foil: bool) -> Encoded:
    """Tokenise ``prompt + delimiter + answer`` in one piece, as the model would read it.

    The answer runs from the first to the last token that covers one of its characters other than white space. A token
    that also covers the end of the prompt is scored with the answer (as context it would give part of the answer away),
    but at least one token must be the answer's own. ``context`` is the model's greatest length in tokens (None: any).
    Raises InputError naming the row where the answer has no token of its own, where nothing stands before it, where
    the tokens exceed the context, or where the foil does not stand against the answer token by token.
    """
    ids, start, own = _joint(tokenizer, row.prompt + delimiter, row.answer)
    place = f"{row.place} (id {row.id!r})"
    if own == 0:
        mend = "Put a white-space delimiter between them ([tasks] delimiter), or reword the row"
        raise InputError(f"the answer {row.answer!r} leaves no tokens of its own", place, mend)
    if start == 0:
        raise InputError("no token stands before the answer, so nothing predicts it", place, "Lengthen the prompt")
    if context is not None and len(ids) > context:
        mend = "Shorten the prompt, remove the row, or use a model with a longer context"
        raise InputError(f"prompt and answer take {len(ids)} tokens but the model's context is {context}", place, mend)
    foil = _foil(tokenizer, row, delimiter, ids, start) if with_foil else None
    return Encoded(row, tuple(ids), start, foil)


def _joint(tokenizer: Any, before: str, answer: str) -> tuple[list[int], int, int]:
    """Token ids up to the answer's last one, the index of its first, and the number of tokens wholly its own."""
    made = tokenizer(before + answer, return_offsets_mapping=True, verbose=False)
    first = len(before) + len(answer) - len(answer.lstrip())
    end = len(before) + len(answer.rstrip())
    covering = [i for i, (a, b) in enumerate(made["offset_mapping"]) if max(a, first) < min(b, end)]
    if not covering:
        return [], 0, 0
    written = len(before.rstrip())  # a token may begin with the space before the answer, not with the prompt's letters
    own = sum(made["offset_mapping"][i][0] >= written for i in covering)
    return list(made["input_ids"][: covering[-1] + 1]), covering[0], own


def _foil(tokenizer: Any, row: Row, delimiter: str, ids: list[int], start: int) -> tuple[int, ...]:
    place = f"{row.place} (id {row.id!r}), column foil"
    if row.foil is None:
        mend = 'Add a foil (a wrong answer) to every row, or choose metric = "log_odds"'
        raise InputError("the metric logit_difference needs a foil", place, mend)
    other, other_start, _ = _joint(tokenizer, row.prompt + delimiter, row.foil)
    count, wanted = len(other) - other_start, len(ids) - start
    if other[:other_start] != ids[:start] or count != wanted:
        mend = "Give a foil of as many tokens, which leaves the prompt's tokens as they are"
        raise InputError(f"the foil takes {count} tokens and the answer {wanted}, or they split the prompt differently"
                         if count == wanted else f"the foil takes {count} tokens and the answer {wanted}",
                         place, mend)  # fmt: skip
    if tuple(other[start:]) == tuple(ids[start:]):
        raise InputError("the foil has the answer's tokens", place, "Give a wrong answer")
    return tuple(other[start:])


def plan_batches(examples: Sequence[Encoded], size: int) -> list[list[int]]:
    """Indices of each batch's examples: by length (ties in file order), then cut; fixed by the inputs alone."""
    order = sorted(range(len(examples)), key=lambda i: (len(examples[i].ids), i))
    return [order[i : i + size] for i in range(0, len(order), size)]


def collate(examples: Sequence[Encoded], pad: int = 0, device: str | torch.device = "cpu") -> Batch:
    """Pad examples on the right; positions count from 0, so that padding changes nothing for models with them."""
    inputs = [torch.tensor(e.ids[:-1]) for e in examples]
    ids = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(x) for x in inputs])
    places = torch.arange(ids.shape[1]).expand_as(ids)
    tokens = [(k, e.start - 1 + j) for k, e in enumerate(examples) for j in range(len(e.answer))]
    owner, position = torch.tensor(tokens).T
    target = torch.tensor([t for e in examples for t in e.answer])
    foils = [t for e in examples for t in e.foil or ()]
    foil = torch.tensor(foils).to(device) if foils else None
    mask = (places < lengths[:, None]).long()
    ids, mask, places, owner, position, target = (
        x.contiguous().to(device) for x in (ids, mask, places, owner, position, target)
    )
    return Batch(ids, mask, places, owner, position, target, foil)
