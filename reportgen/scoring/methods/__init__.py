"""The scoring methods, in the order in which they are listed."""

from reportgen.scoring.method import ScoringMethod
from reportgen.scoring.methods import gate_gradient, zero_ablation

METHODS: tuple[ScoringMethod, ...] = (
    gate_gradient.METHOD,
    zero_ablation.METHOD,
)
