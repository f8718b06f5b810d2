"""How whole files are damaged: strategies of Hypothesis over bytes, and over the values in JSON."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

TOKENS = (
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\r\n", b"\r", b"\n\n", b'"', b"'", b",", b"\t", b"[", b"]", b"{", b"}",
    b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-0", b"-1", b"2147483648", b"9223372036854775808", b"1" * 5000,
    b"[" * 5000, b'{"a":' * 2000, b"\xc3\x28", b"\\ud800", "\u202e\u2028\u0600".encode(), "e\u0301".encode() * 50,
    b"=1+1", b"../../x", b"\x1b[31m", b"<script>alert(1)</script>", b"null", b"true",
    b"__class__", b"\x80\x04\x95", b"PK\x03\x04",
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, "", " ", "nan", "\ud800", "a\u0000b", "\u202eabc", "../../etc/passwd", "=cmd()", -1, 0,
    2**31, 2**63, 10**400, float("nan"), float("inf"), 1e308, [], [[]], [None], {}, {"": {}}, [0] * 500, "x" * 10000,
)  # fmt: skip

Change = Callable[[bytes], bytes]


def _at(data: bytes, place: float) -> int:
    return int(place * len(data))


places = st.floats(0, 1, allow_nan=False)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """One change of some bytes: a byte, a token, a piece cut, doubled or exchanged."""
    kind = draw(st.sampled_from(("byte", "token", "over", "cut", "end", "double", "swap")))
    a, b = draw(places), draw(places)
    if kind == "byte":
        value = draw(st.integers(0, 255))
        return lambda d: d[: _at(d, a)] + bytes([value]) + d[_at(d, a) + 1 :]
    if kind in ("token", "over"):
        token = draw(st.sampled_from(TOKENS))
        left_out = len(token) if kind == "over" else 0
        return lambda d: d[: _at(d, a)] + token + d[_at(d, a) + left_out :]
    if kind == "end":
        return lambda d: d[: _at(d, a)]
    size = draw(st.integers(1, 64))
    if kind == "cut":
        return lambda d: d[: _at(d, a)] + d[_at(d, a) + size :]
    if kind == "double":
        return lambda d: d[: _at(d, a)] + d[_at(d, a) : _at(d, a) + size] * 2 + d[_at(d, a) + size :]
    return lambda d: d[: _at(d, a)] + d[_at(d, b) : _at(d, b) + size] + d[_at(d, a) + size :]


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed after one to six changes; where it is JSON, every other time one with other values in it."""
    data = draw(st.sampled_from(seeds))
    if data[:1] in b"[{" and draw(st.booleans()):
        data = _with_other_values(draw, data)
        if draw(st.booleans()):
            return data
    for change in draw(st.lists(changes(), min_size=1, max_size=6)):
        data = change(data)
    return data


def _with_other_values(draw: st.DrawFn, data: bytes) -> bytes:
    lines = data.split(b"\n") if data.count(b"\n{") else [data]
    line = draw(st.integers(0, len(lines) - 1))
    try:
        content = json.loads(lines[line])
    except ValueError:
        return data
    for _ in range(draw(st.integers(1, 3))):
        content = _exchanged(draw, content, draw(st.integers(1, 6)))
    lines[line] = json.dumps(content).encode()
    return b"\n".join(lines)


def _exchanged(draw: st.DrawFn, value: Any, depth: int) -> Any:
    """The value with a part of it, at most ``depth`` below, left out, renamed or replaced by an odd one."""
    if not depth or not isinstance(value, dict | list) or not value:
        return draw(st.sampled_from(ODD))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    kind = draw(st.sampled_from(("into", "into", "into", "drop", "name")))
    if kind == "into":
        changed = _exchanged(draw, value[key], depth - 1)
        return value | {key: changed} if isinstance(value, dict) else [*value[:key], changed, *value[key + 1 :]]
    if isinstance(value, list):
        return [*value[:key], *value[key + 1 :]]
    rest = {k: v for k, v in value.items() if k != key}
    return rest if kind == "drop" else rest | {str(draw(st.sampled_from(ODD)))[:40]: value[key]}
