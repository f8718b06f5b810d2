"""nnsight: one trace for each head, in which the projection's input is changed and the logits are saved."""

from typing import Any

import nnsight
import torch
from torch import Tensor

from benchmarks.peers import Losses, inputs, metric, shape
from reportgen.scoring.data.batches import Batch


def losses(model: Any, batch: Batch, matched: bool) -> Losses:
    """A loop over all heads."""
    traced, (layers, heads, size) = nnsight.NNsight(model), shape(model)
    named, chosen = inputs(batch, matched)

    def without(layer: int, head: int) -> Tensor:
        with traced.trace(**named):
            traced.model.layers[layer].self_attn.o_proj.input[:, :, head * size : (head + 1) * size] = 0
            logits = traced.lm_head.output.save()
        return metric(chosen(logits), batch)

    @torch.no_grad()
    def run() -> Tensor:
        return torch.stack([torch.stack([without(i, h) for h in range(heads)]) for i in range(layers)])

    return run
