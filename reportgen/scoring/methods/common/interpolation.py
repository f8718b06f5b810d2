"""What heads put out and the metric's gradients to it, for embeddings between two prompts; rules along a path."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.model.hooks import hooked
from reportgen.scoring.model.interventions import Edit, edited

LEAST_CHANGE = 0.1  # natural-log units: relative to a smaller change of the metric a gap would mean nothing
LIMIT = "The scores are built from gradients; they estimate what changing a head would do, and no head was changed."
GAP = "completeness gap"

Embeddings = Float[Tensor, "example token width"]
Outputs = Float[Tensor, "example token head size"]


@dataclass(frozen=True)
class Observed:
    """One run: the metric of each example, the answer's logits, what the heads of each site and the token embeddings
    put out.
    """

    value: Float[Tensor, "example"]
    logits: Float[Tensor, "answer_token vocabulary"]
    outputs: tuple[Outputs, ...]
    embeddings: Embeddings


@dataclass(frozen=True)
class Differentiated(Observed):
    """A run with the gradients of each example's metric to the heads' outputs and to the embeddings."""

    to_outputs: tuple[Outputs, ...]
    to_embeddings: Embeddings


def observed(setting: Setting, batch: Batch) -> Observed:
    """Run the batch as it is, without gradients."""
    with torch.no_grad():
        return _run(setting, batch, None)


def differentiated(setting: Setting, batch: Batch, embeddings: Embeddings | None = None) -> Differentiated:
    """Run the batch with gradients; ``embeddings`` take the place of what the token embeddings put out."""
    with torch.enable_grad():
        run = _run(setting, batch, embeddings)
        # examples do not meet, so the gradient of the sum holds each example's own
        found = torch.autograd.grad(run.value.sum(), [*run.outputs, run.embeddings], materialize_grads=True)
    outputs = tuple(z.detach() for z in run.outputs)
    return Differentiated(
        run.value.detach(), run.logits.detach(), outputs, run.embeddings.detach(), found[:-1], found[-1]
    )


def _run(setting: Setting, batch: Batch, embeddings: Embeddings | None) -> Observed:
    model, watched = setting.model, _Watched(embeddings)
    reader: Any = model.model.get_encoder() if model.kind == "seq2seq" else model.model
    edits: dict[int, Edit] = {index: partial(watched.at_heads, index) for index in range(len(model.heads.sites))}
    embedded = (reader.get_input_embeddings().register_forward_hook, watched.after_embedding)
    with hooked([embedded]), edited(model.model, model.heads, edits):
        value, logits = setting.value(batch)
    if watched.embedded is None:
        raise InputError(
            "its token embeddings do not run",
            type(model.model).__name__,
            "Choose a method that needs no corrupted prompt",
        )
    return Observed(value, logits, tuple(watched.outputs[i] for i in range(len(watched.outputs))), watched.embedded)


class _Watched:
    """What one run's token embeddings and heads put out, as leaves to take gradients to where gradients are on."""

    def __init__(self, by: Embeddings | None) -> None:
        self.by, self.outputs = by, dict[int, Tensor]()
        self.embedded: Embeddings | None = None

    def after_embedding(self, _: nn.Module, __: object, output: Tensor) -> Tensor | None:
        """Put ``by``, where it is given, in place of the first output (a decoder may share the embeddings, and runs
        later); what positions add comes after it.
        """
        if self.embedded is not None:
            return None
        chosen = output if self.by is None else self.by.to(output.dtype)
        self.embedded = chosen.detach().requires_grad_(torch.is_grad_enabled())
        return self.embedded

    def at_heads(self, index: int, z: Tensor) -> Tensor:
        """See the outputs of a site's heads."""
        # a decoder's first attention has seen nothing yet that needs a gradient
        self.outputs[index] = z if z.requires_grad or not torch.is_grad_enabled() else z.detach().requires_grad_()
        return self.outputs[index]


def difference(one: Tensor, other: Tensor) -> Tensor:
    """Return one less the other, in float32 or wider."""
    wide = torch.promote_types(one.dtype, torch.float32)
    return one.to(wide) - other.to(wide)


def attributed(
    change: Outputs, gradient: Outputs, where: Bool[Tensor, "example token"] | None = None
) -> Float[Tensor, "example head"]:
    """Sum change · gradient over the tokens of ``where`` (None: all of them) and over dimensions."""
    products = (change * gradient.to(change.dtype)).sum(dim=-1)
    return (products if where is None else products * where[:, :, None].to(products.device)).sum(dim=1)


def legendre(steps: int) -> list[tuple[float, float]]:
    """Return points on [0, 1] and weights that sum to 1: Gauss–Legendre's rule, exact for degree 2 · steps − 1."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return [((1 + float(point)) / 2, float(weight) / 2) for point, weight in zip(points, weights, strict=True)]


def gap(found: Float[Tensor, "..."], change: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Measure how far scores are from adding up to a change: |found − change| / |change|.

    A |change| below LEAST_CHANGE counts as LEAST_CHANGE.
    """
    return (found - change).abs() / change.abs().clamp(min=LEAST_CHANGE)
