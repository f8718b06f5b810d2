"""What a command need not load."""

from typing import Any


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
