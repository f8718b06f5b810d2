"""Row segments: adjacent heads of one layer that are raised above the rest of it."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Float
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.detectors.common.regions import Data, Undecided, ratio_inside, regions_of
from reportgen.analysis.statistics.silence import floor, null_statistics
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.caveats import EDGES, ON_TIES
from reportgen.core.findings import Finding
from reportgen.core.kinds import closed

DOC = """Adjacent heads of one layer raised above the rest of it.

Tested: the scan of ``cluster`` restricted to one layer, on the cells that clusters leave.
Observed, where a task has no tested segment: its longest run of at least 6 adjacent heads outside found regions, each
at least 3 times its layer's median and twice the mean of the layer's other heads, and larger than any of these that is
in no found region; longer where such a run appears in more than .02 of maps whose heads (key/value groups) are shuffled
within their layers.
Silent, tested, below about seven heads in a row at 32 × 32 × 8 tasks: even the highest such row is no rare arrangement.
"""
PRIORITY = {"tested": 0.75, "undecided": 0.5, "observed": 0.6}  # tested, up to .05 more by the statistic
# The smallest row whose place can be proved has (H − w + 1) / C(H, w) · L · T ≤ α: 5 heads of 32, none of 12.
RUN, TIMES, OVER_MEAN = 6, 3.0, 2.0
RULE = (
    f"longest run of at least {RUN} adjacent heads outside found regions, each at least {TIMES:g} times the median of "
    f"its layer and {OVER_MEAN:g} times the mean of the layer's other heads, and above all of these outside regions"
)


@closed
class Run(TypedDict):
    """The run's number of ``cells``, each at least so many ``times`` its layer's median."""

    cells: int
    times: float


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Regions of one layer, or each other task's longest plain run."""
    tested = regions_of(view, DETECTOR)
    found = {f.task for f in tested.findings}
    runs = [_longest_run(view, t, [*earlier, tested]) for t, n in enumerate(view.scores.task_names) if n not in found]
    if any(runs):
        least = _least(view, [*earlier, tested])
        runs = [f for f in runs if f and cast(Run, f.data)["cells"] >= least]
    return Outcome(tested.kind, [*tested.findings, *(f for f in runs if f)], tested.family, tested.silent)


def _least(view: View, earlier: Sequence[Outcome]) -> int:
    """Return the length that a run must have, so that heads in random order seldom show one."""
    with np.errstate(invalid="ignore"):
        bounds = TIMES * np.nanmedian(view.whole, axis=2, keepdims=True)

    def longest(maps: Float[np.ndarray, "draw task layer head"]) -> Float[np.ndarray, "draw"]:
        high = (maps >= bounds) & (bounds > 0)
        length, most = np.zeros(high.shape[:3]), np.zeros(len(high))
        for head in range(high.shape[3]):
            length = np.where(high[..., head], length + 1, 0)
            most = np.maximum(most, length.max(axis=(1, 2)))
        return most

    return int(np.ceil(floor(null_statistics(view, earlier, "within layers", longest), RUN)))


def _longest_run(view: View, t: int, outcomes: Sequence[Outcome]) -> Finding | None:
    values, shape = view.whole[t], view.present.shape
    free = view.present & ~found_cells(outcomes, view.scores.task_names[t], shape)
    medians = np.nanmedian(values, axis=1, keepdims=True)
    high = free & (values >= TIMES * medians) & (medians > 0)
    length = np.zeros(shape, dtype=int)
    for head in range(shape[1]):
        length[:, head] = np.where(high[:, head], (length[:, head - 1] if head else 0) + 1, 0)
    layer, last = (int(i) for i in np.unravel_index(int(length.argmax()), shape))
    run = int(length[layer, last])
    if run < RUN:
        return None
    cells = np.zeros(shape, dtype=bool)
    cells[layer, last - run + 1 : last + 1] = True
    rest = view.present & ~cells & (np.arange(shape[0]) == layer)[:, None]
    # "Each" is to be true of every member: none may stand below a head that the run leaves out.
    if values[cells].min() < max(OVER_MEAN * values[rest].mean(), values[rest & free].max(initial=0.0)):
        return None
    return view.finding(
        "row_segment",
        t,
        "observed",
        PRIORITY["observed"],
        layers=(layer, layer),
        heads=(last - run + 1, last),
        rule=RULE,
        value=view.region_value(t, cells, whole=True),
        data=Run(cells=run, times=TIMES),
        effect=view.ratio_effect(t, cells, rest, "ratio to the other heads of this layer", whole=True),
        caveats=view.caveats(t, whole=True),
    )


DETECTOR = Detector(
    "row_segment",
    detect,
    order=50,
    doc=DOC,
    topic="layers",
    data=Data | Undecided | Run,
    caveats=(EDGES, *ON_TIES),
    priority=PRIORITY,
    guidance=guidance.REGIONS,
    region="row",
    shown="outlined",
    recompute=ratio_inside,
    tried=True,
    several="strips of heads",
    missed="under 4 SD a strip",
    weight=10,
)
