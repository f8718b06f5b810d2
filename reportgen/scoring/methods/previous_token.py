"""Previous token: how much of a head's attention goes to the token just before.

Formula: s(e, l, h) = mean over the scored positions t ≥ 1 of A(e, l, h, t, t − 1), where A is the head's attention
pattern. Unit: attention weight, from 0 to 1; a head that always looks one token back has 1. Never negative.
Cost: one forward. Source: Clark et al. 2019, "What Does BERT Look At?" (arXiv 1906.04341), section 3.1; Olsson et al.
2022, "In-context Learning and Induction Heads" (arXiv 2209.11895), where such heads feed induction heads. A pattern
says where a head looks, not what its output does to the answer.
"""

from jaxtyping import Float
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.attention_patterns import LIMIT, OLSSON, Rows, Weights, refuse_empty, scores, seen
from reportgen.scoring.methods.common.method import ANY, BatchScores, MethodParameters, ScoringMethod, Setting

CLARK = (
    "Clark, K., Khandelwal, U., Levy, O. & Manning, C. D. (2019). What does BERT look at? An analysis of BERT’s "
    "attention. BlackboxNLP. arXiv:1906.04341."
)


def _score(setting: Setting, batch: Batch) -> BatchScores:
    wanted = batch.gated(None, setting.positions).clone()
    wanted[:, 0] = False  # nothing stands before it
    rows = Rows.of(wanted)
    refuse_empty(
        rows, batch.rows, "no scored token has another before it", 'Lengthen the prompt, or set positions = "all"'
    )
    return scores(setting, batch, rows, _before, setting.model.kind != "encoder")


def _before(weights: Weights, rows: Rows) -> Float[Tensor, "example head row"]:
    before = (rows.at - 1).clamp(min=0)[:, None, :, None]
    return weights.gather(3, before.expand(-1, weights.shape[1], -1, -1))[..., 0]


METHOD: ScoringMethod[MethodParameters, None] = ScoringMethod(
    name="previous_token",
    order=120,
    family="attention pattern",
    summary="attention to the token just before",
    unit="attention weight",
    sign="never negative; 1: the head looks one token back at every position",
    cost="one forward",
    formula="s(e, l, h) = mean over t ≥ 1 of A(e, l, h, t, t − 1)",
    meaning="A(e, l, h, t, k) is the attention of head h of layer l from position t of example e to position k, and t "
    "runs over the scored positions. A pattern says where a head looks, not what its output does to the answer.",
    limit=LIMIT,
    references=(CLARK, OLSSON),
    score=_score,
    check=seen,
    forwards=lambda *_: 1.0,
    kinds=ANY - {"seq2seq"},
    needs=frozenset({"attention"}),
    reduction="mean",
)
