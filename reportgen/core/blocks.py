"""The blocks of heads of one model: three in an encoder-decoder, elsewhere a single one without a name."""

from collections.abc import Sequence

import numpy as np

from reportgen.core.scores import Examples, Head, HeadScores
from reportgen.errors import InputError

Blocks = tuple[HeadScores, ...]
TITLES = {"enc": "encoder", "dec": "decoder", "cross": "cross-attention"}
SHARED = ("tasks", "method", "model", "reduction", "seed", "synthetic", "versions")


def as_blocks(scores: HeadScores | Sequence[HeadScores]) -> Blocks:
    """Return the scores of one method as a tuple with one HeadScores per block.

    Raises InputError where block names are unknown or not unique, or where blocks differ in anything but their heads.
    """
    blocks = (scores,) if isinstance(scores, HeadScores) else tuple(scores)
    names = [b.block for b in blocks]
    location, hint = "blocks of heads", f"Name them {', '.join(TITLES)}; heads that are in no block stand alone"
    for name in names:
        if (name is not None and name not in TITLES) or names.count(name) > 1 or (name is None and len(names) > 1):
            raise InputError(f"the block {name!r} is unknown, unnamed or not unique", location, hint)
    if not blocks:
        raise InputError("there are none", location, hint)
    for other in blocks[1:]:
        unlike = [field for field in SHARED if getattr(other, field) != getattr(blocks[0], field)]
        unlike += [] if all(map(_same_rows, blocks[0].examples, other.examples)) else ["examples"]
        if unlike:
            problem = f"{names[0]} and {other.block} differ in their {unlike[0]}"
            raise InputError(problem, location, "Score all blocks in one run")
    return blocks


def _same_rows(a: Examples | None, b: Examples | None) -> bool:
    if a is None or b is None:
        return a is b
    return (a.ids, a.groups, a.ordered) == (b.ids, b.groups, b.ordered) and np.array_equal(a.discovery, b.discovery)


def title(block: str | None) -> str:
    """Return the block's name in full, empty for heads that are in no block."""
    return "" if block is None else TITLES.get(block, block)


def written(block: str | None, head: Head | str) -> str:
    """Return a head as it is written: ``L6H24``, in an encoder-decoder ``enc.L6H24``."""
    return f"{block}.{head}" if block else str(head)


def parsed(name: str) -> Head:
    """Return the head of a name with or without its block; raises InputError for what is no head."""
    return Head.parse(name.rpartition(".")[2])
