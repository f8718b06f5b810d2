"""Zero ablation: the exact change of the answer's metric when one head puts out zero.

Formula: s(e, l, h) = m(e) − m(e | output of head h of layer l set to 0 at every position); importance is the mean over
examples of |s|. Unit: that of the metric (natural log). Sign: baseline minus ablated, positive where the head helps.
Cost: for each head the layers from its own upward, half a forward on average: Σ over heads of (L − l) / L forwards and
one for the baseline. Layers below the ablated one put out what the baseline run recorded; ``heads_at_once`` heads of a
layer are ablated side by side in one larger batch.
Source: Michel, Levy & Neubig 2019 (arXiv 1905.10650), section 3; Voita et al. 2019 (arXiv 1905.09418). Zero is off the
model's distribution, and later layers often repair one head's loss (McGrath et al. 2023, arXiv 2307.15771): a small
value does not show that a head is idle.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from reportgen.scoring.decoder import Decoder
from reportgen.scoring.heads import Heads, ablated, recorded, resumed
from reportgen.scoring.method import MICHEL, VOITA, BatchScores, Measure, ScoringMethod, absent
from reportgen.scoring.tokens import Batch


@torch.no_grad()
def _score(decoder: Decoder, batch: Batch, measure: Measure, parameters: Mapping[str, Any]) -> BatchScores:
    heads, values, outputs = decoder.heads, absent(decoder.heads, batch.size), list[Any]()
    with recorded(heads, outputs):
        logits = decoder.answer_logits(batch)
    before = measure(logits, batch).double().cpu().numpy()
    for layer in heads.attending:
        count, step = heads.layers[layer].heads, parameters["heads_at_once"]
        for first in range(0, count, step):
            chosen = torch.arange(first, min(first + step, count), device=decoder.device)
            after = _without(decoder, batch, measure, outputs, layer, chosen)
            values[:, layer, first : first + step] = (before - after).T
    return BatchScores(values, logits)


def _without(
    decoder: Decoder, batch: Batch, measure: Measure, outputs: list[Any], layer: int, chosen: torch.Tensor
) -> np.ndarray:
    """The metric (head, example) of the batch with each of the chosen heads of a layer ablated in turn."""
    copies, heads = len(chosen), decoder.heads
    many, from_layer = batch.repeated(copies), layer if decoder.resumes else 0
    lost = chosen.repeat_interleave(batch.size)
    with ablated(heads, layer, lost), resumed(heads, from_layer, outputs, copies):
        after = measure(decoder.answer_logits(many), many)
    result: np.ndarray = after.double().view(copies, batch.size).cpu().numpy()
    return result


def _forwards(heads: Heads) -> float:
    depth = len(heads.layers)
    return 1 + sum(layer.heads * (depth - index) / depth for index, layer in enumerate(heads.layers))


METHOD = ScoringMethod(
    name="zero_ablation",
    summary="mean over examples of the absolute change of the answer's metric when the head puts out zero",
    unit="|Δ {label}|",
    sign="baseline minus ablated; positive: the head helps",
    cost="half a forward per head on average",
    formula="s(e, l, h) = m(e) − m(e | output of head h of layer l set to 0)",
    meaning="m is the metric of example e’s answer; the head’s output is set to zero at every position. Zero lies off "
    "the distribution that the model was trained on, and later layers can make up for a missing head.",
    references=(MICHEL, VOITA),
    score=_score,
    forwards=_forwards,
    defaults={"heads_at_once": 4},
)
