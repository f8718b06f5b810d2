"""Leading layer: which layer holds most of a task's importance."""

from collections.abc import Sequence

import numpy as np

from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect

DOC = """Which layer holds the largest share of a task's importance.

Observed: the layer whose heads' importance adds up to the largest share of the task's, and that share.
Silent where the sum is zero.
"""
PRIORITY = 0.3  # beside ours: below what is tested
RULE = "the largest share of the task's importance that one layer's heads hold"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task; ``view.whole`` is |importance| (task, layer, head), NaN where the model has no head."""
    findings = []
    for t, values in enumerate(view.whole):
        shares = np.nansum(values, axis=1) / max(np.nansum(values), 1e-300)
        layer = int(np.argmax(shares))
        if shares[layer] > 0:
            effect = Effect("share of the task's importance", float(shares[layer]))
            findings.append(
                view.finding(
                    "leading_layer",
                    t,
                    "observed",
                    PRIORITY,
                    rule=RULE,
                    layers=(layer, layer),
                    effect=effect,
                )
            )
    return Outcome("leading_layer", findings)


DETECTOR = Detector("leading_layer", detect, doc=DOC, topic="layers", priority={"observed": PRIORITY})
