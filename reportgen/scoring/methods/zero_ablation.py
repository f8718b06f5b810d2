"""Zero ablation: the exact change of the answer's metric when one head puts out zero.

Formula: s(e, l, h) = m(e) − m(e | output of head h of layer l set to 0 at every position); importance is the mean over
examples of |s|. Unit: that of the metric (natural log). Sign: baseline minus ablated, positive where the head helps.
Cost: for each head the layers from its own upward, half a forward on average: Σ over heads of (L − l) / L forwards and
one each for the baseline and all heads. Layers below the ablated one and its own attention put out what the baseline
run recorded, what lies behind the last attention runs at answer positions alone, and several heads of a layer are
ablated side by side in one larger batch.
Source: Michel, Levy & Neubig 2019 (arXiv 1905.10650), section 3; Voita et al. 2019 (arXiv 1905.09418). Zero is off the
model's distribution, and later layers often repair one head's loss (McGrath et al. 2023, arXiv 2307.15771): a small
value does not show that a head is idle.
"""

import torch

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.ablation import LIMIT, AblationParameters, forwards, without_each
from reportgen.scoring.methods.common.method import (
    MICHEL,
    VOITA,
    BatchScores,
    MethodSetting,
    ScoringMethod,
)


@torch.no_grad()
def _score(setting: MethodSetting[AblationParameters, None], batch: Batch) -> BatchScores:
    return without_each(setting, batch, lambda _: 0.0, setting.parameters.heads_at_once, alike=True)


METHOD = ScoringMethod(
    name="zero_ablation",
    order=30,
    family="ablation",
    summary="exact change of the answer's metric when the head puts out zero",
    unit="Δ {label}",
    sign="baseline minus ablated; positive: the head helps",
    cost="half a forward per head on average",
    formula="s(e, l, h) = m(e) − m(e | output of head h of layer l set to 0)",
    meaning="m is the metric of example e’s answer; the head’s output is set to zero at every scored position. Zero "
    "lies off the distribution that the model was trained on, and later layers can make up for a missing head.",
    limit=LIMIT,
    references=(MICHEL, VOITA),
    score=_score,
    forwards=lambda heads, _: forwards(heads),
    parameters=AblationParameters,
    races=True,
)
