"""Layer-specific patterns: in which layers importance lies, and how it changes along them."""

from collections.abc import Iterator, Mapping

from reportgen.core.findings import Finding
from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import (
    Values,
    beyond,
    but,
    commonest,
    datum,
    effect_of,
    extremes,
    firm,
    items,
    largest_q,
    number,
    span,
    strongest,
    tasks_of,
    text,
)

# Of the tasks that were told apart, or all where that is only observed: a layer that fewer share is none of the model's
AHEAD = 1.05  # times the mean: below, a layer that "leads" has the same share of importance as others
MANY = 0.5
APART = 0.2  # of half the depth: a centre nearer to the middle is none to a reader


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say where importance lies: in bands, along gradients, in the weakest and the strongest layers."""
    yield from _band(evidence)
    yield from _own_bands(evidence)
    yield from _gradients(evidence)
    yield from _diagonal(evidence)
    yield from _weakest(evidence)
    yield from _strongest(evidence)
    yield from _depth(evidence)
    yield from _group_depths(evidence)


def _band(evidence: Evidence) -> Iterator[Draft]:
    for f in evidence.of("layer_band"):
        if f.task is not None or f.layers is None:
            continue
        percent, even, control = (number(f, key) for key in ("percent", "even", "control"))
        if percent is None or even is None:
            continue
        values: Values = {"layers": span(*f.layers), "percent": percent, "even": even, "total": len(f.tasks or ())}
        values |= largest_q([f]) | ({} if control is None else {"control": control})
        yield Draft(name="band", support=[f], values=values, tasks=tasks_of([f]), effect=beyond(percent / even))


def _own_bands(evidence: Evidence) -> Iterator[Draft]:
    """Join tasks of which each holds half of its importance in a band of its own."""
    found = strongest(f for f in evidence.of("layer_band") if f.layers is not None and number(f, "percent") is not None)
    if not found:
        return
    sizes = {name: effect_of(f) for name, f in found.items()}
    first = found[str(extremes(sizes)["most_task"])]
    values: Values = {
        "layers": span(*(first.layers or (0, 0))),
        "percent": number(first, "percent") or 0.0,
        "times": effect_of(first),
        "first": str(first.task),
        "total": len(evidence.tasks),
    }
    support = list(found.values())
    yield Draft(name="bands", support=support, values=values, tasks=sorted(found), effect=beyond(min(sizes.values())))


def _gradients(evidence: Evidence) -> Iterator[Draft]:
    """Join tasks on which importance moves the same way with depth."""
    every = evidence.of("layer_gradient")
    for direction in ("falls", "rises"):
        found = strongest(firm(f for f in every if text(f, "direction") == direction))
        if not found:
            continue
        support = list(found.values())
        sizes = {name: effect_of(f) for name, f in found.items()}
        first = found[max(sizes, key=lambda name: (abs(sizes[name]), name))]
        whole = all(isinstance(f.data, dict) and f.data.get("whole") for f in support)
        values: Values = {
            "direction": direction,
            "tau": effect_of(first),
            "first": str(first.task),
            "layers": span(*(first.layers or (0, 0))),
            "whole": int(whole),
            "total": len(evidence.tasks),
            **largest_q(support),
        }
        strength = min(abs(size) for size in sizes.values())
        yield Draft(
            name=f"gradient-{direction}",
            support=support,
            values=values,
            tasks=sorted(found),
            exceptions=but(found, evidence.tasks),
            effect=strength,
        )


def _diagonal(evidence: Evidence) -> Iterator[Draft]:
    found = strongest(evidence.of("diagonal_gradient"))
    ways = {name: (text(f, "toward_layers"), text(f, "toward_heads")) for name, f in found.items()}
    if not all(all(way) for way in ways.values()) or not ways:
        return
    way, tasks = commonest(ways)
    support = [found[name] for name in tasks]
    values: Values = {"toward_layers": way[0], "toward_heads": way[1], "total": len(evidence.tasks)}
    values |= largest_q(support)
    effect = min(abs(effect_of(f)) for f in support)
    yield Draft(name="diagonal", support=support, values=values, tasks=tasks, effect=effect)


def _weakest(evidence: Evidence) -> Iterator[Draft]:
    """Join the tasks that share their weakest layers."""
    found = strongest(firm(f for f in evidence.of("weakest_layers") if f.members))
    yield from _most_have(evidence, "weakest", {t: (f, tuple(map(str, f.members or ()))) for t, f in found.items()})


def _strongest(evidence: Evidence) -> Iterator[Draft]:
    """Join the tasks on which one and the same layer leads by rank, where a leader can be told."""
    found = {
        str(f.task): (f, (str(f.members[0]),))
        for f in evidence.of("strongest_layers")
        if f.members and f.task and datum(f, "separable") is not False and number(f, "equal") == 1
        if effect_of(f) >= AHEAD
    }
    yield from _most_have(evidence, "strongest", found)


def _most_have(evidence: Evidence, name: str, found: Mapping[str, tuple[Finding, tuple[str, ...]]]) -> Iterator[Draft]:
    """Make the claim of the layers that most tasks have as theirs."""
    if not found:
        return
    layers, tasks = commonest({t: layers for t, (_, layers) in found.items()})
    known = len(found) if found[tasks[0]][0].register == "tested" else len(evidence.tasks)
    if len(tasks) < MANY * known:
        return  # most tasks have others
    support = [found[t][0] for t in tasks]
    ratios = {t: effect_of(found[t][0]) for t in tasks}
    values: Values = {"layers": list(layers), "total": len(evidence.tasks), **extremes(ratios), **largest_q(support)}
    # of the strongest layers the ratio to the mean is above 1, of the weakest below: these lack but their even share
    least, most = min(ratios.values()), max(ratios.values())
    effect = beyond(least) if name == "strongest" else (1 - most) / 2
    yield Draft(
        name=name,
        support=support,
        values=values,
        tasks=tasks,
        exceptions=but(tasks, evidence.tasks),
        effect=min(1.0, max(0.0, effect)),
    )


def _depth(evidence: Evidence) -> Iterator[Draft]:
    """Say where along the layers the tasks' importance has its centre, and whether tasks differ in that."""
    for f in evidence.of("depth"):
        centres = [c for c in items(f, "centres") if isinstance(c, int | float)]
        middle = number(f, "middle")
        # of one task its own, of several shallowest first
        names = [f.task] if f.task is not None else list(f.tasks or ())
        if not centres or middle is None or not middle or len(names) != len(centres):
            continue
        values: Values = {
            "least": centres[0],
            "least_task": str(names[0]),
            "most": centres[-1],
            "most_task": str(names[-1]),
            "middle": middle,
            "total": len(evidence.tasks),
            **largest_q([f]),
        }
        apart, pairs = number(f, "apart"), number(f, "pairs")
        if f.register == "tested" and apart is not None and pairs is not None:
            values |= {"apart": int(apart), "pairs": int(pairs)}
            effect = (centres[-1] - centres[0]) / (2 * middle)
            yield Draft(name="depths", support=[f], values=values, tasks=tasks_of([f]), effect=min(1.0, effect))
        elif centres[-1] < middle or centres[0] > middle:
            values["where"] = "lower" if centres[-1] < middle else "higher"
            effect = min(abs(c - middle) for c in centres) / middle
            if effect >= APART:
                yield Draft(name="centre", support=[f], values=values, tasks=tasks_of([f]), effect=min(1.0, effect))


def _group_depths(evidence: Evidence) -> Iterator[Draft]:
    """Say which group of the study's tasks lies deeper than the others, as far as relabelling tasks can show it."""
    for f in evidence.of("depth"):
        inside, outside, layers = (number(f, key) for key in ("inside", "outside", "layers"))
        if f.register != "tested" or inside is None or outside is None or layers is None:
            continue
        values: Values = {
            "group": text(f, "group"),
            "other": text(f, "other"),
            "inside": inside,
            "outside": outside,
            "layers": layers,
            "deeper": int(inside > outside),
            **largest_q([f]),
        }
        effect = layers / max(1.0, inside, outside)
        yield Draft(name="group-depth", support=[f], values=values, tasks=tasks_of([f]), effect=min(1.0, effect))


TOPIC = Topic(
    "layers",
    "Layer-specific patterns",
    "in which layers importance lies, and how it changes along them",
    order=10,
    claims=claims,
)
