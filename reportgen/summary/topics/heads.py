"""Head specialization: which heads carry a task, alone or in groups, and which do not matter."""

from collections.abc import Iterator, Mapping, Sequence

from reportgen.core.findings import Finding
from reportgen.core.topics import Draft, Evidence, Topic
from reportgen.summary.topics.common import (
    NAMED,
    Values,
    beyond,
    core_of,
    datum,
    effect_of,
    extremes,
    firm,
    first_sets,
    heads_of,
    items,
    judged,
    knocked_out,
    largest_q,
    lost,
    named_sets,
    number,
    shared_verdict,
    shown,
    span,
    spread,
    strongest,
    tasks_of,
    text,
)


def claims(evidence: Evidence) -> Iterator[Draft]:
    """Say which heads carry what: sets, specialists, shared heads, blocks and strips, tied and inert heads."""
    yield from _carried(evidence)
    yield from _leaders(evidence)
    yield from _first(evidence)
    yield from _only_one(evidence)
    yield from _several(evidence)
    yield from _specialists(evidence)
    yield from _shared(evidence)
    yield from _pairs(evidence)
    yield from _regions(evidence)
    yield from _band(evidence)
    yield from _scattered(evidence)
    yield from _tied(evidence)
    yield from _inert(evidence)


def _carried(evidence: Evidence) -> Iterator[Draft]:
    """Join the tasks that need their first heads and these alone of their layers."""
    tops = first_sets(evidence)
    # needed, more than others of their layers, and neutral text spared: less is not called carrying
    group = [f for f in tops if f.verdict == "necessary" and datum(f, "validation", "carries") is True]
    if not group:
        return
    tasks, sets = tasks_of(group), {tuple(sorted(core_of(f))) for f in group}
    values: Values = {"total": len(evidence.tasks), "same": int(len(sets) == 1), **knocked_out(group)}
    yield Draft(
        name="carry",
        support=group,
        values={**values, **named_sets(group)},
        tasks=tasks,
        effect=lost(group),
        verdict="necessary",
    )


def _leaders(evidence: Evidence) -> Iterator[Draft]:
    """Join the tasks whose first heads keep their ranks whatever examples are drawn; a mere list of ranks is no claim.

    What knocking out said of a task's first heads is said in its place.
    """
    told = {f.task for f in first_sets(evidence) if f.verdict in ("necessary", "unnecessary", "mixed")}
    found = {
        str(f.task): (f, n) for f in evidence.of("top_heads") if f.task not in told and f.task and (n := _apart(f))
    }
    if not found:
        return
    support = [f for f, _ in found.values()]
    first, count = max(found.values(), key=lambda each: (_ahead(*each), str(each[0].task)))
    values: Values = {
        "members": heads_of(first)[:count],
        "heads": count,
        "first": str(first.task),
        "value": float(str(items(first, "values")[0])),
        "last": float(str(items(first, "values")[count - 1])),
        "total": len(evidence.tasks),
    }
    chosen = sorted(found)[:NAMED]
    values |= {f"set_{i}": heads_of(found[t][0])[: found[t][1]] for i, t in enumerate(chosen)}
    effect = min(_ahead(*each) for each in found.values())
    # simultaneous intervals of ranks bear it, at the level of the tests
    yield Draft(name="lead", support=support, values=values, tasks=sorted(found), effect=effect, grade="tested")


def _first(evidence: Evidence) -> Iterator[Draft]:
    """Name the largest heads of tasks whose examples are too few, or hang together too much, for intervals of ranks.

    Which heads come first is the reader's first question; that it is open how firmly they do is part of the answer.
    Scores without examples have no claim of it: there the largest of pure noise would be named as well.
    """
    told = {f.task for f in first_sets(evidence) if f.verdict in ("necessary", "unnecessary", "mixed")}
    found = {
        str(f.task): f
        for f in evidence.of("top_heads")
        if f.task and f.task not in told and datum(f, "examples") is True and datum(f, "equal") == 1
        if not items(f, "first_ranks") and heads_of(f)
    }
    if not found:
        return
    first = max(found.values(), key=lambda f: (_ahead(f, 1), str(f.task)))
    heads, sizes = heads_of(first)[:NAMED], items(first, "values")[:NAMED]
    values: Values = {"first": str(first.task), "heads": len(heads), "total": len(evidence.tasks)}
    for i, (head, size) in enumerate(zip(heads, sizes, strict=True)):
        values |= {f"head_{i}": head, f"value_{i}": float(str(size))}
    yield Draft(name="first", support=list(found.values()), values=values, tasks=sorted(found), effect=_ahead(first, 1))


def _apart(finding: Finding) -> int:
    """Return how many first heads rank before all others by the intervals of their ranks, the fewest; 0 for none."""
    last = [rank for rank in items(finding, "last_ranks") if isinstance(rank, int)]
    return next((k for k in range(1, len(last) + 1) if all(rank <= k for rank in last[:k])), 0)


def _ahead(finding: Finding, count: int) -> float:
    """Return how far the first of the leading heads is ahead of what comes after them, from 0 to 1."""
    sizes = [abs(value) for value in items(finding, "values") if isinstance(value, int | float)]
    return beyond(sizes[0] / sizes[count]) if len(sizes) > count and sizes[count] > 0 else 0.5


