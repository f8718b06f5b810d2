"""How other tools score every head by exact zero ablation, each as its own documentation has its users write it.

Each takes a Llama of transformers and makes a function that gives, for a batch, the metric without each head in turn.
``matched``: the tool is spared vocabulary logits at positions that no answer needs, which few of its users do.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import METRICS, measure

Losses = Callable[[], Tensor]  # the metric without head h of layer l: (layer, head, example)


def metric(logits: Tensor, batch: Batch) -> Tensor:
    """Log-odds of each example's answer; ``logits`` at answer positions, or at all of them."""
    at = logits if logits.ndim == 2 else logits[batch.owner, batch.position]
    return measure(METRICS["log_odds"], at, batch, "sum")


def shape(model: Any) -> tuple[int, int, int]:
    """Layers, heads and the size of a head."""
    config = model.config
    return config.num_hidden_layers, config.num_attention_heads, config.head_dim


def inputs(batch: Batch, matched: bool) -> tuple[dict[str, Any], Callable[[Tensor], Tensor]]:
    """What a model of transformers is called with, and the logits at answer positions of what it puts out."""
    kept, place = torch.unique(batch.position, return_inverse=True)
    named = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
    if not matched:
        return named, lambda logits: logits[batch.owner, batch.position]
    return {**named, "logits_to_keep": kept}, lambda logits: logits[batch.owner, place]
