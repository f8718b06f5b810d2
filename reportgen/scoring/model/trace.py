"""Watch a model run once on a short text: its attentions, and the matrix products that read their results."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F  # noqa: N812 (the name under which everyone knows it)
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from reportgen.scoring.model.accelerate_private import execution_device
from reportgen.scoring.model.hooks import hooked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EXAMPLES, TOKENS, DECODED = 2, 11, 7  # primes that no head count or width of a model is likely to equal
ATTENDS = re.compile(r"att(n|ention)", re.IGNORECASE)  # in the path of an attention module
SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax}


@dataclass(frozen=True)
class Attention:
    """One softmax over keys, or one scaled_dot_product_attention, in the order of execution.

    ``result`` is a leaf of a fresh gradient graph that the model went on with: the pattern of a softmax, the heads'
    outputs of the latter. ``path`` is the module that computed it, ``queries`` and ``keys`` the lengths of its axes,
    ``kv_heads`` the heads of the keys where they are seen, ``at`` its number among all that was watched.
    """

    result: Tensor
    path: str
    queries: int
    keys: int
    kv_heads: int | None
    fused: bool
    at: int


@dataclass(frozen=True)
class Product:
    """One call of a module that multiplies by a matrix: ``call`` counts the calls of this module."""

    input: Tensor
    path: str
    module: nn.Module
    call: int
    at: int


@dataclass
class Trace:
    """What one forward did. ``modules`` are the paths of all modules that ran, ``softmaxes`` the lengths of the last
    axis of every softmax, by the path of the module that computed it.
    """

    attentions: list[Attention] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    softmaxes: dict[str, list[int]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of things watched so far."""
        return len(self.attentions) + len(self.products)


class FunctionWatch(TorchFunctionMode):
    """Sees every call of a function of torch within its context; ``active`` counts the contexts that are open, in which
    no compiled code may run: its calls would not be seen.
    """

    active = 0

    def __enter__(self) -> Self:
        FunctionWatch.active += 1
        super().__enter__()  # type: ignore[no-untyped-call]  # torch has no types for it
        return self

    def __exit__(self, *raised: object) -> None:
        FunctionWatch.active -= 1
        super().__exit__(*raised)  # type: ignore[no-untyped-call]


class _Watch(FunctionWatch):
    """Sees every softmax and attention, and cuts the gradient graph behind it."""

    def __init__(self, trace: Trace, running: list[str]) -> None:
        super().__init__()
        self.trace, self.running = trace, running

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Tensor, ...] = (),
        kwargs: dict[str, Tensor] | None = None,
    ) -> object:
        named = kwargs or {}
        result = func(*args, **named)
        if not isinstance(result, Tensor):
            return result
        if func is F.scaled_dot_product_attention:
            key = args[1] if len(args) > 1 else named["key"]
            return self._noted(result, result.shape[-2], key.shape[-2], key.shape[1] if key.ndim == 4 else None, True)
        if func in SOFTMAX:
            self.trace.softmaxes.setdefault(self.running[-1], []).append(result.shape[-1])
        if func in SOFTMAX and result.is_floating_point() and _over_keys(result, self.running[-1]):
            return self._noted(result, result.shape[-2], result.shape[-1], None, False)
        return result

    def _noted(self, result: Tensor, queries: int, keys: int, kv_heads: int | None, fused: bool) -> Tensor:
        leaf = result.detach().requires_grad_()
        at = self.trace.length
        self.trace.attentions.append(Attention(leaf, self.running[-1], queries, keys, kv_heads, fused, at))
        return leaf


def _over_keys(result: Tensor, path: str) -> bool:
    """Whether a softmax may be one over keys: (example, head, query, key), (example · head, query, key), or with the
    heads after the queries, as where keys are a window.
    """
    if ATTENDS.search(path) and result.ndim >= 3:
        return True
    if result.ndim == 4:
        return result.shape[-1] >= DECODED and bool({TOKENS, DECODED} & set(result.shape[1:3]))
    return result.ndim == 3 and result.shape[-2] in (TOKENS, DECODED) and result.shape[-1] >= DECODED