def _only_one(evidence: Evidence) -> Iterator[Draft]:
    """Join the heads that cost one task, knocked out alone, and no other."""
    found = [f for f in shown(evidence, "specialists") if heads_of(f)]
    if not found:
        return
    first = max(found, key=lambda f: (effect_of(f), str(f.task)))
    values: Values = {
        "members": list(dict.fromkeys(h for f in sorted(found, key=lambda f: str(f.task)) for h in heads_of(f))),
        "head": heads_of(first)[0],
        "first": str(first.task),
        "loss": effect_of(first),
        "others": number(first, "others") or 0.0,
        "total": len(evidence.tasks),
        **largest_q(found),
    }
    tasks = tasks_of(found)
    yield Draft(
        name="single", support=found, values=values, tasks=tasks, effect=len(tasks) / len(evidence.tasks), grade="tried"
    )


def _several(evidence: Evidence) -> Iterator[Draft]:
    """Say which heads cost several tasks, knocked out alone."""
    for f in shown(evidence, "shared"):
        rows = [row for row in items(f, "heads") if isinstance(row, Mapping)]
        tasks = {str(row["head"]): sorted(map(str, row["tasks"])) for row in rows}
        least = {str(row["head"]): min(map(float, row["losses"]), default=0.0) for row in rows}
        if not tasks:
            continue
        head = min(tasks, key=lambda name: (-len(tasks[name]), -least[name], name))
        values: Values = {
            "members": sorted(tasks),
            "heads": len(tasks),
            "head": head,
            "costs": tasks[head],
            "most": len(tasks[head]),
            "total": len(evidence.tasks),
            **largest_q([f]),
        }
        effect = len(tasks[head]) / max(1, len(evidence.tasks))
        yield Draft(name="several", support=[f], values=values, tasks=tasks_of([f]), effect=effect, grade="tried")


def _specialists(evidence: Evidence) -> Iterator[Draft]:
    """Join the heads that matter more on one task than on every other one."""
    found = [f for f in firm(evidence.of("specialist_head")) if f.task is not None and heads_of(f)]
    if not found:
        return
    first = max(found, key=lambda f: (effect_of(f), str(f.task)))
    values: Values = {
        "heads": len({h for f in found for h in heads_of(f)}),
        "head": heads_of(first)[0],
        "first": str(first.task),
        "times": effect_of(first),
        "next": text(first, "next"),
        "total": len(evidence.tasks),
        **largest_q(found),
        **judged(found),
    }
    yield Draft(
        name="specialists",
        support=found,
        values=values,
        tasks=tasks_of(found),
        effect=beyond(min(map(effect_of, found))),
        verdict=shared_verdict(found),
    )


def _shared(evidence: Evidence) -> Iterator[Draft]:
    """Say which heads lead their layers on more tasks than independence predicts."""
    for f in evidence.of("cross_task_head"):
        members, counts = heads_of(f), [n for n in items(f, "counts") if isinstance(n, int)]
        tasks, expected = number(f, "tasks"), number(f, "expected")
        if not members or len(counts) != len(members) or tasks is None or expected is None:
            continue
        order = sorted(range(len(members)), key=lambda i: (-counts[i], members[i]))
        values: Values = {
            "members": [members[i] for i in order],
            "head": members[order[0]],
            "heads": len(members),
            "most": counts[order[0]],
            "fewest": min(counts),
            "compared": int(tasks),
            "expected": expected,
            "leads": int(datum(f, "places") == 1),
            **largest_q([f]),
        }
        control, shared = text(f, "control"), number(f, "in_control")
        if control and shared is not None:
            values |= {"control": control, "in_control": int(shared)}
        effect = counts[order[0]] / tasks
        yield Draft(name="shared", support=[f], values=values, tasks=tasks_of([f]), effect=effect, verdict=f.verdict)


def _pairs(evidence: Evidence) -> Iterator[Draft]:
    """Say which two tasks share their leading heads beyond what shared layers give."""
    found = [f for f in evidence.of("shared_heads") if len(f.tasks or ()) == 2 and number(f, "shared") is not None]
    if not found:
        return
    sizes = {f.id: (number(f, "shared") or 0.0) - (number(f, "expected") or 0.0) for f in found}
    first = min(found, key=lambda f: (f.test.q if f.test else 1.0, -sizes[f.id], tasks_of([f])))
    values: Values = {
        "pair": tasks_of([first]),
        "shared": int(number(first, "shared") or 0),
        "of": int(max(number(first, "first") or 0, number(first, "second") or 0)),
        "units": text(first, "units"),
        "expected": number(first, "expected") or 0.0,
        "passed": int(number(first, "passed") or len(found)),
        "pairs": int(number(first, "pairs") or len(found)),
        "members": heads_of(first),
        **largest_q([first]),
    }
    effect = sizes[first.id] / max(1.0, number(first, "first") or 0.0)
    yield Draft(
        name="pairs",
        support=found,
        values=values,
        tasks=tasks_of(found),
        effect=max(0.0, effect),
        verdict=shared_verdict(found),
    )


