"""Anomalies: single heads far from their surroundings, and numbers that cannot be."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from reportgen.core.findings import Finding
from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import (
    NAMED,
    Values,
    beyond,
    datum,
    effect_of,
    firm,
    heads_of,
    items,
    largest_q,
    loss_of,
    lost,
    number,
    shared_verdict,
    span,
    spread,
    strongest,
    tasks_of,
    text,
)

WHOLE = "of all layers"  # where a head is the largest: a wider place goes before a narrower one
OTHERS = 2  # heads that are named with their values beside the first


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say what is out of pattern: numbers out of range, single heads, and leading heads with negative scores."""
    yield from _out_of_range(evidence)
    yield from _outstanding(evidence)
    yield from _single(evidence)
    yield from _ordinary(evidence)
    yield from _against(evidence)


def _out_of_range(evidence: Evidence) -> Iterator[Draft]:
    """Say that scores leave the bounds that their unit has: they are not what they are said to be."""
    found = strongest(evidence.of("out_of_range"))
    if not found:
        return
    first = found[str(spread(found)["most_task"])]
    values: Values = {
        "head": heads_of(first)[0] if heads_of(first) else "",
        "first": str(first.task),
        "heads": len({h for f in found.values() for h in heads_of(f)}),
        "low": number(first, "low") or 0.0,
        "high": number(first, "high") or 0.0,
        "total": len(evidence.tasks),
    }
    farthest = [v for v in items(first, "values") if isinstance(v, int | float)]
    if farthest:
        values["value"] = farthest[0]
    yield Draft(
        name="range", support=list(found.values()), values=values, tasks=sorted(found), effect=1.0, grade="tried"
    )


def _outstanding(evidence: Evidence) -> Iterator[Draft]:
    """Join the tasks of which a handful of heads reach at least half of the largest, and name those of the fewest."""
    found = {str(f.task): f for f in evidence.of("anomaly") if f.task is not None and len(heads_of(f)) > 1}
    shares = {t: len(heads_of(f)) / n for t, f in found.items() if (n := number(f, "heads"))}
    if not shares:
        return
    first = found[min(shares, key=lambda t: (shares[t], t))]
    support = [found[t] for t in sorted(shares)]
    named = list(zip(heads_of(first), items(first, "values"), strict=False))[:NAMED]
    values: Values = {"count": len(heads_of(first)), "of": int(number(first, "heads") or 0), "first": str(first.task)}
    for i, (head, size) in enumerate(named):
        values |= {f"head_{i}": head, f"value_{i}": size if isinstance(size, int | float) else 0.0}
    values |= {"named": len(named), "total": len(evidence.tasks)}
    yield Draft(
        name="outstanding",
        support=support,
        values=values,
        tasks=sorted(shares),
        effect=1 - max(shares.values()),
        verdict=shared_verdict(support),
    )


def _single(evidence: Evidence) -> Iterator[Draft]:
    """Join single heads by what became of them: needed, not needed, in doubt, never knocked out."""
    found = [f for f in evidence.of("anomaly") if len(heads_of(f)) == 1 and f.task is not None]
    needed = [f for f in found if f.verdict == "necessary"]
    spared = [f for f in found if f.verdict == "unnecessary"]
    mixed = [f for f in found if f.verdict == "mixed"]
    rest = firm(f for f in found if f.verdict not in ("necessary", "unnecessary", "mixed"))
    yield from _tried("alone", needed, evidence)
    yield from _tried("spared", spared, evidence)
    yield from _tried("depends", mixed, evidence)
    yield from _untried([f for f in rest if f.verdict != "undecided"], evidence)


def _tried(name: str, found: Sequence[Finding], evidence: Evidence) -> Iterator[Draft]:
    """Join heads of one verdict, named from the one that costs most."""
    if not found:
        return
    ordered = sorted(found, key=lambda f: (-(loss_of(f) or 0.0), heads_of(f)[0], str(f.task)))
    first = ordered[0]
    values: Values = {
        "members": _heads(ordered),
        "heads": len(_heads(ordered)),
        "head": heads_of(first)[0],
        "first": str(first.task),
        "whole": int(text(first, "scope") == WHOLE),
        "total": len(evidence.tasks),
    }
    if (loss := loss_of(first)) is not None:
        values["loss"] = loss
    yield Draft(
        name=name,
        support=ordered,
        values=values,
        tasks=tasks_of(ordered),
        effect=lost(ordered),
        verdict=first.verdict,
    )


