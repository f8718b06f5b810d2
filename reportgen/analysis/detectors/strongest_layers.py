"""Strongest layers: each task's leading layers by rank."""

from collections.abc import Sequence

import numpy as np

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.detectors.common.leading import leading
from reportgen.analysis.statistics.trends import attending
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect, Finding, Value
from reportgen.core.kinds import Leading

DOC = """Each task's leading layers by rank.

Observed, one finding for every task with an importance above 0: its three layers of largest mean importance over their
heads, fewer where layers tie across the third place. As with leading heads, layers are chosen on the discovery half of
the examples and ranked on the held-out half, with simultaneous 95 % intervals of ranks. Where the first layer's
interval spans more than a tenth of all layers (and more than three), no layer leads, and those that cannot be told from
the first are named, as with heads.
Silent with fewer than four layers that have heads, and on tasks where every importance is 0.
"""
PRIORITY = {"observed": 0.19}
MOST, FEWEST = 3, 4
RULE = f"at most {MOST} layers of largest mean importance over their heads"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task."""
    if len(attending(view)) < FEWEST:
        return Outcome("strongest_layers")
    found = [_finding(view, t) for t in range(len(view.scores.tasks))]
    return Outcome("strongest_layers", [f for f in found if f])


def _finding(view: View, t: int) -> Finding | None:
    there = attending(view)

    def means(values: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.nanmean(values[..., there, :], axis=-1)
        return result

    known = leading(view, t, means, MOST, signed=False)
    if known is None:
        return None
    layers, data = [int(there[i]) for i in known[0]], known[1]
    return view.finding(
        "strongest_layers",
        t,
        "observed",
        PRIORITY["observed"],
        rule=RULE,
        members=list(layers),
        layers=(min(layers), max(layers)),
        value=Value(data["values"][0], data["lows"][0], data["highs"][0], "first; 95 % interval", view.split(t)),
        effect=Effect("ratio to the mean over all layers", data["values"][0] / float(means(view.read(t)).mean())),
        data=data,
        n_examples=view.counted(t, whole=False),
        caveats=view.caveats(t),
    )


def _recompute(finding: Finding) -> list[str]:
    first = (finding.members or [0])[0]
    return ["means = np.nanmean(importance, axis=1)", f"print(means[{first}] / np.nanmean(means))"]


DETECTOR = Detector(
    "strongest_layers",
    detect,
    order=155,
    doc=DOC,
    topic="layers",
    data=Leading,
    home="tables",
    priority=PRIORITY,
    guidance=guidance.LAYERS,
    shown="listed",
    recompute=_recompute,
    key=lambda finding: False,  # they lead the tables, and are no claim by themselves
)
