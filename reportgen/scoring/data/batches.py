"""Examples as token ids, and the padded batches they are cut into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from reportgen.scoring.data.tasks import Row

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

Kind = Literal["causal", "masked", "seq2seq", "classifier", "encoder"]  # encoder: no head that predicts anything
Positions = Literal["all", "prompt", "answer", "last"]
# Which examples share a batch: any, padded to the longest; those of one length; none
Batching = Literal["padded", "equal", "single"]
OF_TOKENS = ("position", "target", "foil", "choices")  # a batch's fields that count answer tokens, not examples


@dataclass(frozen=True)
class Encoded:
    """One example as token ids.

    ``inputs`` is what the model reads (of an encoder-decoder: its encoder); of a causal model prompt and answer without
    the answer's last token, which is only predicted. ``inputs[:prompt]`` is the prompt: everything but in causal
    models. ``answer`` are the answer's ids (a classifier's: the number of the class; an encoder's: none), ``positions``
    the position whose logits predict each of them: in ``inputs``, of an encoder-decoder in ``decoder``, of a classifier
    0. ``decoder`` is what an encoder-decoder's decoder reads: its first tokens and the answer without its last one.
    ``foil`` are the foil's ids, as many as the answer's. ``corrupted`` are ``inputs`` with the counterfactual prompt:
    as many ids, the answer at the same positions. ``cut`` is the number of prompt tokens left out to fit the context.
    ``types`` say of each id of ``inputs`` which text of a pair it is of, where the model embeds that (None: it does
    not, or there is one text). ``rivals`` are the same prompt with what the answer is chosen against: the row's other
    choices, else its foil (none: the answer is judged against the whole vocabulary). ``joined`` says what was changed
    where prompt and answer meet (see ``encoding``).
    """

    row: Row
    inputs: tuple[int, ...]
    prompt: int
    answer: tuple[int, ...]
    positions: tuple[int, ...]
    decoder: tuple[int, ...] | None = None
    foil: tuple[int, ...] | None = None
    corrupted: tuple[int, ...] | None = None
    cut: int = 0
    types: tuple[int, ...] | None = None
    rivals: tuple[Encoded, ...] = ()
    joined: tuple[str, ...] = ()

    @property
    def unlike(self) -> tuple[Encoded, ...]:
        """The rivals that the model must read by themselves: the logits of the others stand where the answer's do."""
        return tuple(rival for rival in self.rivals if not self._alike(rival))

    @property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """The ids of the rivals whose logits stand where the answer's do."""
        return tuple(rival.answer for rival in self.rivals if self._alike(rival))

    def _alike(self, rival: Encoded) -> bool:
        return (rival.inputs, rival.decoder, rival.positions) == (self.inputs, self.decoder, self.positions)

    @property
    def content(self) -> list[object]:
        """All that the model's answer depends on, for hashing; what an example lacks is left out."""
        more = [["types", self.types]] if self.types is not None else []
        rivals = [rival.answer if self._alike(rival) else rival.content for rival in self.rivals]
        more += [["rivals", rivals]] if rivals else []
        return [self.inputs, self.prompt, self.answer, self.positions, self.decoder, *more]


@dataclass(frozen=True)
class Batch:
    """Examples padded on the right, and the positions of their answer tokens.

    Answer tokens of all examples stand in one list, example after example: ``owner`` is each token's example in the
    batch, ``position`` the one whose logits predict it (see ``Encoded.positions``), ``target`` its id, ``foil`` the id
    of the foil's token (None: no foils). ``prompt`` is the number of each example's tokens that are its prompt.
    ``decoder_ids`` and ``decoder_mask`` are an encoder-decoder's, ``corrupted_ids`` stand against ``input_ids`` token
    by token. Masks are 1 on tokens and 0 on padding. ``cache`` holds keys and values of tokens that stand before
    ``input_ids`` in every example (None: none do); the mask covers them too.

    ``choices`` are the ids of the rivals whose logits stand where the answer's do, -1 where an example has fewer (None:
    no example has any; see ``Encoded.rivals``).
    """

    input_ids: Int[Tensor, "example token"]
    attention_mask: Int[Tensor, "example token"]
    prompt: Int[Tensor, example]
    owner: Int[Tensor, answer_token]
    position: Int[Tensor, answer_token]
    target: Int[Tensor, answer_token]
    foil: Int[Tensor, answer_token] | None = None
    decoder_ids: Int[Tensor, "example decoder_token"] | None = None
    decoder_mask: Int[Tensor, "example decoder_token"] | None = None
    corrupted_ids: Int[Tensor, "example token"] | None = None
    rows: tuple[Row, ...] = ()
    cache: Cache | None = None
    token_type_ids: Int[Tensor, "example token"] | None = None
    choices: Int[Tensor, "answer_token choice"] | None = None

    @property
    def size(self) -> int:
        """Number of examples."""
        return int(self.input_ids.shape[0])

    def repeated(self, times: int) -> Batch:
        """Repeat the batch: example e of copy c is example c · size + e."""
        return self.taken(list(range(self.size)) * times)

    def taken(self, indices: Sequence[int]) -> Batch:
        """Return the examples of these indices, in their order and as wide as before; an index may come again."""
        chosen = torch.as_tensor(indices, dtype=torch.long, device=self.input_ids.device)
        new, old = torch.nonzero(self.owner[None, :] == chosen[:, None], as_tuple=True)
        changed: dict[str, Any] = {"owner": new, "rows": tuple(self.rows[i] for i in indices) if self.rows else ()}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in changed and value is not None:
                changed[field.name] = value[old if field.name in OF_TOKENS else chosen]
        return replace(self, **changed)

    def corrupted(self) -> Batch:
        """Put the counterfactual prompts in place of the prompts; raise ValueError where the batch has none."""
        if self.corrupted_ids is None:
            raise ValueError("the batch was made without corrupted prompts")
        return replace(self, input_ids=self.corrupted_ids, corrupted_ids=None)

    def gated(self, block: str | None, positions: Positions) -> Bool[Tensor, "example token"]:
        """Say which tokens of a block's own axis an intervention on ``positions`` touches; padding never.

        The axis is the decoder's for "dec" and "cross" (where the batch has ``decoder_ids``), else that of
        ``input_ids``. "answer" are the positions whose logits predict answer tokens, "last" the first of them: they
        touch nothing of an encoder that a decoder reads ("enc"), as "prompt" touches nothing of a decoder.
        """
        decodes = block in ("dec", "cross") and self.decoder_mask is not None
        real = (self.attention_mask if self.decoder_mask is None or not decodes else self.decoder_mask).bool()
        if positions == "all":
            return real
        touched = torch.zeros_like(real)
        if positions == "prompt":
            before = torch.arange(real.shape[1], device=real.device) < self.prompt[:, None]
            return touched if decodes else real & before
        if block != "enc":
            first = torch.ones_like(self.owner, dtype=torch.bool)
            first[1:] = self.owner[1:] != self.owner[:-1]
            chosen = first if positions == "last" else torch.ones_like(first)
            touched[self.owner[chosen], self.position[chosen]] = True
        return touched


