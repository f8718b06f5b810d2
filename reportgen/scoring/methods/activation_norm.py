"""Activation norm: how large a head's output is, whatever the answer. The control for every cheap score.

Formula: s(e, l, h) = the mean over the scored positions of the Euclidean norm of what head h of layer l puts out,
before the output projection. Unit: that of the model's activations. Sign: never negative.
Cost: one forward. Source: Kobayashi et al. 2020, "Attention is Not Only a Weight" (arXiv 2004.10102), who take norms of
transformed vectors. A score that ranks heads as their norm does has shown no more than the norm.
"""

import torch

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.method import ANY, BatchScores, MethodParameters, ScoringMethod, Setting, absent
from reportgen.scoring.model.interventions import captured

KOBAYASHI = (
    "Kobayashi, G., Kuribayashi, T., Yokoi, S. & Inui, K. (2020). Attention is not only a weight: analyzing "
    "transformers with vector norms. EMNLP. arXiv:2004.10102."
)


@torch.no_grad()
def norms(setting: Setting, batch: Batch) -> BatchScores:
    """Score a batch: the mean over the scored positions of the norm of every head's output."""
    model, heads, logits = setting.model, setting.heads, None
    with captured(model.model, heads) as seen:
        if model.kind == "encoder":
            model.run(batch)
        else:
            logits = model.answer_logits(batch)
    values = absent(heads, batch.size)
    for index, z in seen.items():
        where = batch.gated(heads.sites[index].block, setting.positions)[:, :, None].to(z.device)
        norms = z.double().norm(dim=-1) * where
        values[:, index, : z.shape[2]] = (norms.sum(dim=1) / where.sum(dim=1)).cpu().numpy()
    return BatchScores(values, logits)


METHOD: ScoringMethod[MethodParameters, None] = ScoringMethod(
    name="activation_norm",
    order=20,
    family="control",
    summary="mean size of the head's output: the control that cheap scores are printed beside",
    unit="activation norm",
    sign="never negative",
    cost="one forward",
    formula="s(e, l, h) = mean over positions t of ‖z(e, t, l, h)‖",
    meaning="z is the output of head h of layer l before the output projection. The norm knows nothing of the answer: "
    "a score that ranks heads as their norm does has shown no more than the norm.",
    references=(KOBAYASHI,),
    score=norms,
    forwards=lambda *_: 1.0,
    kinds=ANY,
    reduction="mean",
)
