"""Layer gradients: importance that rises or falls steadily over a range of layers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from reportgen.analysis.arrangement import normal_scores
from reportgen.analysis.view import REGIONS, Detector, Outcome, View, found_cells
from reportgen.findings import Effect, Family, Finding
from reportgen.stats import benjamini_hochberg, monte_carlo_p
from reportgen.store import cached

DOC = """Importance that rises or falls steadily over a range of layers.

Statistic: Kendall's τ of the layers' levels (mean normal score of a layer's heads among all heads of the task, found
regions left out) with the layer number, standardised, its maximum over all ranges of at least 8 layers. Null: an
autoregressive series of first order with the autocorrelation that the levels keep after their Theil–Sen trend is
taken off, so that layers resembling their neighbours are not taken for a trend. Benjamini–Hochberg over tasks, and
|τ| ≥ .5 in the range. The sentence prints the median free head of the range's first and last quarter.
Silent with fewer than 8 layers that have heads, and where those medians do not move the way τ says.
"""
SHORTEST, STRENGTH = 8, 0.5
VERSION = 1  # of the cached nulls


def layer_levels(view: View, t: int, earlier: Sequence[Outcome]) -> Float[np.ndarray, "layer"]:
    """The level of each layer with heads: the mean normal score of its free heads among all free heads of the task.

    A layer that regions hold wholly gets the scores of all its heads.
    """
    taken = found_cells(earlier, view.scores.task_names[t], view.present.shape, REGIONS)
    keep = view.present & (~taken | (taken | ~view.present).all(axis=1, keepdims=True))
    scores = normal_scores(view.maps[t].reshape(1, -1), keep.reshape(1, -1)).reshape(keep.shape)
    levels = scores.sum(axis=1) / np.maximum(keep.sum(axis=1), 1)
    result: np.ndarray = levels[attending(view)]
    return result


def attending(view: View) -> Int[np.ndarray, "layer"]:
    """The layers that have heads."""
    return np.flatnonzero(view.present.any(axis=1))


def range_taus(series: Float[np.ndarray, "draw layer"]) -> Float[np.ndarray, "draw first last"]:
    """Kendall's τ-a over every range of layers [first, last]; NaN below the shortest length."""
    n = series.shape[1]
    signs = np.triu(np.sign(series[:, None, :] - series[:, :, None]), 1).astype(np.float32)
    # Concordances of pairs i < j inside [a, b]: sum the columns up to b, then the rows from a on.
    inside = np.cumsum(np.cumsum(signs, axis=2)[:, ::-1], axis=1)[:, ::-1]
    length = np.arange(n)[None, :] - np.arange(n)[:, None] + 1
    pairs = np.where(length >= SHORTEST, length * (length - 1) / 2, np.nan)
    taus: np.ndarray = inside / pairs
    return taus


def standardised(taus: np.ndarray) -> np.ndarray:
    """|τ| over its standard deviation for independent layers, for each range length."""
    n = taus.shape[-1]
    m = np.arange(n)[None, :] - np.arange(n)[:, None] + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.where(m >= SHORTEST, 2 * (2 * m + 5) / (9 * m * (m - 1.0)), np.nan))
    result: np.ndarray = np.abs(taus) / spread
    return result


def autocorrelation(series: Float[np.ndarray, "layer"]) -> float:
    """First-order autocorrelation left after the Theil–Sen trend, corrected for small samples, in [0, .9]."""
    n = len(series)
    slope, intercept = stats.theilslopes(series, np.arange(n))[:2]
    rest = series - slope * np.arange(n) - intercept
    rest = rest - rest.mean()
    power = float((rest**2).sum())
    if power <= 0:
        return 0.0
    raw = float((rest[1:] * rest[:-1]).sum()) / power
    return min(0.9, max(0.0, raw + (1 + 3 * raw) / n))  # Kendall 1954, Biometrika 41:403


def null_autocorrelation(series: Float[np.ndarray, "layer"]) -> float:
    """The null's autocorrelation: the estimate rounded up to a tenth, and a tenth more, at most .9.

    The estimate is too low on short series; with it alone the test fired on .14 of trendless series of autocorrelation
    .7, with this margin on .05.
    """
    phi = autocorrelation(series)
    return 0.0 if phi == 0 else min(0.9, round(np.ceil(10 * phi) / 10 + 0.1, 1))


