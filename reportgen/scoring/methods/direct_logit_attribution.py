"""Direct logit attribution: what a head's output itself adds to the answer's logit, past all other layers.

Formula: s(e, l, h) = Σ over scored positions t of y(e) · U N W z(e, t, l, h), where z is the head's output, W its slice
of the output projection, N the final norm with its scale held at that of the run (a mean that it takes off is taken off
each head's share), U the output embeddings, and y picks the answer's logit less the mean over the vocabulary or, with
``metric = "logit_difference"``, less the foil's; over an answer's tokens it is summed or averaged as metrics are. The
scores of all heads add up, with the shares of embeddings, other modules and biases, to that logit. Other metrics choose
nothing here: they are no linear functions of logits. Unit: logit (natural log). Sign: positive where the head writes in
favour of the answer. Norms between a head and the stream count like the final one; a soft cap of logits is passed over.
Cost: one forward with gradients along the stream alone.
Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (residual stream as a sum, direct path);
nostalgebraist 2020, "interpreting GPT: the logit lens". A head whose output only other heads read scores nothing.
"""

from jaxtyping import Float
from torch import Tensor

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.metrics import METRICS, Metric, measure
from reportgen.scoring.methods.common.direct_path import checked, contributions, direct
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, ScoringMethod, Setting, absent

ELHAGE = (
    "Elhage, N., Nanda, N., Olsson, C. et al. (2021). A mathematical framework for transformer circuits. Transformer "
    "Circuits Thread. https://transformer-circuits.pub/2021/framework/index.html."
)
LENS = "nostalgebraist (2020). Interpreting GPT: the logit lens. LessWrong."


def _above_mean(logits: Float[Tensor, "answer_token vocabulary"], batch: Batch) -> Float[Tensor, "answer_token"]:
    return logits.gather(1, batch.target[:, None])[:, 0] - logits.mean(dim=1)


ABOVE_MEAN = Metric("logit", "logit", _above_mean)


def _score(setting: Setting, batch: Batch) -> BatchScores:
    model, values = setting.model, absent(setting.heads, batch.size)
    difference = METRICS["logit_difference"]
    chosen = difference if setting.metric == difference else ABOVE_MEAN
    found = direct(model, batch, lambda logits: measure(chosen, logits, batch, setting.answer_reduction))
    for index in range(len(setting.heads.sites)):
        parts, where = contributions(found, index), setting.where(batch, index)
        summed = (parts if where is None else parts * where[:, :, None].to(parts.device)).sum(dim=1)
        values[:, index, : summed.shape[1]] = summed.cpu().numpy()
    return BatchScores(values, found.logits)


METHOD: ScoringMethod[MethodParameters, None] = ScoringMethod(
    name="direct_logit_attribution",
    order=110,
    family="direct effect",
    summary="what the head's output itself adds to the answer's logit, past all other layers",
    unit="logit",
    sign="positive: the head writes in favour of the answer",
    cost="one forward with gradients along the residual stream alone (about 1.2 forwards)",
    formula="s(e, l, h) = Σₜ y(e) · U N W z(e, t, l, h)",
    meaning="z is the output of head h of layer l at the scored position t, W its slice of the output projection, N "
    "the final norm with its scale held at that of the run, U the output embeddings; y takes the answer’s logit less "
    "the mean over the vocabulary or, with the metric logit_difference, less the foil’s. Only what the head itself "
    "writes is counted: a head whose output other heads read and pass on scores nothing for it.",
    references=(ELHAGE, LENS),
    score=_score,
    check=lambda setting: checked(setting.model),
    forwards=lambda *_: 1.2,
    kinds=frozenset({"causal"}),
    needs=frozenset({"gradient"}),
    cheap=True,
)
