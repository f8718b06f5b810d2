"""Clusters: regions of several adjacent layers and heads that are raised above the rest of their layers."""

from collections.abc import Sequence

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.detectors.common.regions import Data, Undecided, ratio_inside, regions_of
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import EDGES, ON_TIES

DOC = """Adjacent layers × heads raised above the rest of their layers.

Null: the heads of each layer in random order (key/value groups under grouped-query attention; where these are not
known, runs of heads of the length in which adjacent heads are tied, if a test at .01 says so). Statistic: the largest
standardised sum of van der Waerden scores over windows of up to 16 × 16, a common slope along heads removed first; each
size of window is held against the largest such sums of its size under the null, and the most extreme one counts.
Benjamini–Hochberg over tasks, every p-value but the smallest held against the threshold of the rank before. Found cells
are dropped and the rest is scanned again; regions that touch are one region.
Silent where no window stands out, on maps too small for any window to reach significance, and on constant maps.
"""
PRIORITY = {"tested": 0.9, "undecided": 0.52}  # and up to .05 more by the statistic


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Regions of two or more layers."""
    return regions_of(view, DETECTOR)


DETECTOR = Detector(
    "cluster",
    detect,
    order=40,
    doc=DOC,
    topic="layers",
    data=Data | Undecided,
    caveats=(EDGES, *ON_TIES),
    priority=PRIORITY,
    guidance=guidance.REGIONS,
    region="rectangle",
    shown="outlined",
    recompute=ratio_inside,
    tried=True,
    missed="under 1.5 SD a cluster",
    weight=10,
)