def null_series(n: int, phi: float, draws: int, seed: int) -> Float[np.ndarray, "draw layer"]:
    """Stationary first-order autoregressive series."""
    rng = np.random.default_rng([seed, n, round(1000 * phi)])
    series = rng.normal(size=(draws, n))
    for i in range(1, n):
        series[:, i] = phi * series[:, i - 1] + np.sqrt(1 - phi**2) * series[:, i]
    return series


def null_maxima(n: int, phi: float, draws: int, seed: int) -> Float[np.ndarray, "draw"]:
    """The largest standardised |τ| over ranges of null series; cached for each length and autocorrelation."""

    def simulate() -> np.ndarray:
        series, chunk = null_series(n, phi, draws, seed), max(1, 2_000_000 // n**2)
        parts = [
            np.nanmax(standardised(range_taus(series[i : i + chunk])), axis=(1, 2)) for i in range(0, draws, chunk)
        ]
        return np.concatenate(parts)

    return cached(f"layer-ranges{VERSION}-{n}-{phi:.1f}-{draws}-{seed}", simulate)


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Each task's strongest range of layers."""
    names, n = view.scores.task_names, len(attending(view))
    diagonal = {f.task for o in earlier for f in o.findings if f.kind == "diagonal_gradient"}
    if n < SHORTEST:
        return Outcome("layer_gradient")
    family = Family("layer_gradient", len(names), view.settings.alpha, "Benjamini–Hochberg over tasks")
    series = [layer_levels(view, t, earlier) for t in range(len(names))]
    phis = [null_autocorrelation(s) for s in series]
    draws, seed = view.settings.permutations, view.settings.seed
    nulls = {phi: null_maxima(n, phi, draws, seed) for phi in set(phis)}
    best = []
    for s, phi in zip(series, phis, strict=True):
        taus = range_taus(s[None])[0]
        score = standardised(taus)
        first, last = (int(i) for i in np.unravel_index(int(np.nanargmax(score)), score.shape))
        p = monte_carlo_p(int((nulls[phi] >= score[first, last] - 1e-9).sum()), len(nulls[phi]))
        best.append((first, last, float(taus[first, last]), float(score[first, last]), p))
    q = benjamini_hochberg([b[4] for b in best])
    findings: list[Finding] = []
    silent: dict[str | None, float] = {}
    for t, (name, row) in enumerate(zip(names, best, strict=True)):
        ends = _ends(view, t, row, earlier)
        if q[t] > view.settings.alpha or abs(row[2]) < STRENGTH or (ends[1] - ends[0]) * row[2] <= 0:
            silent[name] = q[t]
        elif name not in diagonal:
            findings.append(_finding(view, t, row, q[t], family, phis[t], ends))
    return Outcome("layer_gradient", findings, family, silent)


def _ends(
    view: View, t: int, row: tuple[int, int, float, float, float], earlier: Sequence[Outcome]
) -> tuple[float, float, str]:
    """Importance in the first and in the last quarter of a range: its free heads' median, or mean where that is 0."""
    layers = attending(view)[row[0] : row[1] + 1]
    quarter = max(1, round(len(layers) / 4))
    free = view.present & ~found_cells(earlier, view.scores.task_names[t], view.present.shape, REGIONS)
    values = view.read(t)
    parts = []
    for some in (layers[:quarter], layers[-quarter:]):
        keep = free[some] if free[some].any() else view.present[some]
        parts.append(values[some][keep])
    medians = [float(np.median(part)) for part in parts]
    if any(medians):
        return medians[0], medians[1], "median"
    return float(parts[0].mean()), float(parts[1].mean()), "mean"


def _finding(
    view: View,
    t: int,
    row: tuple[int, int, float, float, float],
    q: float,
    family: Family,
    phi: float,
    ends: tuple[float, float, str],
) -> Finding:
    first, last, tau, score, p = row
    layers = attending(view)
    span = int(layers[first]), int(layers[last])
    name, null = "Kendall's τ of layer levels over layer ranges", "a first-order autoregressive series of layers"
    return view.finding(
        "layer_gradient",
        t,
        "tested",
        0.65 + 0.05 * abs(tau),
        layers=span,
        test=view.test(name, null, score, p, q, family, view.settings.permutations),
        effect=Effect("Kendall's τ of the layers' mean ranks", tau),
        data={
            "start": ends[0],
            "end": ends[1],
            "of": ends[2],
            "direction": "rises" if tau > 0 else "falls",
            "autocorrelation": phi,
            "whole": span == (0, view.scores.n_layers - 1),
        },
        caveats=view.caveats(t, *(["autocorrelation"] if phi > 0 else [])),
    )


DETECTOR = Detector("layer_gradient", detect, DOC)
