"""The weakest layers, tested and observed, tied and zero."""

import math

import numpy as np
from made_maps import kinds, named, noise, weakest_at_zero, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.core.findings import to_json
from reportgen.core.scores import Examples, HeadScores, Method, Task, split_halves


def test_the_weakest_layer_of_single_examples_is_tested() -> None:
    examples = np.broadcast_to(np.array([3.0, 2.0, 1.0, 2.5])[None, :, None], (2, 4, 8))
    found = kinds(analyze(with_examples(examples.copy())), "weakest_layers", "tested")
    assert [f.members for f in found] == [[2], [2]]


def test_tied_weakest_layers_are_named_together() -> None:
    means = np.full((1, 12, 4), 5.0)
    means[0, [3, 8]] = 1.0
    found = kinds(analyze(with_examples(means, n=20)), "weakest_layers")
    assert [(f.register, f.members) for f in found] == [("observed", [3, 8])]


def finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(finite(v) for v in value.values())
    if isinstance(value, list):
        return all(finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def test_dead_layers_are_not_told_apart() -> None:
    tensor = noise(1, (1, 16, 16))
    tensor[0, [3, 9, 12]] = 0
    assert not kinds(analyze(named(tensor)), "weakest_layers")


def test_weakest_layers_of_zeros_are_told_as_such() -> None:
    told = [f.sentence for scores in weakest_at_zero() for f in kinds(analyze(scores), "weakest_layers")]
    assert told == [
        "Task 0: layer 3 is the weakest layer: on held-out examples all its heads have importance 0, against a mean of "
        "4.58 over all layers (q < 0.0001).",
        "Task 0: layer 3 has the lowest mean importance: all its heads have importance 0, against a mean of 5.00 for "
        "the next lowest layer and 4.58 over all layers.",
        "Task 0: layers 3 and 8 cannot be told apart as the weakest: all their heads have importance 0, against a mean "
        "of 4.17 over all layers.",
    ]


def test_a_layer_without_heads_is_nobodys_weakest() -> None:
    tensor = noise(2, (2, 24, 16)) * np.exp(-np.arange(24) / 6)[None, :, None]
    tensor[:, [3, 10]] = np.nan
    findings = analyze(named(tensor))
    assert finite(to_json(findings))
    assert all(f.members and not {3, 10} & set(f.members) for f in kinds(findings, "weakest_layers"))
    gradients = kinds(findings, "layer_gradient")
    assert gradients
    for gradient in gradients:
        assert gradient.data is not None
        assert gradient.data["start"] > gradient.data["end"] > 0


def test_halves_of_few_groups_are_not_tested_on() -> None:
    n, groups = 40, tuple(str(i // 20) for i in range(40))
    values = np.abs(np.random.default_rng(6).normal(size=(n, 6, 6))).astype(np.float32)
    examples = Examples(values, tuple(map(str, range(n))), groups, split_halves(groups, 0))
    scores = HeadScores(values.mean(0)[None], (Task("a", n=n),), Method("m"), examples=(examples,))
    assert not kinds(analyze(scores), "weakest_layers", "tested")
