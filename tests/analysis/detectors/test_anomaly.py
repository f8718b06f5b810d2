"""Anomalies: single heads far from their layer."""

import numpy as np
import pytest
from made_maps import kinds, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.detectors.anomaly import medians_of_others
from reportgen.analysis.view import Settings
from reportgen.core.scores import Examples, HeadScores, Method, Task, split_halves


def test_a_tested_anomaly() -> None:
    tensor = np.exp(0.3 * np.random.default_rng(4).normal(size=(8, 32, 32)))
    tensor[2, 7, 9] = np.exp(0.3 * 9)
    found = kinds(analyze(named(tensor)), "anomaly", "tested")
    assert [(f.task, f.members) for f in found] == [("Task 2", ["L7H9"])]


def test_a_head_far_below_its_layer_is_an_anomaly_too() -> None:
    tensor = noise(4)
    tensor[2, 7, 9] = np.exp(-0.6 * 9)
    (found,) = kinds(analyze(named(tensor)), "anomaly", "tested")
    assert (found.task, found.members) == ("Task 2", ["L7H9"])
    assert "standard deviations below its layer's median" in found.sentence


def test_a_head_that_is_large_on_one_task_only_is_out_of_pattern() -> None:
    shared = 0.6 * np.random.default_rng(5).normal(size=(1, 32, 32))
    tensor = np.exp(shared + 0.15 * np.random.default_rng(6).normal(size=(8, 32, 32)))
    tensor[5, 3, 3] = np.median(tensor[5, 3]) * np.exp(0.8)
    tensor[[t for t in range(8) if t != 5], 3, 3] = np.exp(-0.8)
    found = kinds(analyze(named(tensor)), "anomaly", "tested")
    assert [(f.task, f.members) for f in found] == [("Task 5", ["L3H3"])]
    assert "is an anomaly, out of pattern for this task" in found[0].sentence


def test_medians_of_the_other_tasks_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(7, 5, 6)).round(1)
    stack[rng.random(stack.shape) < 0.3] = np.nan
    found = medians_of_others(stack)
    for t, layer, head in np.ndindex(*stack.shape):
        others = np.delete(stack[:, layer, head], t)
        others = others[np.isfinite(others)]
        expected = np.median(others) if len(others) > 1 and np.isfinite(stack[t, layer, head]) else np.nan
        assert found[t, layer, head] == pytest.approx(expected, nan_ok=True)


def test_an_observed_anomaly_states_what_the_table_shows() -> None:
    tensor = np.full((1, 8, 8), 0.1)
    tensor[0, 2, 5], tensor[0, 6, 6] = 0.5, 1.0
    found = kinds(analyze(named(tensor)), "anomaly", "observed")
    facts = {f.members[0]: (f.data["range"], f.effect.estimate) for f in found if f.data and "range" in f.data}
    assert facts["L6H6"] == ([0, 7], pytest.approx(2.0))
    assert facts["L2H5"] == ([0, 5], pytest.approx(5.0))


def test_negative_means_keep_their_intervals_on_their_side() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.02, size=(30, 8, 8))
    values[:, 2, 3] = rng.normal(-2, 0.1, size=30)
    ids = tuple(map(str, range(30)))
    examples = Examples(values.astype(np.float32), ids, ids, split_halves(ids, 0))
    scores = HeadScores(values.mean(0)[None], (Task("a"),), Method("m"), examples=(examples,), reduction="mean")
    found = [f for f in kinds(analyze(scores), "anomaly") if f.members == ["L2H3"]]
    assert found
    value = found[0].value
    assert value is not None
    assert value.low is not None
    assert value.high is not None
    assert value.low < value.estimate < value.high < 0


def test_outstanding_heads_are_counted_where_the_sentence_says() -> None:
    tensor = np.full((1, 32, 32), 0.01)
    tensor[0, 5, [3, 9]] = [1.0, 0.9]
    found = [f for f in kinds(analyze(named(tensor)), "anomaly") if len(f.members or ()) == 2]
    assert found
    assert "2 of 1024 heads reach at least half of the largest value: L5H3 (1.00) and L5H9 (0.900)" in found[0].sentence


def test_a_head_of_a_heavy_tailed_task_is_judged_by_its_own_tail() -> None:
    fired = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        light, heavy = rng.normal(size=(15, 32, 32)), rng.standard_t(3, size=(1, 32, 32))
        tensor = np.exp(0.6 * np.concatenate([light, heavy]))
        fired += bool(kinds(analyze(named(tensor), Settings(detectors=("anomaly",))), "anomaly", "tested"))
    assert fired <= 2  # judged by the common tail: nearly always


def test_zeros_do_not_silence_the_anomaly_test() -> None:
    rng = np.random.default_rng(9)
    tensor = noise(9) * (rng.random((8, 32, 32)) < 0.4)
    tensor[3, 20, 4] = np.exp(0.6 * 9)
    found = kinds(analyze(named(tensor), Settings(detectors=("anomaly",))), "anomaly", "tested")
    assert [(f.task, f.members) for f in found] == [("Task 3", ["L20H4"])]
