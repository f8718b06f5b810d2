"""Head bands: adjacent head numbers that are raised through the layers, over all tasks together."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import TypedDict

from reportgen.analysis.statistics import strips
from reportgen.analysis.statistics.regions import by_group
from reportgen.analysis.statistics.scan_statistic import WINDOW, normal_scores, without_slope
from reportgen.analysis.statistics.trends import attending
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.caveats import HEAD_ORDER, IN_SAMPLE, ON_TIES
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import closed
from reportgen.core.stats import monte_carlo_p
from reportgen.storage.array_cache import cached
from reportgen.storage.files import sha256

DOC = """Adjacent head numbers that are raised through the layers, over all tasks together.

Statistic: each layer's normal scores are averaged over tasks and ranked again within the layer, a common slope along
heads removed; the largest standardised sum over all layers of up to 16 adjacent heads. Null: the heads of each layer
in random order, the same for all tasks (key/value groups under grouped-query attention), so that tasks may resemble
each other. Found clusters and row segments are left out first, so that a band is more than they are.
Observed: a band that would pass with these regions and does not pass without them is said to be carried by them.
Silent with fewer than 4 layers or heads (groups), and where all that stands out is inside found regions of one task.
"""
PRIORITY = {"tested": 0.7, "carried by regions": 0.3}
# Fewer layers or heads have too few arrangements for a small p.
FEWEST, VERSION, CHUNK = 4, 1, 4_000_000
NULL = "{exchangeable} shuffled within each layer, all tasks alike"
CARRIED = "adjacent heads whose sum over layers and tasks passes the test with found regions and fails without them"


@closed
class Data(TypedDict):
    """``inside`` and ``rest`` are the mean importance of the band's free heads and of the other free heads, over
    tasks; ``carried`` says that the band is no more than the regions found before; ``q_without``: left out, q is this.
    """

    inside: float
    rest: float
    carried: bool
    q_without: float | None
    tasks: int


def _able(view: View) -> bool:
    return min(len(attending(view)), view.scores.n_heads // view.group_size) >= FEWEST


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return the strongest band, if any."""
    if not _able(view):
        return Outcome("head_band")
    maps, keep = by_group(view)
    taken = _taken(view, earlier, keep.shape)
    family = view.family("head_band", 1, "one test, over all tasks together")
    band, statistic, p = _strongest(view, maps, keep & ~taken)
    if p <= family.alpha:
        return Outcome("head_band", [_tested(view, band, statistic, p, family, taken)], family)
    carried = list[Finding]()
    if taken.any():
        whole, _, with_regions = _strongest(view, maps, np.broadcast_to(keep, taken.shape))
        if with_regions <= family.alpha:
            carried = [_carried(view, whole, p)]
    return Outcome("head_band", carried, family, {None: p})


def _taken(view: View, earlier: Sequence[Outcome], shape: tuple[int, ...]) -> Bool[np.ndarray, "task layer column"]:
    """Return the columns (heads, or their key/value groups) of which a region of the task holds a head."""
    cells = [found_cells(earlier, name, view.present.shape) for name in view.scores.task_names]
    grouped: np.ndarray = np.any(np.stack(cells).reshape(len(cells), *shape, view.group_size), axis=3)
    return grouped


def _strongest(
    view: View, maps: np.ndarray, free: Bool[np.ndarray, "task layer column"]
) -> tuple[tuple[int, int], float, float]:
    """Return the band of largest statistic as first and last column, the statistic and its p."""
    keep: np.ndarray = np.any(free, axis=0)
    scores = np.stack([normal_scores(m, f) for m, f in zip(maps, free, strict=True)])
    mean = scores.sum(axis=0) / np.maximum(free.sum(axis=0), 1)
    sums = band_sums(without_slope(normal_scores(mean, keep), keep).sum(axis=0), keep)
    width, first = np.unravel_index(int(sums.argmax()), sums.shape)
    statistic = float(sums[width, first])
    null = null_maxima(keep, view.settings.permutations, view.settings.seed)
    p = monte_carlo_p(int((null >= statistic - 1e-6).sum()), len(null))
    if p > view.levels.get("head_band", 0.0):
        return (int(first), int(first + width)), statistic, p
    # heads that may share keys and values must not be a band for that
    again, rng = normal_scores(mean, keep), np.random.default_rng([view.settings.seed, *keep.shape])
    for run in view.open_runs:
        largest = strips.null_maxima(_largest(keep), again, keep, run, statistic, view.settings.permutations, rng)
        p = max(p, strips.exceeding_p(largest, statistic))
    return (int(first), int(first + width)), statistic, p


