"""A found set's trial, made by hand, to be changed at will."""

from dataclasses import replace
from typing import Any

from reportgen.core.findings import Robustness
from reportgen.core.trials import TOP, Interval, Outcome, Rank, Shown, Trial


def shown(mean: float = 1.31, zero: float = 1.4, resample: float = 1.2, votes: bool = True) -> list[Shown]:
    """What the three interventions cost."""
    losses = {"mean": mean, "zero": zero, "resample": resample}
    return [
        Shown(name, Outcome(0.4, -1.5), Interval(loss, loss - 0.2, loss + 0.2), votes or name != "zero", 0.001, 0.99)  # type: ignore[arg-type]
        for name, loss in losses.items()
    ]


def trial(**changes: Any) -> Trial:
    """A task's two first heads, needed and specific."""
    made = Trial(
        f"{TOP}/0",
        TOP,
        ["t"],
        ["L1H2", "L1H3"],
        ["L1H2", "L1H3"],
        "necessary",
        None,
        57,
        43,
        worth=2.0,
        margin=0.1,
        intact=Outcome(0.93, -0.2),
        knocked_out=Outcome(0.41, -1.5),
        kept=Outcome(0.3, -1.0),
        floor=Outcome(0.0, -5.0),
        shown=shown(),
        loss=Interval(1.31, 1.1, 1.5),
        p=0.004,
        q=0.0123,
        specific=True,
        excess=Interval(1.23, 0.87, 1.64),
        after_controls=Outcome(0.89, -0.3),
        controls=28,
        distinct=28,
        rank=Rank(1, 1, 2, 29),
        specific_p=0.002,
        specific_q=0.0045,
        robustness=Robustness(46, 48, ("zero ablation", "last token")),
    )
    return replace(made, **changes)
