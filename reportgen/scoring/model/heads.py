"""The attention heads of a model: which module's call, which layer of which block, how many, of what size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from reportgen.errors import InputError, ran_out, reason
from reportgen.scoring.model.data_flow import HINT, Call, Layout, Order, calls
from reportgen.scoring.model.trace import DECODED, TOKENS, Trace, watch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Models whose softmax attention is not what its heads put out
NOT_HEADS = {
    "nystromformer": "its attention is approximated through landmarks, which have no pattern over tokens",
    "mra": "its attention is approximated in blocks of several resolutions",
    "reformer": "its attention is computed and normalised chunk by chunk, so that no pattern over all tokens exists",
    "yoso": "its attention is approximated by hashing",
}


@dataclass(frozen=True)
class Site:
    """One executed call of an attention's output projection: the heads of one layer of one block.

    ``name`` and ``attention`` are the paths of the projection and of its attention module; ``block`` is "enc", "dec" or
    "cross" in encoder-decoders, else None; ``layer`` the row of the block's tensor; ``call`` which call of this module
    within one forward (0 unless layers share it); ``size`` the width of one head's slice of the projection's input;
    ``kv_heads`` the number of key/value heads where known; ``order`` whether slice h was seen to depend on the
    attention of head h alone; ``within`` the path of the layer in its stack (None: in no list of layers).
    """

    name: str
    attention: str
    block: str | None
    layer: int
    projection: nn.Module
    call: int
    heads: int
    size: int
    kv_heads: int | None
    layout: Layout
    order: Order
    within: str | None


@dataclass(frozen=True)
class Skipped:
    """A mixing block without heads that can be scored, and the reason."""

    name: str
    block: str | None
    layer: int | None
    reason: str


@dataclass(frozen=True)
class Heads:
    """All heads of a model: ``sites`` in the order of execution, what was ``skipped``, the number of layers of each
    block (``depth``), and the paths of the lists that hold the layers (``stacks``), in the order of execution.
    """

    sites: tuple[Site, ...]
    skipped: tuple[Skipped, ...]
    depth: Mapping[str | None, int]
    stacks: tuple[str, ...]

    @property
    def blocks(self) -> tuple[str | None, ...]:
        """The blocks that have heads, in the order of execution."""
        return tuple(dict.fromkeys(site.block for site in self.sites))

    @property
    def widest(self) -> int:
        """The greatest number of heads of any layer."""
        return max(site.heads for site in self.sites)

    def kv_groups(self, block: str | None) -> int | None:
        """Return the key/value heads of a block's widest layer, where every layer shares them in groups of one size."""
        sites = [site for site in self.sites if site.block == block]
        sizes = {None if site.kv_heads is None else site.heads / site.kv_heads for site in sites}
        return max(sites, key=lambda site: site.heads).kv_heads if len(sizes) == 1 else None


def find(model: PreTrainedModel) -> Heads:
    """Find the heads of a model built by transformers, by running it once on a short text and following the data.

    An attention's output projection is the first matrix product whose input depends on the attention's result; slice h
    of that input must depend on head h alone, which tells the number, the size and the order of the heads at once, and
    the heads' contributions must add up to the projection's output. The model is left as it was.
    Raises InputError naming the module where the heads cannot be told for certain; nothing is guessed.
    """
    kind = model.config.model_type
    if kind in NOT_HEADS:
        raise InputError(f"{kind} models have no heads to score: {NOT_HEADS[kind]}", type(model).__name__, HINT)
    with _as_it_was(model), torch.enable_grad():  # the data are followed by their gradients
        trace = _watched(model)
        found = calls(model, trace)
    blocks: dict[str | None, list[Call]] = {}
    for call in found:
        blocks.setdefault(_block(model, call), []).append(call)
    placed = [_Block.of(model, name, members) for name, members in blocks.items()]
    sites = sorted(((call, site) for block in placed for call, site in block.sites()), key=lambda p: p[0].product.at)
    stacks = tuple(dict.fromkeys(block.stack for block in placed if block.stack is not None))
    skipped = (*(s for block in placed for s in block.skipped(model, trace)), *_merged(found))
    return Heads(tuple(site for _, site in sites), skipped, {b.name: b.depth(model) for b in placed}, stacks)


def _watched(model: PreTrainedModel) -> Trace:
    try:
        return watch(model)
    except (
        RuntimeError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        NotImplementedError,
        KeyError,
        AssertionError,
    ) as error:
        if ran_out(error):
            raise
        raise InputError(
            f"the model cannot be run on a short text alone ({reason(error)})",
            type(model).__name__,
            "Choose a model that reads text alone",
        ) from error


