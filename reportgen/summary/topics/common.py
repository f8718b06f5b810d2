"""What topics share: reading findings' fields, and joining findings on several tasks."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import floor
from typing import TypeVar

from reportgen.core.findings import Finding, Verdict
from reportgen.core.topics import Evidence
from reportgen.core.trials import TOP

NAMED = 3  # sets, or heads, that are named
MARGIN = 0.05  # of a task's worth: the loss above which heads count as needed
FRAGILE = 0.75  # of the ways of testing: a result that fails in a quarter of them hinges on how it is tested
Values = dict[str, int | float | str | Sequence[str]]
Of = TypeVar("Of", bound=Hashable)


def datum(finding: Finding, *path: str) -> object:
    """Return what stands in a finding's data at that path of keys, None where nothing does."""
    found: object = finding.data
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def number(finding: Finding, *path: str) -> float | None:
    """Return the number in a finding's data, None where there is none."""
    found = datum(finding, *path)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def text(finding: Finding, *path: str) -> str:
    """Return the text in a finding's data, "" where there is none."""
    found = datum(finding, *path)
    return found if isinstance(found, str) else ""


def items(finding: Finding, *path: str) -> list[object]:
    """Return the list in a finding's data, an empty one where there is none."""
    found = datum(finding, *path)
    return list(found) if isinstance(found, list | tuple) else []


def heads_of(finding: Finding) -> list[str]:
    """Return the heads that a finding names."""
    return [m for m in finding.members or () if isinstance(m, str)]


def tasks_of(findings: Iterable[Finding]) -> list[str]:
    """Return the tasks that findings are about, in the order of the alphabet."""
    return sorted({name for f in findings for name in ((f.task,) if f.task is not None else f.tasks or ()) if name})


def but(tasks: Iterable[str], every: Iterable[str]) -> list[str]:
    """Return of ``every`` task that was looked at those that are not among ``tasks``."""
    return sorted({*every} - {*tasks})


def beyond(ratio: float) -> float:
    """Return how far a ratio lies beyond an even spread, from 0 to 1."""
    return max(0.0, 1 - 1 / ratio) if ratio > 0 else 0.0


def effect_of(finding: Finding) -> float:
    """Return a finding's effect, 0 where it has none."""
    return finding.effect.estimate if finding.effect is not None else 0.0