def _largest(keep: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives the largest band sum of every map (draw, layer, column)."""
    return lambda maps: band_sums(without_slope(maps, keep).sum(axis=1), keep).max(axis=(1, 2))


def band_sums(columns: Float[np.ndarray, "*draw column"], keep: np.ndarray) -> Float[np.ndarray, "*draw width first"]:
    """Standardised sums of the columns' sums over every band, −inf where a band would leave the map or be all of it.

    A layer of n columns gives a band of k of them the variance k(n − k)/(n − 1).
    """
    size = keep.shape[1]
    along = np.cumsum(np.pad(columns, [(0, 0)] * (columns.ndim - 1) + [(1, 0)]), axis=-1)
    cumulative, count = np.cumsum(np.pad(keep.astype(float), ((0, 0), (1, 0))), axis=1), keep.sum(axis=1, keepdims=True)
    widths = range(1, min(WINDOW, size // 2) + 1)
    result = np.full((*columns.shape[:-1], len(widths), size), -np.inf)
    for i, width in enumerate(widths):
        inside = cumulative[:, width:] - cumulative[:, :-width]
        variance = (inside * (count - inside) / np.maximum(count - 1, 1)).sum(axis=0)
        total = along[..., width:] - along[..., :-width]
        spread = np.sqrt(np.where(variance > 1e-9, variance, np.inf))
        result[..., i, : size - width + 1] = total / spread
    return result


def null_maxima(keep: Bool[np.ndarray, "layer column"], draws: int, seed: int) -> Float[np.ndarray, "draw"]:
    """Return the largest band sums of maps in random order; cached for each shape."""
    shape = f"{keep.shape[0]}x{keep.shape[1]}-{sha256(np.packbits(keep).tobytes())[:12]}"

    def simulate() -> np.ndarray:
        rng, maxima = np.random.default_rng([seed, *keep.shape]), []
        ordered = normal_scores(np.broadcast_to(np.arange(keep.shape[1], dtype=float), keep.shape), keep)
        step = max(1, CHUNK // keep.size)
        for start in range(0, draws, step):
            maps = np.broadcast_to(ordered, (min(step, draws - start), *keep.shape)).copy()
            for layer, present in enumerate(keep):
                maps[:, layer, present] = rng.permuted(maps[:, layer, present], axis=1)
            maxima.append(_largest(keep)(maps))
        return np.concatenate(maxima)

    return cached(f"head-bands{VERSION}-{shape}-{draws}-{seed}", simulate)


def _levels(
    view: View, heads: tuple[int, int], free: Bool[np.ndarray, "task layer head"], whole: bool
) -> tuple[float, float]:
    """Mean importance over tasks of the free heads inside and outside of a band."""
    values = np.stack([view.read(t, whole) for t in range(len(free))])
    inside = np.zeros_like(free)
    inside[:, :, heads[0] : heads[1] + 1] = True
    return float(values[free & inside].mean()), float(values[free & ~inside].mean())


def _heads(view: View, band: tuple[int, int]) -> tuple[int, int]:
    return band[0] * view.group_size, (band[1] + 1) * view.group_size - 1


def _layers(view: View) -> tuple[int, int]:
    there = attending(view)
    return int(there[0]), int(there[-1])


def _tested(
    view: View, band: tuple[int, int], statistic: float, p: float, family: Family, taken: np.ndarray
) -> Finding:
    heads = _heads(view, band)
    inside, rest = _levels(view, heads, view.present & ~np.repeat(taken, view.group_size, axis=2), False)
    null = NULL.format(exchangeable=view.exchangeable)
    test = view.test("band scan over layers and tasks", null, statistic, p, p, family, view.settings.permutations)
    held_out = all(view.held_out(t) for t in range(len(view.scores.tasks)))
    return view.finding(
        "head_band",
        None,
        "tested",
        PRIORITY["tested"],
        tasks=list(view.scores.task_names),
        layers=_layers(view),
        heads=heads,
        test=test,
        effect=Effect("ratio to the other heads", inside / rest) if rest > 0 else None,
        data=Data(inside=inside, rest=rest, carried=False, q_without=None, tasks=len(view.scores.tasks)),
        caveats=view.caveats(None, HEAD_ORDER, *view.on_ties, *([] if held_out else [IN_SAMPLE])),
    )


def _carried(view: View, band: tuple[int, int], p: float) -> Finding:
    heads = _heads(view, band)
    every = np.broadcast_to(view.present, (len(view.scores.tasks), *view.present.shape))
    inside, rest = _levels(view, heads, every, True)
    return view.finding(
        "head_band",
        None,
        "observed",
        PRIORITY["carried by regions"],
        tasks=list(view.scores.task_names),
        layers=_layers(view),
        heads=heads,
        rule=CARRIED,
        effect=Effect("ratio to the other heads", inside / rest) if rest > 0 else None,
        data=Data(inside=inside, rest=rest, carried=True, q_without=p, tasks=len(view.scores.tasks)),
        caveats=[HEAD_ORDER.code],
    )


DETECTOR = Detector(
    "head_band",
    detect,
    order=60,
    doc=DOC,
    topic="heads",
    data=Data,
    noun="band of raised head numbers beyond the found regions",
    together=True,
    caveats=(HEAD_ORDER, *ON_TIES),
    priority=PRIORITY,
    tried=True,
    several="bands of head numbers",
    missed="under 0.3 SD a band of head numbers",
    weight=2,
    able=_able,
)
