"""EAP-IG for heads: what a head adds for the prompt over the corrupted one, times gradients between the two.

Formula: s(e, l, h) = Σ over scored positions t of (z(e, t, l, h) − z′(e, t, l, h)) · mean over k = 1 … n of
∂m(e) / ∂z(e, t, l, h) where the token embeddings are x′ + (k / n) (x − x′). z and x are what head h of layer l and the
token embeddings put out for the prompt, z′ and x′ for the corrupted prompt; m is the metric of the prompt's answer. The
runs between have the prompt's tokens in all else (positions, masks); of an encoder-decoder the encoder's embeddings
move. Unit: that of the metric (natural log). Sign: as in patching, baseline minus patched: positive where the head's
output for the prompt supports the answer.
Cost: a forward and a backward for each of n = ``steps`` points, the last of them the prompt itself, and one forward.
Source: Hanna, Pezzelle & Belinkov 2024, "Have Faith in Faithfulness" (arXiv 2403.17806), with its points k / n. They
score edges between nodes; this scores heads as nodes, as their published code can too. The check "completeness gap" is
that of the embeddings, whose own scores of this kind would, with many points, sum to m(prompt) − m(corrupted prompt):
|sum − change| / |change|, a change below 0.1 counted as 0.1. It shows what the few points cost. The scores of heads
need not sum to anything, for heads read each other.
"""

import torch
from pydantic import Field

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.interpolation import (
    GAP,
    LIMIT,
    Differentiated,
    attributed,
    difference,
    differentiated,
    gap,
    observed,
)
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, MethodSetting, ScoringMethod, absent

HANNA = (
    "Hanna, M., Pezzelle, S. & Belinkov, Y. (2024). Have faith in faithfulness: going beyond circuit overlap when "
    "finding model mechanisms. COLM. arXiv:2403.17806."
)


class Parameters(MethodParameters):
    """The settings of the method."""

    steps: int = Field(5, ge=1, description="points between the corrupted prompt's embeddings and the prompt's")


def _score(setting: MethodSetting[Parameters, None], batch: Batch) -> BatchScores:
    steps, sites = setting.parameters.steps, range(len(setting.heads.sites))
    clean, corrupted = differentiated(setting, batch), observed(setting, batch.corrupted())
    changes = [difference(clean.outputs[index], corrupted.outputs[index]) for index in sites]
    moved = difference(clean.embeddings, corrupted.embeddings)

    def weighed(run: Differentiated) -> list[torch.Tensor]:
        heads = [attributed(changes[i], run.to_outputs[i], setting.where(batch, i)).double() for i in sites]
        return [*heads, attributed(moved[:, :, None], run.to_embeddings[:, :, None]).double()]

    sums = weighed(clean)
    for step in range(1, steps):
        between = differentiated(setting, batch, corrupted.embeddings + step / steps * moved)
        sums = [total + part for total, part in zip(sums, weighed(between), strict=True)]
    values = absent(setting.heads, batch.size)
    for index in sites:
        values[:, index, : sums[index].shape[1]] = (sums[index] / steps).cpu().numpy()
    missed = gap(sums[-1][:, 0] / steps, clean.value.double() - corrupted.value.double())
    return BatchScores(values, clean.logits, checks={GAP: missed.cpu().numpy()})


METHOD = ScoringMethod(
    name="eap_ig",
    order=100,
    family="gradient estimate",
    summary="head's output for the prompt less that for the corrupted one, times gradients between the two",
    unit="estimated Δ {label}",
    sign="baseline minus patched; positive: the head's output for the prompt supports the answer",
    cost="a forward and a backward for each of the steps, and one forward",
    formula="s(e, l, h) = Σₜ (z(e, t, l, h) − z′(e, t, l, h)) · meanₖ ∂m(e) / ∂z(e, t, l, h) at x′ + (k/n) (x − x′)",
    meaning="m is the metric of example e’s answer; z is the output of head h of layer l at the scored position t for "
    "the prompt, z′ for the corrupted prompt, x and x′ are their token embeddings, and the gradient is the mean over n "
    "points up to x, x′ left out. It estimates, by gradients, the metric’s loss when the head alone puts out what "
    "it puts out for the corrupted prompt. The completeness gap is that of the embeddings’ own scores at these points, "
    "relative to the metric’s change between the prompts (to 0.1 where that is smaller).",
    limit=LIMIT,
    references=(HANNA,),
    score=_score,
    # gate_gradient's 2.12 for each step, and one forward on the corrupted prompt
    forwards=lambda _, parameters: 1 + 2.12 * parameters.steps,
    parameters=Parameters,
    needs=frozenset({"corrupted", "gradient"}),
    cheap=True,
)
