"""What knocking out shows: what a task loses without the heads that were found."""

from collections.abc import Iterator, Sequence

from reportgen.core.findings import Finding
from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import first_sets, knocked_out, lost, named_sets, tasks_of


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say which tasks need the heads that lead on them, which do not, and where interventions disagree."""
    tops = first_sets(evidence)
    # those that are also specific are said to carry their tasks, under the heads
    yield from _joined(evidence, "needed", [f for f in tops if f.verdict == "necessary" and not f.specific])
    yield from _joined(evidence, "spared", [f for f in tops if f.verdict == "unnecessary"])
    yield from _joined(evidence, "depends", [f for f in tops if f.verdict == "mixed"])


def _joined(evidence: Evidence, name: str, group: Sequence[Finding]) -> Iterator[Draft]:
    if not group:
        return
    tasks = tasks_of(group)
    # what is not needed, or depends, is a claim of its own: only what is not told is an exception here
    undecided = [f for f in first_sets(evidence) if f.verdict == "undecided"] if name == "needed" else []
    yield Draft(
        name=name,
        support=group,
        values={"total": len(evidence.tasks), **knocked_out(group), **named_sets(group)},
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
