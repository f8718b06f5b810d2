"""What a model keeps beside its weights and changes as it runs: put back, so that no run depends on those before.

BigBird leaves sparse attention for good once it has read a short text, dynamically scaled rotary positions stay
stretched for the longest text so far, and NLLB's experts keep the capacity of the first batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from reportgen.errors import InputError
from reportgen.scoring.model.load import quiet
from reportgen.scoring.model.torch_private import times_written

SMALL = 1 << 16  # numbers of a buffer that is copied, such as a table of rotary frequencies; masks are larger


class State:
    """The attributes, buffers and submodules of some modules, and their configurations, as they are now."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules = tuple(modules)
        configs = {id(c): c for m in self.modules if hasattr(c := getattr(m, "config", None), "to_dict")}
        self.before = [(owner, _held(owner)) for owner in (*self.modules, *configs.values())]
        self.buffers = [
            (m, t, times_written(t), t.clone() if t.numel() <= SMALL else None)
            for m in self.modules
            for t in m.buffers(recurse=False)
            if t.device.type != "meta"
        ]

    @torch.no_grad()
    def restore(self) -> set[nn.Module]:
        """Put all of it back; return the modules that had changed.

        Raises InputError for a large buffer that was written in place, of which no copy was held.
        """
        changed = {owner for owner, held in self.before if _put_back(owner, held) and isinstance(owner, nn.Module)}
        for module, tensor, times, copy in self.buffers:
            if times_written(tensor) == times:
                continue
            if copy is None:
                raise InputError(
                    f"a run writes into a buffer of shape {tuple(tensor.shape)}, so that the next one depends on it",
                    type(module).__name__,
                    "Choose a model whose runs do not depend on each other",
                )
            if not torch.equal(tensor, copy):
                tensor.copy_(copy)
                changed.add(module)
        return changed


def _held(owner: object) -> dict[str, Any]:
    """Return an object's attributes; of its dictionaries, such as those of buffers and submodules, copies."""
    return {name: dict(value) if _is_kept(value) else value for name, value in vars(owner).items()}


def _is_kept(value: object) -> bool:
    """Whether an attribute is a dictionary, other than that of weights, which accelerate fetches and sends away."""
    return type(value) is dict and not any(isinstance(x, nn.Parameter) for x in value.values())


def _put_back(owner: object, held: dict[str, Any]) -> bool:
    """Give an object its attributes again; say whether any had changed."""
    now, changed, wanted = vars(owner), False, dict(held)
    for name, value in held.items():
        inner = now.get(name)
        if _is_kept(value) and isinstance(inner, dict):  # the very dictionary stays, for others may hold it
            changed |= _refilled(inner, value)
            wanted[name] = inner
    return _refilled(now, wanted) or changed


def _refilled(current: dict[str, Any], before: dict[str, Any]) -> bool:
    if current.keys() == before.keys() and all(current[key] is value for key, value in before.items()):
        return False
    current.clear()
    current.update(before)
    return True


@contextmanager
def left_as_it_was(model: nn.Module, changed: set[nn.Module] | None = None) -> Iterator[None]:
    """Put back, at the end of the context, what runs within it change of the model; add to ``changed`` where."""
    state = State(model.modules())
    try:
        yield
    finally:
        found = state.restore()
        if changed is not None:
            changed |= found


def hold(roots: Iterable[nn.Module], modules: Iterable[nn.Module]) -> None:
    """Let every run that starts at one of the roots, from now on, leave these modules as they were before it, without a
    word: BigBird would warn anew each time that it leaves sparse attention.
    """
    kept, begun = tuple(modules), list[tuple[State, ExitStack]]()

    def before(*_: object) -> None:
        begun.append((State(kept), ExitStack()))
        begun[-1][1].enter_context(quiet())

    def after(*_: object) -> None:
        state, silence = begun.pop()
        state.restore()
        silence.close()

    for root in roots if kept else ():
        root.register_forward_pre_hook(before)
        root.register_forward_hook(after, always_call=True)
