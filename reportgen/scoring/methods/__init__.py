"""The scoring methods, in the order in which they are listed."""

from reportgen.core.plugins import Loaded, loaded
from reportgen.scoring.methods import (
    activation_norm,
    activation_patching,
    attribution_patching,
    direct_logit_attribution,
    eap_ig,
    gate_gradient,
    induction,
    integrated_gradients,
    mean_ablation,
    previous_token,
    probe,
    resample_ablation,
    retrieval,
    shapley,
    zero_ablation,
)
from reportgen.scoring.methods.common.method import AnyMethod, ScoringMethod

METHODS: tuple[AnyMethod, ...] = (
    gate_gradient.METHOD,
    activation_norm.METHOD,
    zero_ablation.METHOD,
    mean_ablation.METHOD,
    resample_ablation.METHOD,
    shapley.METHOD,
    integrated_gradients.METHOD,
    activation_patching.METHOD,
    attribution_patching.METHOD,
    eap_ig.METHOD,
    direct_logit_attribution.METHOD,
    previous_token.METHOD,
    induction.METHOD,
    retrieval.METHOD,
    probe.METHOD,
)
GROUP = "reportgen.methods"


def third_party() -> tuple[Loaded[AnyMethod], ...]:
    """Scoring methods of other packages."""
    return loaded(GROUP, ScoringMethod, lambda m: m.name, [m.name for m in METHODS])


def known() -> tuple[AnyMethod, ...]:
    """Ours, and those of other packages."""
    return (*METHODS, *(each.record for each in third_party() if each.record is not None))
