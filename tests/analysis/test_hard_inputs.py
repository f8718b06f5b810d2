"""Inputs on which an analysis is easily wrong: zeros, ties, absent layers, signs, shared keys, few examples."""

import math

import numpy as np
import pytest
from test_detectors import kinds, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.findings import to_json
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, split_halves
from reportgen.core.stats import mean_intervals, wilson


def named(tensor: np.ndarray, **rest: object) -> HeadScores:
    return HeadScores.from_array(tensor, [f"Task {t}" for t in range(len(tensor))], **rest)


def finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(finite(v) for v in value.values())
    if isinstance(value, list):
        return all(finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def test_a_task_of_zeros_is_described_without_a_word_too_many() -> None:
    tensor = noise(0, (3, 12, 12))
    tensor[1] = 0
    findings = analyze(named(tensor))
    assert {f.kind for f in findings.findings if f.task == "Task 1"} <= {"competence"}


def test_dead_layers_are_not_told_apart() -> None:
    tensor = noise(1, (1, 16, 16))
    tensor[0, [3, 9, 12]] = 0
    assert not kinds(analyze(named(tensor)), "weakest_layers")


def weakest_at_zero() -> list[HeadScores]:
    """A layer of zeros with and without examples, and two such layers with examples."""
    one, two = np.full((1, 12, 4), 5.0), np.full((1, 12, 4), 5.0)
    one[0, 3] = two[0, [3, 8]] = 0
    return [with_examples(one, 20, 0.0), named(one), with_examples(two, 20, 0.0)]


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


def test_key_value_groups_hold_where_heads_are_absent() -> None:
    for seed in range(5):
        groups = noise(seed, (8, 32, 8))
        tensor = np.repeat(groups, 4, axis=2) * np.exp(0.05 * np.random.default_rng(seed).normal(size=(8, 32, 32)))
        tensor[:, 31, 31] = np.nan
        findings = analyze(named(tensor, model=Model(kv_groups=8)), Settings(detectors=("cluster", "row_segment")))
        assert not [f for f in findings.findings if f.register == "tested"]


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
    assert 0 < value.low < value.estimate < value.high


def test_rows_that_touch_stay_two_findings() -> None:
    tensor = noise(4)
    tensor[0, 10, 3:10] *= 12
    tensor[0, 11, 9:16] *= 12
    findings = analyze(named(tensor))
    for finding in kinds(findings, "cluster"):
        assert finding.task != "Task 0" or finding.test is not None
    for absence in kinds(findings, "absence"):
        assert absence.data is not None
        assert absence.data["smallest_q"] > absence.data["alpha"]


def test_outstanding_heads_are_counted_where_the_sentence_says() -> None:
    tensor = np.full((1, 32, 32), 0.01)
    tensor[0, 5, [3, 9]] = [1.0, 0.9]
    found = [f for f in kinds(analyze(named(tensor)), "anomaly") if len(f.members or ()) == 2]
    assert found
    assert "2 of 1024 heads reach at least half of the largest value: L5H3 (1.00) and L5H9 (0.900)" in found[0].sentence


def test_groups_count_once_in_competence() -> None:
    n, groups = 200, tuple(str(i // 20) for i in range(200))
    values = np.abs(np.random.default_rng(5).normal(size=(n, 2, 2))).astype(np.float32)
    examples = Examples(values, tuple(map(str, range(n))), groups, split_halves(groups, 0))
    task = Task("a", n=n, accuracy=0.7, chance=0.5)
    scores = HeadScores(values.mean(0)[None], (task,), Method("m"), examples=(examples,))
    found = kinds(analyze(scores), "competence")[0]
    assert found.register == "observed"  # 7 of 10 groups is no evidence, 140 of 200 rows would be
    assert "over 10 groups" in found.sentence


def test_halves_of_few_groups_are_not_tested_on() -> None:
    n, groups = 40, tuple(str(i // 20) for i in range(40))
    values = np.abs(np.random.default_rng(6).normal(size=(n, 6, 6))).astype(np.float32)
    examples = Examples(values, tuple(map(str, range(n))), groups, split_halves(groups, 0))
    scores = HeadScores(values.mean(0)[None], (Task("a", n=n),), Method("m"), examples=(examples,))
    assert not kinds(analyze(scores), "weakest_layers", "tested")


@pytest.mark.parametrize("n", [4, 12, 50])
def test_intervals_cover(n: int) -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(1, 0.3, size=(n, 2000))
    low, high = mean_intervals(values, [str(i) for i in range(n)])
    if n < 8:
        assert np.isnan(low).all()
    else:
        assert 0.93 <= ((low < 1) & (high > 1)).mean() <= 0.97


def test_wilson_reaches_the_ends() -> None:
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0


def test_a_head_of_a_heavy_tailed_task_is_judged_by_its_own_tail() -> None:
    fired = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        light, heavy = rng.normal(size=(15, 32, 32)), rng.standard_t(3, size=(1, 32, 32))
        tensor = np.exp(0.6 * np.concatenate([light, heavy]))
        fired += bool(kinds(analyze(named(tensor), Settings(detectors=("anomaly",))), "anomaly", "tested"))
    assert fired <= 2  # judged by the common tail: nearly always


def test_example_free_and_example_rich_tasks_go_together() -> None:
    rich = with_examples(noise(8, (1, 8, 8)))
    mixed = HeadScores(
        np.concatenate([rich.importance, noise(9, (1, 8, 8)).astype(np.float32)]),
        (rich.tasks[0], Task("plain")),
        Method("m"),
        examples=(rich.examples[0], None),
    )
    assert {f.task for f in analyze(mixed).findings if f.kind == "concentration"} == {"Task 0", "plain"}


def test_skewed_scores_get_intervals_that_cover() -> None:
    rng = np.random.default_rng(8)
    values = rng.lognormal(0, 0.6, size=(50, 3000))
    low, high = mean_intervals(values, [str(i) for i in range(50)])
    truth = np.exp(0.18)
    assert 0.93 <= ((low < truth) & (high > truth)).mean() <= 0.97


def test_values_that_do_not_vary_have_intervals_of_no_width() -> None:
    low, high = mean_intervals(np.ones((30, 2)), [str(i) for i in range(30)])
    assert (low == high).all()


def test_zeros_do_not_silence_the_anomaly_test() -> None:
    rng = np.random.default_rng(9)
    tensor = noise(9) * (rng.random((8, 32, 32)) < 0.4)
    tensor[3, 20, 4] = np.exp(0.6 * 9)
    found = kinds(analyze(named(tensor), Settings(detectors=("anomaly",))), "anomaly", "tested")
    assert [(f.task, f.members) for f in found] == [("Task 3", ["L20H4"])]


def test_sentences_on_negative_scores_say_that_they_leave_the_sign_out() -> None:
    tensor = noise(5, (2, 12, 12))
    tensor[0, 2, 2] = -60
    heads = [f for f in analyze(named(tensor)).findings if f.kind == "anomaly" and f.members == ["L2H2"]]
    assert heads
    assert all(f.sentence.startswith("Task 0, in absolute value: L2H2 (60.0") for f in heads)
    positive = analyze(named(np.abs(tensor))).findings
    assert not [f for f in positive if "absolute value" in f.sentence or "absolute" in f.caveats]
