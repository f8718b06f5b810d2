"""Weakest layers: the layer with the least importance, or the set that cannot be told apart."""

from collections.abc import Sequence

import numpy as np

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.findings import Effect, Family, Finding, Register
from reportgen.stats import benjamini_hochberg, monte_carlo_p, unit_sums, units

DOC = """The layer with the least mean importance over its heads, or the set that cannot be told apart.

With examples: the resampling units of the held-out half are bootstrapped; p is the share of draws in which the layer
that is weakest on the discovery half is not the only weakest; Benjamini–Hochberg over tasks. Where that fails, the
layers that are among the weakest in at least 5 % of draws are named as a tied set (observed). Without examples: the
layer of least mean where it is at least 5 % below every other (observed).
Silent with one layer, on constant maps, and where more than a quarter of the layers (at least two) are tied.
"""
DRAWS, TIED, CLEAR = 1999, 0.05, 0.95
LOWEST = f"layer of least mean importance over its heads, at most {CLEAR:g} times that of every other layer"
SET = f"layers of least mean importance in at least {100 * TIED:g} % of bootstrap draws over examples"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Each task's weakest layer or tied set."""
    tasks = range(len(view.maps))
    resampled = [t for t in tasks if view.held_out(t)]
    family = Family("weakest_layers", len(resampled), view.settings.alpha, "Benjamini–Hochberg over tasks")
    if view.scores.n_layers < 2:
        return Outcome("weakest_layers")
    shares = {t: _weakest_share(view, t) for t in resampled}
    ps = [monte_carlo_p(round((1 - shares[t][0][_weakest(view, t)]) * DRAWS), DRAWS) for t in resampled]
    q = dict(zip(resampled, benjamini_hochberg(ps), strict=True))
    p = dict(zip(resampled, ps, strict=True))
    findings = [_finding(view, t, shares.get(t), p.get(t), q.get(t), family) for t in tasks]
    return Outcome("weakest_layers", [f for f in findings if f], family if resampled else None)


def _layer_means(view: View, t: int) -> np.ndarray:
    means: np.ndarray = np.nanmean(view.report_maps[t], axis=1)
    return means


def _weakest(view: View, t: int) -> int:
    return int(np.nanmean(view.maps[t], axis=1).argmin())


def _weakest_share(view: View, t: int) -> tuple[np.ndarray, np.ndarray]:
    """In which share of bootstrap draws each layer is the only weakest, and in which it is among the weakest."""
    values, groups, ordered = view.sample(t)  # type: ignore[misc]
    sums, counts = unit_sums(np.nanmean(values, axis=2), units(groups, ordered))
    n = len(counts)
    rng = np.random.default_rng([view.settings.seed, t, n])
    weights = rng.multinomial(n, np.full(n, 1 / n), DRAWS)
    means = (weights @ sums) / (weights @ counts)[:, None]
    among = means <= means.min(axis=1, keepdims=True)
    return (among & (among.sum(axis=1, keepdims=True) == 1)).mean(axis=0), among.mean(axis=0)


def _finding(
    view: View, t: int, share: tuple[np.ndarray, np.ndarray] | None, p: float | None, q: float | None, family: Family
) -> Finding | None:
    if share is not None and p is not None and q is not None and q <= view.settings.alpha:
        layer = _weakest(view, t)
        test = view.test(
            "bootstrap of the weakest layer", "another layer is the weakest", share[0][layer], p, q, family, DRAWS
        )
        return _named(view, t, "tested", [layer], _layer_means(view, t), test=test, caveats=view.caveats(t))
    means = np.nanmean(view.whole[t], axis=1)
    ordered, observed = np.sort(means), {"caveats": view.caveats(t, whole=True)}
    if share is None:
        alone = ordered[0] <= CLEAR * ordered[1]
        return _named(view, t, "observed", [int(means.argmin())], means, rule=LOWEST, **observed) if alone else None
    tied = [int(i) for i in np.nonzero(share[1] >= TIED)[0]]
    if not 2 <= len(tied) <= max(2, len(means) // 4):
        return None
    return _named(view, t, "observed", tied, means, rule=SET, **observed)


def _named(view: View, t: int, register: Register, layers: list[int], means: np.ndarray, **rest: object) -> Finding:
    mean, others = float(means[layers].mean()), np.delete(means, layers)
    return view.finding(
        "weakest_layers",
        t,
        register,
        0.5 if register == "tested" else 0.4 if len(layers) == 1 else 0.3,
        members=list(layers),
        layers=(layers[0], layers[-1]),
        **rest,
        effect=Effect("ratio to the mean over all layers", mean / float(means.mean())),
        data={"mean": mean, "overall": float(means.mean()), "next": float(others.min())},
    )


DETECTOR = Detector("weakest_layers", detect, DOC)
