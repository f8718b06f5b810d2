"""How long claims may be, and names short enough for them: how many words and numbers a text has."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import takewhile

# Text between these marks is a name: its digits are no numbers, and nothing in it ends a sentence. They are of the
# private use area, stand in no text of others, and are taken out before a claim is made.
OPEN, CLOSE = "\ue000", "\ue001"
MARKS = {ord(OPEN): None, ord(CLOSE): None}
_NAME = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")
# A number as it is printed: with its decimals, thousands, and power of ten
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[-−+]?\d+)?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_JOINED = re.compile(f"(?<=[.!?])(?=[^\\W\\d_]|{OPEN})")
LETTERS, WORDS = 40, 4  # of a name in a claim


@dataclass(frozen=True)
class Limit:
    """How many words and numbers a text may have: the contract of claims.json."""

    words: int
    numbers: int

    def holds(self, text: str) -> bool:
        """Return whether a text with marked names keeps to it."""
        return words(text) <= self.words and numbers(text) <= self.numbers


HEADLINE, BODY, TOGETHER, CLAIMS = Limit(16, 2), Limit(45, 4), Limit(320, 40), 10


def words(text: str) -> int:
    """Return the number of words of a text, as spaces part them."""
    return len(text.split())


def numbers(text: str) -> int:
    """Return how many numbers in digits a text with marked names has; those within names are none."""
    return len(_NUMBER.findall(_NAME.sub("", text)))


def marked(name: str) -> str:
    """Return a name between marks."""
    return f"{OPEN}{name}{CLOSE}" if name else ""


def plain(text: str) -> str:
    """Return a text without marks."""
    return text.translate(MARKS)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text with marked names, each beginning with a capital letter or a name."""
    hidden = list[str]()

    def hide(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return f"{OPEN}{len(hidden) - 1}{CLOSE}"

    # a template's tag at the end of a line takes the space with it that should part two sentences
    parts = [p for p in _SENTENCE.split(_JOINED.sub(" ", _NAME.sub(hide, " ".join(text.split())))) if p]
    shown = [re.sub(f"{OPEN}(\\d+){CLOSE}", lambda m: hidden[int(m[1])], p) for p in parts]
    return [p[0].upper() + p[1:] for p in shown]


def shortened(names: Sequence[str]) -> Mapping[str, str]:
    """Return names as claims say them: those of many letters or words cut, such that they are still told apart.

    What all names begin with is left out of those that are cut, as the telling part comes after it; where two are
    alike still, each is cut from where they part.
    """
    single = [" ".join(name.split()) for name in names]
    shared = _shared(single)
    return dict(zip(names, _apart([_cut(n, shared) for n in single], single), strict=True))


def _shared(names: Sequence[str]) -> int:
    """Return the length of what names begin with alike, up to the end of a word of it."""
    first = reduce(_common, names) if len(names) > 1 else ""
    return max((m.end() for m in re.finditer(r"[\s_:/-]+", first)), default=0)


def _common(one: str, other: str) -> str:
    """Return what two texts begin with alike."""
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _cut(name: str, start: int = 0) -> str:
    """Return a name of at most so many letters and words, from ``start`` on where it must be cut, else whole."""
    if _short(name):
        return name
    rest = name[start:] or name
    if _short(rest):
        return rest
    kept = " ".join(rest.split()[:WORDS])
    return f"{kept[: LETTERS - 1].rstrip()}…"


def _short(name: str) -> bool:
    return len(name) <= LETTERS and len(name.split()) <= WORDS


def _apart(cut: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names, of like ones each from a little before where it parts from the others."""
    found = list(cut)
    for i, name in enumerate(cut):
        like = [names[j] for j in range(len(cut)) if cut[j] == name and names[j] != names[i]]
        if like:
            start = max(len(_common(names[i], other)) for other in like)
            found[i] = f"…{_cut(names[i][start:].strip() or names[i][-LETTERS // 2 :])}"
    return found


def fitted(text: str, limit: Limit) -> str:
    """Return the first sentences of a text that keep to the limit, "" where the first does not."""
    kept = list[str]()
    for sentence in sentences(text):
        if not limit.holds(" ".join([*kept, sentence])):
            break
        kept.append(sentence)
    return " ".join(kept)


def total(texts: Iterable[str]) -> Limit:
    """Return how many words and numbers texts have together."""
    every = list(texts)
    return Limit(sum(map(words, every)), sum(map(numbers, every)))
