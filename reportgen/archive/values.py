"""Two files of a report compared as values: every word exactly, every number to what is promised across versions."""

import io
import json
import math
import re
import zlib
from base64 import b64decode
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

# Relative, of every number that other versions of numpy and scipy make again: what docs/reliability.md promises.
AGREEMENT = 1e-5
ZERO = 1e-12  # what is left of a difference that is nothing, in float64
HALF_STEP = 2e-3  # relative, two steps of half precision: IEEE 754's binary16 has 11 bits, a step of 2^-10 at most
# Two of the least steps of half precision: the sides of intervals come of float64, which errs far below that near 0.
HALF_LEAST = 2.0**-23
COLOUR = 2  # steps of 255 by which a colour may be rounded otherwise
# What may be written otherwise and mean the same: a picture, packed numbers, a number. All else is as it is written.
_PARTS = re.compile(
    r'(data:image/png;base64,[A-Za-z0-9+/=]*+|"[A-Za-z0-9+/]{24,}+={0,2}"'
    r"|(?<![\w#.])[-−]?\d++(?:\.\d++)?(?:[eE][-+]?\d++)?(?!\w))"
)
PICTURE = "data:image/png;base64,"
HALVES = ('"below":', '"above":')  # the page's packed numbers that are computed; others are the scores themselves
SHOWN = 60  # letters of what stood where, in a message


def unlike(name: str, recorded: bytes, again: bytes) -> str:
    """Return where a file first differs from the same one made again, "" where their values agree."""
    if recorded == again:
        return ""
    if name.endswith(".png"):
        return "" if same_picture(recorded, again) else "its pixels differ"
    try:
        texts = recorded.decode(), again.decode()
    except UnicodeDecodeError:
        return "its bytes differ"
    if name.endswith(".json"):
        try:
            found = unlike_json(json.loads(texts[0]), json.loads(texts[1]), exact=False)
        except (ValueError, RecursionError) as error:
            return f"it is no JSON ({error})"
        if found:
            return found
    return unlike_text(*texts)


def unlike_text(recorded: str, again: str) -> str:
    """Return where two texts first differ, "" where they have the same words and numbers."""
    before = ""
    for i, (old, new) in enumerate(zip_longest(_PARTS.split(recorded), _PARTS.split(again), fillvalue="")):
        if old != new and not (i % 2 and _same_part(old, new, before)):
            at = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
            at = 0 if i % 2 else max(at - 10, 0)
            return f"{old[at : at + SHOWN]!r} stands where {new[at : at + SHOWN]!r} is made again"
        before = old
    return ""


def _same_part(old: str, new: str, before: str) -> bool:
    """Return whether two pictures, packed numbers or numbers are the same but for rounding."""
    if old.startswith(PICTURE) or new.startswith(PICTURE):
        return old.startswith(PICTURE) and new.startswith(PICTURE) and same_picture(*map(_unpacked, (old, new)))
    if old[:1] == '"' or new[:1] == '"':
        return old[:1] == new[:1] and _same_packed(_unpacked(old), _unpacked(new), before.endswith(HALVES))
    if not {".", "e", "E"} & {*old, *new}:
        return False  # whole numbers are counts and positions
    return same_number(*(float(text.replace("−", "-")) for text in (old, new)))


def same_number(old: float, new: float) -> bool:
    """Return whether two numbers agree as far as versions of numpy and scipy do."""
    return math.isclose(old, new, rel_tol=AGREEMENT, abs_tol=ZERO * max(abs(old), abs(new), 1e-3))


def _unpacked(text: str) -> bytes:
    try:
        return b64decode(text.removeprefix(PICTURE).strip('"'), validate=True)
    except ValueError:
        return b""


def _same_packed(old: bytes, new: bytes, halves: bool) -> bool:
    """Return whether deflated numbers are the same: to the bit, or those of half precision to its last step."""
    try:
        made = zlib.decompress(new)
        unpacker = zlib.decompressobj()
        stood = unpacker.decompress(old, len(made) + 1)  # never more than what it must be
    except zlib.error:
        return False
    if stood == made:
        return unpacker.eof and not unpacker.unused_data
    if not halves or len(stood) != len(made):
        return False
    a, b = _halves(stood), _halves(made)
    absent = np.isnan(a) | np.isnan(b)
    # of what is no number there are 2,046 patterns, and one that is written: another one is a change, unseen by value
    if (a.view("<u2") != b.view("<u2"))[absent].any():
        return False
    rest = a[~absent].astype(float), b[~absent].astype(float)
    return bool(np.allclose(*rest, rtol=HALF_STEP, atol=HALF_LEAST))


def _halves(planes: bytes) -> np.ndarray:
    """Return numbers of half precision from their byte planes."""
    return np.frombuffer(planes, np.uint8).reshape(2, -1).T.copy().view("<f2")[:, 0]


def same_picture(old: bytes, new: bytes) -> bool:
    """Return whether two PNG files show the same, and say the same of themselves."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(old), formats=["png"]) as a, Image.open(io.BytesIO(new), formats=["png"]) as b:
            if a.size != b.size:  # before its pixels are unpacked
                return False
            pixels = [np.asarray(image.convert("RGBA"), dtype=int) for image in (a, b)]
            info = [{k: v for k, v in image.info.items() if k != "transparency"} for image in (a, b)]
    except (OSError, ValueError, SyntaxError, zlib.error):
        return False
    return info[0] == info[1] and int(np.abs(pixels[0] - pixels[1]).max(initial=0)) <= COLOUR


def unlike_json(recorded: Any, again: Any, exact: bool, at: str = "") -> str:
    """Return where two JSON values first differ, "" where they do not; ``exact`` to the last digit."""
    if isinstance(recorded, Mapping) and isinstance(again, Mapping):
        for key in again | recorded:  # type: ignore[operator]
            location = f"{at}.{key}".lstrip(".")
            if key not in recorded or key not in again:
                return f"{location} is {'not recorded' if key in again else 'not one of its fields'}"
            if found := unlike_json(recorded[key], again[key], exact, location):
                return found
        return ""
    if isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        pairs = enumerate(zip(recorded, again, strict=True))
        return next((found for i, pair in pairs if (found := unlike_json(*pair, exact, f"{at}[{i}]"))), "")
    if type(recorded) is type(again) and recorded == again:
        return ""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (recorded, again))
    whole = isinstance(recorded, int) and isinstance(again, int)
    if numbers and not exact and not whole and same_number(recorded, again):
        return ""
    return f"{at or 'it'} is {recorded!r}, computed again {again!r}"
