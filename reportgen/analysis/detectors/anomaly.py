"""Anomalies: single heads far above their surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

from reportgen.analysis.view import REGIONS, Detector, Outcome, View, found_cells
from reportgen.findings import Effect, Family, Finding
from reportgen.scores import Head

DOC = """Single heads far above their surroundings.

Tested: log importance less its layer's median, in robust standard deviations of its task, found regions left out. A
generalized Pareto tail is fitted to the pooled top 10 %, the top 1 % entering as censored so that outliers do not
shape the tail they are judged by; the shape is taken at its 99 % upper profile bound. A head that stands out from it
must also stand out from the tail of its own task, at that tail's estimated shape. The larger tail probability is
multiplied by the number of heads (Bonferroni). Tasks with zeros are left out: the logarithm says nothing there.
Observed: a head outside found regions that is the largest over at least a quarter of the layers and 4 of them
(contiguous, its own among them), at least 1.25 times the next there; at most two a task. Where the largest head
outside found regions is none of these, it is named if it is at least 1.05 times the next of them. Where the task's
largest head lies outside found regions: all heads of at least half its value, where they are two or more and at most
1 % of all.
Silent on tasks where the top heads fade into the rest, and (tested) under heavy tails.
"""
TOP, CENSORED, BOUND, FEWEST = 0.10, 0.01, 0.99, 20
RATIO, SHARE, FEWEST_LAYERS, PER_TASK = 1.25, 0.25, 4, 2  # of the largest head over a range of layers
CLEAR, HALF, FEW, SHOWN = 1.05, 0.5, 0.01, 10  # of the largest head outside regions, and of outstanding sets
OBSERVED = f"largest head in a quarter of the layers, {FEWEST_LAYERS} or more, at least {RATIO:g} times the next there"
TOP_OUTSIDE = f"largest head outside found regions, at least {CLEAR:g} times the next of them"
OUTSTANDING = "heads outside found regions of at least half the largest such value, at most 1 % of all heads"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Tested anomalies, then what can only be observed."""
    tasks, shape = range(len(view.maps)), view.present.shape
    free = [view.present & ~found_cells(earlier, n, shape, REGIONS) for n in view.scores.task_names]
    usable = [
        t for t in tasks if free[t].sum() >= 50 and (view.maps[t][free[t]] > 0).all() and _spread(view, t, free[t])
    ]
    tested, family, silent = _tested(view, usable, free)
    taken = {(str(f.task), Head.parse(str(name))) for f in tested for name in f.members or ()}
    observed = [f for t in tasks for f in _observations(view, t, free[t], taken)]
    return Outcome("anomaly", [*tested, *observed], family, silent)


def _observations(view: View, t: int, free: np.ndarray, tested: set[tuple[str, Head]]) -> list[Finding]:
    """A task's observed anomalies: the rules in turn, no head named twice."""
    named = {head for name, head in tested if name == view.scores.task_names[t]}
    found = [(h, f) for h, f in _largest(view, t, free) if h not in named]
    named |= {h for h, _ in found}
    found += [(h, f) for h, f in _top_outside(view, t, free) if h not in named]
    return [*(f for _, f in found), *_outstanding(view, t, free)]


def _spread(view: View, t: int, free: np.ndarray) -> bool:
    return bool(stats.median_abs_deviation(_residual(view, t, free)[free]) > 0)


def _residual(view: View, t: int, free: np.ndarray) -> Float[np.ndarray, "layer head"]:
    with np.errstate(divide="ignore"):
        log = np.where(free, np.log(np.where(free, view.maps[t], 1)), np.nan)
    empty = ~free.any(axis=1)
    log[empty] = 0.0
    result: np.ndarray = np.where(free, log - np.nanmedian(log, axis=1, keepdims=True), np.nan)
    return result


