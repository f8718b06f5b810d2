"""Arithmetic: sums, differences and products of small numbers."""

from collections.abc import Iterator

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Row, drawn, in_turn
from reportgen.scoring.data.suites.common.sums import writers

TASKS = {"Addition": "plus", "Subtraction": "minus", "Multiplication": "times"}


def make(seed: int) -> Iterator[Row]:
    """Write calculations with results up to twenty, in words and in digits."""
    return in_turn([drawn(task, seed, writers(sign)) for task, sign in TASKS.items()])


SUITE = Suite(
    "arithmetic",
    "arithmetic: sums, differences and products up to twenty, in words and in digits",
    make,
    order=100,
    tokens=3,
    measures="Whether the model calculates with small numbers, against the result that another first number would "
    "give, which the counterfactual prompt holds.",
    source="Stolfo et al. 2023, A Mechanistic Interpretation of Arithmetic Reasoning (arXiv 2305.15054), for the "
    "form; templates of our own.",
    known="Attention heads bring operands and operator to the last position, and feed-forward layers of the upper "
    "middle compute; Nikankin et al. 2024 (arXiv 2410.21272) find a bag of heuristics rather than an algorithm.",
    pitfalls="Results up to twenty are remembered rather than computed. Where digits are tokens of their own, a "
    "number's token count follows its size: rows whose answer and foil differ in it are passed over.",
)
