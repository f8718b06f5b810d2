"""When a rule of the observed register must be silent: thresholds that noise seldom reaches.

An observation is an exact statement about the numbers at hand, and on numbers without structure it would be one about
noise. So each rule's threshold is raised until its kind appears in at most ``SHARE`` of reports on null tensors: heads
shuffled within their layers (arrangements) or over the whole map (what tells layers apart), or drawn anew from a
background with a smooth tail (single heads), since an outlier that is only moved stays one.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from reportgen.analysis.statistics.strips import shuffled
from reportgen.analysis.statistics.tails import TOP, Law, Tail
from reportgen.analysis.view import Outcome, View, found_cells

SHARE = 0.02  # of null reports in which a kind may appear
DRAWS, FEWEST, CELLS = 200, 50, 8_000_000  # null reports; the fewest of large ones, and cells of all of them
CHUNK = 2_000_000  # cells of null tensors held at once
FARTHEST = 300.0  # of a logarithm: heavy tails reach beyond what a number holds
TOPS = 12  # largest heads of a layer that are drawn
Statistic = Callable[[Float[np.ndarray, "draw task layer head"]], Float[np.ndarray, "draw *rule"]]


def floor(statistics: Float[np.ndarray, "draw"], least: float, rules: int = 1) -> float:
    """Return the threshold of a rule: ``least``, or what the kind's share of null reports exceeds, rounded up.

    ``rules`` are those by which the kind may appear, each with its part of the share.
    """
    exceeding = max(1, int(SHARE / rules * (len(statistics) + 1)))
    reached = float(np.sort(statistics)[-exceeding])
    return max(least, float(np.floor(100 * reached) + 1) / 100 if np.isfinite(reached) else least)


def floors(ratios: Float[np.ndarray, "draw task"], least: float, rules: int) -> list[float]:
    """Return each task's threshold of a ratio, so that together they keep the kind's share of null reports.

    Tasks differ in how far their layers lie apart: a task's logarithms are held against their own median and upper
    tenth, and the farthest task of a report counts.
    """
    logs = np.log(np.maximum(ratios, 1.0))
    middle, upper = np.quantile(logs, [0.5, 0.9], axis=0)
    scale = np.maximum(upper - middle, 0.01)
    times = floor(((logs - middle) / scale).max(axis=1), 0.0, rules)
    with np.errstate(over="ignore"):  # where null ratios are without bound, no ratio is large enough
        reached = np.ceil(100 * np.exp(middle + times * scale)) / 100
    return np.maximum(least, reached).tolist()  # type: ignore[no-any-return]


def null_statistics(
    view: View, earlier: Sequence[Outcome], shuffle: Literal["within layers", "over layers"], of: Statistic
) -> Float[np.ndarray, "draw *rule"]:
    """Return a statistic of null tensors: each task's own values in random order, by key/value groups.

    Cells of regions that were found ``earlier``, which are told already, and dead layers are NaN.
    """
    names, shape = view.scores.task_names, view.whole.shape
    alive = view.present & ~view.dead[:, None]
    free = [alive & ~found_cells(earlier, name, alive.shape) for name in names]
    line, rng = (
        alive.shape if shuffle == "within layers" else (1, alive.size),
        np.random.default_rng([view.settings.seed, *shape]),
    )
    draws, made = int(np.clip(CELLS // view.whole.size, FEWEST, DRAWS)), list[np.ndarray]()
    while sum(map(len, made)) < draws:
        n = min(max(1, CHUNK // view.whole.size), draws - sum(map(len, made)))
        maps = [
            np.where(
                f,
                shuffled(np.nan_to_num(v).reshape(line), f.reshape(line), view.group_size, n, rng).reshape(n, *f.shape),
                np.nan,
            )
            for v, f in zip(view.whole, free, strict=True)
        ]
        made.append(of(np.stack(maps, axis=1)))
    return np.concatenate(made)


def smooth(scores: Float[np.ndarray, "head"], heads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the quantile function of a background without outliers: that of the scores, its tail at the 95 % bound.

    With too few scores for a tail it is that of a normal background; ``heads`` are those of a layer.
    """
    tail = Tail.of(scores) if len(scores) else None
    law = tail.bounded(heads, 0.95) if tail is not None else Law(float(stats.norm.isf(TOP)), 1.0, None)
    levels = np.linspace(0, 1, 201)
    body = np.quantile(scores, levels) if len(scores) else stats.norm.ppf(levels.clip(0.001, 0.999))

    def quantile(level: np.ndarray) -> np.ndarray:
        made: np.ndarray = np.interp(level, levels, body)
        far = level > 1 - TOP
        made[far] = law.quantile(level[far])
        return made

    return quantile


