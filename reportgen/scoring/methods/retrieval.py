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
from jaxtyping import Bool, Float
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.attention_patterns import LIMIT, Pattern, scores, seen
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, ScoringMethod, Setting

WU = (
    "Wu, W., Wang, Y., Xiao, G., Peng, H. & Fu, Y. (2024). Retrieval head mechanistically explains long-context "
    "factuality. arXiv:2404.15574."
)


def _score(setting: Setting, batch: Batch) -> BatchScores:
    scored = batch.gated(None, setting.positions)[batch.owner, batch.position]
    owner, position = batch.owner[scored], batch.position[scored]
    prompt = torch.arange(batch.input_ids.shape[1], device=owner.device) < batch.prompt[:, None]
    holds = prompt[owner] & (batch.input_ids[owner] == batch.target[scored, None])
    counts = torch.bincount(owner, minlength=batch.size)

    def copied(pattern: Pattern) -> Float[Tensor, "example head"]:
        return _share(holds.gather(1, pattern[owner, :, position].argmax(dim=-1)), owner, counts)

    found = scores(setting, batch, copied)
    standing = _share(holds.any(dim=1, keepdim=True), owner, counts)[:, 0]
    return replace(found, checks={"answer tokens in the prompt": standing.cpu().numpy()})


def _share(hits: Bool[Tensor, "answer_token column"], owner: Tensor, counts: Tensor) -> Float[Tensor, "example column"]:
    total = torch.zeros(len(counts), hits.shape[1], dtype=torch.float64, device=hits.device)
    return total.index_add(0, owner, hits.double()) / counts[:, None]


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
