"""What knocking out shows: what a task loses without the heads that were found."""

from collections.abc import Iterator, Mapping, Sequence

from reportgen.core.findings import Finding
from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import (
    MARGIN,
    Values,
    datum,
    first_sets,
    heads_of,
    items,
    knocked_out,
    largest_q,
    lost,
    named_sets,
    number,
    right,
    shown,
    tasks_of,
)

DECIDED = ("necessary", "unnecessary", "mixed")


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say which tasks need the heads that lead on them, which do not, and where interventions disagree."""
    tops = first_sets(evidence)
    # those that also spare neutral text are said to carry their tasks, under the heads
    needed = [f for f in tops if f.verdict == "necessary" and datum(f, "validation", "carries") is not True]
    yield from _joined(evidence, "exactly", [f for f in needed if f.specific])
    yield from _joined(evidence, "needed", [f for f in needed if not f.specific])
    yield from _joined(evidence, "spared", [f for f in tops if f.verdict == "unnecessary"])
    yield from _joined(evidence, "depends", [f for f in tops if f.verdict == "mixed"])
    yield from _overlooked(evidence)
    yield from _alone(evidence)


def _alone(evidence: Evidence) -> Iterator[Draft]:
    """Say on which tasks the first heads do without all others, and on which not: an exact count, of which no test is
    made. They do where they keep all but the margin's share of what the answers have over those of no head at all.
    """
    shares: dict[str, float] = {}
    found: dict[str, Finding] = {}
    for f in first_sets(evidence):
        before, kept, bare = (number(f, "validation", key) for key in ("before", "alone", "without_any"))
        if f.verdict in DECIDED and before is not None and kept is not None and bare is not None and before > bare:
            # counts of answers, of which a hair's breadth of rounding makes no difference
            found[str(f.task)], shares[str(f.task)] = f, round((kept - bare) / (before - bare), 9)
    for name, tasks in (
        ("enough", sorted(t for t, share in shares.items() if share >= 1 - MARGIN)),
        ("too-few", sorted(t for t, share in shares.items() if share < 1 - MARGIN)),
    ):
        if not tasks:
            continue
        support = [found[t] for t in tasks]
        first = max(tasks, key=lambda t: (shares[t], t))
        values: Values = {
            "first": first,
            "kept": right(found[first], "alone") or 0,
            "bare": right(found[first], "without_any") or 0,
            "examples": int(number(found[first], "validation", "examples") or 0),
            "total": len(evidence.tasks),
        }
        effect = min(shares[t] if name == "enough" else 1 - shares[t] for t in tasks)
        yield Draft(
            name=name,
            support=support,
            values=values,
            tasks=tasks,
            effect=min(1.0, max(0.0, effect)),
            grade="observed",
        )


def _overlooked(evidence: Evidence) -> Iterator[Draft]:
    """Say where a head that the score does not put first costs more than the first heads together."""
    found = [f for f in shown(evidence, "overlooked") if heads_of(f) and number(f, "of_first") is not None]
    losses = {f.id: loss for f in found for row in items(f, "heads")[:1] if (loss := _loss(row)) is not None}
    if not found or len(losses) < len(found):
        return
    first = max(found, key=lambda f: (losses[f.id] - (number(f, "of_first") or 0.0), str(f.task)))
    values: Values = {
        "head": heads_of(first)[0],
        "first": str(first.task),
        "loss": losses[first.id],
        "of_first": number(first, "of_first") or 0.0,
        "count": len(items(first, "first")),
        "total": len(evidence.tasks),
        **largest_q(found),
    }
    tasks = tasks_of(found)
    effect = len(tasks) / len(evidence.tasks)
    yield Draft(name="overlooked", support=found, values=values, tasks=tasks, effect=effect, grade="tried")


def _loss(row: object) -> float | None:
    loss = row.get("loss") if isinstance(row, Mapping) else None
    return loss if isinstance(loss, int | float) else None


def _joined(evidence: Evidence, name: str, group: Sequence[Finding]) -> Iterator[Draft]:
    if not group:
        return
    tasks = tasks_of(group)
    # what is not needed, or depends, is a claim of its own: only what is not told is an exception here
    undecided = [f for f in first_sets(evidence) if f.verdict == "undecided"] if name == "needed" else []
    yield Draft(
        name=name,
        support=group,
        values={
            "total": len(evidence.tasks),
            "ordinary": tasks_of(f for f in group if f.specific is False),
            **knocked_out(group),
            **named_sets(group),
        },
        tasks=tasks,
        exceptions=tasks_of(undecided),
        effect=lost(group),
        verdict=group[0].verdict,
    )


TOPIC = Topic(
    "causes",
    "What knocking out shows",
    "what a task loses without the heads that were found",
    order=50,
    claims=claims,
)
