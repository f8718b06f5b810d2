"""``[model] compile``: torch.compile on what stands beside the attentions, where no head is read or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from reportgen.errors import InputError, MissingResourceError, reason
from reportgen.scoring.data.batches import Kind
from reportgen.scoring.model.forward import forward, short_batch
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.torch_private import bound_recompilations
from reportgen.scoring.model.trace import FunctionWatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOCATION = "[model] compile"
# Sizes of 1, gradients and types of numbers make code of their own each; dynamo would stop at 8, and what then ran
# uncompiled would depend on what came before
FORMS = 256
ALONE = (nn.Embedding, nn.Linear)  # one product each: nothing to join


def compile_beside(model: PreTrainedModel, kind: Kind, heads: Heads) -> None:
    """Compile the outermost modules that hold no attention, such as feed-forward parts and norms, and try them.

    Dynamo overlooks hooks that are changed after it has compiled a module (``skip_nnmodule_hook_guards``), by which
    heads are gated and ablated: the attentions, and the layers that hold them, stay as they are. Sizes are dynamic from
    the first run on, which is always the same short text, so that what was scored before does not change the code.
    Raises MissingResourceError where nothing can be compiled, InputError where the model has no such module.
    """
    names = list(_beside(model, {path for site in heads.sites for path in (site.attention, site.name)}))
    if not names:
        raise InputError("the model has no module beside its attentions to compile", LOCATION, "Remove the key")
    bound_recompilations(FORMS)
    for name in names:
        module = model.get_submodule(name)
        module.forward = _unwatched(module.forward)
    try:
        with torch.no_grad():
            forward(model, kind, short_batch(model, kind, 2))
    except Exception as error:  # of the compiler's own kinds, or of the C++ compiler's
        hint = "Install a C++ compiler that torch.compile can use, or remove the key: scores are the same without"
        first = getattr(error, "inner_exception", error)  # what the backend raised
        raise MissingResourceError(f"torch.compile fails ({reason(first)})", LOCATION, hint) from error


def _unwatched(forward: Callable[..., object]) -> Callable[..., object]:
    """Compile a forward, but run the plain one while a method watches each of torch's functions."""
    fast = torch.compile(forward, dynamic=True)

    def either(*inputs: object, **named: object) -> object:
        return (forward if FunctionWatch.active else fast)(*inputs, **named)

    return either


def _beside(model: nn.Module, attentions: set[str], path: str = "") -> Iterator[str]:
    """Yield the paths of the outermost modules with parameters that hold no attention, and are none."""
    for name, child in model.get_submodule(path).named_children():
        inner = f"{path}.{name}".lstrip(".")
        if inner in attentions:
            continue
        if any(held.startswith(f"{inner}.") for held in attentions):
            yield from _beside(model, attentions, inner)
        elif next(child.parameters(), None) is not None and not isinstance(child, ALONE):
            yield inner
