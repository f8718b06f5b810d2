"""Findings of every kind on any number of tasks: real ones of small worlds, renamed, and what interventions may say."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from made_maps import ablated, grouped, named, noise, norm_and_ablation, small_and_large, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.findings import Effect, Finding, Findings, Robustness, Test, numbered
from reportgen.core.kinds import kind_of
from reportgen.core.trials import TOP, Trials

KIND = "causal_validation"
NAMES = (
    *(f"Task {i}" for i in range(40)),
    *(f"mmlu_high_school_{name}" for name in ("physics", "biology", "us_history", "world_history", "statistics")),
    *(f"Massive multitask language understanding: {name}" for name in ("formal logic", "abstract algebra", "law")),
    "2-digit addition in 10 steps",
    "Top 5. Best of 3?",
    "知识回忆",
    "استرجاع",
    "स्मृति",
    "x" * 300,
    "a very long name " * 18,
)
# The levels of factors by which validation and scores count in how many ways a finding holds
LEVELS = (
    *("mean ablation", "zero ablation", "resample ablation", "log-probability", "accuracy", "all tokens"),
    *("prompt tokens", "answer tokens", "last token", "first half", "second half", "1 × the margin", "2 × the margin"),
    *("0.5 × the margin", "half the effect", "three quarters of the effect", "mean", "median", "mean of sizes"),
    "size of the mean",
)
VERDICTS = ("necessary", "unnecessary", "mixed", "undecided", "untested")


def planted() -> np.ndarray:
    tensor = noise(3, (4, 12, 12))
    tensor[:, 5, 5] *= 15
    tensor[1, 2:8, 3:9] *= 6
    tensor[2, 9] *= 0.05
    tensor[3] *= np.linspace(4, 0.3, 12)[:, None]
    return tensor


@cache
def pool() -> tuple[Finding, ...]:
    """Findings of small worlds, of as many kinds as there are."""
    figure = noise(0, (6, 24, 24))
    figure[:3, 4:11, 5:12] *= 8
    figure[3:, 17, 8:15] *= 9
    figure *= np.linspace(2, 0.4, 24)[:, None]
    groups = {"basic": ["Task 0", "Task 1"], "complex": ["Task 2", "Task 3"]}
    worlds: list[tuple[Any, ...]] = [
        (named(figure),),
        (grouped(with_examples(planted(), n=60, accuracy=0.3, chance=0.25), **groups),),
        (grouped(named(noise(5, (6, 16, 8))), **groups),),
        norm_and_ablation(0.0),
        (ablated(small_and_large()),),
    ]
    found = []
    for first, *others in worlds:
        settings = replace(Settings(), bounds=(0.0, 1.0), permutations=999)
        found += analyze(first, settings, others={s.method.name: (s,) for s in others}).findings
    return tuple(found)


def printed(rng: np.random.Generator, verdict: str, heads: Sequence[str]) -> dict[str, Any]:
    """What the validation says of a set of heads."""
    loss = float(rng.exponential(1.0))
    before = float(rng.choice([37, 36, 30]))
    return {
        "reason": "examples" if verdict == "undecided" else None,
        "heads": len(heads),
        "core": list(heads),
        "dropped": [],
        "examples": 37,
        "margin": 0.05,
        "shown": {
            name: {"estimate": size, "low": size / 2, "high": size * 2, "votes": True, "above": size > 0.05}
            for name, size in (("mean", loss), *((("zero", 20 * loss),) if verdict == "mixed" else ()))
        },
        "q": 0.01,
        "more": int(rng.integers(10, 900)) if verdict == "undecided" else None,
        "before": 100 * before / 37,
        "after": 100 * (float(rng.integers(0, before)) if verdict == "necessary" else before) / 37,
        "after_controls": 100 * (before - 1) / 37,
        "alone": 100 * float(rng.integers(0, before + 1)) / 37,
        "without_any": 100 * float(rng.integers(0, 20)) / 37,
        "carries": verdict == "necessary" and bool(rng.integers(2)),
    }


def first_set(rng: np.random.Generator, task: str, verdict: str) -> Finding:
    heads = [f"L{int(rng.integers(12))}H{i}" for i in range(int(rng.integers(1, 5)))]
    data = {"of": TOP, "validation": printed(rng, verdict, heads)}
    tested = verdict in ("necessary", "unnecessary", "mixed")
    return Finding(
        "",
        KIND,
        "m",
        "tested" if tested else "observed",
        0.8,
        rule=None if tested else "r",
        verdict=verdict,  # type: ignore[arg-type]
        specific=bool(data["validation"]["carries"]) if tested else None,  # type: ignore[index]
        robustness=Robustness(int(rng.integers(1, 48)), 48, (str(rng.choice(LEVELS)),)) if tested else None,
        data=data,
        task=task,
        members=heads,
        test=Test("t", "n", 1.0, 0.001, float(rng.choice([0.00002, 0.011])), KIND, 8, None) if tested else None,
    )


def order(rng: np.random.Generator, tasks: Sequence[str]) -> Finding:
    """Whose order of heads costs most, beside that of the layers and of chance."""
    area, layer = (float(x) for x in rng.uniform(0.3, 0.9, 2))
    bounds = [{"estimate": x, "low": x - 0.02, "high": x + 0.02} for x in (area, layer)]
    data = {"of": "order", "best": "gate_gradient", "area": bounds[0], "layer": layer, "layer_order": bounds[1]}
    return Finding(
        "", KIND, "m", "observed", 0.8, rule="r", data={**data, "random": 0.27, "following": None}, tasks=[*tasks]
    )


def of_matrix(rng: np.random.Generator, tasks: Sequence[str]) -> list[Finding]:
    """What knocking out single heads on every task gives."""
    test = Test("t", "n", 1.0, 0.001, 0.01, KIND, 8, None)
    first, rest = tasks[0], [*tasks[:3]]
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"of": "specialists", "others": 0.012}, {"task": first, "members": ["L1H2"], "effect": Effect("loss", 4.66)}),
        (
            {"of": "shared", "heads": [{"head": "L0H7", "tasks": rest, "losses": [1.0] * len(rest)}], "tasks": 8},
            {"tasks": rest, "members": ["L0H7"]},
        ),
        (
            {"of": "overlooked", "heads": [{"head": "L0H6", "loss": 2.1}], "first": ["L0H1", "L0H2"], "of_first": 1.2},
            {"task": first, "members": ["L0H6"]},
        ),
        ({"of": "choice", "rank": 61.0, "heads": 24, "better": bool(rng.integers(2))}, {"tasks": [*tasks]}),
        ({"of": "reference", "zero": 0.98, "mean": 0.65, "nearer": "zero"}, {"tasks": [*tasks]}),
    ]
    return [Finding("", KIND, "m", "tested", 0.8, data=d, test=test, **rest) for d, rest in cases]


def renamed(finding: Finding, names: dict[str, str]) -> Finding:
    """Return the finding with its tasks called otherwise, in its data too."""
    tasks = None if finding.tasks is None else [names[t] for t in finding.tasks]
    data = None if finding.data is None else _renamed(dict(finding.data), names)
    return replace(finding, task=None if finding.task is None else names[finding.task], tasks=tasks, data=data)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def random_findings(seed: int) -> list[Finding]:
    """Findings of any subset of kinds on 1 to 64 tasks, with verdicts or without."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([1, 2, 3, 8, 24, 64]))
    tasks = [f"{NAMES[i % len(NAMES)]}{' ' * (i // len(NAMES))}" for i in range(count)]
    tasks = [str(t) if i < len(NAMES) else f"more {i}" for i, t in enumerate(tasks)]
    rng.shuffle(tasks)
    every = sorted({f.kind for f in pool()})
    kinds = {kind for kind in every if rng.random() < rng.choice([0.2, 0.5, 1.0])}
    tried, found = bool(rng.integers(2)), []
    for f in pool():
        if f.kind not in kinds or rng.random() < 0.3:
            continue
        several = len(f.tasks or ())
        if f.task is None and several > count:
            continue
        for _ in range(1 if f.task is None else int(rng.integers(1, 1 + min(4, count)))):
            chosen = [str(t) for t in rng.permutation(tasks)]
            names = dict.fromkeys((f"Task {i}" for i in range(12)), chosen[0])
            names |= dict(zip(f.tasks or ([f.task] if f.task else []), chosen, strict=False))
            each = renamed(f, names)
            if tried and kind_of(f.kind).tried:
                verdict = str(rng.choice(VERDICTS))
                heads = [m for m in f.members or () if isinstance(m, str)]
                data = {**(each.data or {}), "validation": printed(rng, verdict, heads)}
                each = replace(each, verdict=verdict, data=data)  # type: ignore[arg-type]
            found.append(each)
    if tried:
        found += [first_set(rng, t, str(rng.choice(VERDICTS[:4], p=[0.5, 0.2, 0.1, 0.2]))) for t in tasks]
        found += [order(rng, tasks), *(f for f in of_matrix(rng, tasks) if rng.random() < 0.5)]
    rng.shuffle(found)  # type: ignore[arg-type]
    return numbered(found)


def trials_of(findings: Sequence[Finding]) -> Trials:
    return Trials(Findings({}, 0.05, 0, [], list(findings)))


HEAD = re.compile(r"(?:(?:enc|dec|cross)\.)?L\d+H\d+")
