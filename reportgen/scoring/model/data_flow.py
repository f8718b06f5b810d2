"""Follow each attention's result to the output projection that reads it, and tell its heads apart on the way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.model.trace import ATTENDS, DECODED, EXAMPLES, TOKENS, Attention, Product, Trace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The projection's input: (example, token, width), (token, example, width), (example · token, width), or the first of
# these with the tokens padded on the right to a multiple of a window
Layout = Literal["batch", "token", "flat", "padded"]
Order = Literal["verified", "untestable"]
# The output projection's names, for attention that runs without gradients and so cannot be followed
PROJECTIONS = ("o_proj", "c_proj", "out_proj", "dense", "Wo", "wo", "o", "out_lin")
HEAD_COUNT = re.compile(r"^(?!.*(key|kv|dim|size|linear|mamba|index)).*(^|_)(n_heads?|num_heads|attention_heads)$")
HINT = "Choose a model whose attention ends in an output projection of its own (Llama, GPT-2, BERT, T5, …)"


@dataclass(frozen=True)
class Call:
    """One call of an output projection, before it is known which layer of which block it belongs to."""

    product: Product
    attention: str
    queries: int
    keys: int
    heads: int
    size: int
    kv_heads: int | None
    layout: Layout
    order: Order


def calls(model: PreTrainedModel, trace: Trace) -> tuple[Call, ...]:
    """Return the calls of output projections in the order of execution.

    A softmax outside any module named after attention that leads to no heads, as a router's, is passed over. Raises
    InputError naming the module for an attention whose heads cannot be told apart.
    """
    found: dict[tuple[str, int], tuple[Product, list[Attention]]] = {}
    made, lost = list[Call](), list[InputError]()
    for attention in trace.attentions:
        try:
            product = _reader(trace, attention)
            found.setdefault((product.path, product.call), (product, []))[1].append(attention)
        except InputError as error:
            _raise_if_attention(attention, error)
            lost.append(error)
    for product, attentions in found.values():
        try:
            made.append(_call(model, product, attentions))
        except InputError as error:
            _raise_if_attention(attentions[0], error)
            lost.append(error)
    _refuse_other_counts(model, made)
    if not made:
        raise lost[0] if lost else InputError("no softmax attention runs in it", type(model).__name__, HINT)
    return tuple(sorted(made, key=lambda call: call.product.at))


def _refuse_other_counts(model: PreTrainedModel, made: Sequence[Call]) -> None:
    """Refuse attention of which no layer has a number of heads that the configuration names anywhere."""
    config = model.config.get_text_config(decoder=True)
    configured = {v for k, v in vars(config).items() if HEAD_COUNT.search(k) and isinstance(v, int) and v > 0}
    seen = {call.heads for call in made}
    if made and configured and not configured & seen:
        raise InputError(
            f"its attention has {_listed(seen)} heads and the configuration says {_listed(configured)}",
            made[0].product.path,
            "Save the model with the configuration it was trained with",
        )


def _listed(numbers: set[int]) -> str:
    return " or ".join(str(n) for n in sorted(numbers))


def _configured(model: PreTrainedModel, name: str) -> object:
    """Read a value of the configuration, None where it has none or sets it layer by layer."""
    try:
        return getattr(model.config.get_text_config(decoder=True), name, None)
    except ValueError:
        return None


def _raise_if_attention(attention: Attention, error: InputError) -> None:
    if attention.fused or ATTENDS.search(attention.path):
        raise error


def _reader(trace: Trace, attention: Attention) -> Product:
    """Find the first matrix product after an attention whose input depends on its result."""
    later = [product for product in trace.products if product.at >= attention.at]
    for product in later:
        if product.input.requires_grad and _gradient(product.input.sum(), attention.result) is not None:
            return product
    inside = [p for p in later if p.path.startswith(f"{attention.path}.") and p.path.rpartition(".")[2] in PROJECTIONS]
    if inside and not inside[0].input.requires_grad:
        return inside[0]  # it runs without gradients
    raise InputError("no output projection reads what its attention puts out", attention.path, HINT)


def _gradient(value: Tensor, of: Tensor) -> Tensor | None:
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, of, retain_graph=True, allow_unused=True)[0]


def _call(model: PreTrainedModel, product: Product, attentions: Sequence[Attention]) -> Call:
    heads, order = _heads(model, product, attentions)
    x, first = product.input, attentions[0]
    _refuse_unlike_sum(product, heads)
    attention = product.path.rpartition(".")[0]
    groups = _kv_heads(model, attention, first, heads)
    queries, keys = max(a.queries for a in attentions), max(a.keys for a in attentions)
    return Call(product, attention, queries, keys, heads, x.shape[-1] // heads, groups, _layout(model, product), order)


def _layout(model: PreTrainedModel, product: Product) -> Layout:
    """Say how examples and tokens stand in a projection's input; raise InputError where that cannot be seen."""
    shape = tuple(product.input.shape)
    if shape[:-1] in ((EXAMPLES * TOKENS,), (EXAMPLES * DECODED,)):
        return "flat"
    if shape[:-1] in ((EXAMPLES, TOKENS), (EXAMPLES, DECODED)):
        return "batch"
    if shape[:-1] in ((TOKENS, EXAMPLES), (DECODED, EXAMPLES)):
        return "token"
    if len(shape) == 3 and shape[0] == EXAMPLES and getattr(model.config, "attention_window", None):
        return "padded"
    raise InputError(
        f"its input of shape {shape} is not (example, token, width) of the text it was given",
        f"{product.path} ({type(product.module).__name__})",
        HINT,
    )


