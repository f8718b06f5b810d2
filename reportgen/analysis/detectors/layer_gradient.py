"""Layer gradients: importance that rises or falls steadily over a range of layers."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.detectors.diagonal_gradient import DETECTOR as DIAGONAL
from reportgen.analysis.statistics.trends import (
    GRID,
    SHORTEST,
    attending,
    layer_levels,
    null_autocorrelations,
    range_taus,
    standardised,
    trend_p,
)
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.caveats import AUTOCORRELATION, Caveat
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import Maps, closed
from reportgen.core.stats import benjamini_hochberg

DOC = """Importance that rises or falls steadily over a range of layers.

Statistic: Kendall's τ of the layers' levels (mean normal score of a layer's heads among all heads of the task, found
regions left out) with the layer number, over all layers, and standardised, its maximum over all ranges of at least 8
layers; twice the smaller p counts. Null: a stationary autoregressive series of first order, so that layers resembling
their neighbours are not taken for a trend; its autocorrelation is the largest (of 0, .1, … .9, .95) under which what
the task's levels, or the mean of all tasks, keep after their trend is taken off is not among the least 2 %.
Benjamini–Hochberg over tasks, and |τ| ≥ .5 in the range. The sentence prints the median free head of the range's first
and last quarter. Where the size of the heads' outputs was scored too and shows the same trend over the range, the
finding says so.
Observed, where the test does not pass: |τ| of at least .5 over all layers, where that of the tasks' mean levels in the
same direction is so large that layers in random order show it on 1 % of maps; or |τ| of at least .6 that is so rare for
any of the tasks. It says how often a series of the null's autocorrelation does as much.
Silent with fewer than 8 layers that have heads, on trends that a series of that autocorrelation could show, and where
the printed medians do not move the way τ says.
"""
NORM_TREND = Caveat(
    "norm-trend",
    "The size of the heads' outputs changes the same way over these layers, so importance may follow it.",
)
PRIORITY = {"tested": 0.65, "observed": 0.5}  # and .05 times |τ|
# Mean normal scores, not medians, are the layers' levels: docs/decisions/0001-layer-levels.md.
# A weak trend is no gradient to a reader, however significant; a fall of 2 SD passes in .97 (docs/calibration.md).
STRENGTH, RESEMBLING = 0.5, 0.5  # of |τ| in the range, and of the autocorrelation that is worth a caveat
# Every task of a model may fall by τ = -.64 to -.93, and none pass: series of ten or twenty layers cannot exclude an
# autocorrelation under which all of them drift. That they fall is plain to see all the same, and is said as such.
RARE, ALONE = 0.01, 0.6  # share of maps; of |τ| of a task whose trend the others do not share
RULE = "Kendall's τ over all layers of at least .5 in size, rare for layers in random order or shared by the tasks"

Ends = tuple[float, float, Literal["median", "mean"]]


@closed
class Data(TypedDict):
    """Importance in the first and in the last quarter of the range, a ``median`` or ``mean`` over heads; the null's
    ``autocorrelation``; whether the range is the ``whole`` model. A series of that
    autocorrelation has as large a τ over all layers with probability ``p`` (None where the range was tested).
    """

    start: float
    end: float
    of: Literal["median", "mean"]
    direction: Literal["rises", "falls"]
    autocorrelation: float
    whole: bool
    p: float | None


def _able(view: View) -> bool:
    return len(attending(view)) >= SHORTEST


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Each task's strongest range of layers."""
    names, n = view.scores.task_names, len(attending(view))
    diagonal = {f.task for o in earlier for f in o.findings if f.kind == DIAGONAL.name}
    if not _able(view):
        return Outcome("layer_gradient")
    family = view.family("layer_gradient", len(names), "Benjamini–Hochberg over tasks")
    series = [layer_levels(view, t, earlier) for t in range(len(names))]
    draws, seed = view.settings.permutations, view.settings.seed
    phis = null_autocorrelations(np.stack(series), draws, seed)
    together = float(range_taus(np.mean(series, axis=0)[None])[0, 0, -1])
    best = []
    for s, phi in zip(series, phis, strict=True):
        taus = range_taus(s[None])[0]
        score = standardised(taus)
        first, last = (int(i) for i in np.unravel_index(int(np.nanargmax(score)), score.shape))
        p = trend_p(float(score[first, last]), 0, phi, n, draws, seed)
        whole = trend_p(abs(float(taus[0, -1])), 1, phi, n, draws, seed)
        first, last, p = (0, n - 1, whole) if whole < p else (first, last, p)
        p = min(1.0, 2 * p)
        best.append((first, last, float(taus[first, last]), float(score[first, last]), p))
    q = benjamini_hochberg([b[4] for b in best])
    findings: list[Finding] = []
    silent: dict[str | None, float] = {}
    for t, (name, row) in enumerate(zip(names, best, strict=True)):
        ends = _ends(view, t, row[:2], earlier)
        if q[t] > family.alpha or abs(row[2]) < STRENGTH or (ends[1] - ends[0]) * row[2] <= 0:
            seen = None if name in diagonal else _observed(view, t, phis[t], earlier, together)
            if seen is None:
                silent[name] = q[t]
            else:
                findings.append(seen)
        elif name not in diagonal:
            caveats = [NORM_TREND] if _norm_moves_too(view, t, row, earlier) else []
            findings.append(_finding(view, t, row, q[t], family, GRID[phis[t]], ends, caveats))
    return Outcome("layer_gradient", findings, family, silent)


