"""Mean ablation: the exact change of the answer's metric when one head puts out its mean over other texts.

Formula: s(e, l, h) = m(e) − m(e | output of head h of layer l set to its mean at every scored position); importance is
the mean over examples of |s|. The mean is the head's over the scored positions of the discovery half of all tasks: the
mean of the tasks' means over tokens, so that tasks count alike, with the first token of a text apart from the others.
Unit: that of the metric (natural log). Sign: baseline minus ablated, positive where what the head puts out on this text
rather than on the average one helps. Cost: that of zero ablation, and one forward of the discovery half.
Source: Wang et al. 2023, "Interpretability in the Wild" (arXiv 2211.00593), section 2, who take the mean over one
task's template; here it is over all tasks, so that what a head does on every example of one task alike counts as its
part in it. Examples of the discovery half are part of the mean that takes their head's place.
"""

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.ablation import LIMIT, AblationParameters, forwards, without_each
from reportgen.scoring.methods.common.method import (
    MICHEL,
    BatchScores,
    MethodSetting,
    ScoringMethod,
)
from reportgen.scoring.methods.common.references import Means, means

WANG = (
    "Wang, K., Variengien, A., Conmy, A., Shlegeris, B. & Steinhardt, J. (2023). Interpretability in the wild: a "
    "circuit for indirect object identification in GPT-2 small. ICLR. arXiv:2211.00593."
)


def _score(setting: MethodSetting[AblationParameters, Means], batch: Batch) -> BatchScores:
    return without_each(setting, batch, setting.reference.substitute, setting.parameters.heads_at_once, alike=True)


METHOD = ScoringMethod(
    name="mean_ablation",
    order=40,
    family="ablation",
    summary="exact change of the answer's metric when the head puts out its mean over the tasks",
    unit="Δ {label}",
    sign="baseline minus ablated; positive: the head's own output helps more than its mean",
    cost="half a forward per head on average, and one forward of the discovery half",
    formula="s(e, l, h) = m(e) − m(e | output of head h of layer l set to its mean)",
    meaning="m is the metric of example e’s answer; at every scored position the head’s output is set to its mean over "
    "the discovery half of all tasks, which count alike, the first token of a text apart from the others. What a head "
    "puts out on every text alike does not count. Later layers can make up for what one head loses.",
    limit=LIMIT,
    references=(WANG, MICHEL),
    score=_score,
    forwards=lambda heads, _: forwards(heads),
    prepare=means,
    parameters=AblationParameters,
    races=True,
    needs=frozenset({"references"}),
)
