"""The direct path of heads to the logits: the residual stream past all other layers, with norms at their actual scale.

A head writes into the residual stream, later layers add to it, and a final norm and the output embeddings read it. On
the *direct* path all that other layers put out stays as it is and the norms' scales are those of the run, so that the
logits are an affine function of the heads' outputs; gradients of such a run are that function's exact slopes. It is
told apart from the rest of the model by what is computed, whatever the modules are called:
- within a layer, a matrix product other than the heads' own output projection belongs to what other layers put out: its
  result counts as constant, and so does the output of every other head;
- a norm's scale (an inverse root, a power, a variance) counts as constant wherever it stands, on the stream or, as in
  Gemma 2, between a head and the stream; a mean that a norm takes off stays a part of the function;
- a soft cap (tanh) after the last layer counts as passed unchanged: logits are those before the cap.
That nothing was missed is seen on a short text, on which the same run with the heads' outputs taken away must lose
just what the slopes say (``checked``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.fast_forward.partial_forward import stacked
from reportgen.scoring.model.forward import short_batch
from reportgen.scoring.model.heads import Site
from reportgen.scoring.model.hooks import Register, hooked
from reportgen.scoring.model.interventions import Edit, edited
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.model.trace import FunctionWatch

PRODUCTS = {
    "linear",
    "matmul",
    "__matmul__",
    "__rmatmul__",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "einsum",
    "conv1d",
    "_grouped_mm",
    "grouped_mm",
    "scaled_mm",
    "scaled_dot_product_attention",
}
SCALES = {"rsqrt", "sqrt", "pow", "__pow__", "square", "std", "var", "var_mean", "norm", "vector_norm"}
# models whose layers mix several streams by matrices, which would count as what layers put out
SEVERAL_STREAMS = {"gemma3n_text", "gemma3n"}
LARGE = 100  # so that what is not linear shows even where heads put out little
HINT = "Choose another method: gate_gradient costs about as much"
Slopes = Float[Tensor, "example token head size"]


@dataclass
class _Run:
    """Where a run is (``inside`` a layer, ``writing``: in a site's projection) and what counted as constant in it:
    where ``replayed``, the ``constants`` of another run are put in its place, call by call.
    """

    inside: bool = False
    writing: bool = False
    constants: list[Tensor] | None = None
    replayed: bool = False
    calls: int = field(default=0)

    def constant(self, result: Tensor) -> Tensor:
        """Return the result as a constant, or the other run's in its place."""
        if self.constants is None:
            return result.detach()
        if not self.replayed:
            self.constants.append(result.detach().clone())  # models add to such results in place
            return result.detach()
        self.calls += 1
        return self.constants[self.calls - 1].clone()


class _Frozen(FunctionWatch):
    """Makes constants of what is none of the direct path."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self.run = run

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        run, name, named = self.run, getattr(func, "__name__", ""), kwargs or {}
        if name in ("layer_norm", "rms_norm"):
            return _norm(run, name, *args, **named)
        result = func(*args, **named)
        if isinstance(result, tuple) and name == "var_mean":
            return (run.constant(result[0]), result[1])
        if not isinstance(result, Tensor) or not result.is_floating_point():
            return result
        if name in SCALES or (name in PRODUCTS and run.inside and not run.writing):
            return run.constant(result)
        if name == "tanh" and not run.inside and args[0].ndim > 1:
            return args[0] + run.constant(result - args[0])
        return result


def _norm(
    run: _Run,
    name: str,
    x: Tensor,
    shape: Sequence[int] | int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Compute torch's fused norms with their scale as a constant; torch's default for ``eps`` depends on the norm."""
    axes = tuple(range(-len(shape), 0)) if isinstance(shape, tuple | list | torch.Size) else (-1,)
    wide = x if x.dtype == torch.float64 else x.float()
    least = (1e-5 if name == "layer_norm" else torch.finfo(x.dtype).eps) if eps is None else eps
    centred = wide - wide.mean(dim=axes, keepdim=True) if name == "layer_norm" else wide
    scale = run.constant((centred.detach().square().mean(dim=axes, keepdim=True) + least).rsqrt())
    result = (centred * scale).to(x.dtype)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


@contextmanager
def _followed(model: LoadedModel, run: _Run, edits: dict[int, Edit], written: dict[int, Tensor]) -> Iterator[None]:
    """Follow one run, in the context, with ``edits`` of heads' outputs; projections' outputs go into ``written``."""
    sites = model.heads.sites
    before, after = _marks(run, sites, written)
    layers = [layer for _, layer in stacked(model.model, model.heads)]
    projections = {site.projection for site in sites}
    wanted: list[tuple[Register, Callable[..., object]]] = [
        *((projection.register_forward_pre_hook, before) for projection in projections),
        *((projection.register_forward_hook, after) for projection in projections),
        *((layer.register_forward_pre_hook, lambda *_: setattr(run, "inside", True)) for layer in layers),
        *((layer.register_forward_hook, lambda *_: setattr(run, "inside", False)) for layer in layers),
    ]
    with edited(model.model, model.heads, edits), _Frozen(run), hooked(wanted):
        yield


def _marks(
    run: _Run, sites: tuple[Site, ...], written: dict[int, Tensor]
) -> tuple[Callable[..., None], Callable[..., None]]:
    by_call = {(site.projection, site.call): index for index, site in enumerate(sites)}
    calls: dict[nn.Module, int] = {}

    def before(*_: object) -> None:
        run.writing = True

    def after(module: nn.Module, _: object, output: Tensor) -> None:
        run.writing = False
        index = by_call.get((module, calls.get(module, 0)))
        calls[module] = calls.get(module, 0) + 1
        if index is not None:
            written[index] = output

    return before, after


@dataclass(frozen=True)
class Direct:
    """A run's logits at answer positions; per site the heads' outputs and the slopes of a function of the logits."""

    logits: Float[Tensor, "answer_token vocabulary"]
    outputs: tuple[Slopes, ...]
    slopes: tuple[Slopes, ...]


def direct(model: LoadedModel, batch: Batch, value: Callable[[Tensor], Tensor], run: _Run | None = None) -> Direct:
    """Run the batch; ``value`` makes of the logits a number per example, whose slopes along the direct path are taken.

    Raises InputError naming a site whose projection's output does not reach the logits.
    """
    seen, written = dict[int, Tensor](), dict[int, Tensor]()
    edits: dict[int, Edit] = {index: partial(_leaf, seen, index) for index in range(len(model.heads.sites))}
    with torch.enable_grad():
        with _followed(model, run or _Run(), edits, written):
            logits = model.answer_logits(batch)
        sites, total = range(len(model.heads.sites)), value(logits).sum()
        if not total.requires_grad:
            raise InputError(
                "nothing that its heads write reaches the logits past the other layers",
                type(model.model).__name__,
                HINT,
            )
        # examples do not meet, so the gradient of the sum holds each example's own
        found = torch.autograd.grad(
            total, [*(seen[i] for i in sites), *(written[i] for i in sites)], materialize_grads=True
        )
    slopes, reaches = found[: len(sites)], found[len(sites) :]
    for index in sites:
        if not reaches[index].any():
            raise InputError(
                "what its heads write does not reach the logits past the other layers",
                model.heads.sites[index].name,
                HINT,
            )
    return Direct(logits.detach(), tuple(seen[i].detach() for i in sites), slopes)


def _leaf(seen: dict[int, Tensor], index: int, z: Tensor) -> Tensor:
    """See the outputs of a site's heads, and go on with a leaf to take gradients to."""
    seen[index] = z.detach().requires_grad_()
    return seen[index]


def contributions(found: Direct, index: int) -> Float[Tensor, "example token head"]:
    """Return what each head of a site adds at each token: output · slope, in float32 or wider."""
    z, slope = found.outputs[index], found.slopes[index]
    wide = torch.promote_types(z.dtype, torch.float32)
    return (z.to(wide) * slope.to(wide)).sum(dim=-1)


def checked(model: LoadedModel) -> None:
    """See on a short text that the slopes are those of the direct path: with all heads' outputs made far larger and
    all else kept as it was, the logits change by just what the slopes say.

    Raises InputError where they do not: a part of the direct path is not linear, or was not followed.
    """
    refuse_without_stream(model)
    batch, run = short_batch(model.model, model.kind, 1), _Run(constants=[])
    found = direct(model, batch, lambda logits: logits.gather(1, batch.target[:, None])[:, 0], run)
    parts = [contributions(found, index).double() for index in range(len(found.outputs))]
    enlarged: dict[int, Edit] = {index: lambda z: z * LARGE for index in range(len(parts))}
    with torch.no_grad(), _followed(model, _Run(constants=run.constants, replayed=True), enlarged, {}):
        after = model.answer_logits(batch)
    change = float((after - found.logits).gather(1, batch.target[:, None]).double().sum())
    total, size = (float(sum(part.sum() for part in summed)) for summed in (parts, [part.abs() for part in parts]))
    # of the sizes that add up: the affine function and the run round differently, within a thousandth in float32;
    # bfloat16 has under three digits, and loses some at each layer
    exact = model.model.dtype in (torch.float32, torch.float64)
    if not abs(change - (LARGE - 1) * total) <= (1e-3 if exact else 0.05) * (LARGE - 1) * size:
        raise InputError(
            "the way from its heads to the logits past the other layers is not linear", type(model.model).__name__, HINT
        )


def refuse_without_stream(model: LoadedModel) -> None:
    """Raise InputError for a model without one residual stream, or a site in no list of layers.

    The latter's layer could not be told from the rest.
    """
    if model.model.config.model_type in SEVERAL_STREAMS:
        raise InputError("its layers mix several residual streams", type(model.model).__name__, HINT)
    for site in model.heads.sites:
        if site.within is None:
            raise InputError("its attention stands in no list of layers", site.name, HINT)
