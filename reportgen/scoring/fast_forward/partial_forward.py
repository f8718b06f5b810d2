"""Run a model on from recorded outputs of its layers, and its last modules at the answer's positions alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.hooks import hooked
from reportgen.scoring.model.interventions import Edit, edited, roots

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Forward = Callable[..., Any]  # a module's, of whatever it takes and puts out


@dataclass(frozen=True)
class Record:
    """The outputs of all layers in one forward of ``examples`` examples, in the order in which they ran: ``layers``
    are their paths. ``attended`` holds, of each site that can be entered, what its projection read, and what its
    attention put out beside the projection's output (None: nothing).
    """

    layers: tuple[str, ...]
    outputs: tuple[object, ...]
    examples: int
    attended: Mapping[int, tuple[Tensor, tuple[object, ...] | None]] = field(default_factory=dict)


class Recorder:
    """Records what the layers of a model put out, and what the attentions of ``sites`` hand on, while it runs once."""

    def __init__(self, model: PreTrainedModel, heads: Heads, sites: Sequence[int] = ()) -> None:
        self.model, self.heads, self.sites = model, heads, sites
        self.layers, self.outputs = list[str](), list[object]()
        self.attended: dict[int, tuple[Tensor, tuple[object, ...] | None]] = {}

    @contextmanager
    def watching(self) -> Iterator[Recorder]:
        """Record, within the context, every call of a layer in the order of the calls."""
        inputs: dict[nn.Module, list[Tensor]] = {}  # what projections read, until their attention has returned
        owners: dict[nn.Module, list[int]] = {}
        for index in self.sites:
            owners.setdefault(self.model.get_submodule(self.heads.sites[index].attention), []).append(index)

        def after_layer(path: str, _: nn.Module, __: object, output: object) -> None:
            self.layers.append(path)
            self.outputs.append(output)

        def before_projection(module: nn.Module, read: tuple[Tensor, ...]) -> None:
            inputs.setdefault(module, []).append(read[0])

        def after_attention(module: nn.Module, _: object, output: object) -> None:
            index = owners[module].pop(0)
            read = inputs[self.heads.sites[index].projection].pop(0)
            self.attended[index] = read, tuple(output[1:]) if isinstance(output, tuple) else None

        layers, projections = stacked(self.model, self.heads), {self.heads.sites[i].projection for i in self.sites}
        with hooked(
            [
                *((layer.register_forward_hook, partial(after_layer, path)) for path, layer in layers),
                *((module.register_forward_pre_hook, before_projection) for module in projections),
                *((module.register_forward_hook, after_attention) for module in owners),
            ]
        ):
            yield self

    def record(self, examples: int) -> Record:
        """Return what one run of so many examples was recorded to put out."""
        return Record(tuple(self.layers), tuple(self.outputs), examples, self.attended)


def stacked(model: PreTrainedModel, heads: Heads) -> list[tuple[str, nn.Module]]:
    """List every layer of the model's stacks, by its path."""
    return [
        (f"{stack}.{i}", layer)
        for stack in heads.stacks
        for i, layer in enumerate(model.get_submodule(stack).children())
    ]


