"""Scattered heads: a layer that holds many of a task's outstanding heads, not side by side."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from reportgen.analysis.view import REGIONS, Detector, Outcome, View, found_cells
from reportgen.findings import Effect, Family, Finding, Register
from reportgen.scores import Head
from reportgen.stats import benjamini_hochberg, monte_carlo_p

DOC = """A layer that holds many of a task's outstanding heads, not side by side.

Outstanding: among the task's top 1, 2 or 4 % of heads outside found regions, as a multiple of their layer's median.
Statistic: the smallest hypergeometric tail probability of a layer's count, over layers and the three shares. Null: the
outstanding heads fall on any free head alike (Monte Carlo). Benjamini–Hochberg over tasks. Named only where at least 3
outstanding heads of the layer stand in at least 3 separate places. Observed, where that test is silent: the layer with
most of the task's top 4 %, at least 5 in at least 3 places, and at least 1.75 times as many as any other layer.
Silent where they are spread evenly or stand in one run, on maps of fewer than 100 heads, and where a layer's median is
zero.
"""
SHARES, LEAST = (0.01, 0.02, 0.04), 3
MANY, TIMES = 5, 1.75
RULE = (
    f"layer with at least {MANY} of the task's top 4 % of heads outside found regions, at least {TIMES:g} times as "
    "many as any other"
)


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Each task's layer with more outstanding heads than an even spread gives."""
    names, shape = view.scores.task_names, view.present.shape
    family = Family("scattered_heads", len(names), view.settings.alpha, "Benjamini–Hochberg over tasks")
    free = [view.present & ~found_cells(earlier, n, shape, REGIONS) for n in names]
    usable = [
        t
        for t in range(len(names))
        if shape[0] > 1 and free[t].sum() >= 100 and np.nanmin(_medians(view, t, free[t])) > 0
    ]
    rows = [_layer(view, t, free[t]) for t in usable]
    q = benjamini_hochberg([r[0] for r in rows] + [1.0] * (len(names) - len(rows)))
    findings, silent = [], {}
    for t, (p, statistic, layer, heads, expected), q_value in zip(usable, rows, q, strict=False):
        if q_value > view.settings.alpha or len(heads) < LEAST or (np.diff(heads) > 1).sum() + 1 < LEAST:
            silent[names[t]] = q_value
            findings += _observed(view, t, free[t])
            continue
        test = view.test(
            "largest count of outstanding heads in a layer",
            "outstanding heads fall on any head alike",
            statistic,
            p,
            q_value,
            family,
            view.settings.permutations,
        )
        findings.append(_named(view, t, layer, heads, expected, "tested", test=test))
    return Outcome("scattered_heads", findings, family, silent)


def _named(
    view: View, t: int, layer: int, heads: np.ndarray, expected: float, register: Register, **rest: object
) -> Finding:
    observed = register == "observed"
    values = [float(view.read(t, observed)[layer, h]) for h in heads]
    return view.finding(
        "scattered_heads",
        t,
        register,
        0.45 if observed else 0.62,
        layers=(layer, layer),
        heads=(int(heads[0]), int(heads[-1])),
        cells=[(layer, int(h)) for h in heads],
        members=[str(Head(layer, int(h))) for h in heads],
        caveats=view.caveats(t, whole=observed),
        **rest,
        effect=Effect("ratio to an even spread", len(heads) / expected),
        data={"count": len(heads), "expected": round(expected, 2), "smallest": min(values), "largest": max(values)},
    )


def _observed(view: View, t: int, free: np.ndarray) -> list[Finding]:
    values, k = np.where(free, view.whole[t], -np.inf), round(SHARES[-1] * free.sum())
    if k < MANY:
        return []
    marked = free & (values >= np.sort(values[free])[-k])
    counts = marked.sum(axis=1)
    layer = int(counts.argmax())
    heads, others = np.flatnonzero(marked[layer]), np.delete(counts, layer)
    if counts[layer] < max(MANY, TIMES * others.max()) or (np.diff(heads) > 1).sum() + 1 < LEAST:
        return []
    return [_named(view, t, layer, heads, k * free[layer].sum() / free.sum(), "observed", rule=RULE)]


def _medians(view: View, t: int, free: np.ndarray) -> np.ndarray:
    values = np.where(free, view.maps[t], np.nan)
    values[~free.any(axis=1)] = 1.0  # a layer wholly inside regions has no free head to name
    medians: np.ndarray = np.nanmedian(values, axis=1)
    return medians


def _tails(free: np.ndarray, outstanding: int) -> np.ndarray:
    """−log10 of P(a layer holds at least c of the outstanding heads), as a table (c, layer)."""
    counts = np.arange(outstanding + 1)[:, None]
    each = stats.hypergeom.pmf(counts, int(free.sum()), free.sum(axis=1), outstanding)
    least = np.cumsum(each[::-1], axis=0)[::-1]
    tails: np.ndarray = -np.log10(np.maximum(least, 1e-300))
    return tails


def _layer(view: View, t: int, free: np.ndarray) -> tuple[float, float, int, np.ndarray, float]:
    ratio = np.where(free, view.maps[t] / _medians(view, t, free)[:, None], -np.inf)
    total, rng = int(free.sum()), np.random.default_rng([view.settings.seed, t])
    draws = view.settings.permutations
    best, null, chosen = -np.inf, np.full(draws, -np.inf), (0, np.array([], dtype=int), 1.0)
    for share in SHARES:
        k = max(LEAST, round(share * total))
        marked = (ratio >= np.sort(ratio[free])[-k]) & free
        table, layers = _tails(free, k), np.arange(len(free))
        tails = table[marked.sum(axis=1).clip(max=k), layers]
        drawn = rng.multivariate_hypergeometric(free.sum(axis=1), k, draws)
        null = np.maximum(null, table[drawn, layers].max(axis=1))
        layer = int(tails.argmax())
        if tails[layer] > best:
            best = float(tails[layer])
            chosen = layer, np.flatnonzero(marked[layer]), k * free[layer].sum() / total
    p = monte_carlo_p(int((null >= best - 1e-9).sum()), draws)
    return p, best, chosen[0], chosen[1], float(chosen[2])


DETECTOR = Detector("scattered_heads", detect, DOC)
