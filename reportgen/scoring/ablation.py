"""Exact ablation: run the model on without one head at a time, many heads of a layer side by side in one batch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from reportgen.scoring.heads import Heads
from reportgen.scoring.interventions import Edit, Record, edited, only, replaced
from reportgen.scoring.method import BatchScores, Parameter, Setting, absent
from reportgen.scoring.tokens import Batch

EVERY = "all heads ablated"  # the check that says how much there is to lose
HEADS_AT_ONCE = Parameter(4, "heads of a layer ablated side by side in one larger batch")
# of a site, what stands in place of its heads: a number, or a function of their outputs, several copies of the batch's
Substitute = Callable[[int], Edit | float]


@torch.no_grad()
def without_each(setting: Setting, batch: Batch, substitute: Substitute, together: bool = True) -> BatchScores:
    """The metric's change, baseline minus ablated, with each head in turn replaced by ``substitute(site)``.

    Layers below the ablated one put out what the baseline run recorded, where the model can be resumed and the metric
    reads the answer as it stands. ``together``: the change with all heads replaced at once is the check ``EVERY``.
    """
    values = absent(setting.heads, batch.size)
    (before, logits), record = _baseline(setting, batch)
    for index, site in enumerate(setting.heads.sites):
        by, step = substitute(index), setting.parameters["heads_at_once"]
        for first in range(0, site.heads, step):
            chosen = torch.arange(first, min(first + step, site.heads), device=setting.model.device)
            after = _ablated(setting, batch, record, index, chosen, by)
            values[:, index, first : first + len(chosen)] = (before.double() - after).T.cpu().numpy()
    checks = {EVERY: (before.double() - _without_all(setting, batch, substitute)).cpu().numpy()} if together else {}
    return BatchScores(values, logits, checks=checks)


def _without_all(setting: Setting, batch: Batch, substitute: Substitute) -> Float[Tensor, "example"]:
    """The metric of the batch with every head replaced."""
    edits = {}
    for index, site in enumerate(setting.heads.sites):
        lost = torch.ones((batch.size, site.heads), dtype=torch.bool, device=setting.model.device)
        edits[index] = replaced(lost, substitute(index), setting.where(batch, index))
    with edited(setting.model.model, setting.heads, edits):
        return setting.value(batch)[0].double()


def _baseline(setting: Setting, batch: Batch) -> tuple[tuple[Tensor, Tensor], Record | None]:
    if setting.metric.generated:
        return setting.value(batch), None
    return setting.model.recording(lambda: setting.value(batch), batch.size)


def _ablated(
    setting: Setting, batch: Batch, record: Record | None, index: int, chosen: Tensor, by: Edit | float
) -> Float[Tensor, "lost example"]:
    """The metric of the batch with each of the chosen heads of a site replaced in turn."""
    copies, model, site = len(chosen), setting.model, setting.heads.sites[index]
    many = batch.repeated(copies)
    lost = only(chosen.repeat_interleave(batch.size), site.heads)
    edit = replaced(lost, by, setting.where(many, index))
    with model.resumed(record, index, copies, {index: edit}):
        after, _ = setting.value(many)
    return after.double().view(copies, batch.size)


def forwards(heads: Heads, _: Mapping[str, Any]) -> float:
    """Plain forwards for all heads of a batch: the layers from a head's own upward, and one each for the baseline and all heads."""
    calls = len(heads.sites)
    return 2 + sum(site.heads * (calls - index) / calls for index, site in enumerate(heads.sites))
