"""Plain PyTorch: a hook before the output projection, one head and one whole forward at a time."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import Losses, inputs, metric, shape
from reportgen.scoring.data.batches import Batch


def losses(model: Any, batch: Batch, matched: bool) -> Losses:
    """A loop over all heads."""
    layers, heads, size = shape(model)
    named, chosen = inputs(batch, matched)

    def without(layer: int, head: int) -> Tensor:
        def zero(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            z = given[0].clone()
            z[..., head * size : (head + 1) * size] = 0
            return (z,)

        handle = model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(zero)
        try:
            return metric(chosen(model(**named).logits), batch)
        finally:
            handle.remove()

    @torch.no_grad()
    def run() -> Tensor:
        return torch.stack([torch.stack([without(i, h) for h in range(heads)]) for i in range(layers)])

    return run
