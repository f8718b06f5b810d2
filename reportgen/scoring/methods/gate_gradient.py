"""Gate gradient: how fast the answer's metric changes as one head's output is turned down.

Formula: s(e, l, h) = ∂m(e) / ∂g(e, l, h) at g = 1, where m is the metric of example e's answer and the gate g scales
the output of head h of layer l at every position of that example; importance is the mean over examples of |s|.
Unit: that of the metric (natural log), per unit of gate. Sign: positive where the head's output supports the answer.
Cost: one forward and one backward for all heads and a whole batch (about 2.1 plain forwards), parameters frozen, what
lies behind the last attention at answer positions alone. Gates and the sums in them are float32 in half-precision
models. Every example has gates of its own, so that no sum over a batch is taken before the absolute value.
Source: Michel, Levy & Neubig 2019, "Are Sixteen Heads Really Better than One?" (arXiv 1905.10650), section 4.1, with
the answer's metric in place of the loss and without their normalisation within each layer. ∂ log p = (1 − p) ·
∂ log-odds: with ``metric = "log_probability"`` each example is weighted by its 1 − p.
"""

import torch

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.method import (
    MICHEL,
    BatchScores,
    MethodParameters,
    ScoringMethod,
    Setting,
    absent,
)
from reportgen.scoring.model.interventions import edited, scaled


def gradients(setting: Setting, batch: Batch) -> BatchScores:
    """Score a batch: the gradient of each example's metric to a gate of 1 on every head's output."""
    model, heads, values = setting.model, setting.heads, absent(setting.heads, batch.size)
    gates = [
        torch.ones(batch.size, site.heads, device=model.device, dtype=model.gate_dtype, requires_grad=True)
        for site in heads.sites
    ]
    edits = {index: scaled(gate, setting.where(batch, index)) for index, gate in enumerate(gates)}
    with torch.enable_grad(), model.narrowed(batch), edited(model.model, heads, edits):
        value, logits = setting.value(batch)
        # examples do not meet, so the gradient of the sum holds each example's own
        gradients = torch.autograd.grad(value.sum(), gates)
    for index, gradient in enumerate(gradients):
        values[:, index, : gradient.shape[1]] = gradient.cpu().numpy()
    return BatchScores(values, logits.detach())


METHOD: ScoringMethod[MethodParameters, None] = ScoringMethod(
    name="gate_gradient",
    order=10,
    family="gradient",
    summary="gradient of the answer's metric to a gate on the head's output, per example",
    unit="∂ {label} / ∂ gate",
    sign="positive: the head's output supports the answer",
    cost="one forward and one backward for all heads (about 2.1 forwards)",
    formula="s(e, l, h) = ∂m(e) / ∂g(e, l, h) at g = 1",
    meaning="m is the metric of example e’s answer; the gate g scales the output of head h of layer l at every "
    "scored position of that example. One forward and one backward pass score all heads of an example.",
    limit="A gradient describes small changes around the unmodified model; removing a head altogether can have another "
    "effect.",
    references=(MICHEL,),
    score=gradients,
    # measured with 12 × 12 heads of width 64 on batches of 8 × 32 tokens; 1.98 by multiplications (a backward without
    # weights' gradients costs about one forward)
    forwards=lambda *_: 2.12,
    needs=frozenset({"gradient"}),
    cheap=True,
)
