"""Resample ablation: the mean change of the answer's metric when one head puts out what it does on another example.

Formula: s(e, l, h) = mean over ``draws`` examples r of m(e) − m(e | output of head h of layer l set to that on r), with
the standard error over draws; importance is the mean over examples of |s|, which sampling makes too large, by no more
than the mean standard error (the check "sampling error" is their root mean square). r is drawn from ``references``
examples of the discovery half of all tasks, as many of each as may be, never of e's own group; the draws are the same
for all heads. r's first token stands for the first, its others for the others: up to ``kept`` of them, in their order
and over again from a drawn one.
Unit: that of the metric (natural log). Sign: baseline minus ablated, positive where the head's own output helps.
Cost: ``draws`` times that of zero ablation, and one forward of the reference examples.
Source: Chan et al. 2022, "Causal Scrubbing" (resampling ablation), who resample within one task's distribution.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from pydantic import Field

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.ablation import EVERY, LIMIT, HeadsAtOnce, forwards, without_each
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, MethodSetting, ScoringMethod, sampled
from reportgen.scoring.methods.common.references import Donor, donors, resampled
from reportgen.scoring.methods.mean_ablation import WANG

CHAN = (
    "Chan, L., Garriga-Alonso, A., Goldowsky-Dill, N. et al. (2022). Causal scrubbing: a method for rigorously testing "
    "interpretability hypotheses. AI Alignment Forum."
)


class Parameters(MethodParameters):
    """The settings of the method."""

    # a price rather than an accuracy: what the draws leave open is reported as the standard error of every score
    draws: int = Field(8, ge=2, description="examples whose outputs are put in, one after the other")
    references: int = Field(32, ge=2, description="examples of the discovery half to draw from")
    kept: int = Field(8, ge=1, description="positions of each that are kept, beside the first")
    heads_at_once: HeadsAtOnce = 0


def _references(setting: MethodSetting[Parameters, None], batches: Sequence[Batch]) -> tuple[Donor, ...]:
    return donors(setting, batches, setting.parameters.references, setting.parameters.kept)


@torch.no_grad()
def _score(setting: MethodSetting[Parameters, tuple[Donor, ...]], batch: Batch) -> BatchScores:
    found, every, logits = list[np.ndarray](), list[np.ndarray](), None
    for draw in range(setting.parameters.draws):
        substitute = resampled(setting, batch, setting.reference, draw)
        one = without_each(setting, batch, substitute, setting.parameters.heads_at_once)
        found.append(one.values)
        every.append(one.checks[EVERY])
        logits = one.logits
    drawn = sampled(np.stack(found), logits)
    return replace(drawn, checks={**drawn.checks, EVERY: np.mean(every, axis=0)})


METHOD = ScoringMethod(
    name="resample_ablation",
    order=50,
    family="ablation",
    summary="mean change of the answer's metric when the head puts out what it does on another example",
    unit="Δ {label}",
    sign="baseline minus ablated; positive: the head's own output helps more than another example's",
    cost="as many times half a forward per head as there are draws, and one forward of the references",
    formula="s(e, l, h) = mean over r of m(e) − m(e | output of head h of layer l set to that on example r)",
    meaning="m is the metric of example e’s answer; r are examples drawn from the discovery half of all tasks, never "
    "of e’s own group, whose outputs stand in at every scored position: the first token’s for the first, others’ for "
    "the others. Scores are means over draws; their noise makes the mean of their sizes too large, by no more than "
    "their standard errors, of which “sampling error” is the root mean square.",
    limit=LIMIT,
    references=(CHAN, WANG),
    score=_score,
    forwards=lambda heads, parameters: parameters.draws * forwards(heads),
    prepare=_references,
    parameters=Parameters,
    needs=frozenset({"references"}),
)
