"""Fonts of this machine for letters that the shipped fonts lack, and what to install where it has none."""

import os
import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from matplotlib.font_manager import findSystemFonts, get_font

BOX = "□"  # stands for what no font has
# Of several fonts that have a letter, those that set a whole script evenly come first, and among them plain ones.
_PREFERRED = ("notosanscjk-regular", "notosans", "droidsansfallback", "wqy", "lohit", "noto")
_STYLED = re.compile(r"bold|black|thin|light|medium|italic|oblique|condensed|mono|serif|color|ui", re.I)
# Debian's packages by the first word of a letter's name in Unicode; of all other letters, and of signs.
_PACKAGES = dict.fromkeys(
    ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH"), "fonts-noto-cjk"
)
_LETTERS, _SIGNS = "fonts-noto-core", "fonts-symbola"


@cache
def font_with(char: str) -> str | None:
    """Return the file of a font of this machine that has the character as an outline; None where there is none."""
    return next((path for path in _files() if ord(char) in _characters(path)), None)


def lacking(text: Iterable[str]) -> str:
    """Return those of the characters that no font of this machine has, sorted."""
    return "".join(sorted(char for char in set(text) if font_with(char) is None))


def advice(lacked: str) -> str:
    """Return what to say of characters that no font has: which they are, and Debian's packages that have them."""
    shown = ", ".join(f"U+{ord(char):04X}" for char in lacked[:8]) + (", …" if len(lacked) > 8 else "")
    packages = " ".join(dict.fromkeys(map(_package, lacked)))
    return (
        f"{BOX} stands for {len(lacked)} of its characters that no font of this machine has ({shown}). Run `apt-get "
        f"install {packages}` and render again."
    )


def _package(char: str) -> str:
    script = unicodedata.name(char, "").partition(" ")[0].partition("-")[0]
    other = _LETTERS if unicodedata.category(char)[0] in "LMN" else _SIGNS
    return _PACKAGES.get(script, other)


@cache
def _files() -> tuple[str, ...]:
    return tuple(sorted(map(str, findSystemFonts()), key=_order))


def _order(path: str) -> tuple[int, bool, str]:
    name = os.path.basename(path).lower()
    rank = next((i for i, part in enumerate(_PREFERRED) if part in name), len(_PREFERRED))
    return rank, bool(_STYLED.search(name)), name


@cache
def _characters(path: str) -> frozenset[int]:
    try:
        face = get_font(path)
        return frozenset(face.get_charmap()) if face.scalable else frozenset()
    except (OSError, RuntimeError):  # bitmaps alone, or a file that is none
        return frozenset()
