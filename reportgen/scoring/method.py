"""What a scoring method is: a frozen record, one file per method under ``methods/``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from reportgen.scoring.decoder import Decoder
from reportgen.scoring.heads import Heads
from reportgen.scoring.tokens import Batch

# the study's metric and answer reduction in one: logits at answer positions → one number per example
Measure = Callable[[Float[Tensor, "answer_token vocabulary"], Batch], Float[Tensor, "example"]]

MICHEL = (
    "Michel, P., Levy, O. & Neubig, G. (2019). Are sixteen heads really better than one? NeurIPS 32. arXiv:1905.10650."
)
VOITA = (
    "Voita, E., Talbot, D., Moiseev, F., Sennrich, R. & Titov, I. (2019). Analyzing multi-head self-attention. ACL. "
    "arXiv:1905.09418."
)


@dataclass(frozen=True)
class BatchScores:
    """Signed scores of one batch (absent heads NaN), and the unchanged model's logits at answer positions."""

    values: Float[np.ndarray, "example layer head"]
    logits: Float[Tensor, "answer_token vocabulary"]


@dataclass(frozen=True)
class ScoringMethod:
    """How to score every head on every example.

    ``unit`` is a template over the metric's ``{label}``; ``sign`` says what a positive value means, ``cost`` the price
    in plain forwards in words and ``forwards`` in numbers, per batch; ``formula`` and ``meaning`` define
    one example's score and ``references`` are the papers, all printed in the report. ``defaults`` are the
    parameters, all whole numbers from 1. ``score`` raises InputError where the numbers are not finite.
    """

    name: str
    summary: str
    unit: str
    sign: str
    cost: str
    formula: str
    meaning: str
    references: tuple[str, ...]
    score: Callable[[Decoder, Batch, Measure, Mapping[str, Any]], BatchScores]
    forwards: Callable[[Heads], float]
    defaults: Mapping[str, int] = field(default_factory=dict)


def absent(heads: Heads, examples: int) -> Float[np.ndarray, "example layer head"]:
    """Scores to be filled in: NaN for every head."""
    return np.full((examples, *heads.shape), np.nan, dtype=np.float32)
