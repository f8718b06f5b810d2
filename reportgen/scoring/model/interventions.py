"""Read and change heads' outputs while a model runs.

The input of an attention's output projection is the heads' outputs side by side: hooks before it see and change them,
and the model's own code stays as it is. Of a model on several devices, gates and masks are made where its inputs go;
they follow to the device of the outputs that they act on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reportgen.scoring.model.heads import Heads, Site
from reportgen.scoring.model.hooks import hooked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Edit = Callable[[Float[Tensor, "example token head size"]], Float[Tensor, "example token head size"]]


@contextmanager
def edited(
    model: PreTrainedModel, heads: Heads, edits: Mapping[int, Edit], unrun: Mapping[nn.Module, int] | None = None
) -> Iterator[None]:
    """Make of a site's heads' outputs, within the context, what its edit makes of them.

    ``edits`` maps indices of ``heads.sites`` to functions of (example, token, head, size). Modules that layers share
    are edited in the call that the site names; ``unrun`` tells how many calls of each a resumed run leaves out.
    """
    calls: dict[nn.Module, int] = {}
    by_module: dict[nn.Module, dict[int, tuple[Site, Edit]]] = {}
    for index, edit in edits.items():
        site = heads.sites[index]
        by_module.setdefault(site.projection, {})[site.call] = (site, edit)

    def before_projection(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        call = calls.get(module, (unrun or {}).get(module, 0))
        calls[module] = call + 1
        if call not in by_module[module]:
            return None
        site, edit = by_module[module][call]
        return (_changed(inputs[0], site, edit, size), *inputs[1:])

    def before_model(_: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> None:
        """Count the calls of one forward afresh, and note its numbers of examples and of tokens."""
        calls.clear()
        first = next((v for v in (*inputs, *named.values()) if isinstance(v, Tensor)), None)
        size.examples, size.tokens = (0, 0) if first is None else first.shape[:2]

    size = _Size()
    starts = [(partial(root.register_forward_pre_hook, with_kwargs=True), before_model) for root in roots(model)]
    with hooked([*((m.register_forward_pre_hook, before_projection) for m in by_module), *starts]):
        yield


@dataclass
class _Size:
    """Of the batch that the model is running."""

    examples: int = 0
    tokens: int = 0


def roots(model: PreTrainedModel) -> tuple[nn.Module, ...]:
    """Return the modules that a forward may be started from: the model, and its body without the vocabulary head."""
    return (model,) if model.base_model is model else (model, model.base_model)


def _changed(x: Tensor, site: Site, edit: Edit, size: _Size) -> Tensor:
    """Edit the heads in a projection's input, whatever the layout; padding to a window is left as it is."""
    z = x
    # BigBird pads long texts to whole blocks, which the short text that the layout was found on does not show
    beyond = site.layout == "batch" and site.block in (None, "enc") and x.shape[1] > size.tokens
    padded = site.layout == "padded" or beyond
    if site.layout == "token":
        z = x.transpose(0, 1)
    elif site.layout == "flat":
        z = x.reshape(size.examples, -1, x.shape[-1])
    elif padded:
        z = x[:, : size.tokens]
    z = edit(z.reshape(*z.shape[:-1], site.heads, site.size)).flatten(-2)
    if site.layout == "token":
        z = z.transpose(0, 1)
    elif padded:
        z = torch.cat([z.to(x.dtype), x[:, size.tokens :]], dim=1)
    return z.reshape(x.shape).to(x.dtype)


@contextmanager
def captured(model: PreTrainedModel, heads: Heads, sites: Sequence[int] | None = None) -> Iterator[dict[int, Tensor]]:
    """Store, within the context, the heads' outputs (example, token, head, size) of each forward.

    The dictionary maps indices of ``heads.sites`` to them.
    """
    outputs: dict[int, Tensor] = {}

    def store(index: int, z: Tensor) -> Tensor:
        outputs[index] = z
        return z

    chosen = range(len(heads.sites)) if sites is None else sites
    with edited(model, heads, {index: partial(store, index) for index in chosen}):
        yield outputs


def scaled(gate: Float[Tensor, "example head"], where: Bool[Tensor, "example token"] | None) -> Edit:
    """Multiply each head's output by its gate at the tokens of ``where`` (None: at every one)."""

    def edit(z: Tensor) -> Tensor:
        factor = gate[:, None, :]
        if where is not None:
            factor = torch.where(where[:, :, None], factor, torch.ones((), dtype=gate.dtype, device=gate.device))
        # the gate's own precision: in half a gradient would be summed over tokens and sizes in half
        return (z.to(gate.dtype) * factor[..., None].to(z.device)).to(z.dtype)

    return edit


def replaced(
    lost: Bool[Tensor, "example head"],
    by: Edit | float,
    where: Bool[Tensor, "example token"] | None,
) -> Edit:
    """Put ``by``, or what it makes of the outputs, in place of each example's ``lost`` heads, at ``where``'s tokens."""

    def edit(z: Tensor) -> Tensor:
        chosen = lost[:, None, :, None] if where is None else lost[:, None, :, None] & where[:, :, None, None]
        other = by(z) if callable(by) else by
        return torch.where(chosen.to(z.device), torch.as_tensor(other, dtype=z.dtype, device=z.device), z)

    return edit


def only(lost: Int[Tensor, example], heads: int) -> Bool[Tensor, "example head"]:
    """Mark one lost head in each example."""
    return torch.nn.functional.one_hot(lost, heads).bool()
