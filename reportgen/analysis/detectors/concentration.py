"""Concentration: how few heads carry most of a task's importance."""

from collections.abc import Sequence

import numpy as np

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.findings import Effect
from reportgen.stats import unit_sums, units

DOC = """How few heads carry half of a task's importance.

Observed: the smallest number of heads whose importance adds up to at least half of the sum over all heads, and the
participation ratio (Σμ)²/Σμ² as an effective number of heads. With examples, Σμ² is estimated by Σ(x̄² − s²/n) over
resampling units, since noise alone makes a map look concentrated.
Silent where the sum is zero and with fewer than 4 heads.
"""
RULE = "smallest number of heads whose importance sums to at least half of the total"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task."""
    findings = []
    total = int(view.present.sum())
    for t in range(len(view.whole)):
        values = view.whole[t][view.present]
        if total < 4 or values.sum() <= 0:
            continue
        falling = np.sort(values)[::-1]
        half = int(np.searchsorted(np.cumsum(falling), values.sum() / 2 * (1 - 1e-12)) + 1)
        findings.append(
            view.finding(
                "concentration",
                t,
                "observed",
                0.25 + 0.1 * (1 - 2 * half / total),
                rule=RULE,
                effect=Effect("effective number of heads", _participation(view, t, values)),
                data={"half": half, "heads": total, "percent": 100 * half / total},
                caveats=view.caveats(t, whole=True),
            )
        )
    return Outcome("concentration", findings)


def _participation(view: View, t: int, values: np.ndarray) -> float:
    power, known = float((values**2).sum()), view.sample(t, whole=True)
    if known is not None:
        sample, groups, ordered = known
        sums, counts = unit_sums(sample[:, view.present], units(groups, ordered))
        if len(counts) > 1:
            means = sums / counts[:, None]
            power -= float((means.var(axis=0, ddof=1) / len(means)).sum())
    # Noise can take more away than there is: no map is flatter than one that is equal everywhere.
    return float(min(len(values), values.sum() ** 2 / power)) if power > 0 else float(len(values))


DETECTOR = Detector("concentration", detect, DOC)
