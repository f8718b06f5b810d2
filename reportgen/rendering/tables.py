"""Tables of strings, ready to print, and the table of a task's most important heads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.core.blocks import title, written
from reportgen.core.sandbox import open_to_templates
from reportgen.core.scores import Head
from reportgen.core.sentences import telling_digits
from reportgen.rendering import format as fmt
from reportgen.rendering.context import MapView

TOP = 10  # heads in a task's table
# Columns beyond which a table is set close; letters that its headings have room for in a word, its rows in a name.
DENSE, WORD, NAME = 7, 14, 40
LONGEST = 24  # letters of a word from which on its cell may break words anywhere


@dataclass(frozen=True)
class Table:
    """A table of strings: ``columns`` are (title, is a number); the first column heads its row.

    ``links`` are the addresses behind the rows' first cells (None: no link), ``ids`` anchors of the rows.
    """

    name: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    links: tuple[str | None, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def classes(self) -> str:
        """How it is set: ``dense`` of many columns, ``whole`` where neither words of titles nor rows' names break."""
        titles = [title for title, _ in self.columns]
        whole = all(len(word) <= WORD for title in titles for word in title.replace("-", " ").split())
        whole = whole and all(len(row[0]) <= NAME for row in self.rows)
        return f"dense{' whole' * whole}" if len(titles) > DENSE else ""

    @staticmethod
    @open_to_templates
    def breaks(text: str) -> bool:
        """Return whether a cell's text has a word that no column has room for, so that it may break anywhere."""
        return max(map(len, text.replace("-", " ").split()), default=0) > LONGEST


def head_table(task: str, view: MapView, unit: str, n: int = TOP) -> Table:
    """Return a task's most important heads in a block: rank, head, value with its interval, signed effect, sampling
    error.
    """
    heads = view.top(n)
    bounded = view.low is not None and bool(np.isfinite(view.low).any())
    columns: list[tuple[str, bool]] = [("Head", False), ("Rank", True), (unit[:1].upper() + unit[1:], True)]
    columns += [("95 % interval", True)] if bounded else []
    columns += [("Mean signed", True)] if view.signed is not None else []
    columns += [("Sampling s.e.", True)] if view.error is not None else []
    digits = _common_decimals([float(view.values[h]) for h in heads])
    rows = tuple(_head_row(view, h, bounded, digits) for h in heads)
    note = "" if bounded else "No intervals: there are no per-example scores."
    if view.low is not None and not bounded:
        note = "No intervals: there are too few independent examples."
    note = f"{note} {tie_note(view, heads)}".strip()
    if view.error is not None:
        note = f"{note} Sampling s.e.: the standard error that random draws leave in a head’s mean.".strip()
    kind = f"{title(view.block)} " if view.block else ""
    caption = f"{len(heads)} most important {kind}heads" if len(heads) > 1 else f"most important {kind}head"
    return Table("", f"The {caption} on {task}", tuple(columns), rows, note)


def tie_note(view: MapView, heads: Sequence[Head]) -> str:
    """Return how many heads share the last listed rank where not all of them are listed; empty where they are."""
    rank = int(view.ranks[heads[-1]]) if heads else 0
    tied, listed = int((view.ranks == rank).sum()), sum(int(view.ranks[h]) == rank for h in heads)
    value = fmt.number(float(view.values[heads[-1]])) if heads else ""
    return f"{tied:,} heads tie at {value}, rank {rank:,}; {listed} of them are listed." if tied > listed else ""


def _common_decimals(values: list[float]) -> int | None:
    """Return decimals that give the largest value three digits, or as many as tell the values apart; None where powers
    of ten are needed.
    """
    top = max((abs(v) for v in values), default=0.0)
    return fmt.decimals(top, telling_digits(values)) if top == 0 or 1e-5 <= top < 1e7 else None


def _head_row(view: MapView, head: Head, bounded: bool, digits: int | None) -> tuple[str, ...]:
    value = float(view.values[head])
    low = float(view.low[head]) if view.low is not None else float("nan")
    high = float(view.high[head]) if view.high is not None else float("nan")
    shown = digits
    if digits is not None and np.isfinite(high - low):
        shown = min(digits, fmt.decimals(value, 3, (high - low) / 2))

    def show(x: float) -> str:
        return fmt.number(x) if shown is None else fmt.fixed(x, shown)

    cells: tuple[str, ...] = (show(value),)
    cells += (f"{show(low)} to {show(high)}",) if bounded else ()
    cells += (show(float(view.signed[head])),) if view.signed is not None else ()
    cells += (fmt.number(float(view.error[head]), 2),) if view.error is not None else ()
    return (written(view.block, head), str(int(view.ranks[head])), *cells)
