"""pyvene: an intervenable model for each head, a zero intervention on ``head_attention_value_output``."""

from typing import Any

import pyvene
import torch
from torch import Tensor

from benchmarks.peers import Losses, inputs, metric, shape
from reportgen.scoring.data.batches import Batch


def losses(model: Any, batch: Batch, matched: bool) -> Losses:
    """A loop over all heads."""
    layers, heads, _ = shape(model)
    named, chosen = inputs(batch, matched)
    of_layer = [
        pyvene.IntervenableModel(
            {
                "layer": layer,
                "component": "head_attention_value_output",
                "unit": "h",
                "intervention_type": pyvene.ZeroIntervention,
            },
            model=model,
        )
        for layer in range(layers)
    ]

    def without(layer: int, head: int) -> Tensor:
        _, changed = of_layer[layer](base=named, unit_locations={"base": head})
        return metric(chosen(changed.logits), batch)

    @torch.no_grad()
    def run() -> Tensor:
        return torch.stack([torch.stack([without(i, h) for h in range(heads)]) for i in range(layers)])

    return run