def _untried(found: Sequence[Finding], evidence: Evidence) -> Iterator[Draft]:
    """Join heads that stand out and were not knocked out: those beyond the tail, else the largest ones."""
    if not found:
        return
    tested = found[0].register == "tested"
    ordered = _ordered(found, by=lambda f: abs(number(f, "robust_sd") or 0.0) if tested else effect_of(f))
    first = ordered[0]
    head = heads_of(first)[0]
    values: Values = {"head": head, "first": str(first.task), "total": len(evidence.tasks)}
    values |= {} if first.value is None else {"value": first.value.estimate}
    if tested:
        deviations = number(first, "robust_sd") or 0.0
        values |= {"members": _heads(ordered), "heads": len(_heads(ordered)), **largest_q(ordered)}
        values |= {"deviations": deviations, "side": text(first, "side")}
        values["pattern"] = int(datum(first, "out_of_pattern") is True)
        tasks, effect = tasks_of(ordered), beyond(abs(deviations))
        yield Draft(name="beyond", support=ordered, values=values, tasks=tasks, effect=effect)
        return
    # where one head is the largest of several tasks in the same way, that is one thing to say
    same = [f for f in ordered if heads_of(f)[0] == head and _where(f) == _where(first)]
    values |= {"whole": int(text(first, "scope") == WHOLE), "layers": _where(first), "of": tasks_of(same)}
    values |= spread(strongest(same))
    rest = sorted(found, key=lambda f: (text(f, "scope") != WHOLE, -effect_of(f), heads_of(f)[0], str(f.task)))
    others = {heads_of(f)[0]: f for f in reversed(rest) if f.value is not None and heads_of(f)[0] != head}
    named = [f for f in rest if others.get(heads_of(f)[0]) is f][:OTHERS]
    for i, f in enumerate(named):
        values |= {f"head_{i}": heads_of(f)[0], f"task_{i}": str(f.task)}
        values[f"value_{i}"] = f.value.estimate if f.value is not None else 0.0
    values["others"] = len(named)
    effect = beyond(min(map(effect_of, same)))
    yield Draft(name="largest", support=[*same, *named], values=values, tasks=tasks_of(same), effect=effect)


def _ordinary(evidence: Evidence) -> Iterator[Draft]:
    """Name the largest heads of scores without examples where none of them is larger than a heavy tail gives.

    That none stands out is no claim; how far the first is ahead says how to read a list of the largest.
    """
    found = {str(f.task): f for f in evidence.of("top_heads") if datum(f, "examples") is False and heads_of(f)}
    sizes = {task: effect_of(f) for task, f in found.items() if f.effect is not None and f.value is not None}
    if evidence.of("anomaly") or not sizes or max(sizes.values()) <= 1:
        return
    first, *rest = sorted(sizes, key=lambda task: (-sizes[task], task))
    values: Values = {"head": heads_of(found[first])[0], "first": first, "total": len(evidence.tasks)}
    values |= {"value": getattr(found[first].value, "estimate", 0.0), "times": sizes[first]}
    values |= {"next": sizes[rest[0]]} if rest else {}
    support = [found[task] for task in sorted(sizes)]
    effect = beyond(sizes[first])
    yield Draft(name="ordinary", support=support, values=values, tasks=[first], effect=effect, grade="context")


def _where(finding: Finding) -> str:
    """Return the layers that a head is the largest of, "" where it is of all, or of those outside found regions."""
    layers = [layer for layer in items(finding, "range") if isinstance(layer, int)]
    return span(layers[0], layers[-1]) if layers and text(finding, "scope") != WHOLE else ""


def _ordered(found: Iterable[Finding], by: Callable[[Finding], float]) -> list[Finding]:
    """Return heads in the order of a size, those that are the largest of all layers, on most tasks, first."""
    every = list(found)
    counts = Counter(heads_of(f)[0] for f in every if text(f, "scope") == WHOLE)
    return sorted(
        every, key=lambda f: (-counts[heads_of(f)[0]], text(f, "scope") != WHOLE, -by(f), heads_of(f)[0], str(f.task))
    )


def _heads(found: Iterable[Finding]) -> list[str]:
    return list(dict.fromkeys(heads_of(f)[0] for f in found))


def _against(evidence: Evidence) -> Iterator[Draft]:
    """Name the leading heads whose mean signed score is negative."""
    found: dict[tuple[str, str], tuple[float, Finding]] = {}
    for f in evidence.of("top_heads"):
        signs, signed, members = items(f, "signs"), items(f, "signed"), heads_of(f)
        for head, sign, size in zip(members, signs, signed, strict=False):
            if sign == -1 and isinstance(size, int | float) and f.task is not None:
                found[head, f.task] = (abs(size) / (abs(float(str(signed[0]))) or 1.0), f)
    if not found:
        return
    head, task = max(found, key=lambda key: (found[key][0], key))
    support = list({f.id: f for _, f in found.values()}.values())
    heads = sorted({each for each, _ in found})
    tasks = sorted({each for _, each in found})
    size = abs(float(str(items(found[head, task][1], "signed")[heads_of(found[head, task][1]).index(head)])))
    values: Values = {
        "head": head,
        "first": task,
        "members": heads,
        "heads": len(heads),
        "value": -size,
        "total": len(evidence.tasks),
    }
    yield Draft(name="against", support=support, values=values, tasks=tasks, effect=min(1.0, found[head, task][0]))


TOPIC = Topic(
    "anomalies",
    "Anomalies",
    "single heads far from their surroundings, and numbers that cannot be",
    order=40,
    claims=claims,
)
