"""The cells of the calibration: one factor is varied at a time from 8 tasks × 32 layers × 32 heads, lognormal, flat."""

from collections.abc import Sequence
from dataclasses import dataclass

from planted import Plant, lines, overlapping, rectangle, single, slope, unequal
from worlds import World

BASE = World()


@dataclass(frozen=True)
class Cell:
    """One row of the table. ``there``: kinds whose claim is true in this world although nothing was planted.

    ``weight`` scales the number of tensors where one takes long. ``stress`` marks worlds beyond those the design names.
    """

    name: str
    world: World
    plant: Plant | None = None
    there: Sequence[str] = ()
    weight: float = 1.0
    stress: bool = False


EMPTY = (
    Cell("lognormal, flat, 8 × 32 × 32", BASE),
    Cell("gamma (1.2)", World(background="gamma")),
    Cell("Pareto (2)", World(background="Pareto")),
    Cell("log-t (3)", World(background="log-t")),
    Cell("layers: a hump", World(profile="hump"), there=("layer_gradient", "layer_band")),
    Cell("layers: autocorrelated .7", World(profile="AR .7"), there=("layer_band",)),
    Cell("layers: autocorrelated .9", World(profile="AR .9"), there=("layer_band",)),
    Cell(
        "tasks correlated .3", World(task_correlation=0.3), there=("cross_task_head", "shared_heads", "task_similarity")
    ),
    Cell(
        "tasks correlated .6", World(task_correlation=0.6), there=("cross_task_head", "shared_heads", "task_similarity")
    ),
    Cell("key/value groups of 4 correlated .3, known", World(kv_correlation=0.3)),
    Cell("key/value groups of 4 correlated .9, known", World(kv_correlation=0.9)),
    Cell("key/value groups of 4 correlated .3, not known", World(kv_correlation=0.3, kv_known=False)),
    Cell("key/value groups of 4 correlated .9, not known", World(kv_correlation=0.9, kv_known=False)),
    Cell("50 examples, noise 1", World(examples=50), there=("weakest_layers", "depth", "reliability"), weight=0.3),
    Cell("200 examples, noise 1", World(examples=200), there=("weakest_layers", "depth", "reliability"), weight=0.1),
    Cell(
        "60 examples in groups of 3, noise 2",
        World(examples=60, group=3, noise=2.0),
        there=("weakest_layers", "depth", "reliability"),
        weight=0.3,
    ),
    Cell(
        "60 signed examples",
        World(examples=60, signed=True, noise=3.0),
        there=("weakest_layers", "depth", "reliability"),
        weight=0.3,
    ),
    Cell("60 examples, all heads equal, model at chance", World(examples=60, equal=True, chance=0.25), weight=0.3),
    Cell("8 × 12 × 12", World(layers=12, heads=12)),
    Cell("8 × 40 × 40", World(layers=40, heads=40), weight=0.7),
    Cell("8 × 80 × 64", World(layers=80, heads=64), weight=0.2),
    Cell("1 task", World(tasks=1)),
    Cell("4 tasks", World(tasks=4)),
    Cell("64 tasks", World(tasks=64), weight=0.2),
    Cell("70 % zeros", World(zeros=0.7), stress=True),
    Cell("one task of eight log-t", World(heavy_tasks=1), stress=True),
    Cell("layers of unlike spread", World(layer_spread=0.35), stress=True),
    Cell("every fourth layer half as wide", World(missing=True), stress=True),
    Cell("two significant digits", World(digits=2), stress=True),
)

