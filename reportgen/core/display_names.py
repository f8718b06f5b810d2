"""Names of tasks as figures, tables and headings have room for them: short, and never alike where tasks are not."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

BREAKS = r"_\-–—:：/\\.\s"  # where a name may be broken, behind the character
LEAST = 3  # letters and digits that a name keeps when what it shares with all others is left out
_PIECE = re.compile(rf"[^{BREAKS}]*[{BREAKS}]+|[^{BREAKS}]+")


def pieces(name: str) -> list[str]:
    """Return the parts of a name between which a line may be broken; joined they are the name."""
    return _PIECE.findall(name)


def shared_prefix(names: Iterable[str]) -> str:
    """Return what all names begin with, in whole words, or nothing where too little of a name would be left.

    ``mmlu_anatomy`` and ``mmlu_virology`` share ``mmlu_``; ``Task 1`` and ``Task 2``, whose rest says little, nothing.
    """
    known = list(dict.fromkeys(names))
    if len(known) < 2:
        return ""
    prefix = ""
    for piece in pieces(known[0]):
        longer = prefix + piece
        shared = _bare(piece) != piece and all(name.startswith(longer) for name in known)
        if not shared or any(sum(map(str.isalnum, name[len(longer) :])) < LEAST for name in known):
            break
        prefix = longer
    return prefix


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return every name without what all of them begin with."""
    known = list(dict.fromkeys(names))
    prefix = shared_prefix(known)
    return {name: name[len(prefix) :] for name in known}


def told_apart(names: Sequence[str], fits: Callable[[str], bool]) -> dict[str, str]:
    """Return every name in a form that ``fits``, no two alike.

    What is cut are the parts that most other names have too, dots in their place; the end, which most often tells a
    name, goes last. Names that would still be alike are numbered in their order.
    """
    short = short_names(names)
    shared = Counter(part for name in short.values() for part in {_bare(p) for p in pieces(name)})
    made = {name: text if fits(text) else _cut(text, shared, fits) for name, text in short.items()}
    taken = Counter(made.values())
    for number, (name, label) in enumerate(made.items(), 1):
        if taken[label] > 1:
            made[name] = _numbered(label, f" ({number})", fits)
    return made


def _numbered(label: str, mark: str, fits: Callable[[str], bool]) -> str:
    return middle_cut(label, lambda text: fits(text + mark)) + mark


def _bare(piece: str) -> str:
    return re.sub(rf"[{BREAKS}]+$", "", piece)


def _cut(name: str, shared: Counter[str], fits: Callable[[str], bool]) -> str:
    """Return the name without the parts that most others have too, as many of them as it takes."""
    parts = pieces(name)
    last = len(parts) - 1
    order = sorted(range(last + 1), key=lambda i: (-shared[_bare(parts[i])], i == last, i))
    left_out = set[int]()
    for i in order[:last]:
        left_out.add(i)
        text = "".join("…" if j in left_out else part for j, part in enumerate(parts))
        text = re.sub(r"\s*…+", "…", text)
        if fits(text):
            return text
    longest = max((i for i in range(last + 1) if i not in left_out), default=last)
    return middle_cut(parts[longest] if last else name, fits)


def middle_cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return the text with its middle left out, so much that it fits; nothing but dots where nothing does."""
    if fits(text):
        return text
    letters = _clusters(text)
    low, high = 0, len(letters) - 1
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if fits(_without_middle(letters, kept)) else (low, kept - 1)
    return _without_middle(letters, low)


def _without_middle(letters: Sequence[str], kept: int) -> str:
    end = (kept + 1) // 2
    return "".join(letters[: kept - end]).rstrip() + "…" + "".join(letters[len(letters) - end :]).lstrip()


def _clusters(text: str) -> list[str]:
    """Return the text's characters, marks and joiners with the letter that they belong to."""
    found = list[str]()
    for char in text:
        joined = unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf") or (found and found[-1][-1] == "\u200d")
        if joined and found:
            found[-1] += char
        else:
            found.append(char)
    return found
