"""No order decides: tasks, examples, further methods and heads may stand in any, and the claims are the same."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from made_findings import trials_of
from made_maps import FAMILIES, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.core.claims import Claims, to_json
from reportgen.core.scores import HeadScores, Method, Model
from reportgen.summary.summarize import summarize

TASKS, LAYERS, HEADS, GROUPS = 5, 8, 8, 4  # groups of heads that share keys and values
World = Mapping[str, HeadScores]
KNOWN = {"distinct": (False,), "tied": (True,), "few numbers": (False, False)}
WORLDS = pytest.mark.parametrize("given", KNOWN.values(), ids=KNOWN)
# They look for heads that stand side by side, in the order of their numbers: other orders are other findings.
OF_ADJACENT = ("cluster", "row_segment", "head_band", "diagonal_gradient", "scattered_heads")
OTHERS = tuple(d.name for d in DETECTORS.known() if d.name not in OF_ADJACENT)


@cache
def world(tied: bool, examples: bool = True) -> World:
    """Scores of one head that leads all tasks, one that leads one and an idle layer, by five methods.

    Where they are ``tied``, scores are whole numbers, two methods are alike, and two tasks are; without ``examples``
    few of the numbers differ.
    """
    rng = np.random.default_rng(3)
    size = np.exp(0.5 * rng.normal(size=(TASKS, LAYERS, HEADS)))
    size[:, 5, 2] *= 15
    size[1, 2, 6] *= 15
    size[:, 7] *= 0.05
    size[3:, 3] *= 4
    if tied:
        size[4] = size[3]
    size_of = {"gate_gradient": size, "zero_ablation": size**1.2, "mean_ablation": size**1.1}
    size_of |= {name: np.exp(rng.normal(size=size.shape)) for name in ("activation_norm", "patching")}
    made = {}
    for i, (name, each) in enumerate(size_of.items()):
        scores = with_examples(each, 60, 0.8, seed=1 if tied and "ablation" in name else i, accuracy=0.9, chance=0.25)
        examples = [e and replace(e, values=np.round(e.values / 4) if tied else e.values) for e in scores.examples]
        if tied:
            examples[4] = examples[3]
        scores = replace(
            scores,
            importance=np.stack([np.abs(e.values).mean(axis=0) for e in examples if e]),
            examples=tuple(examples),
            method=Method(name, family=FAMILIES.get(name, "patching")),
            model=Model(kv_groups=GROUPS),
        )
        made[name] = scores.with_groups({"basic": ["Task 0", "Task 1"], "complex": ["Task 3", "Task 4"]})
    if tied:
        made["mean_ablation"] = replace(made["zero_ablation"], method=made["mean_ablation"].method)
    if not examples:
        made = {name: replace(s, importance=np.round(s.importance.clip(0, 6)), examples=()) for name, s in made.items()}
    return made


def claims_of(given: World, detectors: tuple[str, ...] | None = None) -> Claims:
    (_, first), *others = given.items()
    findings = analyze(first, Settings(permutations=999, detectors=detectors), others=dict(others))
    return summarize(trials_of(findings.findings))


@cache
def told(given: tuple[bool, ...], detectors: tuple[str, ...] | None = None) -> Claims:
    return claims_of(world(*given), detectors)


def tasks_permuted(scores: HeadScores, rng: np.random.Generator) -> HeadScores:
    order = rng.permutation(TASKS)
    tasks, examples = (tuple(each[t] for t in order) for each in (scores.tasks, scores.examples))
    return replace(scores, importance=scores.importance[order], tasks=tasks, examples=examples)


def examples_permuted(scores: HeadScores, rng: np.random.Generator) -> HeadScores:
    mixed = []
    for e in scores.examples:
        assert e is not None
        order = rng.permutation(len(e.ids))
        ids, groups = (tuple(each[i] for i in order) for each in (e.ids, e.groups))
        mixed.append(replace(e, values=e.values[order], ids=ids, groups=groups, discovery=e.discovery[order]))
    return replace(scores, examples=tuple(mixed))


def orders_of_heads(rng: np.random.Generator) -> np.ndarray:
    """Which head of the layer comes where: key/value groups in any order, and the heads within each."""
    groups = np.arange(HEADS).reshape(GROUPS, -1)
    return np.stack([rng.permuted(groups, axis=1)[rng.permutation(GROUPS)].ravel() for _ in range(LAYERS)])


def heads_permuted(scores: HeadScores, order: np.ndarray) -> HeadScores:
    examples = tuple(e and replace(e, values=np.take_along_axis(e.values, order[None], 2)) for e in scores.examples)
    return replace(scores, importance=np.take_along_axis(scores.importance, order[None], 2), examples=examples)


@WORLDS
def test_no_order_of_tasks_changes_a_claim(given: tuple[bool, ...]) -> None:
    mixed = {name: tasks_permuted(scores, np.random.default_rng(7)) for name, scores in world(*given).items()}
    assert len(told(given).claims) > 5
    assert said(claims_of(mixed)) == said(told(given))


@pytest.mark.parametrize("given", [(False,), (True,)], ids=["distinct", "tied"])
def test_no_order_of_examples_changes_a_claim(given: tuple[bool, ...]) -> None:
    mixed = {name: examples_permuted(scores, np.random.default_rng(7)) for name, scores in world(*given).items()}
    assert said(claims_of(mixed)) == said(told(given))


@WORLDS
def test_no_order_of_further_methods_changes_a_claim(given: tuple[bool, ...]) -> None:
    (name, first), *others = world(*given).items()
    assert to_json(claims_of({name: first, **dict(reversed(others))})) == to_json(told(given))


@WORLDS
def test_heads_of_a_layer_in_another_order_are_claimed_by_their_other_names(given: tuple[bool, ...]) -> None:
    order = orders_of_heads(np.random.default_rng(0))
    assert (order != np.arange(HEADS)).any(axis=1).all()
    claims = claims_of({name: heads_permuted(s, order) for name, s in world(*given).items()}, OTHERS)
    assert [renamed(text, order) for text in said(claims)] == said(told(given, OTHERS))
    assert renamed(" ".join(said(claims)), order) != " ".join(said(claims))


def said(claims: Claims) -> list[str]:
    """All that is said, strongest first, with what it rests on but for the ids, which number findings by task."""
    every = [f"{c.id} {c.strength} {c.headline}: {c.body} {c.tasks} {c.exceptions}" for c in claims.claims]
    every += [f"{c.id} {key}: {rounded(value)}" for c in claims.claims for key, value in c.values.items()]
    remarks = [*claims.interpretation, *([claims.searches] if claims.searches else [])]
    kinds = [f"{c.id} {sorted(name.split('/')[0] for name in c.support)}" for c in claims.claims]
    return [*every, *kinds, *(r.text for r in remarks)]


def rounded(value: object) -> object:
    """A number but for the last digits, which the order of a sum decides."""
    return f"{value:.9g}" if isinstance(value, float) else value


def renamed(text: str, order: np.ndarray) -> str:
    """The text with the names that its heads had before."""
    return re.sub(r"L(\d+)H(\d+)", lambda m: f"L{m[1]}H{order[int(m[1]), int(m[2])]}", text)