def tail(excess: Float[np.ndarray, "head"], cut: float, censored: int, bound: float) -> tuple[float, float]:
    """Shape and scale of a generalized Pareto tail, the shape at an upper profile bound (.5: the estimate itself).

    ``excess`` are uncensored exceedances over the threshold; ``censored`` further ones are known to lie above ``cut``.
    Source: Coles 2001, An Introduction to Statistical Modeling of Extreme Values, §4.3.
    """

    def loss(log_scale: float, shape: float) -> float:
        scale = np.exp(log_scale)
        inside = stats.genpareto.logpdf(excess, shape, scale=scale).sum()
        total = -(inside + censored * stats.genpareto.logsf(cut, shape, scale=scale))
        return float(total) if np.isfinite(total) else 1e12

    middle = np.log(excess.mean())

    def profile(shape: float) -> tuple[float, float]:
        best = optimize.minimize_scalar(loss, bounds=(middle - 3, middle + 3), args=(shape,), method="bounded")
        return float(best.fun), float(best.x)

    shapes = np.linspace(-0.6, 1.0, 33)
    losses = np.array([profile(s)[0] for s in shapes])
    allowed = losses <= losses.min() + stats.chi2.ppf(2 * bound - 1, 1) / 2
    shape = float(shapes[np.nonzero(allowed)[0].max()])
    return shape, float(np.exp(profile(shape)[1]))


@dataclass(frozen=True)
class Background:
    """The tail of a set of heads: above ``threshold``, which a share ``TOP`` exceeds, a generalized Pareto tail."""

    threshold: float
    shape: float
    scale: float

    @classmethod
    def fit(cls, z: Float[np.ndarray, "head"], bound: float) -> "Background | None":
        """The fitted tail; None where too few heads lie in it."""
        threshold, cut = np.quantile(z, [1 - TOP, 1 - CENSORED])
        inside = z[(z > threshold) & (z < cut)] - threshold
        if len(inside) < FEWEST:
            return None
        shape, scale = tail(inside, cut - threshold, int((z >= cut).sum()), bound)
        return cls(float(threshold), max(shape, 1e-9), scale)

    def p(self, score: float) -> float:
        """The probability that a head of this background reaches the score."""
        return float(TOP * stats.genpareto.sf(max(0.0, score - self.threshold), self.shape, scale=self.scale))


def _tested(
    view: View, usable: list[int], free: list[np.ndarray]
) -> tuple[list[Finding], Family, dict[str | None, float]]:
    pooled: list[tuple[float, int, Head]] = []
    for t in usable:
        residual = _residual(view, t, free[t])
        scale = 1.4826 * stats.median_abs_deviation(residual[free[t]])
        pooled += [(residual[i, j] / scale, t, Head(int(i), int(j))) for i, j in np.argwhere(free[t])]
    family = Family("anomaly", len(pooled), view.settings.alpha, "Bonferroni over heads and tasks")
    if not pooled:
        return [], family, {}
    scores = np.array([p[0] for p in pooled])
    common = Background.fit(scores, BOUND)
    if common is None:
        return [], family, {}
    findings: list[Finding] = []
    silent: dict[str | None, float] = dict.fromkeys((view.scores.task_names[t] for t in usable), 1.0)
    own: dict[int, Background | None] = {}
    for score, t, head in sorted(pooled, reverse=True, key=lambda p: p[0])[: int(np.ceil(len(pooled) * CENSORED))]:
        p = max(common.p(score), 1e-12)
        if p * len(pooled) <= view.settings.alpha:
            # A task whose own tail is heavier than the common one is judged by its own.
            if t not in own:
                own[t] = Background.fit(scores[[i for i, row in enumerate(pooled) if row[1] == t]], 0.5)
            p = max(p, own[t].p(score) if own[t] else p)  # type: ignore[union-attr]
        q, name = min(1.0, p * len(pooled)), view.scores.task_names[t]
        if q > view.settings.alpha:
            silent[name] = min(silent[name], q)
            continue
        findings.append(_exceeds(view, t, head, free[t], score, p, q, family, common.shape))
    for finding in findings:
        silent.pop(str(finding.task), None)
    return findings, family, silent


def _exceeds(
    view: View, t: int, head: Head, free: np.ndarray, score: float, p: float, q: float, family: Family, shape: float
) -> Finding:
    alone = np.zeros(free.shape, dtype=bool)
    alone[head] = True
    rest = free & ~alone & (np.arange(len(free)) == head.layer)[:, None]
    return view.finding(
        "anomaly",
        t,
        "tested",
        0.88 + 0.05 * np.tanh(score / 20),
        layers=(head.layer, head.layer),
        heads=(head.head, head.head),
        members=[str(head)],
        value=view.head_value(t, head),
        data={"robust_sd": round(float(score), 2), "tail_shape": round(shape, 3)},
        test=view.test("generalized Pareto tail", "a head of the background's tail", score, p, q, family),
        effect=view.ratio_effect(t, alone, rest, "ratio to the other heads of its layer"),
        caveats=view.caveats(t, "tail-model"),
    )


