"""Tied heads: adjacent heads that act alike in runs of one length, as where they share keys and values."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import TypedDict

from reportgen.analysis.statistics.ties import LEVEL, estimated
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import HEAD_ORDER
from reportgen.core.findings import Effect
from reportgen.core.kinds import closed

DOC = """Adjacent heads that act alike in runs of one length, as where they share keys and values.

Observed, over all tasks together: pairs of heads inside a run resemble each other more than pairs as far apart in two
runs, by a signed-rank test over layers at .01, corrected for the lengths that divide the number of heads. Where the
key/value groups are known only their length is looked at; where they are not, raised regions are left out and the test
repeated at .05.
Silent with fewer than 8 whole layers, on models of as many key/value heads as heads, and where no length stands out.
"""
PRIORITY = {"observed": 0.45}
RULE = f"adjacent heads in runs of one length resemble each other more than heads as far apart do, p at most {LEVEL:g}"


@closed
class Data(TypedDict):
    """Runs of ``size`` heads, ``runs`` of them a layer; ``known`` says that the model's key/value heads are; ``p``."""

    size: int
    runs: int
    known: bool
    p: float


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return at most one finding, over all tasks."""
    known, ties = view.scores.model.kv_groups is not None, view.ties
    if known and view.group_size > 1:
        ties = estimated(view.maps, np.broadcast_to(view.present, view.maps.shape), view.group_size)
    if ties is None or ties.size == 1 or ties.p > LEVEL:
        return Outcome("tied_heads")
    finding = view.finding(
        "tied_heads",
        None,
        "observed",
        PRIORITY["observed"],
        rule=RULE,
        tasks=list(view.scores.task_names),
        effect=Effect("correlation of their ranks", ties.correlation),
        data=Data(size=ties.size, runs=view.scores.n_heads // ties.size, known=known, p=ties.p),
        caveats=view.caveats(None, *([] if known else [HEAD_ORDER])),
    )
    return Outcome("tied_heads", [finding])


DETECTOR = Detector(
    "tied_heads",
    detect,
    order=55,
    doc=DOC,
    topic="heads",
    data=Data,
    caveats=(HEAD_ORDER,),
    priority=PRIORITY,
    important=False,
    signed=True,
)
