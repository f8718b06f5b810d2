"""In which orders heads are taken out for the knock-out curves."""

from collections.abc import Mapping

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.validation.curves import LAYERS, NORM, RANDOM, knocked
from reportgen.validation.engine import Intervention
from reportgen.validation.sets import Index

# Random orders, of which the mean is the yardstick of all areas: each costs as many runs as a method's curve, and the
# mean of five wanders less than half as far as one.
RANDOMS = 5
Order = tuple[tuple[int, int], ...]


def orders(
    index: Index, methods: Mapping[str, Blocks], t: int, norms: Mapping[tuple[int, int], float], seed: int
) -> dict[str, list[Order]]:
    """By name, the orders of a task: each method's on the discovery half, the activation norm's, that of the layers,
    and several random ones, which are averaged.
    """
    cells = sorted(index.all)
    scores = {name: index.discovery(blocks, t) for name, blocks in methods.items()}
    scores.setdefault(NORM, dict(norms))
    found = {name: [tuple(sorted(cells, key=lambda cell: (-one[cell], cell)))] for name, one in scores.items()}
    rng = np.random.default_rng([seed, len(cells), t])
    found[RANDOM] = [tuple(cells[int(i)] for i in rng.permutation(len(cells))) for _ in range(RANDOMS)]
    found[LAYERS] = [tuple(cells)]
    return found


def prefixes(order: Order) -> list[Intervention]:
    """Return the interventions of one order's curve."""
    return [Intervention(frozenset(order[:k])) for k in knocked(len(order))]
