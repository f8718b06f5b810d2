"""Greedy generation without a cache, so that it runs under any intervention: every step is one whole run."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from reportgen.scoring.data.batches import Batch

# the logits that predict each answer token of a batch
AnswerLogits = Callable[[Batch], Float[Tensor, "answer_token vocabulary"]]


def after_prompt(logits: AnswerLogits, batch: Batch, steps: int, pad: int) -> list[list[int]]:
    """Return the ids that a causal model puts out after each prompt."""
    device, start = batch.input_ids.device, batch.prompt
    rows, width = torch.arange(batch.size, device=device), int(start.max()) + steps
    ids = torch.full((batch.size, width), pad, device=device)
    known = min(width, batch.input_ids.shape[1])
    ids[:, :known] = batch.input_ids[:, :known]
    positions = torch.arange(width, device=device)
    for step in range(steps):
        last = start + step - 1
        so_far = int(last.max()) + 1  # no wider: how a model scales its positions may hang on a text's length
        mask = (positions[:so_far] <= last[:, None]).long()
        ids[rows, last + 1] = logits(Batch(ids[:, :so_far], mask, start, rows, last, target=rows)).argmax(dim=1)
    return [ids[e, start[e] : start[e] + steps].tolist() for e in range(batch.size)]


def in_decoder(logits: AnswerLogits, batch: Batch, steps: int, _: int) -> list[list[int]]:
    """Return the ids that an encoder-decoder's decoder puts out after its first tokens, which all examples share."""
    assert batch.decoder_ids is not None, "the batch of an encoder-decoder"
    rows, first = torch.arange(batch.size, device=batch.input_ids.device), int(batch.position[0]) + 1
    ids = batch.decoder_ids[:, :first]
    for _ in range(steps):
        last = torch.full_like(rows, ids.shape[1] - 1)
        asked = replace(
            batch, owner=rows, position=last, target=rows, foil=None, decoder_ids=ids, decoder_mask=torch.ones_like(ids)
        )
        ids = torch.cat([ids, logits(asked).argmax(dim=1, keepdim=True)], dim=1)
    return [row[first:].tolist() for row in ids]
