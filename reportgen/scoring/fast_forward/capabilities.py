"""What of a run need not be run: found by trying it on a short text, and used where the numbers stay the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from reportgen.scoring.data.batches import Batch, Kind
from reportgen.scoring.fast_forward.partial_forward import (
    Forward,
    PartialForward,
    Record,
    Recorder,
    resumed_at,
    standing_in,
    start_of,
)
from reportgen.scoring.fast_forward.prefix_cache import fits, following, prefix_of, without
from reportgen.scoring.model.forward import forward, short_batch
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.hooks import hooked
from reportgen.scoring.model.interventions import edited, only, replaced
from reportgen.scoring.model.state import left_as_it_was

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LARGE = 1e4  # a factor on the logits that no soft cap or scale survives unseen
# What a layer may raise that needs, beside the stream, something made in a layer below, or that re-enters layers
UNFIT = (RuntimeError, TypeError, ValueError, AttributeError, IndexError, AssertionError, KeyError)


@dataclass(frozen=True)
class Shortcuts:
    """What a model allows.

    ``logits`` says how logits at answer positions are had: ``head`` (hidden states, then the output embeddings on those
    positions alone), ``store`` (the model's ``logits_to_keep``) or ``whole`` (every position, then selected).
    ``resumes``: a run may start from a layer's recorded output; ``enters``: the sites whose layer may then be entered
    behind its attention, at the output projection. ``narrow``: the modules, those of the last layer and behind it,
    that need to run at answer positions alone. ``prefixes``: tokens that all examples begin with can be run once.
    """

    logits: Literal["head", "keep", "whole"] = "whole"
    resumes: bool = False
    enters: frozenset[int] = frozenset()
    narrow: tuple[str, ...] = ()
    prefixes: bool = False


def shortcuts(model: PreTrainedModel, kind: Kind, heads: Heads) -> Shortcuts:
    """Try each of them: some ten runs of a text of five tokens, most of them of the last layer alone."""
    with left_as_it_was(model):
        whole = resumes(model, kind, heads, frozenset())
        enters = _returning(model, kind, heads) if whole else frozenset[int]()
        if enters and not resumes(model, kind, heads, enters):
            enters = frozenset()
        narrowed = narrow(model, kind, heads, whole)
        shared = whole and kind == "causal" and fits(model) and prefixes(model, heads, enters, narrowed)
        return Shortcuts(logits_way(model, kind), whole, enters, narrowed, shared)


def logits_way(model: PreTrainedModel, kind: Kind) -> Literal["head", "keep", "whole"]:
    """Whether the output embeddings on the base model's hidden states make the model's logits, and nothing else does.

    The output embeddings are made to shout: a soft cap or scale after them, however gentle, then shows.
    """
    if kind in ("classifier", "encoder"):
        return "whole"
    batch, seen, shouted = short_batch(model, kind, 1), list[Tensor](), list[Tensor]()
    fallback: Literal["keep", "whole"] = (
        "keep" if "logits_to_keep" in inspect.signature(model.forward).parameters and kind == "causal" else "whole"
    )
    head: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]  # it has no types
    if head is None or model.base_model is model:
        return fallback

    def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append(inputs[0])
        shouted.append(output * LARGE)
        return shouted[-1]

    with torch.no_grad(), hooked([(head.register_forward_hook, hook)]):
        logits = forward(model, kind, batch).logits
        hidden = getattr(forward(model.base_model, kind, batch), "last_hidden_state", None)
    same = len(seen) == 1 and hidden is not None and hidden.shape == seen[0].shape and torch.equal(hidden, seen[0])
    return "head" if same and torch.equal(logits, shouted[0].to(logits.dtype)) else fallback


@torch.no_grad()
def resumes(model: PreTrainedModel, kind: Kind, heads: Heads, enters: frozenset[int]) -> bool:
    """Whether runs without a head, resumed from recorded outputs, agree with whole runs; false for models that re-enter
    layers. The sites ``enters`` are entered behind their attention.
    """
    batch = _unlike(model, kind)
    record, many = _recorded(model, kind, heads, batch, enters)[0], batch.repeated(2)
    if any(site.within not in record.layers for site in heads.sites):
        return False
    return all(
        _agrees(model, kind, heads, record, many, site, site if site in enters else None) for site in _tried(heads)
    )


def _recorded(
    model: PreTrainedModel, kind: Kind, heads: Heads, batch: Batch, enters: frozenset[int]
) -> tuple[Record, Tensor]:
    """Run two examples; return the record to resume from, and what the model puts out."""
    with Recorder(model, heads, sorted(enters)).watching() as recorder:
        output = first_output(model, kind, batch)
    return recorder.record(2), output


def _tried(heads: Heads) -> list[int]:
    """Choose the sites to try: the ends, where layers may be of another make, one next to an end, and a middle one."""
    return sorted({0, 1 % len(heads.sites), len(heads.sites) // 2, len(heads.sites) - 1})


def _agrees(
    model: PreTrainedModel, kind: Kind, heads: Heads, record: Record, many: Batch, site: int, enter: int | None
) -> bool:
    """Whether a run resumed at a site, without its first head, puts out what the whole run does."""
    lost = only(torch.zeros(many.size, dtype=torch.long, device=many.input_ids.device), heads.sites[site].heads)
    edits, start = {site: replaced(lost, 0.0, None)}, start_of(heads, record, site)
    below = [s.projection for i, s in enumerate(heads.sites) if start_of(heads, record, i) < start]
    with edited(model, heads, edits):
        whole = first_output(model, kind, many)
    try:
        unrun = {module: below.count(module) for module in below}
        with edited(model, heads, edits, unrun), PartialForward(model, heads, record, start, 2, enter).running():
            again = first_output(model, kind, many)
    except UNFIT:
        return False
    return again.shape == whole.shape and _close(again, whole)


@torch.no_grad()
def prefixes(model: PreTrainedModel, heads: Heads, enters: frozenset[int], names: tuple[str, ...]) -> bool:
    """Whether runs without a head in which the first tokens are run once agree with whole runs."""
    batch = _unlike(model, "causal")
    # two of five tokens shared: the least in which one shared token attends to another, and texts still differ behind
    batch.input_ids[:, :2] = batch.input_ids[0, :2]
    record, many = _recorded(model, "causal", heads, batch, enters)[0], batch.repeated(2)
    try:
        prefix = prefix_of(model, record, batch, 2)
        for site in _tried(heads):
            chosen = torch.arange(2, device=batch.input_ids.device) % heads.sites[site].heads
            edits = {site: replaced(only(chosen.repeat_interleave(2), heads.sites[site].heads), 0.0, None)}
            with edited(model, heads, edits):
                whole = first_output(model, "causal", many)[:, 2:]
            rest = following(many, 2, without(model, heads, names, prefix, site, chosen, 0.0))
            with resumed_at(model, heads, prefix.rest, site, 2, edits):
                again = first_output(model, "causal", rest)
            if again.shape != whole.shape or not _close(again, whole):
                return False
    except UNFIT:
        return False
    return True


def _close(one: Tensor, other: Tensor) -> bool:
    """Say whether two outputs are equal but for the rounding of the same arithmetic in a batch of another size.

    NaN, which scoring reports by example and layer, agrees with nothing.
    """
    # Of the greatest output. Scores of shared and whole runs in float32 differed by up to 9.1e-6
    # (docs/scoring-speed.md); narrower formats may differ by four of their own steps. What a shortcut gets wrong
    # differs by far more
    bound = max(1e-5, 4 * torch.finfo(other.dtype).eps)
    return bool(torch.isfinite(other).all()) and torch.allclose(
        one, other, rtol=10 * bound, atol=float(other.abs().max()) * bound
    )


def _unlike(model: PreTrainedModel, kind: Kind) -> Batch:
    """Return two short texts, each the other in reverse."""
    batch = short_batch(model, kind, 2)
    batch.input_ids[1] = batch.input_ids[1].flip(0)
    return batch


def first_output(model: PreTrainedModel, kind: Kind, batch: Batch) -> Tensor:
    """Return logits, or an encoder's hidden states."""
    output: Tensor = forward(model, kind, batch)[0]
    return output


@torch.no_grad()
def _returning(model: PreTrainedModel, kind: Kind, heads: Heads) -> frozenset[int]:
    """Find the sites whose attention puts out what its projection does: as it is, or first in a tuple."""
    seen, calls = dict[tuple[str, int], list[Tensor]](), dict[str, int]()

    def store(path: str, _: nn.Module, __: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor):
            seen.setdefault((path, calls.setdefault(path, 0)), []).append(first)
        calls[path] = calls.get(path, 0) + 1

    wanted = {path for site in heads.sites for path in (site.name, site.attention)}
    with hooked((model.get_submodule(path).register_forward_hook, partial(store, path)) for path in sorted(wanted)):
        first_output(model, kind, _unlike(model, kind))
    return frozenset(
        index
        for index, site in enumerate(heads.sites)
        if site.layout == "batch"
        and calls.get(site.attention) == calls.get(site.name)
        and all(key in seen for key in ((site.name, site.call), (site.attention, site.call)))
        and torch.equal(seen[site.name, site.call][0], seen[site.attention, site.call][0])
    )


@torch.no_grad()
def narrow(model: PreTrainedModel, kind: Kind, heads: Heads, resume: bool) -> tuple[str, ...]:
    """Find the outermost modules in the last layer and behind the layers of which only answer positions are read.

    Each is tried: with its outputs at all other positions set to 0 the answer's logits must be the same to the last
    bit, and at answer positions alone it must put out what it did among the others.
    """
    if kind in ("classifier", "encoder") or not heads.stacks:
        return ()
    batch = _unlike(model, kind)
    positions = (batch.owner, batch.position)
    record, whole = _recorded(model, kind, heads, batch, frozenset())
    layers, last, expected = record.layers, record.layers[-1], whole[positions]

    def passes(path: str) -> bool:
        module, seen = model.get_submodule(path), list[tuple[Tensor, Tensor]]()
        # a run of the last layer alone shows what is in it; not of what stands before the layers
        start = len(layers) - 1 if resume and path.startswith(f"{last}.") else 0
        try:
            with (
                PartialForward(model, heads, record, start, 1).running(),
                standing_in(module, _masked(module, positions, seen)),
            ):
                same = torch.equal(first_output(model, kind, batch)[positions], expected)
            inputs, outputs = seen[0]
            return same and len(seen) == 1 and _close(module(inputs[positions][None])[0], outputs[positions])
        except UNFIT:
            return False

    return tuple(_outermost(model, heads, last if layers.count(last) == 1 else None, passes))


def _masked(
    module: nn.Module, positions: tuple[Tensor, Tensor], seen: list[tuple[Tensor, Tensor]]
) -> Callable[..., Tensor]:
    """Return the module's forward with 0 at all positions but these; it raises for what maps no positions."""
    original: Forward = module.forward

    def forward(x: Tensor) -> Tensor:
        output = original(x)
        if x.ndim != 3 or not isinstance(output, Tensor) or output.shape[:2] != x.shape[:2]:
            raise ValueError("no map of positions to positions")
        seen.append((x, output))
        return torch.zeros_like(output).index_put(positions, output[positions])

    return forward


def _outermost(
    model: PreTrainedModel, heads: Heads, last: str | None, passes: Callable[[str], bool], path: str = ""
) -> Iterator[str]:
    """Yield the paths of modules below one that pass and have parameters, outside all layers but the ``last``."""
    for name, child in model.get_submodule(path).named_children():
        inner = f"{path}.{name}".lstrip(".")
        around = any(f"{stack}.".startswith(f"{inner}.") for stack in heads.stacks)
        in_last = last is not None and f"{inner}.".startswith(f"{last}.")
        if any(inner.startswith(f"{stack}.") for stack in heads.stacks) and not in_last:
            continue
        if not around and inner != last and next(child.parameters(), None) is not None and passes(inner):
            yield inner
        else:
            yield from _outermost(model, heads, last, passes, inner)
