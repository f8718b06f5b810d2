"""Clusters: rectangles of raised heads, found by a scan."""

import numpy as np
import pytest
from made_maps import kinds, named, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.scores import Model


def test_a_cluster_is_found_at_its_place_and_nowhere_else() -> None:
    tensor = noise(2)
    tensor[3, 10:16, 4:11] *= 6
    found = kinds(analyze(named(tensor)), "cluster")
    assert [(f.task, f.layers, f.heads, f.cells) for f in found] == [("Task 3", (10, 15), (4, 10), None)]
    assert found[0].test is not None
    assert 0 < found[0].test.q <= 0.025


def test_a_cluster_split_over_the_edge_of_a_window_is_one_finding() -> None:
    tensor = noise(2, (2, 40, 24))
    tensor[0, 5:28, 3:9] *= 8
    found = kinds(analyze(named(tensor)), "cluster")
    assert len(found) == 1
    assert found[0].layers == (5, 27)


def test_heads_tied_in_key_value_groups_are_no_cluster() -> None:
    groups = noise(3, (8, 32, 8))
    tensor = np.repeat(groups, 4, axis=2) * np.exp(0.05 * np.random.default_rng(0).normal(size=(8, 32, 32)))
    scan = Settings(detectors=("cluster", "row_segment"))
    for model in (Model(kv_groups=8), Model()):  # told, and estimated
        found = analyze(named(tensor, model=model), scan)
        assert not [f for f in found.findings if f.register == "tested"]
    believed = analyze(named(tensor, model=Model(kv_groups=32)), scan)
    assert [f for f in believed.findings if f.register == "tested"]


def test_runs_of_tied_heads_are_estimated_and_told() -> None:
    groups = noise(3, (8, 32, 8))
    groups[2, 10:18, 3:5] *= 8
    tensor = np.repeat(groups, 4, axis=2) * np.exp(0.2 * np.random.default_rng(0).normal(size=(8, 32, 32)))
    (found,) = kinds(analyze(named(tensor)), "cluster")
    assert (found.task, found.heads) == ("Task 2", (12, 19))
    assert "kv-estimated" in found.caveats
    assert found.test is not None
    assert found.test.null.startswith("runs of 4 tied heads")
    assert found.test.null.endswith("shuffled within each layer")
    assert "heads were shuffled in runs of 4, in which they are tied (correlation 0.91)" in found.sentence
    free = noise(2)
    free[3, 10:16, 4:11] *= 6
    (plain,) = kinds(analyze(named(free)), "cluster")
    assert "kv-untied" in plain.caveats
    assert plain.data == {"cells": 42, "run": None, "correlation": None}


def test_values_come_from_the_half_that_was_not_searched() -> None:
    rng = np.random.default_rng(9)
    n, tensor = 40, noise(9, (1, 16, 16))
    tensor[0, 4:10, 4:10] *= 8
    scores = with_examples(tensor, n, seed=9)
    examples = scores.examples[0]
    assert examples is not None
    found = kinds(analyze(scores), "cluster")[0]
    assert found.value is not None
    assert found.value.split == "held-out"
    assert "in-sample" not in found.caveats
    held = examples.values[~examples.discovery].astype(float).mean(axis=0)
    assert found.value.estimate == pytest.approx(held[found.mask((16, 16))].mean())
    assert found.n_examples == int((~examples.discovery).sum())
    del rng


def test_key_value_groups_hold_where_heads_are_absent() -> None:
    for seed in range(5):
        groups = noise(seed, (8, 32, 8))
        tensor = np.repeat(groups, 4, axis=2) * np.exp(0.05 * np.random.default_rng(seed).normal(size=(8, 32, 32)))
        tensor[:, 31, 31] = np.nan
        findings = analyze(named(tensor, model=Model(kv_groups=8)), Settings(detectors=("cluster", "row_segment")))
        assert not [f for f in findings.findings if f.register == "tested"]
