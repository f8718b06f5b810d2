"""Matched control sets: as many heads of the same layers and of like activation norm, none of them found."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.scoring.model.heads import Heads as Sites
from reportgen.validation.sets import Heads
from reportgen.validation.statistics import FEWEST

# Times as many sets are drawn as are wanted, those of the likest norm being taken: heads that put out more lose more
# when they are taken out, so that controls of smaller norm would make any large head look needed.
CANDIDATES = 4
ENUMERATED = (
    20_000  # sets that are all looked at where there are no more: then the likest of all are found, in a moment
)
# How far controls may come from where their layers have too few heads left, as a share of the block's layers: to reach
# the wanted number, and to reach the fewest. Layers differ in what they are needed for, so that far ones are no
# controls (docs/decisions/0012-verdicts.md).
NEAR, FAR = 1 / 4, 1 / 2
TINY = 1e-12  # stands for the norm of heads that put out nothing


@dataclass(frozen=True)
class Controls:
    """Distinct sets, the likest first; how many exist (or were drawn, of very many), how many layers
    further than the set's own they reach, and the least, median and greatest ratio of their norm to the set's.
    """

    sets: tuple[Heads, ...]
    distinct: int
    widened: int
    norm: tuple[float, float, float] | None


def whole_layer(heads: Heads, sites: Sites) -> int | None:
    """Return a layer all of whose heads are in the set; None where there is none."""
    counts = Counter(site for site, _ in heads)
    full = [sites.sites[site].layer for site, n in sorted(counts.items()) if n == sites.sites[site].heads]
    return full[0] if full else None


def matched(
    heads: Heads,
    taken: Heads,
    sites: Sites,
    norms: Mapping[tuple[int, int], float],
    wanted: int,
    rng: np.random.Generator,
) -> Controls:
    """Up to ``wanted`` distinct control sets that touch no head of ``taken``.

    Each member stands for one of the set's heads and comes from that head's layer. While fewer than wanted exist, heads
    of the next layers on either side of the same block join, up to a quarter of the block's layers away; up to half of
    them while there are fewer than ``FEWEST``. Sets that stay nearest come first, then those of the likest norm.
    """
    depth = max(sites.depth[sites.sites[site].block] for site, _ in heads)
    near, far = max(1, int(NEAR * depth)), max(1, int(FAR * depth))
    found: dict[Heads, int] = {}
    reach = 0
    for reach in range(far + 1):
        for each in _drawn([_pool(cell, taken, sites, reach) for cell in sorted(heads)], wanted, rng):
            found.setdefault(each, reach)
        if len(found) >= (wanted if reach < near else FEWEST):
            break
    if not found:
        return Controls((), 0, reach, None)
    own = max(_norm(heads, norms), TINY)
    ratios = {each: max(_norm(each, norms), TINY) / own for each in found}
    nearest = sorted(found, key=lambda each: (found[each], abs(math.log(ratios[each])), sorted(each)))[:wanted]
    inside = [ratios[each] for each in nearest]
    spread = (min(inside), float(np.median(inside)), max(inside))
    return Controls(tuple(nearest), len(found), max(found[each] for each in nearest), spread)


def _pool(cell: tuple[int, int], taken: Heads, sites: Sites, reach: int) -> list[tuple[int, int]]:
    own = sites.sites[cell[0]]
    near = [i for i, s in enumerate(sites.sites) if s.block == own.block and abs(s.layer - own.layer) <= reach]
    return [(i, h) for i in near for h in range(sites.sites[i].heads) if (i, h) not in taken]


def _drawn(pools: Sequence[Sequence[tuple[int, int]]], wanted: int, rng: np.random.Generator) -> list[Heads]:
    """All distinct sets with one member from each pool where they are few, else several times the wanted number."""
    if math.prod(map(len, pools)) <= ENUMERATED:
        return list(dict.fromkeys(frozenset(each) for each in itertools.product(*pools) if len(set(each)) == len(each)))
    if any(not pool for pool in pools):
        return []
    found: dict[Heads, None] = {}
    # draws may repeat a set, or put two members on one head: twenty times the draws end where hardly any more exist
    for each in itertools.islice(_at_random(pools, rng), 20 * CANDIDATES * wanted):
        if len(each) == len(pools):
            found.setdefault(each)
        if len(found) == CANDIDATES * wanted:
            break
    return list(found)


def _at_random(pools: Sequence[Sequence[tuple[int, int]]], rng: np.random.Generator) -> Iterator[Heads]:
    """Yield sets with one member from each pool, in random order of the pools' heads; members may coincide."""
    while True:
        chosen: set[tuple[int, int]] = set()
        for pool in pools:
            free = [cell for cell in pool if cell not in chosen]
            if free:
                chosen.add(free[int(rng.integers(len(free)))])
        yield frozenset(chosen)


def _norm(heads: Heads, norms: Mapping[tuple[int, int], float]) -> float:
    return sum(norms[cell] for cell in heads)
