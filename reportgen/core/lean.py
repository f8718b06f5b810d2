"""What a command need not do."""

import gc
from typing import Any

USUAL = gc.get_threshold()
SELDOM = (200_000, 20, 100)  # new objects before Python looks for cycles among them, and rounds before it looks on


def collect_seldom() -> None:
    """Look for unreachable cycles seldom: loading modules makes objects that stay, and looking through them each time
    took 7 % of a small report's time.
    """
    gc.set_threshold(*SELDOM)


def collect_as_ever() -> None:
    """Look for them as Python does, where cycles could hold tensors."""
    gc.set_threshold(*USUAL)


def without_scipys_notes() -> None:
    """Let scipy, when this process loads it later, leave its functions' documentation empty.

    Loading scipy.stats parses and rewrites the documentation of 600 functions, which takes as long as all else of it;
    a command shows none of that. Where scipy keeps its parser elsewhere, it loads as ever.
    """
    try:
        from scipy._lib import _docscrape

        whole = _docscrape.FunctionDoc
    except (ImportError, AttributeError):
        return

    class Unread(whole):  # type: ignore[misc,valid-type]
        def __init__(self, func: Any, role: str = "func", doc: str | None = None, config: Any = None) -> None:
            super().__init__(func, role, "", config or {})

    _docscrape.FunctionDoc = Unread
