"""Exact ablation: run the model on without one head at a time, many heads of a layer side by side in one batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.fast_forward.partial_forward import Record
from reportgen.scoring.fast_forward.prefix_cache import (
    Prefix,
    behind,
    following,
    pays,
    prefix_of,
    shared_tokens,
    without,
)
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, Setting, absent
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.interventions import Edit, edited, only, replaced
from reportgen.scoring.model.loaded import LoadedModel

EVERY = "all heads ablated"  # the check that says how much there is to lose
LIMIT = (
    "Heads were removed or replaced one at a time; later layers can make up for one head, so a small value does not "
    "show that a head is idle."
)
HeadsAtOnce = Annotated[
    int, Field(ge=0, description="heads of a layer ablated side by side in one larger batch (0: by its length)")
]


class AblationParameters(MethodParameters):
    """The settings of an ablation that draws nothing."""

    heads_at_once: HeadsAtOnce = 0


# Tokens of one larger batch: enough to fill the matrix products, few enough for a core's cache. With 2048 in place of
# 1024 races took 0.97 of the time (docs/scoring-speed.md), for twice the memory; the accelerators' is not measured
TOKENS, TOKENS_ON_ACCELERATOR = 1024, 16384
# of a site, what stands in place of its heads: a number, or a function of their outputs, several copies of the batch's
Substitute = Callable[[int], Edit | float]


@torch.no_grad()
def without_each(
    setting: Setting,
    batch: Batch,
    substitute: Substitute,
    heads_at_once: int = 0,
    *,
    together: bool = True,
    alike: bool = False,
) -> BatchScores:
    """Measure the metric's change, baseline minus ablated, with each head in turn replaced by ``substitute(site)``.

    Layers below the ablated one, and its attention, put out what the baseline run recorded, where the model can be
    resumed and the metric reads the answer as it stands; of what lies behind the last attention only answer
    positions are run. ``heads_at_once`` of a layer are ablated side by side (0: as many as fill the device), of
    ``setting.wanted`` alone where there are such. ``together``: the change with all heads
    replaced at once is the check ``EVERY``, where all heads are wanted. ``alike``: the substitute is the same in all
    examples, so that tokens which they all begin with are run once.
    """
    values = absent(setting.heads, batch.size)
    (before, logits), record = _baseline(setting, batch)
    prefix = _prefix(setting, batch, record) if alike else None
    step = side_by_side(setting.model, batch, heads_at_once, 0 if prefix is None else prefix.tokens)
    parts = [_parts(setting, index, step) for index in range(len(setting.heads.sites))]
    many = {copies: batch.repeated(copies) for copies in {len(heads) for part in parts for heads in part}}
    for index, part in enumerate(parts):
        by = substitute(index)
        for heads in part:
            chosen = torch.as_tensor(heads, device=setting.model.device)
            after = _ablated(setting, many[len(heads)], record, index, chosen, by, prefix)
            values[:, index, heads] = (before.double() - after).T.cpu().numpy()
    together = together and _all_wanted(setting)
    checks = {EVERY: (before.double() - _without_all(setting, batch, substitute)).cpu().numpy()} if together else {}
    return BatchScores(values, logits, checks=checks)


def _without_all(setting: Setting, batch: Batch, substitute: Substitute) -> Float[Tensor, "example"]:
    """Measure the metric of the batch with every head replaced."""
    edits = {}
    for index, site in enumerate(setting.heads.sites):
        lost = torch.ones((batch.size, site.heads), dtype=torch.bool, device=setting.model.device)
        edits[index] = replaced(lost, substitute(index), setting.where(batch, index))
    with _narrowed(setting, batch), edited(setting.model.model, setting.heads, edits):
        return setting.value(batch)[0].double()


def _all_wanted(setting: Setting) -> bool:
    return setting.wanted is None or int(setting.wanted.sum()) == sum(site.heads for site in setting.heads.sites)


def side_by_side(model: LoadedModel, batch: Batch, asked: int = 0, shared: int = 0) -> int:
    """Say how many copies of a batch run side by side, each without other heads: as many as ``asked`` for (0: as fill
    the device), or one where the number of copies would change what the model puts out.
    """
    return (asked or at_once(batch, shared)) if model.running.copies else 1


def at_once(batch: Batch, shared: int = 0) -> int:
    """Say how many copies of a batch fill the device; its ``shared`` first tokens are run once."""
    run = batch.input_ids.numel() - shared * (batch.size - 1)
    return max(1, most_tokens(batch.input_ids.device) // run)


def most_tokens(device: torch.device) -> int:
    """Return the tokens that fill the device: in larger batches they cost as much each, and take more memory."""
    return TOKENS if device.type == "cpu" else TOKENS_ON_ACCELERATOR


def _parts(setting: Setting, index: int, step: int) -> list[np.ndarray]:
    """Cut a site's wanted heads into parts of like size, none greater than ``step``."""
    heads = np.arange(setting.heads.sites[index].heads)
    if setting.wanted is not None:
        heads = np.flatnonzero(setting.wanted[index])
    return np.array_split(heads, -(-len(heads) // step)) if len(heads) else []


def _baseline(setting: Setting, batch: Batch) -> tuple[tuple[Tensor, Tensor], Record | None]:
    if setting.metric.generated:
        return setting.value(batch), None
    return setting.model.recording(lambda: setting.value(batch), batch.size)


def _prefix(setting: Setting, batch: Batch, record: Record | None) -> Prefix | None:
    """Return the tokens that all examples begin with, where running them once is possible and pays."""
    if record is None or not setting.model.shortcuts.prefixes or setting.positions != "all":
        return None
    tokens = shared_tokens(batch)
    return prefix_of(setting.model.model, record, batch, tokens) if pays(batch, tokens) else None


def _ablated(
    setting: Setting,
    many: Batch,
    record: Record | None,
    index: int,
    chosen: Tensor,
    by: Edit | float,
    prefix: Prefix | None,
) -> Float[Tensor, "lost example"]:
    """Measure the metric with each of the chosen heads of a site replaced in one of the batch's copies."""
    copies, model, site = len(chosen), setting.model, setting.heads.sites[index]
    lost = only(chosen.repeat_interleave(many.size // copies), site.heads)
    if prefix is not None:
        cache = without(model.model, model.heads, model.shortcuts.narrow, prefix, index, chosen, by)
        many, record, by = following(many, prefix.tokens, cache), prefix.rest, behind(by)
    edit = replaced(lost, by, setting.where(many, index))
    with _narrowed(setting, many), model.resumed(record, index, copies, {index: edit}):
        after, _ = setting.value(many)
    return after.double().view(copies, -1)


def _narrowed(setting: Setting, batch: Batch) -> AbstractContextManager[None]:
    """Narrow runs to answer positions, but for a generated answer, which is read at positions that no batch names."""
    return nullcontext() if setting.metric.generated else setting.model.narrowed(batch)


def forwards(heads: Heads) -> float:
    """Count a batch's plain forwards: of each head the layers from its own upward, and two: baseline, and all heads."""
    calls = len(heads.sites)
    return 2 + sum(site.heads * (calls - index) / calls for index, site in enumerate(heads.sites))
