"""Hooks on a model's modules that are gone when a context ends, whatever ends it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from torch.utils.hooks import RemovableHandle

Register = Callable[..., RemovableHandle]  # a module's method that registers a hook


@contextmanager
def hooked(wanted: Iterable[tuple[Register, Callable[..., object]]]) -> Iterator[None]:
    """Hold hooks, as pairs of a registering method and a function, for the time of the context."""
    with ExitStack() as stack:
        for register, function in wanted:
            stack.callback(register(function).remove)
        yield
