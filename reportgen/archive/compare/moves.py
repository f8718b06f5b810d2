"""Findings that one run has and another has not, or has elsewhere."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import kind_of

Status = Literal["kept", "changed", "moved", "gained", "lost"]


@dataclass(frozen=True)
class Move:
    """What became of a finding: ``before`` is the reference's, ``after`` the run's (None: it has none)."""

    status: Status
    before: Finding | None
    after: Finding | None

    @property
    def finding(self) -> Finding:
        """The one that is there, the reference's first."""
        found = self.before or self.after
        assert found is not None
        return found


def moves(before: Findings, after: Findings, same_heads: bool) -> list[Move]:
    """Each finding of either run; those of the same kind, block and tasks are paired by equal, then by shared place.

    Where heads of the runs cannot be matched, places are not compared. ``absence`` only mirrors what was found.
    """
    first, second = _by_subject(before), _by_subject(after)
    found: list[Move] = []
    for key in dict.fromkeys((*first, *second)):
        found += _paired(first[key], second[key], same_heads)
    return found


def _by_subject(findings: Findings) -> dict[tuple[object, ...], list[Finding]]:
    grouped: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for f in findings.ranked():
        if not kind_of(f.kind).remark:
            grouped[f.kind, f.block, f.task, tuple(f.tasks or ())].append(f)
    return grouped


def _paired(before: list[Finding], after: list[Finding], same_heads: bool) -> list[Move]:
    left, right, found = list(before), list(after), list[Move]()

    def pair(alike: bool) -> None:
        for f in list(left):
            partner = next((g for g in right if (_place(f) == _place(g) if alike else _overlap(f, g))), None)
            if partner is not None:
                left.remove(f)
                right.remove(partner)
                status: Status = "kept" if (f.register, f.verdict) == (partner.register, partner.verdict) else "changed"
                found.append(Move(status if alike else "moved", f, partner))

    if same_heads:
        pair(alike=True)
        pair(alike=False)
    else:
        found += [Move("kept", f, g) for f, g in zip(left, right, strict=False)]
        left, right = left[len(right) :], right[len(left) :]
    return [*found, *(Move("lost", f, None) for f in left), *(Move("gained", None, g) for g in right)]


def _place(f: Finding) -> tuple[object, ...]:
    return f.layers, f.heads, tuple(map(tuple, f.cells or ())), tuple(sorted(map(str, f.members or ())))


def _overlap(f: Finding, g: Finding) -> bool:
    """Whether two findings share a member, or their layers and heads meet."""
    if f.members and g.members:
        return bool({*map(str, f.members)} & {*map(str, g.members)})
    return all(
        a is not None and b is not None and a[0] <= b[1] and b[0] <= a[1]
        for a, b in ((f.layers, g.layers), *([(f.heads, g.heads)] if f.heads and g.heads else []))
    )
