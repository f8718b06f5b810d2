"""What became of the reference's claims in a run: which hold in both, changed, or could not be compared."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reportgen.archive.compare.model import Judged, Move, Run, Versus, judged, judgement, settings_apart, untried
from reportgen.core.claims import Claim
from reportgen.core.sentences import VERDICTS, counted, listed, spelled

Fate = Literal["changed", "holds", "uncompared"]
FATES: Mapping[Fate, str] = {"changed": "changed", "holds": "hold in both", "uncompared": "could not be compared"}
# Where a headline says a number, in digits or in words: the same claim may say another one of other examples.
_NUMBER = re.compile("|".join([r"\d[\d.,]*(?:e[-−+]?\d+)?", *(rf"\b{spelled(n)}\b" for n in range(13))]), re.IGNORECASE)


@dataclass(frozen=True)
class ClaimMove:
    """What became of a claim: ``before`` is the reference's, ``after`` the run's (None: it has none).

    ``why`` says, a sentence each, what changed, what could not be compared, or that only one of them says it.
    """

    fate: Fate
    before: Claim | None
    after: Claim | None
    why: tuple[str, ...] = ()

    @property
    def claim(self) -> Claim:
        """The one that is there, the reference's first."""
        found = self.before or self.after
        assert found is not None
        return found


def claim_moves(reference: Run, v: Versus) -> list[ClaimMove]:
    """Return each claim of either run, in the order of the reference's; claims of one id are the same claim.

    A claim that only one of them makes is judged by its findings: it holds where they stand in both, it changed where
    one of them is gone or judged unlike, and it cannot be compared where the other run did not look for them.
    """
    run, theirs = v.run, {claim.id: claim for claim in v.run.claims.claims}
    # what found no room among a run's claims is made all the same
    hidden = [{claim.id: claim for claim in each.claims.further} for each in (reference, run)]
    ours = {move.before.id: move for move in v.moves if move.before is not None}
    others = {move.after.id: move for move in v.moves if move.after is not None}
    found = list[ClaimMove]()
    for claim in reference.claims.claims:
        other = theirs.pop(claim.id, None) or hidden[1].get(claim.id)
        found.append(
            _alone(claim, ours, reference, run, before=True)
            if other is None
            else _both(claim, other, (ours, others), reference, run)
        )
    for claim in theirs.values():
        before = hidden[0].get(claim.id)
        found.append(
            _alone(claim, others, run, reference, before=False)
            if before is None
            else _both(before, claim, (ours, others), reference, run)
        )
    return found


def counts(fates: Sequence[ClaimMove]) -> str:
    """Return how many claims of either run changed, hold, and could not be compared, in words."""
    if not fates:
        return "neither makes a claim"
    numbers = {fate: sum(each.fate == fate for each in fates) for fate in FATES}
    for fate, words in FATES.items():
        if numbers[fate] == len(fates):
            return f"all {counted(len(fates), 'claim')} {words}"
    told = [f"{spelled(numbers[fate])} {words}" for fate, words in FATES.items() if numbers[fate]]
    return f"of {counted(len(fates), 'claim')} {listed(told)}"


def bearing(reference: Run, v: Versus) -> str:
    """Return what a difference between two runs may mean, from the settings that set them apart."""
    apart = settings_apart((reference, v.run))
    scored = "Importance is the same in both to the last digit. " if v.same else ""
    if not apart:
        return f"{scored}The settings are the same."
    if all(name.endswith("seed") for name in apart):
        return (
            f"{scored}The runs differ in seeds alone: what changed hangs on the draw of halves, shuffles or control "
            "sets, and nothing should rest on it; what holds held with both."
        )
    return f"{scored}The runs differ in {listed(sorted(apart))}."


