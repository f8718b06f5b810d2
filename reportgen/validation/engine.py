"""Run a batch under many interventions side by side, each on any set of heads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import Baseline
from reportgen.scoring.fast_forward.partial_forward import Record
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.common.references import Means, outputs
from reportgen.scoring.model.interventions import Edit, replaced, scaled
from reportgen.validation.readout import Read
from reportgen.validation.sets import Heads

Step = Callable[[int], None]
Substitute = Callable[[int], Edit]  # from a site to the edit that puts other outputs in the place of all its heads


@dataclass(frozen=True)
class Intervention:
    """What becomes of some heads' outputs at the scored positions: their mean over the discovery half; with a
    ``factor``, so many times themselves (0: zero ablation); with a ``draw``, what they put out on another row.

    ``elsewhere``: at the study's other positions.
    """

    heads: Heads
    factor: float | None = None
    draw: int | None = None
    elsewhere: bool = False

    @property
    def lowest(self) -> int:
        """The first site that is touched; none is where the set is empty."""
        return min((site for site, _ in self.heads), default=10**6)  # beyond all sites: nothing has to be run

    @property
    def manner(self) -> tuple[bool, int]:
        """What interventions that run side by side have in common: where, and what stands in."""
        return self.elsewhere, -1 if self.draw is None else self.draw

    @property
    def order(self) -> tuple[object, ...]:
        """By which interventions are sorted: alike ones together, and first those that share most untouched layers."""
        return *self.manner, -self.lowest, self.factor is None, self.factor or 0.0, sorted(self.heads)

    def share(self, sites: int) -> float:
        """Return the part of the model's layers that has to be run."""
        return max(0, sites - self.lowest) / sites


@dataclass(frozen=True)
class Outcomes:
    """Right or wrong, and log-probability of the answer, of each example under each intervention."""

    correct: Bool[np.ndarray, "intervention example"]
    log_probability: Float[np.ndarray, "intervention example"]


@dataclass(frozen=True)
class Ground:
    """All that interventions on a batch stand on.

    ``settings`` and ``means`` are those of the study's positions and, where there are any, of the other ones;
    ``donors`` gives, for a batch and the number of a draw, the rows whose outputs stand in for those of the batch's.
    """

    settings: tuple[Setting, ...]
    means: tuple[Means, ...]
    read: Read
    donors: Callable[[Batch, int], Batch]


@torch.no_grad()
def outcomes(
    ground: Ground, batch: Batch, wanted: Sequence[Intervention], together: int, step: Step = lambda _: None
) -> Outcomes:
    """Run the batch under each of the interventions, in their order, ``together`` of them side by side.

    Runs start at the lowest touched layer from what the plain run recorded, where the model can be resumed, and what
    lies behind the last attention runs at answer positions alone, where only these are read. ``step`` is told after
    each run how many interventions it held.
    """
    setting = ground.settings[0]
    plain, record = setting.model.recording(lambda: ground.read(batch), batch.size)
    correct = np.tile(plain.correct, (len(wanted), 1))
    log_probability = np.tile(plain.log_probability, (len(wanted), 1))
    order = sorted((i for i, each in enumerate(wanted) if each.heads), key=lambda i: wanted[i].order)
    for (elsewhere, draw), alike in groupby(order, key=lambda i: wanted[i].manner):
        chosen, place = list(alike), int(elsewhere)
        instead: Substitute = ground.means[place].substitute
        if draw >= 0:
            instead = _of_donors(ground.settings[0], batch, ground.donors(batch, draw))
        for start in range(0, len(chosen), together):
            some = chosen[start : start + together]
            found = _together(ground.settings[place], instead, ground.read, batch, record, [wanted[i] for i in some])
            correct[some] = found.correct.reshape(len(some), -1)
            log_probability[some] = found.log_probability.reshape(len(some), -1)
            step(len(some))
    return Outcomes(correct, log_probability)


def _of_donors(setting: Setting, batch: Batch, donors: Batch) -> Substitute:
    """Return what puts donors' outputs in the place of the batch's, example by example.

    The first token stands for the first, and the others from the last one on, where answers are; a longer text takes a
    shorter donor's tokens over again.
    """
    seen = outputs(setting, donors)
    laid: dict[str | None, Tensor] = {}

    def substitute(site: int) -> Edit:
        block = setting.heads.sites[site].block
        if block not in laid:
            laid[block] = _laid_out(batch.gated(block, "all"), donors.gated(block, "all"))
        rows = torch.arange(donors.size, device=seen[site].device)[:, None]
        by = seen[site][rows, laid[block].to(seen[site].device)]
        return lambda z: by.repeat(z.shape[0] // len(by), 1, 1, 1).to(z.dtype)

    return substitute


def _laid_out(real: Bool[Tensor, "example token"], donor: Bool[Tensor, "example donor_token"]) -> Tensor:
    """Return the donor's token for every token: (example, token)."""
    found = torch.zeros(real.shape, dtype=torch.long, device=real.device)
    for e in range(len(real)):
        mine, theirs = torch.nonzero(real[e])[:, 0], torch.nonzero(donor[e])[:, 0]
        rest = theirs[1:] if len(theirs) > 1 else theirs
        back = torch.arange(len(mine) - 1, device=real.device)
        found[e, mine[1:].flip(0)] = rest.flip(0)[back % len(rest)]
        found[e, mine[:1]] = theirs[0]
    return found


def _together(
    setting: Setting, instead: Substitute, read: Read, batch: Batch, record: Record | None, some: Sequence[Intervention]
) -> Baseline:
    many = batch.repeated(len(some))
    edits = {
        site: _edit(setting, instead, many, some, site)
        for site in sorted({site for each in some for site, _ in each.heads})
    }
    with setting.model.narrowed(many), setting.model.resumed(record, min(edits), len(some), edits):
        return read(many)


def _edit(setting: Setting, instead: Substitute, many: Batch, some: Sequence[Intervention], site: int) -> Edit:
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
        edits.append(replaced(_spread(setting, lost, rows), instead(site), where))

    def both(z: Tensor) -> Tensor:
        for edit in edits:
            z = edit(z)
        return z

    return both


def _spread(setting: Setting, by_copy: np.ndarray, rows: int) -> Tensor:
    return torch.as_tensor(by_copy, device=setting.model.device).repeat_interleave(rows, dim=0)
