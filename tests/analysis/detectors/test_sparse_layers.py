"""Layers in which few heads, or no strong head, matter."""

import numpy as np
from made_maps import kinds, named, noise, only

from reportgen.analysis.analyze import analyze


def test_faint_layers_side_by_side_are_one_finding() -> None:
    tensor = noise(8)
    tensor[0, 3:6] *= 0.1
    findings = analyze(named(tensor))
    assert any(f.task == "Task 0" and f.layers == (3, 5) for f in kinds(findings, "sparse_layers"))


def test_layers_of_like_heads_are_not_sparse_and_a_faint_one_among_them_is() -> None:
    tensor = noise(8) ** 0.3
    assert not only(named(tensor), "sparse_layers")
    tensor[4, 20] *= 0.1
    found = only(named(tensor), "sparse_layers")
    assert {(f.register, f.task, f.layers) for f in found} == {("observed", "Task 4", (20, 20))}


def test_layers_that_wander_are_not_sparse_and_one_far_below_them_is() -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(8, 32)) * np.sqrt(1 - 0.9**2)
    level = np.zeros((8, 32))
    for layer in range(32):  # each layer like the one before by .9, all together as far apart as heads are
        level[:, layer] = 0.9 * level[:, layer - 1] + steps[:, layer] if layer else rng.normal(size=8)
    tensor = noise(8) * np.exp(0.6 * level)[:, :, None]
    wandering = {(f.task, f.layers) for f in only(named(tensor), "sparse_layers")}
    assert len(wandering) <= 1  # of a dozen that shuffled heads alone would let pass
    tensor[2, 11] *= 0.01
    assert {(f.task, f.layers) for f in only(named(tensor), "sparse_layers")} - wandering == {("Task 2", (11, 11))}
