"""A head's queries, keys and values patched one kind at a time, by the corrected rule of AtP* (arXiv 2403.00745).

A head puts out z(t) = Σₖ A(t, k) v(k) with the pattern A(t, ·) = softmax of a(t, k) = scale · q(t) · k(k) + mask. With
the gradient ∂m / ∂z(t) at the prompt, G(t, k) = ∂m / ∂A(t, k) = ∂m / ∂z(t) · v(k). To first order in z, patching in
  the values changes m by Σₜ ∂m / ∂z(t) · Σₖ A(t, k) (v′(k) − v(k)), which needs no correction;
  the query at t changes it by Σₖ (A_q(t, k) − A(t, k)) G(t, k), A_q being the softmax of scale · q′(t) · k(k) + mask;
  the key at j changes it by Σₜ Σₖ (A_j(t, k) − A(t, k)) G(t, k). In A_j only the logit a(t, j) of each row has moved,
by δ = scale · q(t) · (k′(j) − k(j)), so that with A = A(t, j) a row's sum is
A (e^δ − 1) (G(t, j) − Σₖ A(t, k) G(t, k)) / (1 + A (e^δ − 1)): all keys in the time of one pattern.
Plain attribution patching has δ in the place of (e^δ − 1) / (1 + A (e^δ − 1)), and nothing where the softmax saturates.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.methods.common.interpolation import Outputs
from reportgen.scoring.model.attention import AttentionCall
from reportgen.scoring.model.heads import Site

HINT = "Set [scoring] parameters.attribution_patching qk_correction = false"

Vectors = Float[Tensor, "head token size"]
Pattern = Float[Tensor, "head query key"]


def value_effect(pattern: Pattern, change: Vectors, gradient: Vectors) -> Float[Tensor, "head"]:
    """Return what patching all values changes; ``change`` is v′ − v, ``gradient`` that of the metric to z."""
    return ((pattern @ change) * gradient).sum(dim=(1, 2))


def query_effect(pattern: Pattern, patched: Pattern, slope: Pattern) -> Float[Tensor, "head query"]:
    """Return what patching the query at each position changes; ``patched`` is A_q, ``slope`` G."""
    return ((patched - pattern) * slope).sum(dim=2)


def key_effect(pattern: Pattern, moved: Pattern, slope: Pattern) -> Float[Tensor, "head key"]:
    """Return what patching the key at each position changes; ``moved`` are the changes δ of the logits, ``slope`` G."""
    # the weight and the slopes of the other keys: of the key that leads its row by themselves, for one less its weight
    # would be lost to rounding where the softmax saturates, which is what the correction is for
    leads = torch.zeros_like(pattern, dtype=torch.bool).scatter(2, pattern.argmax(dim=2, keepdim=True), True)
    others = pattern.masked_fill(leads, 0)
    weight = torch.where(leads, others.sum(dim=2, keepdim=True), 1 - pattern)
    slopes = torch.where(
        leads, (others * slope).sum(dim=2, keepdim=True), (pattern * slope).sum(dim=2, keepdim=True) - pattern * slope
    )
    # where δ > 0 both sides of the fraction are divided by e^δ, which may be too great for a number
    up, down = moved.clamp(min=0), moved.clamp(max=0)
    rise = pattern * (torch.expm1(down) - torch.expm1(-up))
    whole = weight * torch.exp(-up) + pattern * torch.exp(down)
    effect: Tensor = rise * (weight * slope - slopes) / whole.clamp(min=torch.finfo(whole.dtype).tiny)
    return effect.sum(dim=1)


def corrected(
    site: Site,
    clean: AttentionCall,
    other: AttentionCall,
    outputs: Outputs,
    gradient: Outputs,
    where: Bool[Tensor, "example token"] | None,
) -> Float[Tensor, "example head"]:
    """Score a site's heads, baseline minus patched, by queries, keys and values one kind at a time.

    The sum of the effects on their outputs at the tokens of ``where`` (None: all) of patching queries, keys and values
    from ``other`` into ``clean``, whose heads put out ``outputs``.

    Raises InputError where queries and keys are not seen, or outputs are not the pattern times the values.
    """
    if clean.query is None or other.query is None:
        raise _refused(site, "its queries and keys are not seen, for it is no scaled_dot_product_attention")
    slopes = gradient if where is None else gradient * where[:, :, None, None].to(gradient.device)
    effects, greatest = [], outputs.abs().amax(dim=(1, 2, 3))
    for e in range(len(outputs)):
        own, patch = _Example.of(clean, e), _Example.of(other, e)
        total = torch.zeros(site.heads, dtype=torch.float64, device=own.values.device)
        # effects of queries add up: some at a time, so that memory does not grow with the square of the text
        for at in torch.split(torch.arange(own.call.shape[2], device=total.device), own.call.at_once):
            gradients, pattern = slopes[e, at].transpose(0, 1).double(), own.pattern(own.queries, at)
            _check(site, pattern @ own.values, outputs[e, at].transpose(0, 1), greatest[e])
            slope = gradients @ own.values.transpose(1, 2)
            total += value_effect(pattern, patch.values - own.values, gradients)
            total += query_effect(pattern, own.pattern(patch.queries, at), slope).sum(dim=1)
            moved = own.call.scale * own.queries[:, at] @ (patch.keys - own.keys).transpose(1, 2)
            total += key_effect(pattern, moved, slope).sum(dim=1)
        effects.append(total)
    return -torch.stack(effects)


@dataclass(frozen=True)
class _Example:
    """One example's attention, in float64."""

    call: AttentionCall
    queries: Vectors
    keys: Vectors
    values: Vectors

    @classmethod
    def of(cls, call: AttentionCall, example: int) -> "_Example":
        one = call.taken(example)
        assert one.query is not None
        assert one.key is not None
        assert one.value is not None
        query, key, value = (x[0].detach().double() for x in (one.query, one.key, one.value))
        return cls(one, query, key, value)

    def pattern(self, queries: Vectors, at: Int[Tensor, "query"]) -> Pattern:
        """Return the softmax of these queries, of those at ``at``, over the example's keys."""
        added = self.call.added(at[None])
        logits = self.call.scale * queries[:, at] @ self.keys.transpose(1, 2)
        return (logits if added is None else logits + added[0].double()).softmax(dim=-1)


def _check(site: Site, made: Vectors, outputs: Vectors, greatest: Tensor) -> None:
    # the pattern is computed anew in float64, the outputs in the model's precision: bounds above its rounding (its
    # steps: 1e-7 of a number in float32, 8e-3 in bfloat16), far below what a wrong pattern would differ by
    agrees = {torch.float64: 1e-6, torch.float32: 1e-3}.get(outputs.dtype, 0.05)  # of the greatest output
    if made.shape != outputs.shape or (made - outputs).abs().max() > agrees * greatest:
        raise _refused(site, "its heads' outputs are not their attention patterns times their values")


def _refused(site: Site, problem: str) -> InputError:
    return InputError(problem, site.attention, HINT)
