"""Scattered heads: a layer that holds many of a task's largest heads, not side by side."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.statistics.silence import floor, null_statistics
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.findings import Effect, Finding
from reportgen.core.kinds import closed
from reportgen.core.scores import Head

DOC = """A layer that holds many of a task's largest heads, not side by side.

Observed only. Among the task's top 1, 2 or 4 % of heads outside found regions, one layer holds at least 5, in at
least 3 separate places, and at least 1.75 times as many as any other layer; of the three shares the one with the
largest ratio counts. The 1.75 is raised until that appears in at most .02 of maps whose heads are shuffled over all
layers. It is not tested: a null under which large heads fall on any layer alike is wrong where layers
differ in spread, and fired on most empty maps whose layers did.
Silent where they are spread evenly or stand in one run, and on maps of fewer than 125 free heads.
"""
PRIORITY = {"observed": 0.62}
# Observed, not tested: docs/decisions/0005-scattered-heads-are-observed.md says on which null it fired falsely.
SHARES, MANY, RUNS, TIMES = (0.01, 0.02, 0.04), 5, 3, 1.75


@closed
class Data(TypedDict):
    """The layer holds ``count`` ``of`` the task's largest heads, the ``following`` one so many (at least 1 is counted);
    the least and the most importance among them.
    """

    count: int
    of: int
    following: int
    smallest: float
    largest: float


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """At most one layer a task."""
    findings = []
    for t, name in enumerate(view.scores.task_names):
        free = view.present & ~found_cells(earlier, name, view.present.shape)
        held = [h for share in SHARES if (h := _held(view, t, free, share)) is not None]
        if held:
            findings.append(_named(view, t, free, *max(held, key=lambda h: h[0])[1:]))
    if findings:
        times = floor(null_statistics(view, earlier, "over layers", partial(_fullest, present=view.present)), TIMES)
        findings = [replace(f, rule=f.rule and f.rule.format(times)) for f in findings if _times(f) >= times]
    return Outcome("scattered_heads", findings)


def _times(finding: Finding) -> float:
    data = cast(Data, finding.data)
    return data["count"] / data["following"]


def _fullest(
    maps: Float[np.ndarray, "draw task layer head"], present: Bool[np.ndarray, "layer head"]
) -> Float[np.ndarray, "draw"]:
    """Return how many times as many of a task's largest heads the fullest layer holds as the next, 0 with too few."""
    values = np.where(np.isfinite(maps), maps, -np.inf)
    flat, most = values.reshape(*values.shape[:2], -1), np.zeros(len(values))
    for k in (k for share in SHARES if (k := round(share * int(present.sum()))) >= MANY):
        threshold = np.partition(flat, -k, axis=2)[..., -k, None, None]
        first, second = np.moveaxis(-np.sort(-(values >= threshold).sum(axis=3), axis=2)[..., :2], 2, 0)
        ratio = np.where(first >= MANY, first / np.maximum(second, 1), 0.0)
        most = np.maximum(most, ratio.max(axis=1))
    return most


def _held(view: View, t: int, free: np.ndarray, share: float) -> tuple[float, float, int, np.ndarray, int, int] | None:
    """How much more the fullest layer holds than the next, the share, that layer and its heads; None if not enough."""
    k = round(share * int(free.sum()))
    if k < MANY or len(free) < 2:
        return None
    values = np.where(free, view.whole[t], -np.inf)
    threshold = np.sort(values[free])[-k]
    marked = free & (values >= threshold)
    if marked.sum() > k:
        marked = free & (values > threshold)  # a tie across the border counts for none of its heads
    if threshold <= 0 or not marked.any():
        return None
    counts = marked.sum(axis=1)
    layer = int(counts.argmax())
    heads, next_most = np.flatnonzero(marked[layer]), max(1, int(np.delete(counts, layer).max()))
    runs = int((np.diff(heads) > 1).sum()) + 1
    if len(heads) < max(MANY, TIMES * next_most) or runs < RUNS:
        return None
    return len(heads) / next_most, share, layer, heads, int(marked.sum()), next_most


def _named(
    view: View, t: int, free: np.ndarray, share: float, layer: int, heads: np.ndarray, largest: int, following: int
) -> Finding:
    values = [float(view.whole[t][layer, h]) for h in heads]
    expected = largest * free[layer].sum() / free.sum()
    return view.finding(
        "scattered_heads",
        t,
        "observed",
        PRIORITY["observed"],
        layers=(layer, layer),
        heads=(int(heads[0]), int(heads[-1])),
        cells=[(layer, int(h)) for h in heads],
        members=[str(Head(layer, int(h))) for h in heads],
        rule=f"layer with at least {MANY} of the task's top {share:.0%} of heads outside found regions, in at least "
        f"{RUNS} separate places, and at least {{:g}} times as many as any other layer",
        effect=Effect("ratio to an even spread", len(heads) / expected),
        data=Data(count=len(heads), of=largest, following=following, smallest=min(values), largest=max(values)),
        caveats=view.caveats(t, whole=True),
    )


DETECTOR = Detector(
    "scattered_heads",
    detect,
    order=140,
    doc=DOC,
    topic="heads",
    data=Data,
    priority=PRIORITY,
    guidance=guidance.SINGLE_HEADS,
    tried=True,
)