def drawn_statistics(
    quantile: Callable[[np.ndarray], np.ndarray],
    spreads: Float[np.ndarray, "task"],
    present: Bool[np.ndarray, "layer head"],
    of: Statistic,
    seed: int,
) -> Float[np.ndarray, "draw"]:
    """Return a statistic of tensors whose logarithms are drawn anew, each task's with its spread, centred on 0."""
    shape, rng = (len(spreads), *present.shape), np.random.default_rng([seed, len(spreads), *present.shape])
    draws, made = int(np.clip(CELLS // np.prod(shape), FEWEST, DRAWS)), list[np.ndarray]()
    while sum(map(len, made)) < draws:
        n = int(min(max(1, CHUNK // np.prod(shape)), draws - sum(map(len, made))))
        tensor = np.exp(np.clip(spreads[:, None, None] * quantile(rng.random((n, *shape))), -FARTHEST, FARTHEST))
        made.append(of(np.where(present, tensor, np.nan)))
    return np.concatenate(made)


def null_tops(
    quantile: Callable[[np.ndarray], np.ndarray],
    centres: Float[np.ndarray, "task layer"],
    spreads: Float[np.ndarray, "task"],
    counts: Float[np.ndarray, "task layer"],
    seed: int,
) -> Float[np.ndarray, "draw task layer top"]:
    """Return each layer's largest importances, the largest first, of null tensors of single heads.

    Their logarithms are the layer's centre plus the task's spread times a residual. The largest of n uniform numbers is
    drawn outright, then the next below it (Devroye 1986, Non-Uniform Random Variate Generation, V.3).
    """
    top, rng = max(2, min(TOPS, int(counts.max(initial=0)))), np.random.default_rng([seed, *centres.shape])
    left = np.maximum(counts[..., None] - np.arange(top), 0.0)
    upper = np.exp(np.cumsum(np.log(rng.random((DRAWS, *left.shape))) / np.maximum(left, 1), axis=-1))
    away = np.clip(spreads[:, None, None] * quantile(upper), -FARTHEST, FARTHEST)
    values = np.exp(centres[..., None] + away)
    result: np.ndarray = np.where(left > 0, values, 0.0)
    return result


def range_ratios(tops: Float[np.ndarray, "draw task layer top"], need: int) -> Float[np.ndarray, "draw task"]:
    """Return how many times the next head a head can be that is the largest in ``need`` adjacent layers, its own among
    them: the most over layers.
    """
    largest, second, layers = tops[..., 0], tops[..., 1], tops.shape[2]
    best = np.zeros(tops.shape[:2])
    for layer in range(layers if need <= layers else 0):
        above = np.maximum.accumulate(largest[..., :layer][..., ::-1], axis=-1)
        below = np.maximum.accumulate(largest[..., layer + 1 :], axis=-1)
        for first in range(max(0, layer - need + 1), min(layer, layers - need) + 1):
            rivals = [second[..., layer]]
            rivals += [above[..., layer - first - 1]] if first < layer else []
            rivals += [below[..., first + need - layer - 2]] if first + need - 1 > layer else []
            next_ = np.max(rivals, axis=0)
            ratio = np.divide(largest[..., layer], next_, out=np.zeros(next_.shape), where=next_ > 0)
            best = np.maximum(best, ratio)
    return best


def largest_first(tops: Float[np.ndarray, "draw task layer top"]) -> Float[np.ndarray, "draw task head"]:
    """Return the drawn importances of each null map, the largest first."""
    flat = -np.sort(-tops.reshape(*tops.shape[:2], -1), axis=-1)
    result: np.ndarray = np.maximum(flat, np.finfo(float).tiny)
    return result
