"""Where named heads look, as text: tokens shaded by the attention they get, to read, copy and search on the page."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from reportgen.core.patterns import Pattern
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.attention import ROLES, apart, spelled, spells_answer, tops
from reportgen.rendering.plots.canvas import printable

GAP = " … "
LEVELS = 9  # shades of a token; 9 is the example's largest
MOST = 48  # tokens of an example that are shown, those that get most; dots stand for the others


@dataclass(frozen=True)
class AttentionRow:
    """One example of a head: which, its score, the expected answer (empty: none), the tokens in runs, and in words.

    A run is tokens of one shade (0: next to none), and whether they spell the expected answer.
    """

    head: str
    role: str
    example: str
    score: str
    expected: str
    runs: tuple[tuple[int, bool, str], ...]
    words: str


def attention_rows(patterns: Iterable[Pattern]) -> list[AttentionRow]:
    """Return a row an example, head by head."""
    return [
        AttentionRow(
            p.head,
            ROLES[p.role] + (f", {printable(p.source)}" if p.source != p.task else ""),
            printable(p.example),
            fmt.number(p.score),
            printable(p.expected),
            tuple(_runs(p)),
            tops(p),
        )
        for p in patterns
    ]


def _runs(pattern: Pattern) -> Iterable[tuple[int, bool, str]]:
    weights = np.array(pattern.answer)
    # The square root shows weak attention, which shares of one largest token would leave white.
    levels = np.round(LEVELS * np.sqrt(weights / (weights.max(initial=0.0) or 1.0))).astype(int).tolist()
    kept = set(np.argsort(-weights, kind="stable")[:MOST].tolist())
    each = zip(pattern.tokens, levels, spells_answer(pattern), strict=True)
    shown = [
        (level, answer, apart(spelled(t))) if i in kept else (0, False, GAP)
        for i, (t, level, answer) in enumerate(each)
    ]
    for (level, answer), run in groupby(shown, key=itemgetter(0, 1)):
        texts = [text for _, _, text in run]
        yield level, answer, "".join(t for i, t in enumerate(texts) if t != GAP or texts[i - 1 : i] != [GAP])
