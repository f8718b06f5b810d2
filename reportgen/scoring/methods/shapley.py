"""Shapley values of heads: a head's mean marginal share in the answer's metric over all orders of taking heads away.

Formula: s(e, l, h) = mean over orders π of m(e | heads before h in π put out zero) − m(e | these and h put out zero):
the Shapley value of the game whose players are all heads of the model and whose worth is the metric. It is estimated
from ``pairs`` antithetic pairs of orders, each drawn at random for the example and its reverse, with the standard error
over pairs. Every order's shares add up to m(e) − m(e | no heads) exactly, and so do the scores. Importance is the mean
over examples of |s|, which sampling makes too large, by no more than the mean standard error (the check "sampling
error" is their root mean square).
Unit: that of the metric (natural log). Sign: with the head minus without it, positive where the head helps.
Cost: for n heads 2 + 2 · ``pairs`` · (n − 1) forwards.
Source: Shapley 1953; permutation sampling: Castro, Gómez & Tejada 2009; antithetic pairs: Mitchell et al. 2022 (arXiv
2104.12199). Most coalitions lie far off the distribution that the model was trained on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.ablation import side_by_side
from reportgen.scoring.methods.common.method import (
    BatchScores,
    MethodParameters,
    MethodSetting,
    ScoringMethod,
    Setting,
    absent,
    sampled,
)
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.interventions import edited, replaced

SHAPLEY = "Shapley, L. S. (1953). A value for n-person games. Contributions to the Theory of Games II."
CASTRO = (
    "Castro, J., Gómez, D. & Tejada, J. (2009). Polynomial calculation of the Shapley value based on sampling. "
    "Computers & Operations Research 36(5)."
)
MITCHELL = (
    "Mitchell, R., Cooper, J., Frank, E. & Holmes, G. (2022). Sampling permutations for Shapley value estimation. JMLR "
    "23. arXiv:2104.12199."
)
Order = Int[np.ndarray, "example player"]


class Parameters(MethodParameters):
    """The settings of the method."""

    # a price rather than an accuracy: what the draws leave open is reported as the standard error of every score
    pairs: int = Field(8, ge=2, description="pairs of an order and its reverse for each example")
    coalitions_at_once: int = Field(4, ge=1, description="sets of heads run side by side in one larger batch")


@torch.no_grad()
def _score(setting: MethodSetting[Parameters, None], batch: Batch) -> BatchScores:
    whole, logits = setting.value(batch)
    players = [(index, head) for index, site in enumerate(setting.heads.sites) for head in range(site.heads)]
    nobody = np.ones((batch.size, len(players)), dtype=bool)
    ends = whole.double(), _worths(setting, batch, players, [nobody])[0]
    draws = [setting.generator(row, "shapley") for row in batch.rows]
    pairs = []
    for _ in range(setting.parameters.pairs):
        order = np.stack([draw.permutation(len(players)) for draw in draws])
        shares = [_shares(setting, batch, players, one, ends) for one in (order, order[:, ::-1])]
        pairs.append((shares[0] + shares[1]) / 2)
    by_site = np.stack([absent(setting.heads, batch.size).astype(np.float64) for _ in pairs])
    for player, (index, head) in enumerate(players):
        by_site[:, :, index, head] = np.stack(pairs)[:, :, player]
    return sampled(by_site, logits)


def _shares(
    setting: MethodSetting[Parameters, None],
    batch: Batch,
    players: Sequence[tuple[int, int]],
    order: Order,
    ends: tuple[Tensor, Tensor],
) -> Float[np.ndarray, "example player"]:
    """Return each player's marginal share when players are taken away in each example's order."""
    rank = order.argsort(axis=1)  # of each player in the order
    worths, step = [ends[0]], side_by_side(setting.model, batch, setting.parameters.coalitions_at_once)
    for first in range(1, len(players), step):
        gone = [rank < taken for taken in range(first, min(first + step, len(players)))]
        worths += list(_worths(setting, batch, players, gone))
    steps = torch.stack([*worths, ends[1]]).cpu().numpy()  # worth after 0, 1, … players are gone
    lost: Float[np.ndarray, "player example"] = steps[:-1] - steps[1:]
    return np.take_along_axis(lost.T, rank, axis=1)


def _worths(
    setting: Setting,
    batch: Batch,
    players: Sequence[tuple[int, int]],
    gone: Sequence[Bool[np.ndarray, "example player"]],
) -> Float[Tensor, "coalition example"]:
    """Measure the metric of the batch without the players who are gone, for several sets of them side by side."""
    many, edits = batch.repeated(len(gone)), {}
    stacked = torch.as_tensor(np.concatenate(gone), device=setting.model.device)
    for index in range(len(setting.heads.sites)):
        mine = [player for player, (site, _) in enumerate(players) if site == index]
        edits[index] = replaced(stacked[:, mine], 0.0, setting.where(many, index))
    with edited(setting.model.model, setting.heads, edits):
        worth, _ = setting.value(many)
    return worth.double().view(len(gone), batch.size)


def _forwards(heads: Heads, parameters: Parameters) -> float:
    return 2 + 2 * parameters.pairs * (sum(site.heads for site in heads.sites) - 1)


METHOD = ScoringMethod(
    name="shapley",
    order=60,
    family="coalitions",
    summary="mean share of the head in the answer's metric over orders of taking heads away",
    unit="Δ {label}",
    sign="with the head minus without it; positive: the head helps",
    cost="for n heads 2 + 2 · pairs · (n − 1) forwards",
    formula="s(e, l, h) = mean over orders π of m(e | heads before h off) − m(e | these and h off)",
    meaning="m is the metric of example e’s answer; a head that is off puts out zero at every scored position. Orders "
    "are drawn at random for each example, each with its reverse; all scores of an example add up to m with all heads "
    "less m with none. Most sets of heads lie far off the distribution that the model was trained on. The noise of "
    "sampling makes the mean of the scores’ sizes too large, by no more than their standard errors, of which “sampling "
    "error” is the root mean square.",
    references=(SHAPLEY, CASTRO, MITCHELL),
    score=_score,
    forwards=_forwards,
    parameters=Parameters,
)
