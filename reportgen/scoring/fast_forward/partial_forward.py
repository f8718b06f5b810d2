"""Run a model on from recorded outputs of its layers, and its last modules at the places of the answer alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from reportgen.scoring.data.batches import Batch
from reportgen.scoring.model.heads import Heads, Site
from reportgen.scoring.model.interventions import Edit, edited, roots


@dataclass(frozen=True)
class Record:
    """The outputs of all layers in one forward of ``examples`` examples, in the order in which they ran: ``layers``
    are their paths. ``attended`` holds, of each site that can be entered, what its projection read, and what its
    attention put out beside the projection's output (None: nothing).
    """

    layers: tuple[str, ...]
    outputs: tuple[Any, ...]
    examples: int
    attended: Mapping[int, tuple[Tensor, tuple[Any, ...] | None]] = field(default_factory=dict)


@contextmanager
def recorded(model: nn.Module, heads: Heads, layers: list[str], outputs: list[Any]) -> Iterator[None]:
    """Within the context, append the path and output of every call of a layer, in the order of the calls."""

    def hook(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def after_layer(_: nn.Module, __: Any, output: Any) -> None:
            layers.append(path)
            outputs.append(output)

        return after_layer

    with hooked((layer.register_forward_hook, hook(path)) for path, layer in stacked(model, heads)):
        yield


@contextmanager
def attended(model: nn.Module, heads: Heads, sites: Sequence[int], into: dict[int, Any]) -> Iterator[None]:
    """Within the context, put what ``Record.attended`` holds of the sites into ``into``."""
    inputs: dict[nn.Module, list[Tensor]] = {}
    owners: dict[nn.Module, list[int]] = {}
    for index in sites:
        owners.setdefault(model.get_submodule(heads.sites[index].attention), []).append(index)

    def before_projection(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs.setdefault(module, []).append(given[0])

    def after_attention(module: nn.Module, _: Any, output: Any) -> None:
        index = owners[module].pop(0)
        read = inputs[heads.sites[index].projection].pop(0)
        into[index] = read, tuple(output[1:]) if isinstance(output, tuple) else None

    projections = {heads.sites[index].projection for index in sites}
    handles = [
        *((module.register_forward_pre_hook, before_projection) for module in projections),
        *((module.register_forward_hook, after_attention) for module in owners),
    ]
    with hooked(handles):
        yield


@contextmanager
def hooked(wanted: Any) -> Iterator[None]:
    """Hooks, given as pairs of a registering method and a function, for the time of the context."""
    with ExitStack() as stack:
        for register, function in wanted:
            stack.callback(register(function).remove)
        yield


def stacked(model: nn.Module, heads: Heads) -> list[tuple[str, nn.Module]]:
    """Every layer of the model's stacks, by its path."""
    return [
        (f"{stack}.{i}", layer)
        for stack in heads.stacks
        for i, layer in enumerate(model.get_submodule(stack).children())
    ]


