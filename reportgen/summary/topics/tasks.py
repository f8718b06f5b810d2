"""Task differentiation: what tasks share and what sets them apart."""

from collections.abc import Iterator

from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import (
    Values,
    datum,
    effect_of,
    extremes,
    items,
    largest_q,
    number,
    span,
    tasks_of,
    text,
)

# A difference of rank correlations that a reader would call one: of Cohen's (1988) conventions the least is .1
APART, ALIKE, UNLIKE = 0.2, 0.5, 0.2


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say how alike tasks are, which are more localised, and where the study's groups differ."""
    yield from _similarity(evidence)
    yield from _localised(evidence)
    yield from _groups(evidence)


def _similarity(evidence: Evidence) -> Iterator[Draft]:
    """Say whether tasks share layers, heads or neither, and which two are most alike."""
    for f in evidence.of("task_similarity"):
        over, within, heads = (number(f, key) for key in ("median", "median_within", "heads"))
        if over is None or within is None or heads is None:
            continue
        name = "layers" if over - within >= APART else "heads" if over >= ALIKE else "apart" if over < UNLIKE else ""
        pair, rho, low = sorted(map(str, items(f, "most"))), number(f, "most_rho"), number(f, "most_low")
        values: Values = {"over": over, "within": within, "heads": int(heads), "total": len(f.tasks or ())}
        if number(f, "unrelated") is not None and rho is not None and low is not None and low > 0:
            values |= {"pair": pair, "rho": rho}
        if name:
            # that tasks are unlike is what chance gives: the effect is what is left of likeness
            size = over - within if name == "layers" else abs(over)
            yield Draft(
                name=f"similarity-{name}", support=[f], values=values, tasks=tasks_of([f]), effect=size, grade="context"
            )


def _localised(evidence: Evidence) -> Iterator[Draft]:
    """Say which tasks need few heads, as tested between tasks; untested, where half of the importance lies."""
    every = evidence.of("concentration")
    compared = sorted((f for f in every if datum(f, "compared") is True), key=lambda f: (number(f, "own"), f.task))
    if compared:
        first, others = compared[0], [str(name) for name in items(compared[0], "others")]
        values: Values = {
            "own": number(first, "own") or 0.0,
            "least": number(first, "least") or 0.0,
            "most": number(first, "most") or 0.0,
            "others": sorted(others),
            "first": str(first.task),
            "next": [str(f.task) for f in compared[1:]],
            "total": len(evidence.tasks),
            **largest_q(compared),
        }
        yield Draft(
            name="localised",
            support=compared,
            values=values,
            tasks=[str(f.task) for f in compared],
            effect=1 - 1 / max(1.0, effect_of(first)),
        )
    halves = {str(f.task): f for f in every if datum(f, "compared") is False and f.task is not None}
    sizes = {name: number(f, "half") or 0.0 for name, f in halves.items()}
    heads = {number(f, "heads") for f in halves.values()}
    if compared or len(halves) < 2 or len(heads) != 1 or min(sizes.values()) == max(sizes.values()):
        return
    spread = extremes({name: int(size) for name, size in sizes.items()})
    between = [name for name in sorted(sizes, key=lambda t: (sizes[t], t)) if name not in spread.values()]
    yield Draft(
        name="spread",
        support=list(halves.values()),
        values={**spread, "between": between, "heads": int(heads.pop() or 0), "total": len(evidence.tasks)},
        tasks=sorted(halves),
        effect=1 - min(sizes.values()) / max(sizes.values()),
        grade="context",
    )


def _groups(evidence: Evidence) -> Iterator[Draft]:
    """Say in which layers a group of the study's tasks holds more, or less, of its importance than the others."""
    for f in evidence.of("layer_band_contrast"):
        inside, outside = number(f, "inside"), number(f, "outside")
        # one that could not be tested is no result: the interpretation says so
        if f.register != "tested" or inside is None or outside is None or f.layers is None:
            continue
        values: Values = {
            "group": text(f, "group"),
            "other": text(f, "other"),
            "layers": span(*f.layers),
            "inside": inside,
            "outside": outside,
            "others": int(number(f, "others") or 0),
            **largest_q([f]),
        }
        effect = abs(inside - outside) / max(inside, outside)
        yield Draft(name="groups", support=[f], values=values, tasks=tasks_of([f]), effect=effect)


TOPIC = Topic("tasks", "Task differentiation", "what tasks share and what sets them apart", order=30, claims=claims)
