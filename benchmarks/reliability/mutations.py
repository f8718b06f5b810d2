"""How whole files are damaged: by bytes, and in JSON by values."""

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

TOKENS = (
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x00",
    b"\r\n",
    b"\r",
    b"\n\n",
    b'"',
    b"'",
    b",",
    b"\t",
    b"[",
    b"]",
    b"{",
    b"}",
    b"nan",
    b"NaN",
    b"inf",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"-1",
    b"2147483648",
    b"9223372036854775808",
    b"1" * 5000,
    b"[" * 5000,
    b'{"a":' * 2000,
    b"\xc3\x28",
    b"\\ud800",
    "\u202e\u2028\u0600".encode(),
    "e\u0301".encode() * 50,
    b"=1+1",
    b"../../x",
    b"\x1b[31m",
    b"<script>alert(1)</script>",
    b"null",
    b"true",
    b"__class__",
    b"\x80\x04\x95",
    b"PK\x03\x04",
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    " ",
    "nan",
    "\ud800",
    "a\u0000b",
    "\u202eabc",
    "../../etc/passwd",
    "=cmd()",
    -1,
    0,
    2**31,
    2**63,
    10**400,
    float("nan"),
    float("inf"),
    1e308,
    [],
    [[]],
    [None],
    {},
    {"": {}},
    [0] * 500,
    "x" * 10000,
)


def changed(data: bytes, random: Random) -> bytes:
    """Some bytes changed once: a byte, a token, a piece cut, doubled or exchanged."""
    kind = random.choice(("byte", "token", "over", "cut", "end", "double", "swap"))
    a, b = random.randint(0, len(data)), random.randint(0, len(data))
    if kind == "byte":
        return data[:a] + bytes([random.randrange(256)]) + data[a + 1 :]
    if kind in ("token", "over"):
        token = random.choice(TOKENS)
        return data[:a] + token + data[a + (len(token) if kind == "over" else 0) :]
    if kind == "end":
        return data[:a]
    size = random.randint(1, 64)
    if kind == "cut":
        return data[:a] + data[a + size :]
    if kind == "double":
        return data[:a] + data[a : a + size] * 2 + data[a + size :]
    return data[:a] + data[b : b + size] + data[a + size :]


def damaged(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """A seed after one to six changes; where it is JSON, every other time one with other values in it.

    Hypothesis draws one thing, a source of random numbers: drawing every change by itself takes ten times as long as
    most readers do, and nothing here is shrunk.
    """
    return st.randoms(use_true_random=True).map(lambda random: _damaged(seeds, random))


def _damaged(seeds: tuple[bytes, ...], random: Random) -> bytes:
    data = random.choice(seeds)
    if data[:1] in b"[{" and random.random() < 0.5:
        data = _with_other_values(data, random)
        if random.random() < 0.5:
            return data
    for _ in range(random.randint(1, 6)):
        data = changed(data, random)
    return data


def _with_other_values(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n") if data.count(b"\n{") else [data]
    line = random.randrange(len(lines))
    try:
        content = json.loads(lines[line])
    except ValueError:
        return data
    for _ in range(random.randint(1, 3)):
        content = _exchanged(content, random.randint(1, 6), random)
    lines[line] = json.dumps(content).encode()
    return b"\n".join(lines)


def _exchanged(value: Any, depth: int, random: Random) -> Any:
    """The value with a part of it, at most ``depth`` below, left out, renamed or replaced by an odd one."""
    if not depth or not isinstance(value, dict | list) or not value:
        return random.choice(ODD)
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    kind = random.choice(("into", "into", "into", "drop", "name"))
    if kind == "into":
        other = _exchanged(value[key], depth - 1, random)
        return value | {key: other} if isinstance(value, dict) else [*value[:key], other, *value[key + 1 :]]
    if isinstance(value, list):
        return [*value[:key], *value[key + 1 :]]
    rest = {k: v for k, v in value.items() if k != key}
    return rest if kind == "drop" else rest | {str(random.choice(ODD))[:40]: value[key]}
