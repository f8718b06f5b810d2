"""Where named heads look, as text: tokens shaded by the attention they get, to read, copy and search on the page."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reportgen.core.patterns import Pattern
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.attention import ROLES, spelled, tops
from reportgen.rendering.plots.canvas import printable

LEVELS = 9  # shades of a token; 9 is the example's largest
MOST = 48  # tokens of an example that are shown, those that get most; dots stand for the others


@dataclass(frozen=True)
class AttentionRow:
    """One example of a head: which, its score, the tokens in runs of one shade (0: next to none), the same in words."""

    head: str
    role: str
    example: str
    score: str
    runs: tuple[tuple[int, str], ...]
    words: str


def attention_rows(patterns: Iterable[Pattern]) -> list[AttentionRow]:
    """Return a row an example, head by head."""
    return [
        AttentionRow(
            p.head,
            ROLES[p.role] + (f", {printable(p.source)}" if p.source != p.task else ""),
            printable(p.example),
            fmt.number(p.score),
            tuple(_runs(p)),
            tops(p),
        )
        for p in patterns
    ]


def _runs(pattern: Pattern) -> Iterable[tuple[int, str]]:
    weights = np.array(pattern.answer)
    # The square root shows weak attention, which shares of one largest token would leave white.
    levels = np.round(LEVELS * np.sqrt(weights / (weights.max(initial=0.0) or 1.0))).astype(int)
    kept = set(np.argsort(-weights, kind="stable")[:MOST].tolist())
    run: list[str] = []
    before = 0
    for i, (token, level) in enumerate(zip(pattern.tokens, levels.tolist(), strict=True)):
        if i not in kept:
            level, text = 0, "" if run and run[-1] == " … " and before == 0 else " … "
        else:
            text = spelled(token)
        if level != before and run:
            yield before, "".join(run)
            run = []
        run += [text] if text else []
        before = level
    if run:
        yield before, "".join(run)