def _alone(claim: Claim, moves: Mapping[str, Move], owner: Run, other: Run, before: bool) -> ClaimMove:
    """Return what became of a claim that only its ``owner`` makes, by the findings that it rests on."""
    behind = [moves[name] for name in claim.support if name in moves]
    gone = [m for m in behind if m.status in ("lost", "gained")]
    changed = [m for m in behind if m.status == "changed"]
    open_ = [m for m in behind if m.status == "untested"]
    ours, theirs = (claim, None) if before else (None, claim)
    if gone or changed:
        why = [f"only {owner.name} makes it"]
        few = "none" if len(gone) == len(claim.support) else f"{len(claim.support) - len(gone)} of {len(claim.support)}"
        why += [f"of the findings behind it {few} is in {other.name}"] if gone else []
        why += [_judged_unlike(m) for m in changed]
        return ClaimMove("changed", ours, theirs, tuple(dict.fromkeys(why)))
    if open_ or not behind:
        return ClaimMove("uncompared", ours, theirs, tuple(dict.fromkeys(m.why for m in open_)))
    return ClaimMove(
        "holds", ours, theirs, (f"the findings behind it are in both; {other.name} does not make this claim",)
    )


def _judged_unlike(move: Move) -> str:
    before, after = move.before, move.after
    assert before is not None
    assert after is not None
    where = f"{before.task}: " if before.task else ""
    return where + ", ".join(_turned(name, before, after) for name in judged(before, after))


def _turned(name: str, before: Judged, after: Judged) -> str:
    """Return how a judgement turned: ``needed → not needed``."""
    words = {**VERDICTS, "True": "yes", "False": "no"}
    both = (str(judgement(each, name)) for each in (before, after))
    turned = " → ".join(words.get(each, each) for each in both)
    return f"costs more than other heads of its layers: {turned}" if name == "specific" else turned


def _both(
    before: Claim, after: Claim, moves: tuple[Mapping[str, Move], Mapping[str, Move]], reference: Run, run: Run
) -> ClaimMove:
    apart = judged(before, after)
    sides = ((before, after, moves[0], run), (after, before, moves[1], reference))
    open_ = [
        f"not tried in {side.name}"
        for side, each, rest in ((reference, before, after), (run, after, before))
        if untried(each, rest)
    ]
    if apart == ["register"]:
        tested, known, other = (before, moves[0], run) if before.register == "tested" else (after, moves[1], reference)
        if _untested(tested.support, known):
            apart, open_ = [], [*open_, f"not tested in {other.name}"]
    changed, notes = [_turned(name, before, after) for name in apart], list[str]()
    for (mine, theirs, known, other), word in zip(sides, ("no longer on", "also on"), strict=True):
        others = list[str]()
        for task in [t for t in mine.tasks if t not in theirs.tasks]:
            on = [name for name in mine.support if name in known and known[name].finding.task == task]
            why = {known[name].why for name in on} if _untested(on, known) else set()
            why |= {f"{other.name} has no task {task}"} if task not in other.scores[0].task_names else set()
            if why:
                notes.append(f"not compared on {task}: {listed(sorted(why))}")
            else:
                others.append(task)
        changed += [f"{word} {listed(others)}"] if others else []
    if not (changed or notes or open_) and _said(before) != _said(after):
        names = [listed(_names(each)) for each in (before, after)]
        changed.append(" → ".join(names) if all(names) and names[0] != names[1] else "it is said otherwise")
    fate: Fate = "changed" if changed else "uncompared" if open_ else "holds"
    return ClaimMove(fate, before, after, tuple(dict.fromkeys([*changed, *open_, *notes])))


def _untested(support: Iterable[str], moves: Mapping[str, Move]) -> bool:
    """Return whether there are findings, and none of them could be compared."""
    known = [moves[name].status for name in support if name in moves]
    return bool(known) and {*known} == {"untested"}


def _said(claim: Claim) -> tuple[str, frozenset[str], tuple[str, ...]]:
    """Return what a headline says whatever its numbers: its words, the names in it, and the exceptions."""
    text, names = claim.headline, _names(claim)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "·")
    return _NUMBER.sub("#", text), frozenset(names), claim.exceptions


def _names(claim: Claim) -> list[str]:
    """Return the names of heads, layers and tasks that a headline says, in the order of its values."""
    return list(dict.fromkeys(name for name in _texts(claim) if name and name in claim.headline))


def _texts(claim: Claim) -> Iterator[str]:
    yield from (*claim.tasks, *claim.exceptions)
    for value in claim.values.values():
        if isinstance(value, tuple):
            yield from value
        elif isinstance(value, str):
            yield value
