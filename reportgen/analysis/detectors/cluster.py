"""Clusters: regions of several adjacent layers and heads that are raised above the rest of their layers."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.statistics.regions import Region, search
from reportgen.analysis.view import Detector, Outcome, View, closed
from reportgen.core.findings import Family, Finding

DOC = """Adjacent layers × heads raised above the rest of their layers.

Null: the heads of each layer in random order (key/value groups under grouped-query attention; where these are not
known, runs of heads of the length in which adjacent heads are tied, if a test at .01 says so). Statistic: the largest
standardised sum of van der Waerden scores over windows of up to 16 × 16, a common slope along heads removed first; each
size of window is held against the largest such sums of its size under the null, and the most extreme one counts.
Benjamini–Hochberg over tasks, every p-value but the smallest held against the threshold of the rank before. Found cells
are dropped and the rest is scanned again; regions that touch are one region.
Silent where no window stands out, on maps too small for any window to reach significance, and on constant maps.
"""
CORRECTION = "Benjamini–Hochberg over tasks, thresholds of the rank before"


@closed
class Data(TypedDict):
    """The region's number of ``cells``; where tied heads were found in the scores, the length of their runs and their
    correlation, as Ties has them.
    """

    cells: int
    run: int | None
    correlation: float | None


def region_family(view: View, kind: str) -> Family:
    """The family of scans over tasks."""
    return view.family(kind, len(view.scores.tasks), CORRECTION)


def describe(view: View, region: Region, kind: str, base: float) -> Finding:
    """The finding for a region."""
    family, t = region_family(view, kind), region.task
    layers, heads = np.nonzero(region.cells)
    box = (int(layers.min()), int(layers.max())), (int(heads.min()), int(heads.max()))
    full = region.cells.sum() == (box[0][1] - box[0][0] + 1) * (box[1][1] - box[1][0] + 1)
    rest = ~region.cells & view.present & np.isin(np.arange(len(region.cells)), layers)[:, None]
    layers_ = "this layer" if kind == "row_segment" else "these layers"
    effect = view.ratio_effect(t, region.cells, rest, f"ratio to the other heads of {layers_}")
    null = f"{view.unit} shuffled within each layer"
    ties = view.ties
    return view.finding(
        kind,
        t,
        "tested",
        base + 0.05 * np.tanh(region.statistic / 20),
        layers=box[0],
        heads=box[1],
        cells=None if full else [(int(i), int(j)) for i, j in zip(layers, heads, strict=True)],
        value=view.region_value(t, region.cells),
        test=view.test(
            "rectangle scan", null, region.statistic, region.p, region.q, family, view.settings.permutations
        ),
        effect=effect,
        data=dict(
            Data(
                cells=int(region.cells.sum()),
                run=ties.size if ties is not None and ties.size > 1 else None,
                correlation=ties.correlation if ties is not None and ties.size > 1 else None,
            )
        ),
        caveats=view.caveats(t, "edges", *view.on_ties),
    )


def regions_of(view: View, kind: str, base: float) -> Outcome:
    """All regions of one kind as an outcome: rows are one layer high, clusters higher."""
    result = search(view)
    regions = [r for r in result.regions if (np.any(r.cells, axis=1).sum() == 1) == (kind == "row_segment")]
    findings = [describe(view, r, kind, base) for r in regions]
    found = {f.task for f in findings}
    names = view.scores.task_names
    silent: dict[str | None, float] = {names[t]: q for t, q in result.smallest_q[kind].items() if names[t] not in found}
    return Outcome(kind, findings, region_family(view, kind), silent)


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Regions of two or more layers."""
    return regions_of(view, "cluster", 0.9)


DETECTOR = Detector("cluster", detect, DOC, data=Data, weight=10)
