"""What all examples of a batch begin with – instructions, solved examples – run once for each ablated head.

Without a head every layer above it changes at these tokens too, but in all examples alike: the keys and values of one
run of them stand for all, and the examples' own tokens attend to these. That needs a causal model, which reads nothing
ahead, and whose cache keeps all keys and values as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.fast_forward.partial_forward import Record, narrowed, resumed_at, start_of
from reportgen.scoring.model.forward import forward
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.interventions import Edit, only, replaced

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROTATIONS = {"default", "linear", "llama3", "yarn", "proportional"}  # others turn keys by the whole text's length
# Of a batch's tokens so many must not need to be run: with fewer, handing on keys and values took longer than running
# them (docs/scoring-speed.md)
PAYS = 0.3


class SharedLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers has no types for it
    """Keys and values of one layer at the shared tokens, read by all rows and added to by none."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values  # by which the length is found
        self.shared = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Return both, those of the rows' own tokens behind them; consecutive rows share."""
        times = len(key_states) // len(self.shared[0])
        before = (x.repeat_interleave(times, dim=0) for x in self.shared)
        keys, values = (torch.cat(pair, dim=-2) for pair in zip(before, (key_states, value_states), strict=True))
        return keys, values


@dataclass(frozen=True)
class Prefix:
    """The first ``tokens`` of every example of a batch: ``batch`` is one example of them alone, ``record`` what the
    unchanged model's layers put out there, ``rest`` what they put out behind in all examples, ``layers`` the cache.
    """

    tokens: int
    batch: Batch
    record: Record
    rest: Record
    layers: Sequence[Any]


def fits(model: PreTrainedModel) -> bool:
    """Whether a model's cache keeps all keys and values as they are, whatever comes behind them."""
    config = model.config.get_text_config(decoder=True)
    try:
        layers = DynamicCache(config=config).layers
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    turned = getattr(config, "rope_parameters", None) or {}
    nested = [of for of in turned.values() if isinstance(of, dict)] or [turned]
    kinds = {of.get("rope_type", "default") for of in nested}
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers) and kinds <= ROTATIONS


def shared_tokens(batch: Batch) -> int:
    """Count the tokens that all examples begin with, before any whose logits are read."""
    same = ((batch.input_ids == batch.input_ids[:1]) & batch.attention_mask.bool()).all(dim=0)
    return min(int(same.long().cumprod(dim=0).sum()), int(batch.position.min()))


def pays(batch: Batch, tokens: int) -> bool:
    """Whether running them once saves more than handing on keys and values takes."""
    return tokens > 0 and tokens * (batch.size - 1) > PAYS * batch.input_ids.numel()


@torch.no_grad()
def prefix_of(model: PreTrainedModel, record: Record, batch: Batch, tokens: int) -> Prefix:
    """Run the shared tokens of the unchanged model."""
    one, cache = _cut(batch.taken([0]), tokens), DynamicCache(config=model.config.get_text_config(decoder=True))
    forward(model.base_model, "causal", replace(one, cache=cache))
    first, behind = slice(0, 1), slice(tokens, None)
    return Prefix(
        tokens, one, _of(record, batch, first, slice(0, tokens)), _of(record, batch, slice(None), behind), cache.layers
    )


@torch.no_grad()
def without(
    model: PreTrainedModel,
    heads: Heads,
    narrow: Sequence[str],
    prefix: Prefix,
    index: int,
    chosen: Int[Tensor, copy],
    by: Edit | float,
) -> DynamicCache:
    """Return the shared tokens' keys and values, in copy after copy without another of the site's chosen heads."""
    cache, above = DynamicCache(config=model.config.get_text_config(decoder=True)), prefix.record.layers
    layers: list[Any] = cache.layers
    if start_of(heads, prefix.record, index) < len(above) - 1:  # else no layer reads what the heads put out here
        many = replace(prefix.batch.repeated(len(chosen)), cache=cache)
        edit = replaced(only(chosen, heads.sites[index].heads), by, None)
        with narrowed(model, narrow, many), resumed_at(model, heads, prefix.record, index, len(chosen), {index: edit}):
            forward(model.base_model, "causal", many)
    for layer, (made, plain) in enumerate(zip(layers, prefix.layers, strict=True)):
        one = made if made.is_initialized else plain
        layers[layer] = SharedLayer(one.keys, one.values)
    return cache


def following(many: Batch, tokens: int, cache: DynamicCache) -> Batch:
    """Return the batch's tokens behind the shared ones, which ``cache`` stands for."""
    return replace(
        many,
        input_ids=many.input_ids[:, tokens:],
        position=many.position - tokens,
        prompt=many.prompt - tokens,
        cache=cache,
    )


def behind(by: Edit | float) -> Edit | float:
    """Return what stands in place of heads' outputs at tokens none of which is an example's first."""
    if not callable(by):
        return by
    made: Edit = by
    return lambda z: made(torch.cat([z[:, :1], z], dim=1))[:, 1:]


def _cut(one: Batch, tokens: int) -> Batch:
    """Cut a batch to the shared tokens alone, with no logits to read."""
    none = one.owner[:0]
    return replace(
        one,
        input_ids=one.input_ids[:, :tokens],
        attention_mask=one.attention_mask[:, :tokens],
        owner=none,
        position=none,
        target=none,
        foil=None,
        corrupted_ids=None,
    )


def _of(record: Record, batch: Batch, examples: slice, tokens: slice) -> Record:
    """Return a part of what was recorded: some examples, some tokens."""
    size, length = batch.input_ids.shape

    def part(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[examples, tokens] if value.ndim > 1 and value.shape[:2] == (size, length) else value
        return tuple(part(each) for each in value) if isinstance(value, tuple) else value

    number = len(range(size)[examples])
    return Record(
        record.layers,
        tuple(map(part, record.outputs)),
        number,
        {site: part(read) for site, read in record.attended.items()},
    )