def _heads(model: PreTrainedModel, product: Product, attentions: Sequence[Attention]) -> tuple[int, Order]:
    """Count the heads, and see whether each slice depends on one head of every attention alone."""
    location = f"{product.path} ({type(product.module).__name__})"
    _layout(model, product)
    if not product.input.requires_grad:
        return _counted(model, product, attentions[0], location), "untestable"
    counts = [_ordered(product.input, attention) for attention in attentions]
    if None in counts or len(set(counts)) > 1:
        raise InputError(
            "no slices of its input depend on one attention head each: the heads are mixed before it", location, HINT
        )
    assert counts[0] is not None
    return counts[0], "verified"


def _ordered(x: Tensor, attention: Attention) -> int | None:
    """Return the number of heads if slice h of ``x`` depends on head h of the attention alone, else None."""
    # an axis of one (a single block of tokens) fits any input: it is the heads' only where no other is
    for axis, heads in sorted(_head_axes(attention.result), key=lambda found: -found[1]):
        if x.shape[-1] % heads == 0 and _one_to_one(x, attention.result, axis, heads):
            return heads
    return None


def _head_axes(result: Tensor) -> list[tuple[int, int]]:
    """Return the axes that may be the heads', with their sizes; axis 0 stands for examples and heads drawn together."""
    if result.ndim == 3:
        return [(0, result.shape[0] // EXAMPLES)] if result.shape[0] % EXAMPLES == 0 else []
    axes = range(1, result.ndim - 1)  # behind examples (and blocks of tokens), before the keys
    return [(axis, result.shape[axis]) for axis in axes if result.shape[axis] not in (TOKENS, DECODED)]


def _one_to_one(x: Tensor, result: Tensor, axis: int, heads: int) -> bool:
    size, own = x.shape[-1] // heads, torch.arange(heads, device=x.device)
    for head in range(heads):
        part = x[..., head * size : (head + 1) * size]
        # weights of no pattern, so that what adds up to a constant (a softmax's row) does not vanish
        weights = torch.linspace(0.3, 1.7, part.numel(), device=x.device, dtype=x.dtype).reshape(part.shape)
        gradient = _gradient((part * weights).sum(), result)
        if gradient is None:
            return False
        split = gradient.reshape(EXAMPLES, heads, -1) if axis == 0 else gradient.transpose(0, axis).flatten(1)
        touched = split.abs().sum(dim=(0, 2)) > 0 if axis == 0 else split.abs().sum(dim=1) > 0
        if not torch.equal(touched.nonzero()[:, 0], own[head : head + 1]):
            return False
    return True


def _counted(model: PreTrainedModel, product: Product, attention: Attention, location: str) -> int:
    """Count the heads where the order cannot be tested: attention and configuration must agree."""
    configured = _configured(model, "num_attention_heads")
    seen = {heads for _, heads in _head_axes(attention.result)}
    if configured not in seen or product.input.shape[-1] % configured:
        raise InputError(
            f"its attention runs without gradients and does not show the configuration's {configured} heads",
            location,
            HINT,
        )
    return int(configured)


@torch.no_grad()
def _refuse_unlike_sum(product: Product, heads: int) -> None:
    """Raise InputError where what the heads put out does not add up to what the projection puts out, its bias apart."""
    x, module = product.input.detach()[:1], product.module
    parts = x.reshape(*x.shape[:-1], heads, -1)
    alone = torch.stack(
        [torch.where(torch.arange(heads, device=x.device)[:, None] == h, parts, 0).flatten(-2) for h in range(heads)]
    )

    def output(of: Tensor) -> Tensor:
        put_out = module(of)  # I-BERT's comes with a scale
        first: Tensor = put_out[0] if isinstance(put_out, tuple) else put_out
        return first

    bias = output(torch.zeros_like(x))
    whole, total = output(x) - bias, (output(alone.flatten(0, 1)).reshape(heads, *bias.shape) - bias).sum(dim=0)
    # a sum taken in another order differs in its last digits, heads that are mixed before the projection by far more
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-9}.get(x.dtype, 0.1) * float(whole.abs().max().clamp(min=1e-3))
    if torch.isfinite(whole).all() and float((whole - total).abs().max()) > tolerance:
        raise InputError(
            "what its heads contribute does not add up to what it puts out",
            f"{product.path} ({type(module).__name__})",
            HINT,
        )


def _kv_heads(model: PreTrainedModel, attention: str, seen: Attention, heads: int) -> int | None:
    """Count the key/value heads: by the keys, by the attention module, or by the configuration."""
    module = model.get_submodule(attention)
    repeats = getattr(module, "num_key_value_groups", None)
    if isinstance(repeats, int) and repeats > 0 and heads % repeats == 0:
        return heads // repeats
    if seen.kv_heads is not None and seen.kv_heads < heads and heads % seen.kv_heads == 0:
        return seen.kv_heads
    if _configured(model, "multi_query") and not _configured(model, "new_decoder_architecture"):
        return 1
    named = getattr(module, "num_key_value_heads", None) or getattr(module, "num_kv_heads", None) or heads
    return named if isinstance(named, int) and heads % named == 0 else None
