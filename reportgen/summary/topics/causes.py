"""What knocking out shows: what a task loses without the heads that were found."""

from collections.abc import Iterator, Sequence

from reportgen.core.findings import Finding
from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import but, first_sets, knocked_out, lost, named_sets, tasks_of


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say which tasks need the heads that lead on them, which do not, and where interventions disagree."""
    tops = first_sets(evidence)
    tried = tasks_of(tops)
    # those that are also specific are said to carry their tasks, under the heads
    yield from _joined("needed", [f for f in tops if f.verdict == "necessary" and not f.specific], tops, tried)
    yield from _joined("spared", [f for f in tops if f.verdict == "unnecessary"], tops, tried)
    yield from _joined("depends", [f for f in tops if f.verdict == "mixed"], tops, tried)


def _joined(name: str, group: Sequence[Finding], tops: Sequence[Finding], tried: list[str]) -> Iterator[Draft]:
    if not group:
        return
    tasks = tasks_of(group)
    # what is not needed, or depends, is a claim of its own: only what is not told is an exception here
    same = [f for f in tops if f.verdict in ("necessary", "unnecessary", "mixed")] if name == "needed" else tops
    yield Draft(
        name=name,
        support=group,
        values={"total": len(tried), **knocked_out(group), **named_sets(group)},
        tasks=tasks,
        exceptions=but(tasks_of(same), tried),
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
