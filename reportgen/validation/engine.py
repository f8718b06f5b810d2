"""Run a batch under many interventions side by side, each on any set of heads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import Baseline
from reportgen.scoring.fast_forward.partial_forward import Record
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.common.references import Means
from reportgen.scoring.model.interventions import Edit, replaced, scaled
from reportgen.validation.readout import Read
from reportgen.validation.sets import Heads


@dataclass(frozen=True)
class Intervention:
    """What becomes of some heads' outputs at the scored positions: their mean over the discovery half, or ``factor``
    times themselves (0: zero ablation).
    """

    heads: Heads
    factor: float | None = None

    @property
    def lowest(self) -> int:
        """The first site that is touched; none is where the set is empty."""
        return min((site for site, _ in self.heads), default=10**6)  # beyond all sites: nothing has to be run

    @property
    def order(self) -> tuple[int, bool, float, list[tuple[int, int]]]:
        """By which interventions are sorted: first those that share most untouched layers."""
        return -self.lowest, self.factor is None, self.factor or 0.0, sorted(self.heads)

    def share(self, sites: int) -> float:
        """Return the part of the model's layers that has to be run."""
        return max(0, sites - self.lowest) / sites


@dataclass(frozen=True)
class Outcomes:
    """Right or wrong, and log-probability of the answer, of each example under each intervention."""

    correct: Bool[np.ndarray, "intervention example"]
    log_probability: Float[np.ndarray, "intervention example"]


@torch.no_grad()
def outcomes(
    setting: Setting, means: Means, read: Read, batch: Batch, wanted: Sequence[Intervention], together: int
) -> Outcomes:
    """Run the batch under each of the interventions, in their order, ``together`` of them side by side.

    Runs start at the lowest touched layer from what the plain run recorded, where the model can be resumed, and what
    lies behind the last attention runs at answer positions alone, where only these are read.
    """
    plain, record = setting.model.recording(lambda: read(batch), batch.size)
    correct = np.tile(plain.correct, (len(wanted), 1))
    log_probability = np.tile(plain.log_probability, (len(wanted), 1))
    order = sorted((i for i, each in enumerate(wanted) if each.heads), key=lambda i: wanted[i].order)
    for start in range(0, len(order), together):
        chosen = order[start : start + together]
        found = _together(setting, means, read, batch, record, [wanted[i] for i in chosen])
        correct[chosen] = found.correct.reshape(len(chosen), -1)
        log_probability[chosen] = found.log_probability.reshape(len(chosen), -1)
    return Outcomes(correct, log_probability)


def _together(
    setting: Setting, means: Means, read: Read, batch: Batch, record: Record | None, some: Sequence[Intervention]
) -> Baseline:
    many = batch.repeated(len(some))
    edits = {
        site: _edit(setting, means, many, some, site)
        for site in sorted({site for each in some for site, _ in each.heads})
    }
    with setting.model.narrowed(many), setting.model.resumed(record, min(edits), len(some), edits):
        return read(many)


def _edit(setting: Setting, means: Means, many: Batch, some: Sequence[Intervention], site: int) -> Edit:
    """Return the edit that all interventions make of one site: copy after copy of the batch."""
    heads, rows = setting.heads.sites[site].heads, many.size // len(some)
    lost = np.zeros((len(some), heads), dtype=bool)
    gate = np.ones((len(some), heads))
    for copy, each in enumerate(some):
        mine = [head for at, head in each.heads if at == site]
        if each.factor is None:
            lost[copy, mine] = True
        else:
            gate[copy, mine] = each.factor
    where = setting.where(many, site)
    edits = [scaled(_spread(setting, gate, rows).to(setting.model.gate_dtype), where)] if (gate != 1).any() else []
    if lost.any():
        edits.append(replaced(_spread(setting, lost, rows), means.substitute(site), where))

    def both(z: Tensor) -> Tensor:
        for edit in edits:
            z = edit(z)
        return z

    return both


def _spread(setting: Setting, by_copy: np.ndarray, rows: int) -> Tensor:
    return torch.as_tensor(by_copy, device=setting.model.device).repeat_interleave(rows, dim=0)
