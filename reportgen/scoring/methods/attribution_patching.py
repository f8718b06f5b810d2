"""Attribution patching: patching the corrupted prompt's head outputs into the prompt's run, to first order.

Formula: s(e, l, h) = Σ over scored positions t of (z(e, t, l, h) − z′(e, t, l, h)) · ∂m(e) / ∂z(e, t, l, h). z is what
head h of layer l puts out for the prompt, z′ for the corrupted prompt; m is the metric of the prompt's answer, and the
gradient is taken in the prompt's run. Unit: that of the metric (natural log). Sign: baseline minus patched, positive
where the head's output for the prompt supports the answer.
Cost: one forward and one backward on the prompt, one forward on the corrupted prompt (about 3.1 plain forwards).
Source: Nanda 2023, "Attribution Patching"; Kramár et al. 2024, "AtP*" (arXiv 2403.00745).

``qk_correction = true`` scores the head's values, queries and keys in the place of its output, the latter two by AtP*'s
corrected rule (``common.query_key``): s = −(effect of patching the values + sum over positions t of the effect of
patching the query at t + sum over positions j of that of the key at j), all on the head's output at the scored
positions. A key or value that heads share counts for each of them as its own. It is off unless asked for: the
correction is for gradients through the head's own softmax, where those to its output do not pass; z′ holds the
softmax as it is for the corrupted prompt, exactly. The output is also what activation patching replaces, while nodes
patched one by one leave out what queries, keys and values change together. AtP*'s other part, GradDrop, is left out.
"""

from contextlib import AbstractContextManager, nullcontext

from pydantic import Field

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.interpolation import LIMIT, attributed, difference, differentiated, observed
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, MethodSetting, ScoringMethod, absent
from reportgen.scoring.methods.common.query_key import HINT, corrected
from reportgen.scoring.model.attention import AttentionCall, observed_attention
from reportgen.scoring.model.forward import short_batch
from reportgen.scoring.model.loaded import LoadedModel

NANDA = (
    "Nanda, N. (2023). Attribution patching: activation patching at industrial scale. "
    "https://www.neelnanda.io/mechanistic-interpretability/attribution-patching."
)
KRAMAR = (
    "Kramár, J., Lieberum, T., Shah, R. & Nanda, N. (2024). AtP*: an efficient and scalable method for localizing LLM "
    "behaviour to components. arXiv:2403.00745."
)


class Parameters(MethodParameters):
    """The settings of the method."""

    qk_correction: bool = Field(
        False,
        description="score queries, keys and values, with softmaxes computed anew (AtP*), in the place of the head's "
        "output",
    )


def _score(setting: MethodSetting[Parameters, None], batch: Batch) -> BatchScores:
    by_nodes, model = setting.parameters.qk_correction, setting.model
    with _watched(model, by_nodes) as own:
        clean = differentiated(setting, batch)
    with _watched(model, by_nodes) as others:
        corrupted = observed(setting, batch.corrupted())
    values = absent(model.heads, batch.size)
    for index, site in enumerate(model.heads.sites):
        outputs, gradient, where = clean.outputs[index], clean.to_outputs[index], setting.where(batch, index)
        if by_nodes:
            score = corrected(site, own[index], others[index], outputs, gradient, where)
        else:
            score = attributed(difference(outputs, corrupted.outputs[index]), gradient, where)
        values[:, index, : site.heads] = score.cpu().numpy()
    return BatchScores(values, clean.logits)


def _watched(model: LoadedModel, wanted: bool) -> AbstractContextManager[dict[int, AttentionCall]]:
    return observed_attention(model.model, model.heads, lambda _, call: call, HINT) if wanted else nullcontext({})


def _check(setting: MethodSetting[Parameters, None]) -> None:
    """See the attention of a short text, where queries and keys are to be scored."""
    with _watched(setting.model, setting.parameters.qk_correction):
        setting.model.run(short_batch(setting.model.model, setting.model.kind, 1))


METHOD = ScoringMethod(
    name="attribution_patching",
    order=90,
    family="gradient estimate",
    summary="head's output for the prompt less that for the corrupted one, times the gradient at the prompt",
    unit="estimated Δ {label}",
    sign="baseline minus patched; positive: the head's output for the prompt supports the answer",
    cost="one forward and one backward on the prompt, one forward on the corrupted prompt (about 3.1 forwards)",
    formula="s(e, l, h) = Σₜ (z(e, t, l, h) − z′(e, t, l, h)) · ∂m(e) / ∂z(e, t, l, h)",
    meaning="m is the metric of example e’s answer; z is the output of head h of layer l at the scored position t for "
    "the prompt, z′ that for the corrupted prompt. It estimates, to first order, the metric’s loss when the head alone "
    "puts out what it puts out for the corrupted prompt; where the metric is far from linear in the output, the "
    "estimate is poor. With qk_correction the head’s values, queries and keys are patched in the place of its output, "
    "one position of queries and keys at a time and with softmaxes computed anew, and the estimates are summed.",
    limit=LIMIT,
    references=(NANDA, KRAMAR),
    score=_score,
    check=_check,
    # gate_gradient's 2.12 on the prompt, and one forward on the corrupted prompt
    forwards=lambda *_: 3.12,
    parameters=Parameters,
    needs=frozenset({"corrupted", "gradient"}),
    cheap=True,
)
