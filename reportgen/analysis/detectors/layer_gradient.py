"""Layer gradients: importance that rises or falls steadily over a range of layers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from reportgen.analysis.arrangement import normal_scores
from reportgen.analysis.view import REGIONS, Detector, Outcome, View, found_cells
from reportgen.findings import Effect, Family, Finding
from reportgen.stats import benjamini_hochberg, monte_carlo_p
from reportgen.store import cached

DOC = """Importance that rises or falls steadily over a range of layers.

Statistic: Kendall's τ of the layers' levels (mean normal score of a layer's heads among all heads of the task, found
regions left out) with the layer number, standardised, its maximum over all ranges of at least 8 layers. Null: an
autoregressive series of first order with the autocorrelation that the levels keep after their Theil–Sen trend is taken
off, so that layers resembling their neighbours are not taken for a trend. Benjamini–Hochberg over tasks, and |τ| ≥ .5
in the range. The sentence prints the ends of the Theil–Sen line through the layers' medians.
Silent with fewer than 8 layers, and on tasks whose levels are constant.
"""
SHORTEST, STRENGTH = 8, 0.5
VERSION = 1  # of the cached nulls


def layer_medians(view: View, t: int, earlier: Sequence[Outcome], held_out: bool = False) -> Float[np.ndarray, "layer"]:
    """The median of each layer's heads outside found regions; of all its heads where a region holds the layer.

    On the discovery half, or on the half that values are read from (``held_out``).
    """
    source = view.read(t) if held_out else view.maps[t]
    taken = found_cells(earlier, view.scores.task_names[t], view.present.shape, REGIONS)
    values = np.where(view.present & ~taken, source, np.nan)
    full = np.isnan(values).all(axis=1)
    values[full] = source[full]
    medians: np.ndarray = np.nanmedian(values, axis=1)
    return medians


def layer_levels(view: View, t: int, earlier: Sequence[Outcome]) -> Float[np.ndarray, "layer"]:
    """Each layer's level: the mean normal score of its free heads among all free heads of the task.

    A layer that regions hold wholly gets the scores of all its heads.
    """
    taken = found_cells(earlier, view.scores.task_names[t], view.present.shape, REGIONS)
    keep = view.present & (~taken | (taken | ~view.present).all(axis=1, keepdims=True))
    scores = normal_scores(view.maps[t].reshape(1, -1), keep.reshape(1, -1)).reshape(keep.shape)
    levels: np.ndarray = scores.sum(axis=1) / np.maximum(keep.sum(axis=1), 1)
    return levels


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
    names, n = view.scores.task_names, view.scores.n_layers
    family = Family("layer_gradient", len(names), view.settings.alpha, "Benjamini–Hochberg over tasks")
    diagonal = {f.task for o in earlier for f in o.findings if f.kind == "diagonal_gradient"}
    if n < SHORTEST:
        return Outcome("layer_gradient", family=family)
    series = [layer_levels(view, t, earlier) for t in range(len(names))]
    phis = [round(autocorrelation(s), 1) for s in series]
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
    findings, silent = [], {}
    for t, (name, row) in enumerate(zip(names, best, strict=True)):
        if q[t] <= view.settings.alpha and abs(row[2]) >= STRENGTH:
            if name not in diagonal:
                findings.append(_finding(view, t, row, q[t], family, phis[t], earlier))
        else:
            silent[name] = q[t]
    return Outcome("layer_gradient", findings, family, silent)


def _finding(
    view: View,
    t: int,
    row: tuple[int, int, float, float, float],
    q: float,
    family: Family,
    phi: float,
    earlier: Sequence[Outcome],
) -> Finding:
    first, last, tau, score, p = row
    span = layer_medians(view, t, earlier, held_out=True)[first : last + 1]
    start, end = trend_ends(span)
    caveats = ["autocorrelation"] if phi > 0 else []
    return view.finding(
        "layer_gradient",
        t,
        "tested",
        0.65 + 0.05 * abs(tau),
        layers=(first, last),
        test=view.test(
            "Kendall's τ of layer levels over layer ranges",
            "a first-order autoregressive series of layers",
            score,
            p,
            q,
            family,
            view.settings.permutations,
        ),
        effect=Effect("Kendall's τ", tau),
        data={
            "start": start,
            "end": end,
            "direction": "rises" if tau > 0 else "falls",
            "autocorrelation": phi,
            "whole": (first, last) == (0, view.scores.n_layers - 1),
        },
        caveats=view.caveats(t, *caveats),
    )


def trend_ends(span: Float[np.ndarray, "layer"]) -> tuple[float, float]:
    """The Theil–Sen line of the medians at the first and at the last layer of the range, never below zero."""
    slope, intercept = stats.theilslopes(span, np.arange(len(span)))[:2]
    return max(0.0, float(intercept)), max(0.0, float(intercept + slope * (len(span) - 1)))


DETECTOR = Detector("layer_gradient", detect, DOC)