def strongest(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return of each task the finding of largest effect."""
    found: dict[str, Finding] = {}
    for f in findings:
        if f.task is not None and (f.task not in found or effect_of(f) > effect_of(found[f.task])):
            found[f.task] = f
    return found


def firm(findings: Iterable[Finding]) -> list[Finding]:
    """Return the tested findings where there are any, else all: what was only observed takes no share in a test."""
    every = list(findings)
    return [f for f in every if f.register == "tested"] or every


def extremes(sizes: Mapping[str, float]) -> Values:
    """Return the least and the most of a number over tasks, and the tasks that have them, of like ones the first."""
    low, high = (min(sizes, key=lambda name: (sign * sizes[name], name)) for sign in (1, -1))
    return {"least": sizes[low], "least_task": low, "most": sizes[high], "most_task": high}


def largest_q(findings: Iterable[Finding]) -> Values:
    """Return the largest q of tested findings, nothing where one is not tested."""
    q = [None if f.test is None else f.test.q for f in findings]
    known = [each for each in q if each is not None]
    return {"q": max(known)} if known and len(known) == len(q) else {}


def commonest(found: Mapping[str, Of]) -> tuple[Of, list[str]]:
    """Return what most tasks have, and these tasks; of like ones what comes first."""
    counts = Counter(found.values())
    most = min(counts, key=lambda each: (-counts[each], str(each)))
    return most, sorted(name for name, each in found.items() if each == most)


def spread(found: Mapping[str, Finding]) -> Values:
    """Return the extremes of the effects of findings on several tasks."""
    return extremes({name: effect_of(f) for name, f in found.items()})


def span(first: int, last: int) -> str:
    """Return the name of a range of layers or heads: ``7``, ``0–4``."""
    return str(first) if first == last else f"{first}–{last}"


def shared_verdict(findings: Sequence[Finding]) -> Verdict | None:
    """Return the verdict that all of the findings have, None where they differ."""
    verdicts = {f.verdict for f in findings}
    return verdicts.pop() if len(verdicts) == 1 else None


def judged(findings: Sequence[Finding]) -> Values:
    """Return of how many findings the heads are needed, and of how many they are not."""
    counts = Counter(f.verdict for f in findings)
    return {"needed": counts["necessary"], "spared": counts["unnecessary"]}


def hinges(findings: Sequence[Finding]) -> Values:
    """Return on which way of testing findings hinge, and on which tasks: those that fail in a quarter of all ways.

    Of several such ways that of the finding which holds in the fewest; the tasks are left out where all hinge on it.
    """
    known = [f for f in findings if f.verdict not in ("undecided", "untested") and fragile(f)]
    if not known:
        return {}
    first = min(known, key=lambda f: (share_of(f), f.id))
    level = _factor(first)
    same = tasks_of(f for f in known if _factor(f) == level)
    return {"hinge": level, "hinging": same if set(same) < set(tasks_of(findings)) else []}


def share_of(finding: Finding) -> float:
    """Return the share of specifications in which a finding holds, 1 where none were tried."""
    return finding.robustness.holds / finding.robustness.of if finding.robustness and finding.robustness.of else 1.0


def fragile(finding: Finding) -> bool:
    """Whether a finding fails in a quarter of its specifications, of which a level is then named."""
    return share_of(finding) <= FRAGILE and bool(_factor(finding))


def _factor(finding: Finding) -> str:
    return finding.robustness.fails[0] if finding.robustness and finding.robustness.fails else ""


def disagreement(findings: Sequence[Finding]) -> Values:
    """Return what the interventions on a set cost where they disagree, in nats, and the margin between them: the most
    and the least of those that count, of the finding on which they are furthest apart.
    """
    mixed = {f.id: losses for f in findings if f.verdict == "mixed" and len(losses := _voting(f)) > 1}
    if not mixed:
        return {}
    name = max(mixed, key=lambda each: (max(mixed[each].values()) - min(mixed[each].values()), each))
    losses, found = mixed[name], next(f for f in findings if f.id == name)
    most, least = (choice(losses, key=lambda way: (losses[way], way)) for choice in (max, min))
    values: Values = {"by_most": most, "costs_most": losses[most], "by_least": least, "costs_least": losses[least]}
    margin = number(found, "validation", "margin")
    return values | {"differs_on": tasks_of([found])} | ({} if margin is None else {"margin": margin})


def _voting(finding: Finding) -> dict[str, float]:
    """Return the loss under each intervention that counts."""
    shown = datum(finding, "validation", "shown")
    names = [str(name) for name in shown] if isinstance(shown, Mapping) else []
    losses = {name: number(finding, "validation", "shown", name, "estimate") for name in names}
    votes = {name: datum(finding, "validation", "shown", name, "votes") is True for name in names}
    return {name: loss for name, loss in losses.items() if loss is not None and votes[name]}


def first_sets(evidence: Evidence) -> list[Finding]:
    """Return what knocking out showed of each task's first heads."""
    return shown(evidence, TOP)


def shown(evidence: Evidence, case: str) -> list[Finding]:
    """Return the findings of one case that only interventions give."""
    return [f for f in evidence.of("causal_validation") if text(f, "of") == case and (f.task or f.tasks)]


def loss_of(finding: Finding) -> float | None:
    """Return what the mean in place of a finding's heads costs, in log-probability; None where it was not tried."""
    return number(finding, "validation", "shown", "mean", "estimate")


def core_of(finding: Finding) -> list[str]:
    """Return the heads of a set that its knock-out rests on; all where none is known to be idle."""
    return [str(head) for head in items(finding, "validation", "core")] or heads_of(finding)


def right(finding: Finding, when: str) -> int | None:
    """Return how many held-out answers are right, from the share of them in per cent; of a mean over sets, the whole
    ones, so that "at least" is true of it.
    """
    percentage, examples = number(finding, "validation", when), number(finding, "validation", "examples")
    return None if percentage is None or examples is None else floor(percentage * examples / 100 + 1e-6)


def knocked_out(findings: Sequence[Finding]) -> Values:
    """Return what is left of the answers without a set of heads: where most and least are, and of how many.

    The number of heads, of examples, and what as many other heads leave at least, are told where all tasks have them.
    """
    after = {str(f.task): n for f in findings if (n := right(f, "after")) is not None}
    values: Values = dict(extremes(after)) if len(after) == len(findings) else {}
    examples = {number(f, "validation", "examples") for f in findings}
    if len(examples) == 1 and (only := examples.pop()) is not None:
        values["examples"] = int(only)
    sizes = {len(heads_of(f)) for f in findings}
    # where some of a set's heads turned out to be idle, their number is none of what is needed
    if len(sizes) == 1 and all(len(core_of(f)) == len(heads_of(f)) for f in findings):
        values["heads"] = sizes.pop()
    controls = [right(f, "after_controls") for f in findings]
    known = [n for n in controls if n is not None]
    return values | ({"controls": min(known)} if known and len(known) == len(controls) else {})


def named_sets(findings: Sequence[Finding]) -> Values:
    """Return the heads of up to three tasks' sets, of more tasks those that several sets hold, most shared first."""
    ordered = sorted(findings, key=lambda f: str(f.task))
    if len(ordered) <= NAMED:
        return {f"set_{i}": core_of(f) for i, f in enumerate(ordered)}
    counts = Counter(head for f in ordered for head in core_of(f))
    several = [head for head in sorted(counts, key=lambda h: (-counts[h], h)) if counts[head] > 1]
    return {"recurring": several[:NAMED]} if several else {}


def lost(findings: Iterable[Finding]) -> float:
    """Return the mean share of right answers that knocking out costs; where accuracy is not known, of the worth."""
    shares = []
    for f in findings:
        before, after, margin = (number(f, "validation", key) for key in ("before", "after", "margin"))
        loss = loss_of(f)
        if before and after is not None:
            shares.append((before - after) / before)
        elif loss is not None and margin:
            shares.append(loss * MARGIN / margin)
    return min(1.0, max(0.0, sum(shares) / len(shares))) if shares else 0.0