SQUARE, SAMPLED = ((4, 8), (4, 8)), World(examples=60)
PLANTED = (
    Cell("cluster of 4–8 × 4–8, 1 SD", BASE, Plant("cluster", "cluster", rectangle(*SQUARE, 1.0))),
    Cell("cluster of 4–8 × 4–8, 1.5 SD", BASE, Plant("cluster", "cluster", rectangle(*SQUARE, 1.5))),
    Cell("cluster of 5–8 × 5–8, 1.5 SD", BASE, Plant("cluster", "cluster", rectangle((5, 8), (5, 8), 1.5))),
    Cell("cluster of 4–8 × 4–8, 3 SD", BASE, Plant("cluster", "cluster", rectangle(*SQUARE, 3.0))),
    Cell("row of 6 heads, 4 SD", BASE, Plant("row", "row_segment", rectangle((1, 1), (6, 6), 4.0))),
    Cell(
        "row of 6 heads, 4 SD, tested or observed",
        BASE,
        Plant("row", "row_segment", rectangle((1, 1), (6, 6), 4.0), registers=("tested", "observed")),
    ),
    Cell("row of 8 heads, 4 SD", BASE, Plant("row", "row_segment", rectangle((1, 1), (8, 8), 4.0))),
    Cell("row of 8 heads, 3 SD", BASE, Plant("row", "row_segment", rectangle((1, 1), (8, 8), 3.0))),
    Cell("two rectangles that overlap, 2 SD", BASE, Plant("overlap", "cluster", overlapping(2.0), f1=True)),
    Cell("block of 20 × 12, 2 SD", BASE, Plant("block", "cluster", rectangle((20, 20), (12, 12), 2.0), f1=True)),
    Cell("block of 24 × 20, 2 SD", BASE, Plant("block", "cluster", rectangle((24, 24), (20, 20), 2.0), f1=True)),
    Cell("head 6 SD above, lognormal", BASE, Plant("anomaly", "anomaly", single(6.0))),
    Cell("head 8 SD above, lognormal", BASE, Plant("anomaly", "anomaly", single(8.0))),
    Cell("head 6 SD above, gamma", World(background="gamma"), Plant("anomaly", "anomaly", single(6.0))),
    Cell("head 8 SD below, lognormal", BASE, Plant("anomaly", "anomaly", single(-8.0))),
    Cell(
        "head 12 SD above, Pareto, observed",
        World(background="Pareto"),
        Plant("anomaly", "anomaly", single(12.0), registers=("observed",)),
    ),
    Cell("head 12 SD above, Pareto, tested", World(background="Pareto"), Plant("anomaly", "anomaly", single(12.0))),
    Cell("head 3 SD up on all tasks", BASE, Plant("cross", "cross_task_head", single(3.0, None))),
    Cell("fall of 2 SD over the layers", BASE, Plant("gradient", "layer_gradient", slope(-2.0, 0.0))),
    Cell(
        "fall of 2 SD, layers autocorrelated .7",
        World(profile="AR .7"),
        Plant("gradient", "layer_gradient", slope(-2.0, 0.0)),
    ),
    Cell("5 layers up by .5 SD on all tasks", BASE, Plant("band", "layer_band", lines(5, None, 0.5))),
    Cell("4 heads of all layers up by .3 SD on all tasks", BASE, Plant("band", "head_band", lines(None, 4, 0.3))),
    Cell(
        "8 layers up by 1 SD on 3 tasks of a group",
        World(grouped=3),
        Plant("contrast", "layer_band_contrast", lines(8, None, 1.0, 3)),
    ),
    Cell(
        "head 8 SD above on one task, 60 examples",
        SAMPLED,
        Plant("specialist", "specialist_head", single(8.0)),
        weight=0.2,
    ),
    Cell(
        "one layer down by 1 SD on one task, 60 examples",
        SAMPLED,
        Plant("weakest", "weakest_layers", lines(1, None, -1.0, 0)),
        weight=0.2,
    ),
    Cell(
        "one task's heads twice as unequal, 60 examples",
        SAMPLED,
        Plant("concentration", "concentration", unequal(2.0)),
        weight=0.2,
    ),
    Cell("1 SD along layers and along heads", BASE, Plant("diagonal", "diagonal_gradient", slope(1.0, 1.0))),
)
CELLS = (*EMPTY, *PLANTED)
