"""Weakest layers: the layer with the least importance, or the set that cannot be told apart."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.statistics.silence import floor, null_statistics
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect, Family, Finding, Register, Test
from reportgen.core.kinds import closed
from reportgen.core.stats import benjamini_hochberg, group_numbers, group_sums

DOC = """The layer with the least mean importance over its heads, or the set that cannot be told apart.

With examples: the layer that is weakest on the discovery half is compared with every other layer over the resampling
groups of the held-out half, by paired one-sided t tests; the largest p counts (intersection–union), Benjamini–Hochberg
over tasks. Where that fails, the layers that are the weakest in at least 5 % of bootstrap draws over all groups are
named as a tied set (observed). Without examples: the layer of least mean where it is at least 5 % below every other,
or as far as it is in at most .02 of maps whose heads are shuffled over all layers (observed).
Silent with one layer, on constant maps, and where more than a quarter of the layers (at least two) are tied.
"""
PRIORITY = {"tested": 0.5, "one layer": 0.4, "tied set": 0.3}
# A layer that is not the weakest in 95 % of draws cannot be told from those that are: then the tied set is named.
DRAWS, TIED, CLEAR = 1999, 0.05, 0.95
LOWEST = "layer of least mean importance over its heads, at most {:.3g} times that of every other layer"
SET = f"layers of least mean importance in at least {100 * TIED:g} % of bootstrap draws over examples"
LEAST_P = 1e-12  # no t test on so few groups is worth more


@closed
class Data(TypedDict):
    """Mean importance over the heads of the named layers, of all layers, and of the ``next`` lowest layer."""

    mean: float
    overall: float
    next: float


def _able(view: View) -> bool:
    return len(_layers(view)) >= 2 and any(view.held_out(t) for t in range(len(view.scores.tasks)))


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Each task's weakest layer or tied set."""
    tasks = range(len(view.maps))
    if len(_layers(view)) < 2:
        return Outcome("weakest_layers")
    split = [t for t in tasks if view.held_out(t)]
    family = view.family("weakest_layers", len(split), "Benjamini–Hochberg over tasks")
    tests = {t: _paired(view, t) for t in split}
    q = dict(zip(split, benjamini_hochberg([p for _, p in tests.values()]), strict=True))
    clear = _clear(view, earlier) if any(e is None for e in view.scores.examples) else CLEAR
    findings = [_finding(view, t, tests.get(t), q.get(t), family, clear) for t in tasks]
    return Outcome("weakest_layers", [f for f in findings if f], family if split else None)


def _layers(view: View) -> Int[np.ndarray, "layer"]:
    return np.flatnonzero(view.present.any(axis=1))


def _means(view: View, values: np.ndarray) -> Float[np.ndarray, "layer"]:
    """Return the mean over the heads of each layer that has any."""
    means: np.ndarray = np.nanmean(values[_layers(view)], axis=1)
    return means


def _group_means(view: View, t: int, whole: bool = False) -> Float[np.ndarray, "group layer"]:
    values, groups, ordered = view.sample(t, whole)  # type: ignore[misc]
    per_example = np.nanmean(values[:, _layers(view)], axis=2)
    sums, counts = group_sums(per_example, group_numbers(groups, ordered))
    means: np.ndarray = sums / counts[:, None]
    return means


def _paired(view: View, t: int) -> tuple[float, float]:
    """Return the smallest t, and its p, of the discovery half's weakest layer against each other layer, on held-out
    groups.
    """
    means, chosen = _group_means(view, t), int(_means(view, view.maps[t]).argmin())
    gaps = np.delete(means, chosen, axis=1) - means[:, [chosen]]
    if (gaps.mean(axis=0) <= 0).any():
        return 0.0, 1.0
    error = gaps.std(axis=0, ddof=1) / np.sqrt(len(gaps))
    t_values = np.divide(gaps.mean(axis=0), error, out=np.full(gaps.shape[1], np.inf), where=error > 0)
    freedom = len(gaps) - 1
    least = min(float(t_values.min()), float(stats.t.isf(LEAST_P, freedom)))
    return least, float(stats.t.sf(least, freedom))


