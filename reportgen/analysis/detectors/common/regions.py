"""Raised regions as findings: clusters and row segments are those of one scan that differ in shape."""

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.known_shapes import models_of
from reportgen.analysis.statistics.regions import OBSERVED, Region, search
from reportgen.analysis.view import DETECTORS, Detector, Fields, Outcome, View
from reportgen.core.caveats import EDGES
from reportgen.core.findings import Family, Finding
from reportgen.core.kinds import closed

SCANS = {"row": "strip scan", "rectangle": "rectangle scan"}
CORRECTION = "Benjamini–Hochberg over tasks, thresholds of the rank before"


UNDECIDED = (
    f"adjacent heads that stand out from heads in random order (q at most {OBSERVED:g}), and not from heads in runs of "
    "a length that may share keys and values"
)


@closed
class Known(TypedDict):
    """A published ``model`` of the scores' numbers of layers and heads, and its number of key/value heads."""

    model: str
    kv_groups: int


@closed
class Data(TypedDict):
    """The region's number of ``cells``; where tied heads were found in the scores, the length of their runs and their
    correlation, as Ties has them.
    """

    cells: int
    run: int | None
    correlation: float | None


@closed
class Undecided(TypedDict):
    """The region's number of ``cells``; groups of ``may`` heads that share keys and values would show such a region
    too; its ``q`` if heads share none, and the published models of this shape.
    """

    cells: int
    may: int
    q: float
    models: list[Known]


def regions_of(view: View, detector: Detector) -> Outcome:
    """Return all regions of a detector's shape as its outcome: rows are one layer high, rectangles higher."""
    result = search(view)
    regions = [r for r in result.regions if (np.any(r.cells, axis=1).sum() == 1) == (detector.region == "row")]
    families = {
        d.region: view.family(d.name, len(view.scores.tasks), CORRECTION)
        for d in DETECTORS.own()
        if d.region is not None
    }
    family = families[detector.region or "rectangle"]
    findings = [_finding(view, region, detector, families[region.scan]) for region in regions]
    found, names = {f.task for f in findings if f.test}, view.scores.task_names
    smallest = result.smallest_q[detector.region or "rectangle"]
    silent: dict[str | None, float] = {names[t]: q for t, q in smallest.items() if names[t] not in found}
    return Outcome(detector.name, findings, family, silent)


def _finding(view: View, region: Region, detector: Detector, family: Family) -> Finding:
    t, whole = region.task, not region.decided
    layers, heads = np.nonzero(region.cells)
    box = (int(layers.min()), int(layers.max())), (int(heads.min()), int(heads.max()))
    full = region.cells.sum() == (box[0][1] - box[0][0] + 1) * (box[1][1] - box[1][0] + 1)
    rest = ~region.cells & view.present & np.isin(np.arange(len(region.cells)), layers)[:, None]
    layers_ = "this layer" if detector.region == "row" else "these layers"
    common: Fields = {
        "layers": box[0],
        "heads": box[1],
        "cells": None if full else [(int(i), int(j)) for i, j in zip(layers, heads, strict=True)],
        "value": view.region_value(t, region.cells, whole),
        "effect": view.ratio_effect(t, region.cells, rest, f"ratio to the other heads of {layers_}", whole),
        "caveats": view.caveats(t, EDGES, *view.on_ties, whole=whole),
    }
    priority = detector.priority["tested" if region.decided else "undecided"] + 0.05 * np.tanh(region.statistic / 20)
    cells = int(region.cells.sum())
    if region.decided:
        null, name = f"{view.exchangeable} shuffled within each layer", SCANS[region.scan]
        common["test"] = view.test(name, null, region.statistic, region.p, region.q, family, region.draws)
        run, correlation = (view.ties.size, view.ties.correlation) if view.ties and view.ties.size > 1 else (None, None)
        common["data"] = Data(cells=cells, run=run, correlation=correlation)
    else:
        models = [Known(model=m, kv_groups=n) for m, n in models_of(view.scores.n_layers, view.scores.n_heads)]
        common["rule"], common["data"] = UNDECIDED, Undecided(cells=cells, may=region.run, q=region.q, models=models)
    return view.finding(detector.name, t, "tested" if region.decided else "observed", priority, **common)


def ratio_inside(finding: Finding) -> list[str]:
    """Return lines that print a region's mean over the mean of its layers' other heads."""
    return [
        "inside = np.zeros(importance.shape, dtype=bool)",
        f"inside[{finding.index}] = True",
        "layers = inside.any(axis=1)",
        "print(importance[inside].mean() / np.nanmean(importance[layers][~inside[layers]]))",
    ]