@contextmanager
def _as_it_was(model: PreTrainedModel) -> Iterator[None]:
    """Freeze parameters, and leave training mode, for the time of the watching."""
    training, wanted = model.training, [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in wanted:
            parameter.requires_grad_(False)
        model.train(False)
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        model.train(training)


def _block(model: PreTrainedModel, call: Call) -> str | None:
    """Say of an encoder-decoder whose tokens ask, and whose answer."""
    if not model.config.is_encoder_decoder:
        return None
    parts = call.attention.split(".")
    if any(part.endswith("encoder") for part in parts) and "decoder" not in parts:
        return "enc"
    return "cross" if TOKENS <= call.keys < TOKENS + DECODED else "dec"


def _merged(found: Sequence[Call]) -> list[Skipped]:
    """Name the cross-attention that a decoder lacks whose one softmax ranges over its own tokens and its encoder's."""
    reason = "its softmax ranges over the decoder's and the encoder's tokens; these heads are counted as the decoder's"
    return [
        Skipped(call.attention, "cross", None, reason)
        for call in found
        if call.keys >= TOKENS + DECODED and call.queries == DECODED
    ]


@dataclass(frozen=True)
class _Block:
    """The calls of one block and their location in its list of layers: ``stack`` is the list's path, ``numbers`` each
    call's index in it. Where a list does not tell calls apart (layers that share a module), layers count the calls.
    """

    name: str | None
    calls: Sequence[Call]
    stack: str | None
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, model: PreTrainedModel, name: str | None, members: Sequence[Call]) -> _Block:
        """Find the list of layers: the outermost in which the block's attentions have different numbers."""
        paths = [call.product.path.split(".") for call in members]
        for depth in range(1, min(map(len, paths))):
            same = len({tuple(path[:depth]) for path in paths}) == 1
            listed = same and isinstance(model.get_submodule(".".join(paths[0][:depth])), nn.ModuleList)
            numbers = {path[depth] for path in paths}
            if listed and (len(numbers) > 1 or len(set(map(tuple, paths))) == 1):
                return cls(name, members, ".".join(paths[0][:depth]), tuple(int(path[depth]) for path in paths))
        return cls(name, members, None, ())

    @property
    def numbered(self) -> bool:
        """Whether a layer's number is its index in the list."""
        return len(self.numbers) > 0 and len(set(self.numbers)) == len(self.calls)

    def depth(self, model: PreTrainedModel) -> int:
        """Count the layers, those without heads among them."""
        if not self.numbered or self.stack is None:
            return len(self.calls)
        return len(cast(nn.ModuleList, model.get_submodule(self.stack)))

    def sites(self) -> list[tuple[Call, Site]]:
        """Return the block's sites with the calls that they stand for."""
        return [(call, self._site(order, call)) for order, call in enumerate(self.calls)]

    def _site(self, order: int, call: Call) -> Site:
        layer = self.numbers[order] if self.numbered else order
        within = f"{self.stack}.{self.numbers[order]}" if self.numbers else None
        product = call.product
        return Site(
            product.path,
            call.attention,
            self.name,
            layer,
            product.module,
            product.call,
            call.heads,
            call.size,
            call.kv_heads,
            call.layout,
            call.order,
            within,
        )

    def skipped(self, model: PreTrainedModel, trace: Trace) -> list[Skipped]:
        """Return the layers of the list in which no softmax attention runs, with what mixes tokens in its place."""
        if not self.numbered or self.stack is None:
            return []
        rest = sorted(set(range(self.depth(model))) - set(self.numbers))
        return [_without(model, trace, self.name, f"{self.stack}.{i}", i) for i in rest]


# what may stand in a layer beside its mixing of tokens
NO_MIXER = (
    "norm",
    "mlp",
    "ffn",
    "ff",
    "feed",
    "dropout",
    "drop",
    "act",
    "moe",
    "expert",
    "residual",
    "layernorm",
    "fc",
)


def _without(model: PreTrainedModel, trace: Trace, block: str | None, path: str, layer: int) -> Skipped:
    if path not in trace.modules:
        return Skipped(path, block, layer, "it never runs")
    children = [
        (name, child)
        for name, child in model.get_submodule(path).named_children()
        if f"{path}.{name}" in trace.modules and not any(w in name.lower() for w in NO_MIXER)
    ]
    mixers = ", ".join(f"{name} ({type(child).__name__})" for name, child in children)
    return Skipped(
        path, block, layer, f"{mixers} has no softmax over tokens" if mixers else "no softmax attention runs in it"
    )