def plan_batches(examples: Sequence[Encoded], size: int, batching: Batching = "padded") -> list[list[int]]:
    """Cut examples into batches of indices: by length (ties in file order); fixed by the inputs alone."""

    def lengths(i: int) -> tuple[int, int]:
        return len(examples[i].inputs), len(examples[i].decoder or ())

    order = sorted(range(len(examples)), key=lambda i: (*lengths(i), i))
    parts = [list(part) for _, part in groupby(order, lengths)] if batching == "equal" else [order]
    step = 1 if batching == "single" else size
    return [part[i : i + step] for part in parts for i in range(0, len(part), step)]


def collate(examples: Sequence[Encoded], pad: int = 0, device: str | torch.device = "cpu") -> Batch:
    """Pad examples on the right, where no token counts the padding.

    A foil, a decoder or a corrupted prompt is in the batch where every example has one.
    """
    ids, mask = _padded([e.inputs for e in examples], pad)
    decoders = [e.decoder for e in examples if e.decoder is not None]
    decoder_ids, decoder_mask = _padded(decoders, pad) if len(decoders) == len(examples) else (None, None)
    corrupted = [e.corrupted for e in examples if e.corrupted is not None]
    corrupted_ids = _padded(corrupted, pad)[0] if len(corrupted) == len(examples) else None
    foils = [e.foil for e in examples if e.foil is not None]
    types = [e.types or (0,) * len(e.inputs) for e in examples]
    batch = Batch(
        input_ids=ids,
        attention_mask=mask,
        prompt=_list([e.prompt for e in examples]),
        owner=_list([k for k, e in enumerate(examples) for _ in e.answer]),
        position=_list([position for e in examples for position in e.positions]),
        target=_list([token for e in examples for token in e.answer]),
        foil=_list([token for foil in foils for token in foil]) if len(foils) == len(examples) else None,
        decoder_ids=decoder_ids,
        decoder_mask=decoder_mask,
        corrupted_ids=corrupted_ids,
        rows=tuple(e.row for e in examples),
        token_type_ids=_padded(types, 0)[0] if any(e.types for e in examples) else None,
        choices=_choices(examples),
    )
    moved: dict[str, Any] = {
        f.name: x.to(device) for f in fields(batch) if isinstance(x := getattr(batch, f.name), Tensor)
    }
    return replace(batch, **moved)


def _choices(examples: Sequence[Encoded]) -> Int[Tensor, "answer_token choice"] | None:
    alike = [e.alike for e in examples]
    most = max(map(len, alike))
    if most == 0:
        return None
    held = [[*each, *[(-1,) * len(e.answer)] * (most - len(each))] for e, each in zip(examples, alike, strict=True)]
    return torch.tensor([tokens for each in held for tokens in zip(*each, strict=True)], dtype=torch.long)


def _list(numbers: list[int]) -> Int[Tensor, item]:
    return torch.tensor(numbers, dtype=torch.long)


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Int[Tensor, "row token"], Int[Tensor, "row token"]]:
    widest = max(map(len, rows))
    ids = [[*row, *[pad] * (widest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (widest - len(row)) for row in rows]
    return torch.tensor(ids, dtype=torch.long), torch.tensor(mask, dtype=torch.long)
