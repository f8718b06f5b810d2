"""Retrieval: how often a head looks at the very token of the prompt that the answer takes next.

Formula: s(e, l, h) = share of the answer's scored tokens y whose most attended position k (the argmax of the head's
attention from the position that predicts y) lies in the prompt and holds the token y. Unit: share of answer tokens,
from 0 to 1. Never negative. Cost: one forward.
Source: Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality" (arXiv 2404.15574), section 2.
They count, while the model generates, tokens copied out of a needle put into a long text, relative to the needle's
tokens. Here the answer's tokens are given, whether or not the model would have put them out; any occurrence in the
prompt counts, not one needle's alone; and the share is of the answer's tokens. Where no token of the answer stands in
the prompt, every head has 0: the check "answer tokens in the prompt" tells the greatest score that a task allows.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.attention_patterns import LIMIT, Rows, Weights, scores, seen
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, ScoringMethod, Setting

WU = (
    "Wu, W., Wang, Y., Xiao, G., Peng, H. & Fu, Y. (2024). Retrieval head mechanistically explains long-context "
    "factuality. arXiv:2404.15574."
)


def _score(setting: Setting, batch: Batch) -> BatchScores:
    wanted, target = torch.zeros_like(batch.input_ids, dtype=torch.bool), torch.zeros_like(batch.input_ids)
    wanted[batch.owner, batch.position], target[batch.owner, batch.position] = True, batch.target
    rows = Rows.of(wanted & batch.gated(None, setting.positions))
    prompt = torch.arange(target.shape[1], device=target.device) < batch.prompt[:, None]

    def holds(part: Rows) -> Bool[Tensor, "example row key"]:
        return prompt[:, None] & (batch.input_ids[:, None] == target.gather(1, part.at)[:, :, None])

    def copied(weights: Weights, part: Rows) -> Bool[Tensor, "example head row"]:
        most = weights.argmax(dim=3)
        return holds(part).gather(2, most.transpose(1, 2)).transpose(1, 2)

    found = scores(setting, batch, rows, copied)
    standing = (holds(rows).any(dim=2) & rows.asked).sum(dim=1) / rows.asked.sum(dim=1)
    return replace(found, checks={"answer tokens in the prompt": standing.double().cpu().numpy()})


METHOD: ScoringMethod[MethodParameters, None] = ScoringMethod(
    name="retrieval",
    order=140,
    family="attention pattern",
    summary="share of the answer's tokens that the head looks at in the prompt as they are predicted",
    unit="share of answer tokens",
    sign="never negative; 1: the head looks at the answer's next token at every step",
    cost="one forward",
    formula="s(e, l, h) = share of answer tokens y with x(argmaxₖ A(e, l, h, t(y), k)) = y, k in the prompt",
    meaning="A(e, l, h, t, k) is the attention of head h of layer l from position t to position k, x are the tokens, "
    "and t(y) is the position that predicts the answer’s token y, which is given. Any occurrence in the prompt counts, "
    "where the published score counts those of one inserted sentence. Where no token of the answer stands in the "
    "prompt every head has 0. A pattern says where a head looks, not what its output does to the answer.",
    limit=LIMIT,
    references=(WU,),
    score=_score,
    check=seen,
    forwards=lambda *_: 1.0,
    kinds=frozenset({"causal"}),
    needs=frozenset({"attention"}),
    reduction="mean",
)
