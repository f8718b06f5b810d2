"""Raised regions as findings: clusters and row segments are those of one scan that differ in shape."""

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.statistics.regions import Region, search
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import EDGES
from reportgen.core.findings import Family, Finding
from reportgen.core.kinds import closed

CORRECTION = "Benjamini–Hochberg over tasks, thresholds of the rank before"


@closed
class Data(TypedDict):
    """The region's number of ``cells``; where tied heads were found in the scores, the length of their runs and their
    correlation, as Ties has them.
    """

    cells: int
    run: int | None
    correlation: float | None


def regions_of(view: View, detector: Detector) -> Outcome:
    """Return all regions of a detector's shape as its outcome: rows are one layer high, rectangles higher."""
    result = search(view)
    regions = [r for r in result.regions if (np.any(r.cells, axis=1).sum() == 1) == (detector.region == "row")]
    family = view.family(detector.name, len(view.scores.tasks), CORRECTION)
    findings = [_finding(view, region, detector, family) for region in regions]
    found, names = {f.task for f in findings}, view.scores.task_names
    smallest = result.smallest_q[detector.region or "rectangle"]
    silent: dict[str | None, float] = {names[t]: q for t, q in smallest.items() if names[t] not in found}
    return Outcome(detector.name, findings, family, silent)


def _finding(view: View, region: Region, detector: Detector, family: Family) -> Finding:
    t = region.task
    layers, heads = np.nonzero(region.cells)
    box = (int(layers.min()), int(layers.max())), (int(heads.min()), int(heads.max()))
    full = region.cells.sum() == (box[0][1] - box[0][0] + 1) * (box[1][1] - box[1][0] + 1)
    rest = ~region.cells & view.present & np.isin(np.arange(len(region.cells)), layers)[:, None]
    layers_ = "this layer" if detector.region == "row" else "these layers"
    effect = view.ratio_effect(t, region.cells, rest, f"ratio to the other heads of {layers_}")
    null = f"{view.exchangeable} shuffled within each layer"
    ties = view.ties
    return view.finding(
        detector.name,
        t,
        "tested",
        detector.priority["tested"] + 0.05 * np.tanh(region.statistic / 20),
        layers=box[0],
        heads=box[1],
        cells=None if full else [(int(i), int(j)) for i, j in zip(layers, heads, strict=True)],
        value=view.region_value(t, region.cells),
        test=view.test(
            "rectangle scan", null, region.statistic, region.p, region.q, family, view.settings.permutations
        ),
        effect=effect,
        data=Data(
            cells=int(region.cells.sum()),
            run=ties.size if ties is not None and ties.size > 1 else None,
            correlation=ties.correlation if ties is not None and ties.size > 1 else None,
        ),
        caveats=view.caveats(t, EDGES, *view.on_ties),
    )


def ratio_inside(finding: Finding) -> list[str]:
    """Return lines that print a region's mean over the mean of its layers' other heads."""
    return [
        "inside = np.zeros(importance.shape, dtype=bool)",
        f"inside[{finding.index}] = True",
        "layers = inside.any(axis=1)",
        "print(importance[inside].mean() / np.nanmean(importance[layers][~inside[layers]]))",
    ]
