"""Bands of layers that tasks share, and that one task has."""

import numpy as np
import pytest
from made_maps import drift, found, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings


def test_a_layer_band_that_tasks_share_is_found() -> None:
    tensor = noise(3)
    tensor[:, 10:15] *= 1.5
    (band,) = found(named(tensor), "layer_band")
    assert (band.layers, band.test is not None, band.caveats) == ((10, 14), True, ["maybe-generic", "in-sample"])
    assert band.sentence.startswith("The 8 tasks share a band of raised layers: layers 10–14 hold ")
    control = found(named(tensor), "layer_band", control="Task 7")[0]
    assert "The 7 tasks" in control.sentence
    assert "and the control task has 2" in control.sentence


@pytest.mark.parametrize("how", ["layers resemble their neighbours", "tasks share their heads"])
def test_what_looks_like_a_shared_layer_band_is_none(how: str) -> None:
    fired = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        tensor = noise(seed) * drift(rng, 8)
        if how == "tasks share their heads":
            tensor = np.exp(rng.normal(size=(1, 32, 32)) + 0.3 * rng.normal(size=(8, 32, 32)))
        fired += bool(found(named(tensor), "layer_band", permutations=999, register="tested"))
    assert fired <= 6


def test_the_layers_that_hold_half_of_a_task_are_stated() -> None:
    tensor = np.ones((1, 16, 4))
    tensor[0, 5:8] = 6
    (band,) = found(named(tensor), "layer_band")
    assert band.sentence == "Task 0: layers 5–7 hold 58.1 % of the importance, 3.1 × an even spread."
    assert band.register == "observed"
    one_head = np.ones((1, 16, 4))
    one_head[0, 5, 1] = 1000
    assert not found(named(one_head), "layer_band")


def test_a_tasks_own_band_is_told_only_where_it_leaves_the_shared_one() -> None:
    tensor = noise(8, (5, 16, 16)) ** 0.3
    tensor[:4, 2:5] *= 12
    tensor[4, 9:12] *= 12
    shared, own = found(named(tensor), "layer_band")
    assert (shared.test is not None, shared.layers) == (True, (2, 4))
    assert (own.task, own.layers) == ("Task 4", (9, 11))


def test_dead_layers_are_no_band_and_are_named() -> None:
    fired = 0
    for seed in range(8):
        tensor = noise(900 + seed, (6, 24, 12))
        tensor[:, [0, 5, 22, 23]] *= 1e-4 if seed % 2 else 0
        findings = analyze(named(tensor), Settings(detectors=("layer_band", "sparse_layers"))).findings
        fired += any(f.test for f in findings)
        told = [f for f in findings if f.data and f.data.get("condition") == "dead"]
        assert [f.members for f in told] == [[0, 5, 22, 23]]
        assert told[0].sentence.startswith("Layers 0, 5, 22 and 23 are left out of what is said of layers")
    assert fired <= 1