def watch(model: PreTrainedModel) -> Trace:
    """Run the model once on two short texts, gradients on, and note what it does; hooks are gone afterwards.

    A softmax outside any module named after attention, over as many things in a shorter text, is a router's over its
    experts: it is run once more to tell.
    """
    trace = _watched(model, short_inputs(model))
    doubtful = {a.path for a in trace.attentions if not a.fused and not ATTENDS.search(a.path)}
    if doubtful:
        shorter = _watched(model, short_inputs(model, less=2)).softmaxes  # of other lengths, for both its blocks
        fixed = {path for path in doubtful if shorter.get(path) == trace.softmaxes[path]}
        trace.attentions = [a for a in trace.attentions if a.path not in fixed]
    return trace


def _watched(model: PreTrainedModel, inputs: Mapping[str, Tensor | bool]) -> Trace:
    trace, running, calls = Trace(), [""], dict[nn.Module, int]()
    names = {module: name for name, module in model.named_modules()}

    def enter(module: nn.Module, inputs: tuple[object, ...]) -> None:
        running.append(names[module])
        trace.modules.append(names[module])
        if _multiplies(module) and inputs and isinstance(inputs[0], Tensor):
            call = calls.get(module, 0)
            calls[module] = call + 1
            trace.products.append(Product(inputs[0], names[module], module, call, trace.length))

    def leave(*_: object) -> None:
        running.pop()

    hooks = [p for m in names for p in ((m.register_forward_pre_hook, enter), (m.register_forward_hook, leave))]
    with hooked(hooks), torch.enable_grad(), _Watch(trace, running):
        model(**inputs)
    return trace


def _multiplies(module: nn.Module) -> bool:
    """Whether a module is a matrix product, quantised or not: nn.Linear and its like, GPT-2's Conv1D."""
    if isinstance(module, nn.Embedding):
        return False
    weight = getattr(module, "weight", None)
    return hasattr(module, "in_features") or (isinstance(weight, Tensor) and weight.ndim == 2)


def input_device(model: PreTrainedModel) -> torch.device:
    """Return where the model's inputs go; weights that are fetched when they run lie nowhere until then."""
    device = embedding_table(model).device
    return (execution_device(model.get_input_embeddings()) if device.type == "meta" else None) or device


def embedding_table(model: PreTrainedModel) -> Float[Tensor, "token width"]:
    """Return the weights of the token embeddings; raises ValueError for a model without."""
    table = getattr(model.get_input_embeddings(), "weight", None)
    if not isinstance(table, Tensor):
        raise ValueError("it has no table of token embeddings")
    return table


def short_inputs(model: PreTrainedModel, less: int = 0) -> dict[str, Int[Tensor, "example token"] | bool]:
    """Return two short texts without padding; of an encoder-decoder, with another length for its decoder. Both are
    ``less`` tokens shorter than they might be.
    """
    # steps of 7 from 3, as in ``forward.short_batch``: tokens that differ, in two texts that differ
    ids = (torch.arange(EXAMPLES * TOKENS, device=input_device(model)) * 7 + 3) % len(embedding_table(model))
    ids = ids.reshape(EXAMPLES, TOKENS)[:, : TOKENS - less]
    inputs: dict[str, Tensor | bool] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    known = inspect.signature(model.forward).parameters
    if shifts_itself(model):
        inputs["input_ids"] = ended(model, ids)
    elif model.config.is_encoder_decoder and "decoder_input_ids" in known:
        inputs["decoder_input_ids"] = ids[:, : DECODED - less]
    if "use_cache" in known:
        inputs["use_cache"] = False
    return inputs


def shifts_itself(model: PreTrainedModel) -> bool:
    """Whether a model is an encoder-decoder's classifier, whose decoder reads the text too, and whose class is read at
    the token that ends it.
    """
    return bool(model.config.is_encoder_decoder) and type(model).__name__.endswith("ForSequenceClassification")


def ended(model: PreTrainedModel, ids: Int[Tensor, "example token"]) -> Int[Tensor, "example token"]:
    """Return texts that hold the token which ends them at their end, and nowhere else."""
    end = getattr(model.config.get_text_config(), "eos_token_id", None)
    if end is None:
        return ids
    other = next(token for token in range(3, len(embedding_table(model))) if token != end)
    whole = torch.where(ids == end, other, ids)
    whole[:, -1] = end
    return whole
