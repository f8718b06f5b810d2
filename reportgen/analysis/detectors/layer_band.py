"""Layer bands: contiguous layers that hold a large share of the importance."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import TypedDict

from reportgen.analysis.detectors.layer_band_contrast import band_sums, bands
from reportgen.analysis.statistics.regions import by_group
from reportgen.analysis.statistics.scan_statistic import normal_scores
from reportgen.analysis.statistics.silence import floor, null_statistics
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import IN_SAMPLE, MAYBE_GENERIC
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import closed
from reportgen.core.stats import monte_carlo_p
from reportgen.storage.array_cache import cached
from reportgen.storage.files import sha256

DOC = """Contiguous layers that hold a large share of the importance.

Tested, over all tasks but the control together: the same layers are raised in the tasks. Statistic: the mean over
tasks of the layers' levels (mean normal score of a layer's heads among all of the task's), its largest standardised sum
over bands of 2 layers to half of them. Two nulls must both be rejected, the larger p counts: each task's profile
shifted along the layers, each by its own number of layers, the last following on the first, which keeps neighbouring
layers alike; and heads (key/value groups), their mean over tasks ranked again, shuffled over the whole map, which keeps
tasks alike.
Observed, for a single task: the narrowest range of layers that holds at least half of its importance, where it is two
or more layers and no more than a quarter of them, and does not lie in the band that is shared; more than half where
more than .02 of maps whose heads are shuffled over all layers hold such a range.
Layers whose largest head is below 1 % of the usual head on every task are left out and named.
Silent with fewer than 8 other layers that have heads; the test also with fewer than 3 tasks.
"""
PRIORITY = {"shared by tasks": 0.72, "of one task": 0.57}
# A band chosen by looking needs a scan over all bands, not a test of the chosen one. Shifted profiles keep how much
# neighbouring layers resemble each other, shuffled heads how much tasks do.
FEWEST, TASKS, SHARE, PART, CHUNK, VERSION = 8, 3, 0.5, 0.25, 2_000_000, 1
RULE = "narrowest range of 2 layers to a quarter of them that holds at least {:g} % of the task's importance"
NULL = "tasks' profiles shifted along the layers, and heads shuffled over the map"


@closed
class Data(TypedDict):
    """``percent`` of the importance lies in the band (over tasks: the mean), and ``even`` would if all heads were
    alike; ``control`` is the control task's percentage; ``dead`` layers are left out.
    """

    percent: float
    even: float
    tasks: int
    control: float | None
    dead: list[int]


def _able(view: View) -> bool:
    return len(view.layers) >= FEWEST and len(_compared(view)) >= TASKS


def _compared(view: View) -> list[int]:
    return [t for t in range(len(view.whole)) if t != view.control and np.nansum(view.whole[t]) > 0]


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return the band that tasks share, and each task's own."""
    layers = view.layers
    if len(layers) < FEWEST:
        return Outcome("layer_band")
    own = _own_bands(view, layers, earlier)
    compared = _compared(view)
    if not _able(view):
        return Outcome("layer_band", own)
    family = view.family("layer_band", 1, "one test, over all tasks together")
    band, statistic, p = _shared(view, compared, layers)
    if p > family.alpha:
        return Outcome("layer_band", own, family, {None: p})
    span = int(layers[band[0]]), int(layers[band[1]])
    # What is said of all tasks is not said of each again.
    apart = [f for f in own if f.layers is None or not span[0] <= f.layers[0] <= f.layers[1] <= span[1]]
    return Outcome("layer_band", [_tested(view, compared, span, statistic, p, family), *apart], family)


def _shared(view: View, tasks: list[int], layers: np.ndarray) -> tuple[tuple[int, int], float, float]:
    """Return the band that stands out most over tasks, its statistic, and the larger p of the two nulls."""
    maps, keep = by_group(view)
    keep = keep & ~view.dead[:, None]
    flat = keep.reshape(1, -1)
    scores = np.stack([normal_scores(maps[t].reshape(1, -1), flat).reshape(keep.shape) for t in tasks])
    held = keep.sum(axis=1)[layers]
    profiles = scores.sum(axis=2)[:, layers] / held
    sums = _standardised(profiles.mean(axis=0))
    rng = np.random.default_rng([view.settings.seed, len(tasks), *keep.shape])
    again = normal_scores(scores.mean(axis=0).reshape(1, -1), flat).reshape(keep.shape)
    ranked = _standardised(again.sum(axis=1)[layers] / held).max()
    draws, seed = view.settings.permutations, view.settings.seed
    pairs = ((sums.max(), _shifted(profiles, draws, rng)), (ranked, _shuffled(keep[layers], draws, seed)))
    p = max(monte_carlo_p(int((null >= largest - 1e-6).sum()), len(null)) for largest, null in pairs)
    return bands(len(layers))[int(sums.argmax())], float(sums.max()), p


def _standardised(profiles: Float[np.ndarray, "*any layer"]) -> Float[np.ndarray, "*any band"]:
    """Band sums of a profile less its mean, by the standard deviation they would have in random order."""
    n = profiles.shape[-1]
    length = np.array([last - first + 1 for first, last in bands(n)])
    centred = profiles - profiles.mean(axis=-1, keepdims=True)
    result: np.ndarray = band_sums(centred) / np.sqrt(length * (n - length) / (n - 1))
    return result