def _observed(view: View, t: int, phi: int, earlier: Sequence[Outcome], together: float) -> Finding | None:
    """Return a task's trend over all layers, where it, or that of all tasks ``together``, is too strong for layers in
    random order.
    """
    layers, tasks = attending(view), len(view.maps)
    n, tau = len(layers), float(range_taus(layer_levels(view, t, earlier, whole=True)[None])[0, 0, -1])
    draws, seed = view.settings.permutations, view.settings.seed
    ends = _ends(view, t, (0, n - 1), earlier, whole=True)
    rare, shared = stats.norm.isf([RARE / 2 / tasks, RARE / 2]) * np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
    strong = abs(tau) >= max(ALONE, rare) or together * np.sign(tau) >= shared
    if not strong or abs(tau) < STRENGTH or (ends[1] - ends[0]) * tau <= 0:
        return None
    return view.finding(
        "layer_gradient",
        t,
        "observed",
        PRIORITY["observed"] + 0.05 * abs(tau),
        rule=RULE,
        layers=(int(layers[0]), int(layers[-1])),
        effect=Effect("Kendall's τ of the layers' mean ranks", tau),
        data=Data(
            start=ends[0],
            end=ends[1],
            of=ends[2],
            direction="rises" if tau > 0 else "falls",
            autocorrelation=GRID[phi],
            whole=True,
            p=trend_p(abs(tau), 1, phi, n, draws, seed),
        ),
        caveats=view.caveats(t, *([AUTOCORRELATION] if GRID[phi] >= RESEMBLING else []), whole=True),
    )


def _ends(view: View, t: int, row: tuple[int, int], earlier: Sequence[Outcome], whole: bool = False) -> Ends:
    """Return the importance in the first and in the last quarter of a range: its free heads' median, or mean where that
    is 0.
    """
    layers = attending(view)[row[0] : row[1] + 1]
    quarter = max(1, round(len(layers) / 4))
    free = view.present & ~found_cells(earlier, view.scores.task_names[t], view.present.shape)
    values = view.read(t, whole)
    ends = []
    for some in (layers[:quarter], layers[-quarter:]):
        keep = free[some] if free[some].any() else view.present[some]
        ends.append(values[some][keep])
    medians = [float(np.median(end)) for end in ends]
    if any(medians):
        return medians[0], medians[1], "median"
    return float(ends[0].mean()), float(ends[1].mean()), "mean"


def _norm_moves_too(view: View, t: int, row: tuple[int, int, float, float, float], earlier: Sequence[Outcome]) -> bool:
    """Whether the size of the heads' outputs shows as strong a trend over the range, in the same direction."""
    norm = view.control_scores
    if norm is None:
        return False
    levels = layer_levels(View(norm, view.settings), t, earlier)
    tau = float(range_taus(levels[None])[0, row[0], row[1]])
    return bool(tau * np.sign(row[2]) >= STRENGTH)


def _finding(
    view: View,
    t: int,
    row: tuple[int, int, float, float, float],
    q: float,
    family: Family,
    phi: float,
    ends: Ends,
    caveats: list[Caveat],
) -> Finding:
    first, last, tau, score, p = row
    layers = attending(view)
    span = int(layers[first]), int(layers[last])
    name, null = "Kendall's τ of layer levels over layer ranges", "a first-order autoregressive series of layers"
    return view.finding(
        "layer_gradient",
        t,
        "tested",
        PRIORITY["tested"] + 0.05 * abs(tau),
        layers=span,
        test=view.test(name, null, score, p, q, family, view.settings.permutations),
        effect=Effect("Kendall's τ of the layers' mean ranks", tau),
        data=Data(
            start=ends[0],
            end=ends[1],
            of=ends[2],
            direction="rises" if tau > 0 else "falls",
            autocorrelation=phi,
            whole=span == (0, view.scores.n_layers - 1),
            p=None,
        ),
        caveats=view.caveats(t, *caveats, *([AUTOCORRELATION] if phi >= RESEMBLING else [])),
    )


def _measured(finding: Finding, maps: Maps) -> float:
    """Return Kendall's τ of the layers' mean ranks over the finding's layers."""
    (values,) = maps.values()
    ranks = np.full(values.shape, np.nan)
    ranks[np.isfinite(values)] = stats.rankdata(values[np.isfinite(values)])
    first, last = finding.layers or (0, len(values) - 1)
    layers = [layer for layer in range(first, last + 1) if np.isfinite(values[layer]).any()]
    return float(stats.kendalltau(layers, [np.nanmean(ranks[layer]) for layer in layers]).statistic)


DETECTOR = Detector(
    "layer_gradient",
    detect,
    order=110,
    doc=DOC,
    topic="layers",
    data=Data,
    caveats=(NORM_TREND, AUTOCORRELATION),
    priority=PRIORITY,
    guidance=guidance.LAYERS,
    missed="under 2 SD a gradient",
    weight=3,
    able=_able,
    measured=_measured,
)
