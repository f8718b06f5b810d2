"""Find the heads of a decoder through its attention output projections, and gate, ablate or resume them.

The input of that projection is the heads' outputs side by side: scaling one slice scales one head.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from reportgen.errors import InputError

# The output projection's name in each family: Llama, GPT-2, OPT and GPT-J, NeoX and Falcon and Bloom, ModernBERT-likes
PROJECTIONS = ("o_proj", "c_proj", "out_proj", "dense", "Wo", "wo", "o")
# Models whose projection input is not one softmax head per slice, so that a score would carry a wrong name
NOT_HEADS = ("bitnet", "convbert", "diffllama", "doge", "minimax", "mra", "nystromformer")
MEND = "Choose a decoder whose attention ends in an output projection (Llama, GPT-2, GPT-NeoX, Falcon, OPT, …)"


@dataclass(frozen=True)
class Layer:
    """One decoder layer: its ``block``, its attention's output ``projection`` (None: no attention here), the number
    of ``heads`` and each one's ``size`` in the projection's input.
    """

    name: str
    block: nn.Module
    projection: nn.Module | None
    heads: int
    size: int


@dataclass(frozen=True)
class Heads:
    """All heads of a decoder, layer by layer; ``kv_groups`` is the number of key/value heads (None: unknown)."""

    layers: tuple[Layer, ...]
    kv_groups: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, heads of the widest layer)."""
        return len(self.layers), max(layer.heads for layer in self.layers)

    @property
    def attending(self) -> tuple[int, ...]:
        """Indices of the layers that have heads."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.heads)


def find(model: Any) -> Heads:
    """The heads of a causal decoder, by the names of its modules and the sizes in its configuration.

    Raises InputError naming the module where they cannot be told for certain; nothing is guessed.
    """
    config = model.config.get_text_config(decoder=True)
    if config.model_type in NOT_HEADS:
        problem = f"the slices before the output projection of {config.model_type} models are not attention heads"
        raise InputError(problem, type(model).__name__, MEND)
    name, blocks = _stack(model, int(config.num_hidden_layers))
    layers = tuple(_layer(f"{name}.{i}", block, config) for i, block in enumerate(blocks))
    if not any(layer.heads for layer in layers):
        inside = ", ".join(n for n, _ in blocks[0].named_modules() if n) or "nothing"
        problem = f"no attention output projection ({', '.join(PROJECTIONS)}) is found; it holds {inside}"
        raise InputError(problem, f"{name}.0 ({type(blocks[0]).__name__})", MEND)
    return Heads(layers, _kv_groups(config, max(layer.heads for layer in layers)))


def _stack(model: Any, depth: int) -> tuple[str, Sequence[nn.Module]]:
    decoder = model.get_decoder()
    prefix = next((f"{n}." for n, m in model.named_modules() if m is decoder and n), "")
    stacks = [(prefix + n, list(m)) for n, m in decoder.named_modules() if isinstance(m, nn.ModuleList)]
    fitting = [(n, blocks) for n, blocks in stacks if len(blocks) == depth and "." not in n.removeprefix(prefix)]
    if len(fitting) != 1:
        found = ", ".join(n for n, _ in fitting) or "none"
        problem = f"not exactly one list of {depth} layers is found ({found})"
        raise InputError(problem, type(decoder).__name__, MEND)
    return fitting[0]


def _is_projection(name: str) -> bool:
    *parents, last = name.split(".")
    path = ".".join(parents).lower()
    attention = re.search(r"attn|attention", path) is not None
    # linear attention has no softmax heads; cross attention reads an encoder that a decoder-only run does not have
    return last in PROJECTIONS and attention and re.search(r"linear|cross|norm|mlp|expert", path) is None


def _layer(name: str, block: nn.Module, config: Any) -> Layer:
    found = {n: m for n, m in block.named_modules() if _is_projection(n)}
    if len(found) > 1:
        problem = f"several modules could be the attention output projection ({', '.join(found)})"
        raise InputError(problem, f"{name} ({type(block).__name__})", MEND)
    for path, projection in found.items():
        attention = block.get_submodule(path.rpartition(".")[0])
        width = _input_size(projection, f"{name}.{path}")
        heads = _first(attention, ("num_heads", "num_attention_heads", "n_heads", "n_head"), config)
        size = _first(attention, ("v_head_dim", "head_dim", "head_size"), None) or width // max(1, heads or 0)
        if not heads or heads * size != width:
            problem = f"its input of {width} is not {heads} heads of {size}"
            raise InputError(problem, f"{name}.{path} ({type(projection).__name__})", MEND)
        return Layer(name, block, projection, heads, size)
    return Layer(name, block, None, 0, 0)


def _input_size(projection: nn.Module, name: str) -> int:
    weight = getattr(projection, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        raise InputError("it has no weight matrix", f"{name} ({type(projection).__name__})", MEND)
    # GPT-2's Conv1D stores (input, output), a Linear layer (output, input)
    return int(weight.shape[0] if type(projection).__name__ == "Conv1D" else weight.shape[1])


def _first(attention: nn.Module, names: tuple[str, ...], config: Any) -> int | None:
    values = (getattr(source, name, None) for source in (attention, config) for name in names if source is not None)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool)), None)


def _kv_groups(config: Any, heads: int) -> int | None:
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        return 1
    groups = getattr(config, "num_key_value_heads", None) or getattr(config, "num_kv_heads", None) or heads
    return groups if isinstance(groups, int) and heads % groups == 0 else None


@contextmanager
def gated(heads: Heads, gates: Mapping[int, Float[Tensor, "example head"]]) -> Iterator[None]:
    """Within the context, multiply each head's output by its gate; ``gates`` has one tensor per gated layer."""

    def scale(size: int, gate: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            split = inputs[0].reshape(*inputs[0].shape[:-1], -1, size)
            return ((split * gate.to(split.dtype)[:, None, :, None]).flatten(-2), *inputs[1:])

        return hook

    handles = []
    try:
        for index, gate in gates.items():
            layer = heads.layers[index]
            assert layer.projection is not None, f"{layer.name} has no heads to gate"
            handles.append(layer.projection.register_forward_pre_hook(scale(layer.size, gate)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def ablated(heads: Heads, layer: int, lost: Int[Tensor, "example"]) -> Iterator[None]:
    """Within the context, head ``lost[e]`` of one layer puts out zero in example e."""
    gate = torch.ones(len(lost), heads.layers[layer].heads, device=lost.device)
    gate[torch.arange(len(lost), device=lost.device), lost] = 0
    with gated(heads, {layer: gate}):
        yield


@contextmanager
def recorded(heads: Heads, outputs: list[Any]) -> Iterator[None]:
    """Within the context, append the output of every layer's block to ``outputs``, in the order of the calls."""

    def hook(_: nn.Module, __: Any, output: Any) -> None:
        outputs.append(output)

    handles = []
    try:
        handles = [layer.block.register_forward_hook(hook) for layer in heads.layers]
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def resumed(heads: Heads, layer: int, outputs: Sequence[Any], copies: int) -> Iterator[None]:
    """Within the context, blocks below ``layer`` do no work: the last of them puts out what was recorded.

    The batch must be the recorded one ``copies`` times over. Lower blocks hand on un-repeated records that none reads.
    """
    replaced: list[tuple[nn.Module, Any]] = []
    try:
        for index in range(layer):
            block, output = heads.layers[index].block, outputs[index]
            replaced.append((block, block.__dict__.get("forward")))
            # set in the instance, where it shadows the class's method
            block.forward = _constant(_repeat(output, copies) if index == layer - 1 else output)
        yield
    finally:
        for block, before in replaced:
            if before is None:
                del block.forward
            else:
                block.forward = before


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def _repeat(value: Any, copies: int) -> Any:
    if isinstance(value, Tensor):
        return value.repeat(copies, *(1,) * (value.ndim - 1))
    if isinstance(value, tuple):
        return tuple(_repeat(part, copies) for part in value)
    return value


def check(heads: Heads, run: Callable[[int], Float[Tensor, "example ..."]]) -> Heads:
    """Keep the layers whose projection runs, once per forward, and moves the output when all its heads are zeroed.

    ``run(n)`` is the model's output for the same short text n times over. Layers that never run lose their heads.
    Raises InputError naming the layer where hooks do not see (batch, token, heads × size) or the heads do nothing.
    """
    calls = _calls(heads, run)
    kept = tuple(layer if layer.projection is None or calls[i] else replace(layer, projection=None, heads=0, size=0)
                 for i, layer in enumerate(heads.layers))  # fmt: skip
    heads = replace(heads, layers=kept)
    if not heads.attending:
        raise InputError("no attention output projection is called", heads.layers[0].name, MEND)
    rows = len(heads.attending) + 1  # row 0 keeps every head; row r + 1 loses those of the r-th layer that has any
    gates = {index: torch.ones(rows, heads.layers[index].heads) for index in heads.attending}
    for r, index in enumerate(heads.attending):
        gates[index][r + 1] = 0
    device = next(heads.layers[0].block.parameters()).device
    with gated(heads, {index: gate.to(device) for index, gate in gates.items()}):
        output = run(rows)
    for r, index in enumerate(heads.attending):
        if torch.equal(output[r + 1], output[0]):
            problem = "zeroing all heads of its attention does not move the model's output"
            raise InputError(problem, heads.layers[index].name, MEND)
    return heads


def _calls(heads: Heads, run: Callable[[int], Tensor]) -> dict[int, int]:
    calls = dict.fromkeys(range(len(heads.layers)), 0)

    def counter(index: int, layer: Layer) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            calls[index] += 1
            if inputs[0].ndim != 3 or inputs[0].shape[0] != 2 or inputs[0].shape[2] != layer.heads * layer.size:
                problem = f"its input of shape {tuple(inputs[0].shape)} is not (batch, token, heads × size)"
                raise InputError(problem, f"{layer.name} ({type(layer.projection).__name__})", MEND)

        return hook

    with_heads = [(i, layer) for i, layer in enumerate(heads.layers) if layer.projection is not None]
    handles = [layer.projection.register_forward_pre_hook(counter(i, layer))
               for i, layer in with_heads if layer.projection is not None]  # fmt: skip
    try:
        run(2)
    finally:
        for handle in handles:
            handle.remove()
    for index, count in calls.items():
        if count > 1:
            problem = f"its attention runs {count} times in one forward, so that one gate is not one head"
            raise InputError(problem, heads.layers[index].name, MEND)
    return calls