@contextmanager
def standing_in(module: Any, forward: Callable[..., Any]) -> Iterator[None]:
    """Within the context, a module runs ``forward``: in the instance, where it shadows the class's method."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


@contextmanager
def resumed(
    model: nn.Module, heads: Heads, record: Record, start: int, copies: int, enter: int | None = None
) -> Iterator[None]:
    """Within the context, the first ``start`` layer calls do no work and put out what was recorded, and the attention
    of the site ``enter`` puts out what its projection makes of what it read.

    The batch must be the recorded one ``copies`` times over. Outputs that others than the next layer read, the last of
    each stack, are repeated too; the rest is handed on as it is, for nothing reads it.
    """
    calls, entered, read = [0], [0], _read_later(record.layers, start)

    def layer_forward(original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*inputs: Any, **named: Any) -> Any:
            call = calls[0]
            calls[0] += 1
            if call >= start:
                return original(*inputs, **named)
            output = record.outputs[call]
            return _repeat(output, copies, record.examples) if call in read else output

        return forward

    def attention_forward(site: Site, index: int, original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*inputs: Any, **named: Any) -> Any:
            entered[0] += 1
            if entered[0] > 1:  # layers above that share the module
                return original(*inputs, **named)
            z, rest = record.attended[index]
            made = site.projection(_repeat(z, copies, record.examples))
            return made if rest is None else (made, *_repeat(rest, copies, record.examples))

        return forward

    def before_model(*_: Any) -> None:
        calls[0] = entered[0] = 0

    with ExitStack() as stack:
        stack.enter_context(hooked((root.register_forward_pre_hook, before_model) for root in roots(model)))
        for _, layer in stacked(model, heads) if start else ():
            stack.enter_context(standing_in(layer, layer_forward(layer.forward)))
        if enter is not None:
            module: Any = model.get_submodule(heads.sites[enter].attention)
            made = attention_forward(heads.sites[enter], enter, module.forward)
            stack.enter_context(standing_in(module, made))
        yield


@contextmanager
def resumed_at(
    model: nn.Module, heads: Heads, record: Record | None, site: int, copies: int, edits: Mapping[int, Edit]
) -> Iterator[None]:
    """Within the context, runs start at the layer of a site, behind its attention where that can be, from ``record``
    (None: at the bottom), with ``edits`` of heads there or above; the batch is the recorded one ``copies`` times over.
    """
    start = 0 if record is None else start_of(heads, record, site)
    enter = site if record is not None and site in record.attended and site == min(edits, default=site) else None
    if record is None or (not start and enter is None):
        with edited(model, heads, edits):
            yield
        return
    below = [s.projection for i, s in enumerate(heads.sites) if start_of(heads, record, i) < start]
    with edited(model, heads, edits, Counter(below)), resumed(model, heads, record, start, copies, enter):
        yield


@contextmanager
def narrowed(model: nn.Module, names: Sequence[str], batch: Batch) -> Iterator[None]:
    """Within the context, the modules of these names run at the places alone whose logits predict an answer token, and
    put out 0 elsewhere: where nothing that the answer needs reads it.
    """
    examples, tokens = (batch.input_ids if batch.decoder_ids is None else batch.decoder_ids).shape
    positions = batch.owner * tokens + batch.position

    def narrow(original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(x: Tensor, *rest: Any, **named: Any) -> Any:
            if x.ndim != 3 or x.shape[:2] != (examples, tokens):  # already cut to fewer places
                return original(x, *rest, **named)
            chosen = positions.to(x.device)
            made = original(x.flatten(0, 1).index_select(0, chosen)[None], *rest, **named)[0]
            everywhere = made.new_zeros(examples * tokens, made.shape[-1])
            return everywhere.index_copy_(0, chosen, made).view(examples, tokens, -1)

        return forward

    with ExitStack() as stack:
        for name in names:
            module: Any = model.get_submodule(name)
            stack.enter_context(standing_in(module, narrow(module.forward)))
        yield


def _read_later(layers: Sequence[str], start: int) -> set[int]:
    """Of the first ``start`` calls, the last, and the last of each stack (a decoder reads its encoder's)."""
    last: dict[str, int] = {path.rpartition(".")[0]: call for call, path in enumerate(layers[:start])}
    return {*last.values(), start - 1}


def _repeat(value: Any, copies: int, examples: int) -> Any:
    """Every tensor ``copies`` times over, but for those that all examples share (T5's position bias)."""
    if isinstance(value, Tensor):
        shared = copies == 1 or value.ndim == 0 or len(value) == 1 < examples
        return value if shared else value.repeat(copies, *(1,) * (value.ndim - 1))
    if isinstance(value, tuple):
        return tuple(_repeat(part, copies, examples) for part in value)
    return value


def start_of(heads: Heads, record: Record, site: int) -> int:
    """The number of layer calls before the one that a site's attention runs in."""
    found = heads.sites[site]
    calls = [i for i, path in enumerate(record.layers) if path == found.within]
    return calls[min(found.call, len(calls) - 1)] if calls else 0
