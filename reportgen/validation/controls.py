"""Control sets: other sets with as many heads in each of the same layers, found heads of other tasks among them."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reportgen.validation.sets import Heads, Layer

ENUMERATED = 20_000  # sets that are all listed where there are no more, so that draws repeat none
MANY = 10**9  # stands for more sets than anyone counts


@dataclass(frozen=True)
class Controls:
    """Sets to hold a found one against, and how many there are; ``layers``: the found set is a whole layer, and they
    are the other layers of its block.
    """

    sets: tuple[Heads, ...]
    distinct: int
    layers: bool = False


def of_same_layers(heads: Heads, sites: Sequence[Layer], most: int, rng: np.random.Generator) -> Controls:
    """Return all sets that share no head with ``heads`` and have its number of heads in each layer, or ``most`` of them
    drawn at random; of a whole layer, the other layers of its block.

    Layers differ in what they are needed for, so that heads of other layers are no controls; a head that another task
    was found to need is, for the question is whether these heads cost more than any others would.
    """
    counts = Counter(site for site, _ in heads)
    if len(counts) == 1 and len(heads) == sites[whole := next(iter(counts))].heads:
        block = sites[whole].block
        others = [i for i, site in enumerate(sites) if site.block == block and i != whole]
        every = tuple(frozenset((i, head) for head in range(sites[i].heads)) for i in others)
        return Controls(every[:most], len(every), layers=True)
    free = {site: [(site, h) for h in range(sites[site].heads) if (site, h) not in heads] for site in sorted(counts)}
    total = math.prod(math.comb(len(free[site]), counts[site]) for site in free)
    if total <= ENUMERATED:
        parts = [itertools.combinations(free[site], counts[site]) for site in free]
        listed = [frozenset(itertools.chain(*each)) for each in itertools.product(*parts)]
        chosen = sorted(rng.choice(total, most, replace=False).tolist()) if total > most else range(total)
        return Controls(tuple(listed[i] for i in chosen), total)
    drawn: dict[Heads, None] = {}
    while len(drawn) < most:  # of so many sets hardly a draw comes twice
        picked = [[free[site][int(i)] for i in rng.permutation(len(free[site]))[: counts[site]]] for site in free]
        drawn.setdefault(frozenset(itertools.chain(*picked)))
    return Controls(tuple(drawn), min(total, MANY))
