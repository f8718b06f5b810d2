"""Top heads: each task's leading heads by rank over the whole model."""

from collections.abc import Sequence

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.detectors.common.leading import leading
from reportgen.analysis.statistics.rank_intervals import MOGSTAD
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect, Finding, Value
from reportgen.core.kinds import Leading
from reportgen.core.scores import Head

DOC = """Each task's leading heads by rank over the whole model.

Observed, one finding for every task with an importance above 0: its heads of the five largest importances, fewer where
heads tie across the fifth place. With examples the heads are chosen on the discovery half; values, 95 % intervals and
ranks are those of the held-out half. The interval of a head's rank comes from simultaneous pairwise differences from
every other head, by the largest |t| under random signs of the resampling groups: first rank 1 plus the number of heads
significantly above, last rank the number of all heads less those significantly below. Where the first head's interval
spans more than a tenth of all heads (and more than three), no head leads: those that cannot be told from the first by
its differences take the place of the leading ones, where they are at most 20, or else are counted.
Where scores have signs, each head's is positive or negative as the interval of its mean signed score says, by intervals
that hold for the listed heads of all tasks at once.
Silent on tasks where every importance is 0.
"""
PRIORITY = {"observed": 0.2}
MOST = 5
RULE = f"at most {MOST} heads of largest importance"


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a task."""
    found = [_finding(view, t) for t in range(len(view.scores.tasks))]
    return Outcome("top_heads", [f for f in found if f])


def _finding(view: View, t: int) -> Finding | None:
    known = leading(view, t, lambda values: values[..., view.present], MOST, signed=True)
    if known is None:
        return None
    cells = view.present.nonzero()
    heads, data = [Head(int(cells[0][i]), int(cells[1][i])) for i in known[0]], known[1]
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    return view.finding(
        "top_heads",
        t,
        "observed",
        PRIORITY["observed"],
        rule=RULE,
        members=[str(h) for h in heads],
        layers=(min(layers), max(layers)),
        heads=(min(columns), max(columns)),
        cells=[(h.layer, h.head) for h in heads],
        value=Value(data["values"][0], data["lows"][0], data["highs"][0], "first; 95 % interval", view.split(t)),
        effect=_ratio(data),
        data=data,
        n_examples=view.counted(t, whole=False),
        caveats=view.caveats(t),
    )


def _ratio(data: Leading) -> Effect | None:
    """Return how many times the second head the first is; None where there is no second."""
    sizes = [abs(value) for value in data["values"][:2]]
    return Effect("ratio to the next", sizes[0] / sizes[1]) if len(sizes) == 2 and sizes[1] > 0 else None


def _recompute(finding: Finding) -> list[str]:
    return [
        f"print(importance[{first[0]}, {first[1]}] / importance[{second[0]}, {second[1]}])"
        for first, second in [(finding.cells or [])[:2]]
    ]


DETECTOR = Detector(
    "top_heads",
    detect,
    order=15,
    doc=DOC,
    topic="heads",
    data=Leading,
    label="leading heads",
    home="tables",
    priority=PRIORITY,
    guidance=guidance.SINGLE_HEADS,
    references=(MOGSTAD,),
    shown="listed",
    recompute=_recompute,
    key=lambda finding: False,  # they lead the tables, and are no claim by themselves
    signed=True,
    important=False,  # a listing: where nothing else names a head, fewer are looked at
    of_some=True,
)
