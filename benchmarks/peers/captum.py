"""captum: ``FeatureAblation`` of gates on the heads, its loop over features with several of them in one batch."""

from typing import Any

import torch
from captum.attr import FeatureAblation
from torch import Tensor

from benchmarks.peers import Losses, inputs, metric, shape
from reportgen.scoring.data.batches import Batch

AT_ONCE = 1  # perturbations_per_eval; more were slower here


def losses(model: Any, batch: Batch, matched: bool) -> Losses:
    """One call of ``attribute``; it gives the change, from which the metric is read back."""
    layers, heads, size = shape(model)
    named, chosen = inputs(batch, matched)

    def forward(gates: Tensor) -> Tensor:
        of_layer = gates.view(-1, layers, heads)

        def gated(layer: int) -> Any:
            return lambda _, given: (
                (given[0].unflatten(-1, (heads, size)) * of_layer[:, layer, None, :, None]).flatten(-2),
            )

        handles = [
            layer.self_attn.o_proj.register_forward_pre_hook(gated(i)) for i, layer in enumerate(model.model.layers)
        ]
        try:
            return metric(chosen(model(**named).logits), batch)
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def run() -> Tensor:
        ones = torch.ones(batch.size, layers * heads)
        change = FeatureAblation(forward).attribute(ones, perturbations_per_eval=AT_ONCE)
        return (forward(ones)[:, None] - change).T.view(layers, heads, batch.size)

    return run
