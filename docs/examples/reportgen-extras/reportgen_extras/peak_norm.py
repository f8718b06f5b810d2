"""Peak norm: how large a head's output is at the position where it is largest."""

import torch

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.method import ANY, BatchScores, MethodParameters, ScoringMethod, Setting, absent
from reportgen.scoring.model.interventions import captured


@torch.no_grad()
def score(setting: Setting, batch: Batch) -> BatchScores:
    """One batch: z of site i (one attention of one layer) is (example, position, head, head size)."""
    model, heads = setting.model, setting.heads
    with captured(model.model, heads) as seen:
        model.run(batch)
    values = absent(heads, batch.size)
    for site, z in seen.items():
        where = batch.gated(heads.sites[site].block, setting.positions)[:, :, None]
        norms = z.double().norm(dim=-1).masked_fill(~where, 0.0)
        values[:, site, : z.shape[2]] = norms.amax(dim=1).cpu().numpy()
    return BatchScores(values, None)


METHOD: ScoringMethod[MethodParameters, None] = ScoringMethod(
    name="peak_norm",
    family="control",
    summary="largest size of the head's output over the scored positions",
    unit="activation norm",
    sign="never negative",
    cost="one forward",
    formula="s(e, l, h) = max over positions t of ‖z(e, t, l, h)‖",
    meaning="z is the output of head h of layer l before the output projection.",
    references=(),
    score=score,
    forwards=lambda *_: 1.0,
    kinds=ANY,
    reduction="mean",
)
