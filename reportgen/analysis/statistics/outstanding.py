"""Outstanding heads: exact statements about the largest heads of a task outside found regions."""

from typing import Literal

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.view import View, closed
from reportgen.core.findings import Effect, Finding
from reportgen.core.scores import Head

RATIO, SHARE, FEWEST_LAYERS, PER_TASK = 1.25, 0.25, 4, 2  # of the largest head over a range of layers
CLEAR, HALF, FEW, SHOWN = 1.05, 0.5, 0.01, 10  # of the largest head outside regions, and of outstanding sets
OBSERVED = f"largest head in a quarter of the layers, {FEWEST_LAYERS} or more, at least {RATIO:g} times the next there"
TOP_OUTSIDE = f"largest head outside found regions, at least {CLEAR:g} times the next of them"
OUTSTANDING = "heads outside found regions of at least half the largest such value, at most 1 % of all heads"

Scope = Literal["in layers", "of all layers", "outside the found regions"]


@closed
class Largest(TypedDict):
    """Where the head is the largest, the first and last layer where that is ``in layers`` or over all of them, and the
    importance of the next largest there.
    """

    scope: Scope
    range: list[int] | None
    next: float


@closed
class Outstanding(TypedDict):
    """``values`` are the members' importances; ``heads`` were compared, those outside found ``regions`` if any;
    the sentence names ``shown`` members and counts ``more``.
    """

    values: list[float]
    heads: int
    regions: bool
    shown: int
    more: int


def outstanding(view: View, t: int, free: np.ndarray, tested: set[Head]) -> list[Finding]:
    """A task's observed anomalies: the rules in turn, no head named twice, nor one that is named as ``tested``."""
    found = [(h, f) for h, f in _largest(view, t, free) if h not in tested]
    named = tested | {h for h, _ in found}
    found += [(h, f) for h, f in _top_outside(view, t, free) if h not in named]
    return [*(f for _, f in found), *_outstanding(view, t, free)]


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
    outside: Scope = "outside the found regions" if regions else "of all layers"
    scope: Scope = outside if span is None else "of all layers" if whole else "in layers"
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
        data=dict(Largest(scope=scope, range=list(span) if span else None, next=following)),
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
            data=dict(
                Outstanding(
                    values=[float(view.whole[t][h]) for h in heads],
                    heads=int(free.sum()),
                    regions=bool((view.present & ~free).any()),
                    shown=min(SHOWN, len(heads)),
                    more=max(0, len(heads) - SHOWN),
                )
            ),
        )
    ]
