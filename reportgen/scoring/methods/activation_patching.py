"""Activation patching: the exact change of the answer's metric when one head's output is that for the other prompt.

Formula: with ``direction = "noising"`` s(e, l, h) = m(e) − m(e | output of head h of layer l set to that for the
corrupted prompt); with ``direction = "denoising"`` s(e, l, h) = m(e′ | output of the head set to that for the prompt) −
m(e′), where e′ is the corrupted prompt with the prompt's answer. The output is replaced at every scored position.
Unit: that of the metric (natural log). Sign: in both directions positive where the head's output for the prompt
supports the answer. The check "change between the prompts" is m(e) − m(e′), to which effects compare.
Cost: that of zero ablation, and one forward of each prompt.
Source: Meng et al. 2022 (arXiv 2202.05262), causal tracing (denoising); Wang et al. 2023 (arXiv 2211.00593); the two
directions: Heimersheim & Nanda 2024, "How to use and interpret activation patching" (arXiv 2404.15255): noising finds
what the answer needs, denoising what is enough to bring it about.
"""

from typing import Literal

import torch
from pydantic import Field

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.ablation import LIMIT, HeadsAtOnce, Substitute, forwards, without_each
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, MethodSetting, ScoringMethod, Setting
from reportgen.scoring.methods.common.references import outputs
from reportgen.scoring.methods.mean_ablation import WANG

HEIMERSHEIM = "Heimersheim, S. & Nanda, N. (2024). How to use and interpret activation patching. arXiv:2404.15255."
MENG = (
    "Meng, K., Bau, D., Andonian, A. & Belinkov, Y. (2022). Locating and editing factual associations in GPT. "
    "NeurIPS 35. arXiv:2202.05262."
)


class Parameters(MethodParameters):
    """The settings of the method."""

    direction: Literal["noising", "denoising"] = Field("noising", description="which prompt's run is changed")
    heads_at_once: HeadsAtOnce = 0


@torch.no_grad()
def _score(setting: MethodSetting[Parameters, None], batch: Batch) -> BatchScores:
    other = batch.corrupted()
    value, logits = setting.value(batch)
    changed, _ = setting.value(other)
    if setting.parameters.direction == "noising":
        values = without_each(
            setting, batch, _patched(setting, other), setting.parameters.heads_at_once, together=False
        ).values
    else:
        values = -without_each(
            setting, other, _patched(setting, batch), setting.parameters.heads_at_once, together=False
        ).values
    between = (value.double() - changed.double()).cpu().numpy()
    return BatchScores(values, logits, checks={"change between the prompts": between})


def _patched(setting: Setting, source: Batch) -> Substitute:
    """Put the heads' outputs for the other prompt, which has the same tokens one by one, in the place of their own."""
    found = outputs(setting, source)
    return lambda site: lambda z: found[site].repeat(z.shape[0] // source.size, 1, 1, 1)


METHOD = ScoringMethod(
    name="activation_patching",
    order=80,
    family="patching",
    summary="exact change of the answer's metric when the head puts out what it does for the other prompt",
    unit="Δ {label}",
    sign="positive: the head's output for the prompt supports the answer",
    cost="half a forward per head on average, and one forward of each prompt",
    formula="s(e, l, h) = m(e) − m(e | output of head h of layer l set to that for the corrupted prompt)",
    meaning="m is the metric of example e’s answer; the head’s output is replaced at every scored position. With "
    "direction “denoising” it is the other way round: the corrupted prompt’s metric of the same answer with the head’s "
    "output for the prompt, less the corrupted prompt’s own. Noising finds what the answer needs, denoising what alone "
    "brings it back. Later layers can make up for what one head loses.",
    limit=LIMIT,
    references=(MENG, WANG, HEIMERSHEIM),
    score=_score,
    forwards=lambda heads, _: 2 + forwards(heads),
    parameters=Parameters,
    needs=frozenset({"corrupted", "logits"}),
)
