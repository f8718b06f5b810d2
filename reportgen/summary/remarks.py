"""What is said beside the claims: the title, the searches that found nothing, and what depth may mean."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from reportgen.core.claims import Claim, Remark
from reportgen.core.findings import Finding
from reportgen.core.kinds import kind_of
from reportgen.core.study_scores import Scores
from reportgen.core.topics import Draft, Evidence
from reportgen.summary.wording import Wording

MOST = 3  # sentences of the interpretation


def title(claims: Sequence[Claim], source: Scores | None, wording: Wording) -> str:
    """Return the report's title where the study gives none: the strongest claim about the model, with its name."""
    if source is None or "title" in source.study.study.model_fields_set or not claims:
        return ""
    model = source.blocks[0].model
    name = "" if source.blocks[0].synthetic else PurePosixPath(str(model.path or "").replace("\\", "/")).name
    # how far to trust the numbers is no title, as long as they say anything
    first = next((c for c in claims if c.topic != "trust"), claims[0])
    return wording.remark("title", {"model": name, "headline": first.headline}) if name else first.headline


def nothing(evidence: Evidence) -> Draft:
    """Return the one claim of findings that bear none: nothing stands out."""
    empty = _empty(evidence)
    known = [f for f in evidence.findings if kind_of(f.kind).performance or f in empty]
    support = empty or known or list(evidence.findings)
    values = {"searches": len(empty), "total": len(evidence.tasks)}
    return Draft(name="nothing", support=support, values=values, tasks=evidence.tasks, grade="context")


def _empty(evidence: Evidence) -> list[Finding]:
    """Return what says that a search found nothing on any task."""
    return [f for f in evidence.findings if kind_of(f.kind).remark and {*(f.tasks or ())} >= {*evidence.tasks}]


def searches(evidence: Evidence, wording: Wording) -> Remark | None:
    """Return the line of searches that found nothing, with what they would have missed."""
    empty = _empty(evidence)
    kinds = {k.name: k for f in empty if (k := kind_of(str((f.data or {}).get("searched", "")))).name}
    kinds = {name: kind for name, kind in kinds.items() if name}
    if not kinds:
        return None
    nouns = sorted(k.several for k in kinds.values())
    values = {"nouns": nouns, "missed": sorted(k.missed for k in kinds.values() if k.missed)}
    text = wording.remark("searches", values)
    return Remark(text, tuple(sorted(f.id for f in empty)), {k: tuple(v) for k, v in values.items()})


def interpretation(evidence: Evidence, wording: Wording) -> Iterator[Remark]:
    """Yield at most three hedged sentences on what depth and the study's groups of tasks may mean."""
    yield from ()
