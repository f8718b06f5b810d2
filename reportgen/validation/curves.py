"""Knock-out curves: how soon a task is lost as heads are taken out in an order, and whose order loses it soonest."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from reportgen.core.trials import Best, Interval, Ranking
from reportgen.validation.statistics import Sample

RANDOM, LAYERS, NORM = "random order", "layer order", "activation_norm"  # as validation.json names them
CONTROLS = (NORM, RANDOM, LAYERS)  # orders that know nothing of the answer


def knocked(heads: int) -> list[int]:
    """Return the numbers of heads that are taken out: powers of √2, and all."""
    # Equal steps of the logarithm, over which areas are taken: what the first heads do is seen one by one, at a number
    # of runs that grows with the logarithm of the model's size.
    steps = [round(2 ** (i / 2)) for i in range(2 * heads.bit_length() + 1)]
    return sorted({*(step for step in steps if step < heads), heads})


def area(lost: Float[np.ndarray, "step example"], heads: int) -> Float[np.ndarray, "example"]:
    """Return the mean of what each example has lost by then over the logarithm of the number of heads taken out, from 1
    to all (trapezoid rule): the first heads count as much as many later ones.
    """
    logs = np.log(knocked(heads))
    result: np.ndarray = np.trapezoid(lost, logs, axis=0) / max(logs[-1], 1e-12) if len(logs) > 1 else lost[0]
    return result


def rankings(areas: Mapping[str, Float[np.ndarray, "example"]], sample: Sample) -> list[Ranking]:
    """Every order's mean area, largest first, and its excess over random orders."""
    made = [
        Ranking(name, sample.interval(a), None if name == RANDOM else sample.interval(a - areas[RANDOM]))
        for name, a in areas.items()
    ]
    return sorted(made, key=lambda ranking: -ranking.area.estimate)


def best(areas: Mapping[str, Float[np.ndarray, "example"]], methods: Sequence[str], sample: Sample) -> Best | None:
    """Return the method with the largest area, and how far it is ahead of the next; None where none was scored."""
    ranked = sorted(methods, key=lambda name: -float(sample.mean(areas[name])))
    if not ranked:
        return None
    ahead: list[Interval] = [sample.interval(areas[ranked[0]] - areas[name]) for name in ranked[1:]]
    clear = all(each.low is not None and each.low > 0 for each in ahead)
    return Best(
        ranked[0], sample.interval(areas[ranked[0]]), ranked[1] if ahead else None, ahead[0] if ahead else None, clear
    )