def _shifted(profiles: Float[np.ndarray, "task layer"], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the largest sums when each task's profile starts at a layer of its own."""
    n = profiles.shape[1]
    turned = profiles[:, (np.arange(n) + np.arange(n)[:, None]) % n]  # (task, start, layer)
    maxima, step = [], max(1, CHUNK // len(bands(n)))
    for start in range(0, draws, step):
        starts = rng.integers(0, n, size=(min(step, draws - start), len(profiles)))
        total = np.zeros((len(starts), n))
        for profile, first in zip(turned, starts.T, strict=True):
            total += profile[first]
        maxima.append(_standardised(total / len(profiles)).max(axis=1))
    return np.concatenate(maxima)


def _shuffled(keep: Bool[np.ndarray, "layer column"], draws: int, seed: int) -> np.ndarray:
    """Return the largest sums when heads may stand in any layer; cached for each number of heads in the layers."""
    counts = keep.sum(axis=1)
    total, edges = int(counts.sum()), np.concatenate([[0], np.cumsum(counts)[:-1]])

    def simulate() -> np.ndarray:
        rng, maxima = np.random.default_rng([seed, *keep.shape]), []
        values = normal_scores(np.arange(total, dtype=float)[None], np.ones((1, total), dtype=bool))
        step = max(1, CHUNK // total)
        for start in range(0, draws, step):
            moved = rng.permuted(np.broadcast_to(values, (min(step, draws - start), total)), axis=1)
            maxima.append(_standardised(np.add.reduceat(moved, edges, axis=1) / counts).max(axis=1))
        return np.concatenate(maxima)

    shape = f"{len(counts)}-{sha256(counts.astype('<i8').tobytes())[:12]}"
    return cached(f"layer-bands{VERSION}-{shape}-{draws}-{seed}", simulate)


def _percent(view: View, t: int, span: tuple[int, int], whole: bool) -> float:
    values = view.read(t, whole)
    return float(100 * np.nansum(values[span[0] : span[1] + 1]) / np.nansum(values))


def _dead(view: View) -> list[int]:
    return [int(layer) for layer in np.flatnonzero(view.dead)]


def _even(view: View, span: tuple[int, int]) -> float:
    alive = view.present & ~view.dead[:, None]
    return float(100 * alive[span[0] : span[1] + 1].sum() / alive.sum())


def _tested(view: View, tasks: list[int], span: tuple[int, int], statistic: float, p: float, family: Family) -> Finding:
    percent = float(np.mean([_percent(view, t, span, False) for t in tasks]))
    even, control = _even(view, span), None if view.control is None else _percent(view, view.control, span, False)
    test = view.test("band scan of layer levels", NULL, statistic, p, p, family, view.settings.permutations)
    in_sample = [] if all(view.held_out(t) for t in tasks) else [IN_SAMPLE]
    return view.finding(
        "layer_band",
        None,
        "tested",
        PRIORITY["shared by tasks"],
        tasks=[view.scores.task_names[t] for t in tasks],
        layers=span,
        test=test,
        effect=Effect("ratio to an even spread", percent / even),
        data=Data(percent=percent, even=even, tasks=len(tasks), control=control, dead=_dead(view)),
        caveats=view.caveats(None, MAYBE_GENERIC, *in_sample),
    )


def _own_bands(view: View, layers: np.ndarray, earlier: Sequence[Outcome]) -> list[Finding]:
    """Return each task's own band, of a share that heads shuffled over the map seldom have."""
    tasks = [t for t in range(len(view.whole)) if np.nansum(view.whole[t]) > 0]
    if not any(_own(view, t, layers, SHARE) for t in tasks):
        return []

    def held(maps: Float[np.ndarray, "draw task layer head"]) -> Float[np.ndarray, "draw"]:
        sums = np.nansum(maps, axis=3)[..., layers]
        along = np.cumsum(np.pad(sums, [(0, 0), (0, 0), (1, 0)]), axis=2)
        width = int(PART * len(layers))
        share = (along[..., width:] - along[..., :-width]).max(axis=2) / np.maximum(along[..., -1], 1e-300)
        most: np.ndarray = share.max(axis=1)
        return most

    share = floor(null_statistics(view, earlier, "over layers", held), SHARE)
    return [f for t in tasks if (f := _own(view, t, layers, share))]


def _own(view: View, t: int, layers: np.ndarray, share: float) -> Finding | None:
    """Return the task's narrowest range with that share of its importance."""
    sums = np.nansum(view.whole[t], axis=1)[layers]
    along, most = np.concatenate([[0.0], np.cumsum(sums)]), int(PART * len(layers))
    for width in range(1, most + 1):
        held = along[width:] - along[:-width]
        first = int(held.argmax())
        if held[first] < share * along[-1]:
            continue
        if width == 1:
            return None  # one layer, or one head: other kinds name it
        span = int(layers[first]), int(layers[first + width - 1])
        percent, even = _percent(view, t, span, True), _even(view, span)
        return view.finding(
            "layer_band",
            t,
            "observed",
            PRIORITY["of one task"],
            rule=RULE.format(100 * share),
            layers=span,
            effect=Effect("ratio to an even spread", percent / even),
            data=Data(percent=percent, even=even, tasks=1, control=None, dead=_dead(view)),
            caveats=view.caveats(t, whole=True),
        )
    return None


def _recompute(finding: Finding) -> list[str]:
    first, last = finding.layers or (0, 0)
    rows = f"importance[{first}:{last + 1}]"
    return [
        f"inside, every = np.nansum({rows}), np.nansum(importance)",
        f"print(inside / every / (np.isfinite({rows}).sum() / np.isfinite(importance).sum()))",
    ]


DETECTOR = Detector(
    "layer_band",
    detect,
    order=120,
    doc=DOC,
    topic="layers",
    data=Data,
    noun="band of raised layers that the tasks share",
    together=True,
    caveats=(MAYBE_GENERIC,),
    priority=PRIORITY,
    recompute=_recompute,
    several="bands of layers that tasks share",
    missed="under 0.5 SD a band of layers",
    weight=2,
    able=_able,
)
