"""One run of a model over a batch, and a short batch to try it on."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from reportgen.scoring.data.batches import Batch, Encoded, Kind, collate
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.model.trace import embedding_table, ended, input_device, shifts_itself

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def forward(module: nn.Module, kind: Kind, batch: Batch, **extra: object) -> Any:
    """Run the model or its body over a batch, with no cache but the batch's.

    Every model counts its positions as it was trained to (RoBERTa's begin behind the padding's own): padding stands on
    the right, where no token counts it.
    """
    known = inspect.signature(module.forward).parameters
    wanted: dict[str, object] = {"use_cache": False, "return_dict": True}
    if batch.cache is not None:
        wanted |= {"use_cache": True, "past_key_values": batch.cache}
    if batch.token_type_ids is not None:
        wanted["token_type_ids"] = batch.token_type_ids
    if kind == "seq2seq":
        wanted |= {"decoder_input_ids": batch.decoder_ids, "decoder_attention_mask": batch.decoder_mask}
    passed = {name: value for name, value in wanted.items() if name in known}
    return module(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **passed, **extra)


def short_batch(model: PreTrainedModel, kind: Kind, rows: int, tokens: int = 5, step: int = 7) -> Batch:
    """Return the same short text ``rows`` times over, for checks."""
    size, device = len(embedding_table(model)), input_device(model)
    # steps of 7: tokens that differ in any vocabulary but the smallest; five of them, for a load takes some ten such
    # runs
    ids = tuple((step * i + 3) % size for i in range(tokens))
    decoder = ids[1:4] if kind == "seq2seq" else None
    answer, positions = ((), ()) if kind == "encoder" else ((1,), (0 if kind == "classifier" else 2,))
    if shifts_itself(model):
        ids = tuple(ended(model, torch.tensor([ids], device=device))[0].tolist())
    example = Encoded(Row("", "", "", "", "", ""), ids, tokens, answer, positions, decoder=decoder)
    return collate([example] * rows, getattr(model.config.get_text_config(), "pad_token_id", None) or 0, device)
