"""JSON: canonical for hashing, pretty for people, and read so that no key stands twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reportgen.errors import InputError, doubled
from reportgen.storage.files import sha256


def canonical_json(value: object) -> str:
    """Write JSON with sorted keys and no spaces, the same in every process; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pretty_json(value: object) -> str:
    """Write JSON for people: indented, keys in their own order, a final newline; NaN is refused."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def once(location: str) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    """Return an ``object_pairs_hook`` of JSON that refuses an object which names a key twice."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(items)
        if len(content) < len(items):
            twice = doubled([name for name, _ in items])[0]
            raise InputError(f"key {twice!r} stands twice", location, "Keep one of them")
        return content

    return pairs


def read_json(path: Path) -> Any:
    """Read a JSON file; raises InputError where it is missing or broken, or names a key twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text, object_pairs_hook=once(str(path)))
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode()  # half a character is a ValueError, here and not later
        return content
    except OSError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
        raise InputError(f"this is not JSON ({error})", str(path), "Mend or make the file again") from error


def key_of(value: object) -> str:
    """Return a key that two equal JSON values share."""
    return sha256(canonical_json(value).encode())