def _among_weakest(view: View, t: int) -> Float[np.ndarray, "layer"]:
    """In which share of bootstrap draws over all groups each layer is among the weakest."""
    means = _group_means(view, t, whole=True)
    rng = np.random.default_rng([view.settings.seed, len(means)])
    weights = rng.multinomial(len(means), np.full(len(means), 1 / len(means)), DRAWS)
    drawn = weights @ means
    shares: np.ndarray = (drawn <= drawn.min(axis=1, keepdims=True)).mean(axis=0)
    return shares


def _clear(view: View, earlier: Sequence[Outcome]) -> float:
    """Return of which part of the next layer's mean a layer's must stay below, so that noise seldom shows one."""
    layers = _layers(view)

    def ratios(maps: Float[np.ndarray, "draw task layer head"]) -> Float[np.ndarray, "draw"]:
        least = np.sort(np.nanmean(maps[:, :, layers], axis=3), axis=2)[..., :2]
        ratio = np.divide(least[..., 1], least[..., 0], out=np.ones(least.shape[:2]), where=least[..., 0] > 0)
        largest: np.ndarray = ratio.max(axis=1)
        return largest

    return 1 / floor(null_statistics(view, earlier, "over layers", ratios), 1 / CLEAR)


def _finding(
    view: View, t: int, paired: tuple[float, float] | None, q: float | None, family: Family, clear: float
) -> Finding | None:
    whole = _means(view, view.whole[t])
    if whole.min() == whole.max():
        return None
    if paired and q is not None and q <= family.alpha:
        chosen = int(_means(view, view.maps[t]).argmin())
        test = view.test("paired t tests against every other layer", "another layer is as weak", *paired, q, family)
        return _named(view, t, "tested", [chosen], _means(view, view.read(t)), view.caveats(t), test=test)
    caveats = view.caveats(t, whole=True)
    if view.scores.examples[t] is None:
        ordered = np.sort(whole)
        if ordered[0] >= clear * ordered[1]:
            return None
        return _named(view, t, "observed", [int(whole.argmin())], whole, caveats, rule=LOWEST.format(clear))
    tied = [int(i) for i in np.nonzero(_among_weakest(view, t) >= TIED)[0]]
    if not 2 <= len(tied) <= min(len(whole) - 1, max(2, len(whole) // 4)):
        return None
    return _named(view, t, "observed", tied, whole, caveats, rule=SET)


def _named(
    view: View,
    t: int,
    register: Register,
    indices: list[int],
    means: Float[np.ndarray, "layer"],
    caveats: list[str],
    rule: str | None = None,
    test: Test | None = None,
) -> Finding:
    """Return the finding on the layers at those places among the layers that have heads."""
    layers, mean = [int(_layers(view)[i]) for i in indices], float(means[indices].mean())
    return view.finding(
        "weakest_layers",
        t,
        register,
        PRIORITY["tested" if register == "tested" else "one layer" if len(layers) == 1 else "tied set"],
        members=list(layers),
        layers=(layers[0], layers[-1]),
        effect=Effect("ratio to the mean over all layers", mean / float(means.mean())),
        data=Data(mean=mean, overall=float(means.mean()), next=float(np.delete(means, indices).min())),
        test=test,
        rule=rule,
        caveats=caveats,
    )


def _recompute(finding: Finding) -> list[str]:
    return ["means = np.nanmean(importance, axis=1)", f"print(means[{finding.members}].mean() / np.nanmean(means))"]


DETECTOR = Detector(
    "weakest_layers",
    detect,
    order=150,
    doc=DOC,
    topic="layers",
    data=Data,
    priority=PRIORITY,
    guidance=guidance.LAYERS,
    recompute=_recompute,
    weight=1,
    able=_able,
)
