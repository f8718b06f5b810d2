"""How far to trust this: whether the model does the tasks, and whether the scores would come out the same again."""

from collections.abc import Iterator

from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import (
    Values,
    datum,
    extremes,
    first_sets,
    fragile,
    heads_of,
    largest_q,
    number,
    share_of,
    shown,
    tasks_of,
    text,
)

GOOD, POOR = 0.9, 0.5  # of reliability: .9 is the usual least of a measure that decides (Nunnally 1978)
SATURATED = 5.0  # per cent of probability left for other answers, below which log-probabilities show the failures


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say what limits all other claims: the model, the score, the examples, what is not known."""
    yield from _coverage(evidence)
    yield from _at_chance(evidence)
    yield from _order(evidence)
    yield from _choice(evidence)
    yield from _reference(evidence)
    yield from _methods(evidence)
    yield from _undecided(evidence)
    yield from _reliability(evidence)
    yield from _unknown(evidence)
    yield from _robustness(evidence)
    yield from _groups(evidence)
    yield from _saturated(evidence)


def _coverage(evidence: Evidence) -> Iterator[Draft]:
    """Say that some heads only were scored, that scores are ranks, or that all are equal, and name the first ones."""
    found = sorted(evidence.of("coverage"), key=lambda f: str(f.task))
    equal = {str(f.task): f for f in found if number(f, "only") is not None and not text(f, "rest")}
    if equal:
        values: Values = {
            **extremes({name: number(f, "only") or 0.0 for name, f in equal.items()}),
            "heads": int(number(found[0], "scored") or 0),
            "total": len(evidence.tasks),
        }
        every = len(equal) == len(evidence.tasks)
        yield Draft(
            name="equal",
            support=list(equal.values()),
            values=values,
            tasks=sorted(equal),
            effect=1.0,
            grade="observed",
            voids=every,
        )
    found = [f for f in found if str(f.task) not in equal]
    if not found:
        return
    first = found[0]
    values = {
        "scored": int(number(first, "scored") or 0),
        "of": int(number(first, "total") or 0),
        "rest": text(first, "rest"),
        "ranks": int(datum(first, "ranks") is True),
        "members": heads_of(first)[:3],
        "first": str(first.task) if len(evidence.tasks) > 1 else "",
        "equal": int(number(first, "equal") or 0),
    }
    name = "ranked" if not values["rest"] else "scored"
    yield Draft(name=name, support=found, values=values, tasks=tasks_of(found), effect=1.0, grade="observed")


def _at_chance(evidence: Evidence) -> Iterator[Draft]:
    """Name the tasks that the model is not shown to do: importance on them means little."""
    known = {str(f.task): f for f in evidence.of("competence") if number(f, "right") is not None}
    found = {name: f for name, f in known.items() if datum(f, "above") is False}
    if not found:
        return
    first = found[str(extremes({t: -(number(f, "accuracy") or 0.0) for t, f in found.items()})["most_task"])]
    values: Values = {
        "right": int(number(first, "right") or 0),
        "n": int(number(first, "n") or 0),
        "chance": number(first, "chance") or 0.0,
        "first": str(first.task),
        "total": len(known),  # neutral text is judged by nobody
    }
    every = len(found) == len(known)
    yield Draft(
        name="chance",
        support=list(found.values()),
        values=values,
        tasks=sorted(found),
        exceptions=sorted({*known} - {*found}),
        effect=1.0,
        grade="carried" if every else "tried",
        voids=every,
    )


def _order(evidence: Evidence) -> Iterator[Draft]:
    """Hold the order of heads by score against that of the layers, and of the activation norm."""
    for f in evidence.of("causal_validation"):
        area, low, high = (number(f, "area", key) for key in ("estimate", "low", "high"))
        layer, random = number(f, "layer"), number(f, "random")
        if text(f, "of") != "order" or area is None or layer is None or random is None:
            continue
        values: Values = {"method": text(f, "best").replace("_", " "), "area": area, "layer": layer, "random": random}
        layer_low, layer_high = (number(f, "layer_order", key) for key in ("low", "high"))
        if low is not None and high is not None:
            values |= {"low": low, "high": high}
        if layer_low is not None and layer_high is not None:
            values |= {"layer_low": layer_low, "layer_high": layer_high}
        ahead = low is not None and low > (layer if layer_high is None else layer_high)
        behind = high is not None and high < (layer if layer_low is None else layer_low)
        name = "order-better" if ahead else "order-worse" if behind else "order-like"
        # how much of what any order could gain over chance the score gains over plain depth
        effect = abs(area - layer) / max(1e-9, 1 - random)
        yield Draft(name=name, support=[f], values=values, tasks=tasks_of([f]), effect=min(1.0, effect), grade="tried")


def _choice(evidence: Evidence) -> Iterator[Draft]:
    """Say whether the score chooses heads better than chance within their layers."""
    for f in shown(evidence, "choice"):
        rank = number(f, "rank")
        if rank is None:
            continue
        values: Values = {"rank": rank, "heads": int(number(f, "heads") or 0), **largest_q([f])}
        name = "choice-better" if datum(f, "better") is True else "choice-chance"
        effect = abs(rank - 50) / 50
        yield Draft(name=name, support=[f], values=values, tasks=tasks_of([f]), effect=min(1.0, effect), grade="tested")


def _reference(evidence: Evidence) -> Iterator[Draft]:
    """Say whether the score ranks heads as zeroing them does, or as putting their mean there does."""
    for f in shown(evidence, "reference"):
        zero, mean, nearer = number(f, "zero"), number(f, "mean"), text(f, "nearer")
        if zero is None or mean is None or nearer not in ("zero", "mean"):
            continue
        values: Values = {"zero": zero, "mean": mean}
        name, effect = f"reference-{nearer}", min(1.0, abs(zero - mean))
        yield Draft(name=name, support=[f], values=values, tasks=tasks_of([f]), effect=effect, grade="context")


def _methods(evidence: Evidence) -> Iterator[Draft]:
    """Say where methods rank heads unlike each other, and where a score shows no more than activation size."""
    no_more = [f for f in evidence.of("method_agreement") if text(f, "verdict") in ("no more", "less")]
    for f in no_more[:1]:
        values: Values = {
            "method": text(f, "method").replace("_", " "),
            "ablation": text(f, "ablation").replace("_", " "),
            "agreement": number(f, "agreement") or 0.0,
            "norm": number(f, "norm") or 0.0,
        }
        yield Draft(name="norm", support=[f], values=values, tasks=tasks_of([f]), effect=1.0, grade="tested")
    pairs = {text(f, "other"): f for f in evidence.of("method_agreement") if number(f, "mean") is not None}
    if not pairs:
        return
    other = min(pairs, key=lambda name: (number(pairs[name], "mean") or 0.0, name))
    f = pairs[other]
    mean = number(f, "mean") or 0.0
    values = {
        "method": text(f, "method").replace("_", " "),
        "other": other.replace("_", " "),
        "mean": mean,
        "top": int(number(f, "top") or 0),
        "shared": number(f, "shared") or 0.0,
        "methods": len(pairs) + 1,
    }
    name = "methods-unlike" if mean < POOR else "methods-alike" if mean >= GOOD else "methods-partly"
    every = list(pairs.values())
    yield Draft(
        name=name, support=every, values=values, tasks=tasks_of(every), effect=min(1.0, 1 - mean), grade="context"
    )


def _undecided(evidence: Evidence) -> Iterator[Draft]:
    """Say on how many tasks it could not be told whether the first heads are needed, and why."""
    tops = first_sets(evidence)
    found = [f for f in tops if f.verdict == "undecided"]
    if not found:
        return
    reasons = sorted({text(f, "validation", "reason") for f in found} - {""})
    values: Values = {"reason": reasons[0] if len(reasons) == 1 else "", "total": len(evidence.tasks)}
    more = [int(n) for f in found if (n := number(f, "validation", "more")) is not None]
    if more:
        values["more"] = max(more)
    every = len(found) == len(tops)
    yield Draft(
        name="undecided",
        support=found,
        values=values,
        tasks=tasks_of(found),
        effect=len(found) / len(tops),
        grade="tested" if every else "context",
    )


def _reliability(evidence: Evidence) -> Iterator[Draft]:
    """Say how far other examples would rank heads the same, where least and where most."""
    known = {str(f.task): f for f in evidence.of("reliability") if number(f, "overall") is not None}
    if not known:
        return
    part = "specific" if all(number(f, "specific") is not None for f in known.values()) else "overall"
    sizes = {name: number(f, part) or 0.0 for name, f in known.items()}
    low = {name for name, f in known.items() if (number(f, f"{part}_low") or 0.0) <= 0 or sizes[name] < POOR}
    values: Values = {**extremes(sizes), "specific": int(part == "specific"), "total": len(known)}
    examples = {number(f, "examples") for f in known.values()}
    if len(examples) == 1 and (only := examples.pop()) is not None:
        values["examples"] = int(only)
    name = "unreliable" if low else "reliable"
    tasks = sorted(low or known)
    support = [known[t] for t in sorted(known)]
    effect = len(low) / len(known) if low else max(0.0, min(sizes.values()))
    yield Draft(name=name, support=support, values=values, tasks=tasks, effect=effect, grade="context")


def _unknown(evidence: Evidence) -> Iterator[Draft]:
    """Say that scores came without examples or accuracy, so that nothing reaches beyond them."""
    found = [f for f in evidence.of("reliability", "competence") if datum(f, "known") is False]
    if not found:
        return
    kinds = {f.kind for f in found}
    values: Values = {"examples": int("reliability" in kinds), "accuracy": int("competence" in kinds)}
    yield Draft(name="unknown", support=found, values=values, tasks=tasks_of(found), effect=0.5, grade="context")


def _robustness(evidence: Evidence) -> Iterator[Draft]:
    """Name the finding on a set of heads that holds in the fewest ways of testing it, where a quarter fail."""
    open_ = ("undecided", "untested")
    # that a group of tasks differs no more than others is no result that could fail
    known = [f for f in evidence.findings if f.robustness and f.verdict not in open_ and not datum(f, "ordinary")]
    weak = [f for f in known if fragile(f)]
    if not weak:
        return
    first = min(weak, key=lambda f: (share_of(f), f.id))
    assert first.robustness is not None
    values: Values = {
        "count": len(weak),
        "known": len(known),
        "members": heads_of(first)[:3],
        "first": str(first.task or ""),
        "holds": first.robustness.holds,
        "of": first.robustness.of,
    }
    tried = any(f.verdict for f in weak)
    yield Draft(
        name="fragile",
        support=known,
        values=values,
        tasks=tasks_of(weak),
        effect=len(weak) / len(known),
        grade="tested" if tried else "context",
    )


def _groups(evidence: Evidence) -> Iterator[Draft]:
    """Say that it is not known which heads share keys and values, on which tests of places rest."""
    found = [f for f in evidence.findings if {"kv-unknown", "kv-untied"} & {*f.caveats}]
    if found:
        support = [min(found, key=lambda f: f.id)]
        yield Draft(name="groups", support=support, values={}, tasks=tasks_of(support), effect=0.1, grade="context")


def _saturated(evidence: Evidence) -> Iterator[Draft]:
    """Name the tasks that are nearly always right, whose log-probabilities show the few failures."""
    known = {str(f.task): f for f in evidence.of("competence") if number(f, "miss") is not None}
    found = {name: f for name, f in known.items() if (number(f, "miss") or 0.0) < SATURATED}
    if not found or evidence.metric != "log_probability":
        return
    values: Values = {"miss": max(number(f, "miss") or 0.0 for f in found.values()), "total": len(evidence.tasks)}
    yield Draft(
        name="saturated",
        support=list(found.values()),
        values=values,
        tasks=sorted(found),
        effect=len(found) / len(known),
        grade="context",
    )


TOPIC = Topic(
    "trust",
    "How far to trust this",
    "whether the model does the tasks, and whether the scores would come out the same again",
    order=60,
    claims=claims,
)
