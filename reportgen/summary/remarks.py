"""What is said beside the claims: the title, the searches that found nothing, and what depth may mean."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

from reportgen.core.claims import Claim, Remark
from reportgen.core.findings import Finding
from reportgen.core.kinds import kind_of
from reportgen.core.study_scores import Scores
from reportgen.core.topics import Draft, Evidence
from reportgen.summary.wording import Wording


def title(claims: Sequence[Claim], source: Scores | None, wording: Wording) -> str:
    """Return the report's title where the study gives none: the strongest claim, with the model's name."""
    if source is None or "title" in source.study.study.model_fields_set or not claims:
        return ""
    model = source.blocks[0].model
    name = "" if source.blocks[0].synthetic else PurePosixPath(str(model.path or "").replace("\\", "/")).name
    headline = claims[0].headline
    return wording.remark("title", {"model": name, "headline": headline}) if name else headline


def nothing(evidence: Evidence) -> Draft:
    """Return the one claim of findings that bear none: nothing stands out."""
    empty = _empty(evidence)
    known = [f for f in evidence.findings if kind_of(f.kind).performance or f in empty]
    support = empty or known or list(evidence.findings)
    values = {"searches": len(empty), "total": len(evidence.tasks)}
    return Draft(name="nothing", support=support, values=values, tasks=evidence.tasks, grade="context")


def _empty(evidence: Evidence) -> list[Finding]:
    """Return what says that a search found nothing on any task, of what was not even observed."""
    seen = {f.kind for f in evidence.findings}
    every = [f for f in evidence.findings if kind_of(f.kind).remark and {*(f.tasks or ())} >= {*evidence.tasks}]
    return [f for f in every if (f.data or {}).get("searched") not in seen]


def searches(evidence: Evidence, wording: Wording) -> Remark | None:
    """Return the line of searches that found nothing, with what they would have missed."""
    empty = _empty(evidence)
    kinds = {k.name: k for f in empty if (k := kind_of(str((f.data or {}).get("searched", "")))).name}
    kinds = {name: kind for name, kind in kinds.items() if name}
    if not kinds:
        return None
    nouns = sorted(k.several for k in kinds.values())
    values = {"nouns": nouns, "missed": sorted(k.missed for k in kinds.values() if k.missed)}
    return _remark("searches", empty, values, wording)


def interpretation(evidence: Evidence, wording: Wording) -> Iterator[Remark]:
    """Yield at most three hedged sentences on what depth and the study's groups of tasks may mean.

    Where the numbers do not bear a difference of groups, that is the sentence.
    """
    centres = next((f for f in _told(evidence, "centres") if f.effect is not None or f.task is not None), None)
    if centres is not None:
        yield _remark("centres", [centres], _centres(centres), wording)
    contrasts = _told(evidence, "group")
    passed = [f for f in contrasts if f.register == "tested"]
    if passed:
        # the most certain one; of like ones that on centres, which no band had to be chosen for
        first = min(passed, key=lambda f: (f.test.q if f.test else 1.0, "layers" not in (f.data or {}), f.id))
        yield _remark("apart", [first], _contrast(first), wording)
    elif contrasts:
        yield _remark("alike", contrasts, _alike(contrasts), wording)
    tried = any(f.verdict in ("necessary", "unnecessary", "mixed") for f in evidence.findings)
    if (centres is not None or contrasts) and not tried:
        yield _remark("untried", [], {}, wording)


def _told(evidence: Evidence, field: str) -> list[Finding]:
    """Return the findings whose data have that field, and that say where along the layers it is."""
    depths = [f for f in evidence.findings if (f.data or {}).get(field) is not None]
    return [f for f in depths if {"middle", "inside"} & {*(f.data or {})}]


def _centres(finding: Finding) -> dict[str, Any]:
    data, names = finding.data or {}, [finding.task] if finding.task is not None else list(finding.tasks or ())
    centres, middle = cast(list[float], data["centres"]), cast(float, data["middle"])
    return {
        "least": centres[0],
        "most": centres[-1],
        "least_task": str(names[0]),
        "most_task": str(names[-1]),
        "middle": middle,
        "where": "lower" if centres[-1] < middle else "higher" if centres[0] > middle else "",
        "several": int(len(names) > 1),
        "tested": int(finding.register == "tested"),
    }


def _contrast(finding: Finding) -> dict[str, Any]:
    data = finding.data or {}
    values = {key: data[key] for key in ("group", "inside", "outside")} | {"other": data.get("other") or ""}
    if "layers" in data:
        return {**values, "layers": data["layers"]}
    first, last = finding.layers or (0, 0)
    return {**values, "band": f"{first}–{last}"}


def _alike(contrasts: Sequence[Finding]) -> dict[str, Any]:
    """Return the groups that nothing separates, and of the one that is furthest apart how many others are as far."""
    groups = sorted({str(name) for f in contrasts for key in ("group", "other") if (name := (f.data or {}).get(key))})
    known = [data for f in contrasts if "reached" in (data := f.data or {})]
    least = min(known, key=lambda d: (cast(int, d["reached"]) / cast(int, d["relabellings"]), d["group"]), default={})
    return {"groups": groups} | {key: least[key] for key in ("group", "reached", "relabellings") if key in least}


def _remark(name: str, support: Sequence[Finding], values: dict[str, Any], wording: Wording) -> Remark:
    kept = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Remark(wording.remark(name, values), tuple(sorted(f.id for f in support)), kept)
