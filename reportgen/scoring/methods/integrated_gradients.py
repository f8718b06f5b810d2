"""Integrated gradients: a head's share of what the answer's metric gains as heads are turned up from 0 to 1.

Formula: s(e, l, h) = ∫₀¹ ∂m(e) / ∂g(e, l, h) dg, where m is the metric of example e's answer and the gate g scales the
output of head h of layer l at every scored position. With ``path = "joint"`` the gates of all heads go from 0 to 1
together; with ``path = "layer"`` those of one layer do, while all other heads are whole. The integral is taken by the
Gauss–Legendre rule with ``steps`` points. Unit: that of the metric (natural log). Sign: positive where the head's
output supports the answer, on the average along the path.
Cost: joint, a forward and a backward per step and two forwards; layer, that for every layer, each run from the layer
upward (see ``ablation``): half as much on average.
Source: Sundararajan, Taly & Yan 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), section 3, with
gates as the input and all gates 0 as the baseline. Their completeness (proposition 1): the scores of all heads of the
path sum to m(all gates 1) − m(its gates 0). The check "completeness gap" is |sum − change| / |change|, of the layer
path the mean over layers; a change smaller than 0.1 counts as 0.1. It shows the error of the rule, and nothing of how
far the path leads from the model's distribution: much of the joint path runs through models whose attention is all but
turned off, so that the layer path is the nearer one to ablation, of which it is the layer's own, divided among heads.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.fast_forward.partial_forward import Record
from reportgen.scoring.methods.common.interpolation import GAP, LIMIT, gap, legendre
from reportgen.scoring.methods.common.method import (
    BatchScores,
    MethodParameters,
    MethodSetting,
    ScoringMethod,
    Setting,
    absent,
)
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.interventions import scaled

SUNDARARAJAN = (
    "Sundararajan, M., Taly, A. & Yan, Q. (2017). Axiomatic attribution for deep networks. ICML. arXiv:1703.01365."
)


class Parameters(MethodParameters):
    """The settings of the method."""

    # 8 points are exact for polynomials up to degree 15; what they miss, the completeness gap says of every example
    steps: int = Field(8, ge=1, description="points of the Gauss–Legendre rule")
    path: Literal["joint", "layer"] = Field("joint", description="all heads together, or one layer at a time")


def _score(setting: MethodSetting[Parameters, None], batch: Batch) -> BatchScores:
    values, gaps = absent(setting.heads, batch.size), list[np.ndarray]()
    with torch.no_grad():
        (clean, logits), record = setting.model.recording(lambda: setting.value(batch), batch.size)
    for group in _groups(setting.heads, setting.parameters.path):
        scores = _integral(setting, batch, record, group)
        for index, score in zip(group, scores, strict=True):
            values[:, index, : score.shape[1]] = score.cpu().numpy()
        with torch.no_grad():
            without, _ = _at(setting, batch, record, group, 0.0)
        found = sum((score.sum(dim=1) for score in scores), torch.zeros(()))
        gaps.append(gap(found, clean.double() - without.double()).cpu().numpy())
    return BatchScores(values, logits, checks={GAP: np.mean(gaps, axis=0)})


def _groups(heads: Heads, path: Literal["joint", "layer"]) -> list[list[int]]:
    """Return the sites whose gates move together."""
    sites = list(range(len(heads.sites)))
    return [sites] if path == "joint" else [[index] for index in sites]


def _integral(
    setting: MethodSetting[Parameters, None], batch: Batch, record: Record | None, group: Sequence[int]
) -> list[Float[Tensor, "example head"]]:
    """Integrate the scores of each site of the group."""
    sums = [torch.zeros(())] * len(group)
    for point, weight in legendre(setting.parameters.steps):
        with torch.enable_grad():
            value, gates = _at(setting, batch, record, group, point)
            # examples do not meet, so the gradient of the sum holds each example's own
            slopes = torch.autograd.grad(value.sum(), gates)
        sums = [total + weight * slope.double() for total, slope in zip(sums, slopes, strict=True)]
    return sums


def _at(
    setting: Setting, batch: Batch, record: Record | None, group: Sequence[int], point: float
) -> tuple[Float[Tensor, "example"], list[Float[Tensor, "example head"]]]:
    """Return the metric with the gates of the group's heads at one point, and the gates."""
    model, grad = setting.model, torch.is_grad_enabled()
    gates = [
        torch.full(
            (batch.size, setting.heads.sites[index].heads),
            point,
            device=model.device,
            dtype=model.gate_dtype,
            requires_grad=grad,
        )
        for index in group
    ]
    edits = {index: scaled(gate, setting.where(batch, index)) for index, gate in zip(group, gates, strict=True)}
    with model.resumed(record, group[0], 1, edits):
        value, _ = setting.value(batch)
    return value, gates


def _forwards(heads: Heads, parameters: Parameters) -> float:
    # gate_gradient's 2.12 for each step, and one forward with the gates at 0; what lies below the group is not run
    # again
    calls, each = len(heads.sites), 1 + 2.12 * parameters.steps
    return 1 + sum(each * (calls - group[0]) / calls for group in _groups(heads, parameters.path))


METHOD = ScoringMethod(
    name="integrated_gradients",
    order=70,
    family="gradient estimate",
    summary="gradient to the head's gate, integrated while gates go from 0 to 1",
    unit="∫ ∂ {label} / ∂ gate",
    sign="positive: the head's output supports the answer along the path",
    cost="a forward and a backward per step (path joint), or half as much per step and layer (path layer)",
    formula="s(e, l, h) = ∫₀¹ ∂m(e) / ∂g(e, l, h) dg",
    meaning="m is the metric of example e’s answer; the gate g scales the output of head h of layer l at every scored "
    "position. On the joint path the gates of all heads go from 0 to 1 together, on the layer path those of one layer "
    "while all other heads are whole. The scores sum to the metric’s change between the ends of the path, but for the "
    "error of a rule with few points: the completeness gap, relative to that change (to 0.1 where it is smaller; on "
    "the layer path the mean over layers).",
    limit=LIMIT,
    references=(SUNDARARAJAN,),
    score=_score,
    forwards=_forwards,
    parameters=Parameters,
    needs=frozenset({"gradient"}),
    cheap=True,
)
