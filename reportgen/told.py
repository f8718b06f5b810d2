"""What commands print, as lines."""

from collections.abc import Iterator
from typing import Any


def described_lines(described: dict[str, Any]) -> Iterator[str]:
    """A method's description, a line a thing."""
    for key, value in described.items():
        if key == "parameters":
            yield from (f"parameter {name} = {p['default']}: {p['doc']}" for name, p in value.items())
        elif key == "references":
            yield from (f"reference: {each}" for each in value)
        elif value:
            yield f"{key}: {', '.join(value) if isinstance(value, list) else value}"


def found_line(found: Any) -> str:
    """One layer's heads, or why it has none."""
    block = f"{found.block} " if found.block else ""
    layer = f"{block}layer {found.layer}" if found.layer is not None else f"{block}beside the layers"
    if not found.heads:
        return f"{layer}: no heads, {found.reason} ({found.module})"
    groups = f" in {found.kv_heads} key/value groups" if found.kv_heads not in (None, found.heads) else ""
    order = "" if found.order == "verified" else "; their order could not be tested"
    return f"{layer}: {found.heads} heads of {found.size}{groups} ({found.module}){order}"


def rough(seconds: float) -> str:
    """A time that is only an estimate."""
    return "under 1 s" if seconds < 1 else f"about {seconds:.0f} s"