def _largest(view: View, t: int, free: np.ndarray) -> list[tuple[Head, Finding]]:
    """The heads that tower over the widest ranges of layers."""
    values = np.where(view.present, view.whole[t], -np.inf)
    tops = np.sort(values, axis=1)[:, -2:]
    need = max(FEWEST_LAYERS, int(np.ceil(SHARE * len(values))))
    candidates = []
    for layer in range(len(values)):
        head = int(values[layer].argmax())
        if not free[layer, head] or values[layer, head] <= 0:
            continue
        rivals = tops[:, -1].copy()
        rivals[layer] = tops[layer, 0] if tops.shape[1] > 1 else -np.inf
        first, last = _range(rivals * RATIO <= values[layer, head], layer)
        following = float(rivals[first : last + 1].max())
        if last - first + 1 >= need and rivals[layer] * RATIO <= values[layer, head] and following > 0:
            ratio = float(values[layer, head]) / following
            candidates.append((last - first + 1, ratio, Head(layer, head), (first, last), following))
    best = sorted(candidates, reverse=True)[:PER_TASK]
    return [(head, _single(view, t, head, OBSERVED, following, span)) for _, _, head, span, following in best]


def _top_outside(view: View, t: int, free: np.ndarray) -> list[tuple[Head, Finding]]:
    """The largest head outside found regions, where it is clearly the largest."""
    if free.sum() < 2:
        return []
    values = np.where(free, view.whole[t], -np.inf)
    order = np.argsort(values, axis=None)[::-1]
    head = Head(*(int(i) for i in np.unravel_index(order[0], values.shape)))
    following = float(values.flat[order[1]])
    if following <= 0 or values[head] < CLEAR * following:
        return []
    return [(head, _single(view, t, head, TOP_OUTSIDE, following, None, bool((view.present & ~free).any())))]


def _range(allowed: np.ndarray, layer: int) -> tuple[int, int]:
    first = last = layer
    while first > 0 and allowed[first - 1]:
        first -= 1
    while last < len(allowed) - 1 and allowed[last + 1]:
        last += 1
    return first, last


def _single(
    view: View, t: int, head: Head, rule: str, following: float, span: tuple[int, int] | None, regions: bool = False
) -> Finding:
    ratio = float(view.whole[t][head]) / following
    whole = span == (0, view.scores.n_layers - 1)
    outside = "outside the found regions" if regions else "of all layers"
    scope = outside if span is None else "of all layers" if whole else "in layers"
    return view.finding(
        "anomaly",
        t,
        "observed",
        (0.45 if span is None else 0.55) + 0.1 * np.tanh(ratio - 1) + (0.05 if whole else 0),
        rule=rule,
        layers=(head.layer, head.layer),
        heads=(head.head, head.head),
        members=[str(head)],
        value=view.head_value(t, head, whole=True),
        effect=Effect("ratio to the next largest head", ratio),
        data={"scope": scope, "range": span and list(span), "next": following},
        caveats=view.caveats(t, whole=True),
    )


def _outstanding(view: View, t: int, free: np.ndarray) -> list[Finding]:
    """The handful of heads near the task's largest."""
    values = np.where(view.present, view.whole[t], -np.inf)
    top = np.unravel_index(int(values.argmax()), values.shape)
    chosen = free & (values >= HALF * values[top])
    total = int(view.present.sum())
    if not free[top] or values[top] <= 0 or not 2 <= chosen.sum() <= FEW * total:
        return []
    heads = sorted((Head(int(i), int(j)) for i, j in np.argwhere(chosen)), key=lambda h: -values[h])
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    return [
        view.finding(
            "anomaly",
            t,
            "observed",
            0.6,
            rule=OUTSTANDING,
            members=[str(h) for h in heads],
            layers=(min(layers), max(layers)),
            heads=(min(columns), max(columns)),
            cells=[(h.layer, h.head) for h in heads],
            value=view.region_value(t, chosen, whole=True),
            caveats=view.caveats(t, whole=True),
            data={
                "values": [float(view.whole[t][h]) for h in heads],
                "heads": int(free.sum()),
                "regions": bool((view.present & ~free).any()),
                "shown": min(SHOWN, len(heads)),
                "more": max(0, len(heads) - SHOWN),
            },
        )
    ]


DETECTOR = Detector("anomaly", detect, DOC)