def _regions(evidence: Evidence) -> Iterator[Draft]:
    """Join the tasks that hold raised regions: blocks over several layers, strips in one."""
    blocks, strips = (_raised(evidence, kind) for kind in ("cluster", "row_segment"))
    # one claim where both are tested: what is only observed takes no share in a test
    if blocks and strips and blocks[0].register == strips[0].register:
        of_strips = {f"strip_{key}": value for key, value in _region_values(strips, evidence).items()}
        values = {**_region_values(blocks, evidence), **of_strips}
        yield _region("regions", [*blocks, *strips], values)
        return
    for name, found in (("blocks", blocks), ("strips", strips)):
        if found:
            yield _region(name, found, _region_values(found, evidence))


def _raised(evidence: Evidence, kind: str) -> list[Finding]:
    return [f for f in firm(evidence.of(kind)) if f.task is not None and f.layers is not None and f.heads is not None]


def _region_values(found: Sequence[Finding], evidence: Evidence) -> Values:
    layers, heads = [n for f in found for n in f.layers or ()], [n for f in found for n in f.heads or ()]
    return {
        "count": len(found),
        "holders": len(tasks_of(found)),
        "layers": span(min(layers), max(layers)),
        "columns": span(min(heads), max(heads)),
        "total": len(evidence.tasks),
        **spread(strongest(found)),
        **largest_q(found),
        **judged(found),
    }


def _region(name: str, found: Sequence[Finding], values: Values) -> Draft:
    return Draft(
        name=name,
        support=found,
        values=values,
        tasks=tasks_of(found),
        effect=beyond(min(map(effect_of, strongest(found).values()))),
        verdict=shared_verdict(found),
    )


def _band(evidence: Evidence) -> Iterator[Draft]:
    for f in evidence.of("head_band"):
        inside, rest = number(f, "inside"), number(f, "rest")
        # of one task, what its blocks carry is no more than they are
        carried = datum(f, "carried") is True and len(f.tasks or ()) < 2
        if f.heads is None or inside is None or rest is None or carried:
            continue
        values: Values = {
            "columns": span(*f.heads),
            "single": int(f.heads[0] == f.heads[1]),
            "inside": inside,
            "rest": rest,
            "carried": int(datum(f, "carried") is True),
            "total": len(f.tasks or ()),
            **largest_q([f]),
        }
        effect = beyond(inside / rest) if rest > 0 else 1.0
        yield Draft(name="band", support=[f], values=values, tasks=tasks_of([f]), effect=effect, verdict=f.verdict)


def _scattered(evidence: Evidence) -> Iterator[Draft]:
    found = strongest(f for f in evidence.of("scattered_heads") if f.layers is not None and heads_of(f))
    if not found:
        return
    first = found[str(spread(found)["most_task"])]
    values: Values = {
        "layers": span(*(first.layers or (0, 0))),
        "heads": len(heads_of(first)),
        "of": int(number(first, "of") or 0),
        "first": str(first.task),
        "total": len(evidence.tasks),
    }
    support = list(found.values())
    yield Draft(
        name="scattered",
        support=support,
        values=values,
        tasks=sorted(found),
        effect=beyond(min(map(effect_of, support))),
        verdict=shared_verdict(support),
    )


def _tied(evidence: Evidence) -> Iterator[Draft]:
    """Say in runs of how many heads act alike, as where they share keys and values."""
    for f in evidence.of("tied_heads"):
        size, p = number(f, "size"), number(f, "p")
        if size is None or p is None:
            continue
        values: Values = {
            "size": int(size),
            "p": p,
            "known": int(datum(f, "known") is True),
            "correlation": effect_of(f),
        }
        yield Draft(
            name="tied", support=[f], values=values, tasks=tasks_of([f]), effect=min(1.0, max(0.0, effect_of(f)))
        )


def _inert(evidence: Evidence) -> Iterator[Draft]:
    """Say how many heads no task misses, one at a time."""
    every = [f for f in evidence.of("inert_heads") if heads_of(f)]
    common, single = [f for f in every if f.task is None], list({f.task: f for f in every if f.task}.values())
    if not every:
        return
    support: Sequence[Finding] = common or single
    sizes = {str(f.task): float(len(heads_of(f))) for f in single}
    first = support[0]
    values: Values = {
        "heads": len(heads_of(first)) if common else 0,
        "of": int(number(first, "heads") or 0),
        "percent": number(first, "percent") or 0.0,
        "total": len(evidence.tasks),
        **({} if common else {k: int(v) if isinstance(v, float) else v for k, v in extremes(sizes).items()}),
        **largest_q(support),
    }
    count = values["heads"] if common else values["least"]
    effect = float(str(count)) / float(str(values["of"])) if values["of"] else 0.0
    yield Draft(name="inert", support=support, values=values, tasks=tasks_of(support), effect=min(1.0, effect))


TOPIC = Topic(
    "heads",
    "Head specialization",
    "which heads carry a task, alone or in groups, and which do not matter",
    order=20,
    claims=claims,
)