@contextmanager
def standing_in(module: nn.Module, forward: Forward) -> Iterator[None]:
    """Run ``forward`` for a module within the context: in the instance, where it shadows the class's method."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


class PartialForward:
    """Runs a model on from a recorded forward: the first ``start`` layer calls do no work, and put out what they did;
    the attention of the site ``enter`` puts out what its projection makes of what it read.

    The batch must be the recorded one ``copies`` times over. Outputs that others than the next layer read, the last of
    each stack, are repeated too; the rest is handed on as it is, for nothing reads it.
    """

    def __init__(
        self, model: PreTrainedModel, heads: Heads, record: Record, start: int, copies: int, enter: int | None = None
    ) -> None:
        self.model, self.heads, self.record, self.start, self.copies = model, heads, record, start, copies
        self.enter, self.read_later = enter, _read_later(record.layers, start)
        self.calls, self.entered = 0, False  # layer calls of this forward so far, and whether the site was entered

    @contextmanager
    def running(self) -> Iterator[None]:
        """Resume, within the context, every forward of the model."""
        layers = [layer for _, layer in stacked(self.model, self.heads)] if self.start else []
        with ExitStack() as stack:
            stack.enter_context(hooked((root.register_forward_pre_hook, self._begin) for root in roots(self.model)))
            for layer in layers:
                stack.enter_context(standing_in(layer, partial(self._layer, layer.forward)))
            if self.enter is not None:
                attention = self.model.get_submodule(self.heads.sites[self.enter].attention)
                stack.enter_context(standing_in(attention, partial(self._attention, self.enter, attention.forward)))
            yield

    def _begin(self, *_: object) -> None:
        self.calls, self.entered = 0, False

    def _layer(self, original: Forward, *inputs: object, **named: object) -> object:
        call, self.calls = self.calls, self.calls + 1
        if call >= self.start:
            return original(*inputs, **named)
        output = self.record.outputs[call]
        return self._repeat(output) if call in self.read_later else output

    def _attention(self, index: int, original: Forward, *inputs: object, **named: object) -> object:
        if self.entered:  # layers above that share the module
            return original(*inputs, **named)
        self.entered = True
        z, rest = self.record.attended[index]
        made = self.heads.sites[index].projection(self._repeat(z))
        return made if rest is None else (made, *(self._repeat(part) for part in rest))

    def _repeat(self, value: object) -> object:
        """Repeat every tensor ``copies`` times, but for those that all examples share (T5's position bias)."""
        if isinstance(value, Tensor):
            shared = self.copies == 1 or value.ndim == 0 or len(value) == 1 < self.record.examples
            return value if shared else value.repeat(self.copies, *(1,) * (value.ndim - 1))
        return tuple(map(self._repeat, value)) if isinstance(value, tuple) else value


@contextmanager
def resumed_at(
    model: PreTrainedModel, heads: Heads, record: Record | None, site: int, copies: int, edits: Mapping[int, Edit]
) -> Iterator[None]:
    """Start runs, within the context, at the layer of a site, behind its attention where that can be.

    They go on from ``record`` (None: from the bottom), with ``edits`` of heads there or above; the batch is the
    recorded one ``copies`` times over.
    """
    start = 0 if record is None else start_of(heads, record, site)
    enter = site if record is not None and site in record.attended and site == min(edits, default=site) else None
    if record is None or (not start and enter is None):
        with edited(model, heads, edits):
            yield
        return
    below = [s.projection for i, s in enumerate(heads.sites) if start_of(heads, record, i) < start]
    with (
        edited(model, heads, edits, Counter(below)),
        PartialForward(model, heads, record, start, copies, enter).running(),
    ):
        yield


@contextmanager
def narrowed(model: PreTrainedModel, names: Sequence[str], batch: Batch) -> Iterator[None]:
    """Run the modules of these names, within the context, at the positions alone that predict an answer token.

    Elsewhere, where nothing that the answer needs reads it, they put out 0.
    """
    examples, tokens = (batch.input_ids if batch.decoder_ids is None else batch.decoder_ids).shape
    positions = batch.owner * tokens + batch.position

    def narrow(original: Forward, x: Tensor, *rest: object, **named: object) -> object:
        if x.ndim != 3 or x.shape[:2] != (examples, tokens):  # already cut to fewer positions
            return original(x, *rest, **named)
        chosen = positions.to(x.device)
        made: Tensor = original(x.flatten(0, 1).index_select(0, chosen)[None], *rest, **named)[0]
        everywhere = made.new_zeros(examples * tokens, made.shape[-1])
        return everywhere.index_copy_(0, chosen, made).view(examples, tokens, -1)

    with ExitStack() as stack:
        for name in names:
            module = model.get_submodule(name)
            stack.enter_context(standing_in(module, partial(narrow, module.forward)))
        yield


def _read_later(layers: Sequence[str], start: int) -> set[int]:
    """Return of the first ``start`` calls the last, and the last of each stack (a decoder reads its encoder's)."""
    last: dict[str, int] = {path.rpartition(".")[0]: call for call, path in enumerate(layers[:start])}
    return {*last.values(), start - 1}


def start_of(heads: Heads, record: Record, site: int) -> int:
    """Count the layer calls before the one that a site's attention runs in."""
    found = heads.sites[site]
    calls = [i for i, path in enumerate(record.layers) if path == found.within]
    return calls[min(found.call, len(calls) - 1)] if calls else 0
