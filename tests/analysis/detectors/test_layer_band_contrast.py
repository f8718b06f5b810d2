"""Contrasts of layers between groups of tasks."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import drift, found, grouped, named, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.statistics.groupings import relabellings
from reportgen.core.scores import HeadScores


def test_a_contrast_of_three_tasks_of_eight_says_how_small_its_p_can_be() -> None:
    tensor = noise(4)
    tensor[:3, 20:31] *= 2
    (contrast,) = found(grouped(named(tensor), complex=["Task 0", "Task 1", "Task 2"]), "layer_band_contrast")
    assert contrast.test is not None
    assert (contrast.layers, contrast.test.p) == ((20, 30), 1 / 56)
    assert contrast.sentence.startswith(
        "The 3 tasks of “complex” hold more of their importance in layers 20–30 than the 5 tasks beside them: "
    )
    assert contrast.sentence.endswith(
        "(q = 0.018; 56 relabellings of the tasks, of which no p can be smaller than 0.018)."
    )


def test_a_contrast_takes_its_part_of_alpha_only_where_it_could_pass() -> None:
    """Two tasks of eight have 28 relabellings: too few for a test, so that what it would take stays with the others."""
    alphas = {}
    for inside in (0, 2, 3):
        findings = analyze(grouped(named(noise(4)), complex=[f"Task {t}" for t in range(inside)]))
        alphas[inside] = {f.id: f.alpha for f in findings.families}
    assert alphas[2] == alphas[0]
    assert alphas[3]["layer_band_contrast"] == pytest.approx(0.1 * 21 / 64)
    assert alphas[3]["cluster"] == pytest.approx(0.1 * 10 / 64)


def few(seed: int = 5, times: float = 1.5) -> HeadScores:
    """Two tasks of four raised in some layers."""
    tensor = noise(seed, (4, 12, 12))
    tensor[:2, 3:6] *= times
    return grouped(named(tensor), complex=["Task 0", "Task 1"], basic=["Task 2", "Task 3"])


def test_a_contrast_of_too_few_tasks_is_observed_only_where_no_other_grouping_differs_as_much() -> None:
    told = [found(few(seed, 1.0), "layer_band_contrast") for seed in range(30)]
    assert sum(map(bool, told)) <= 20  # a third of groupings of four tasks are first
    assert sum(map(bool, told)) >= 3
    (contrast,) = found(few(), "layer_band_contrast")
    assert contrast.register == "observed"
    assert contrast.sentence.startswith("The 2 tasks of “complex” differ most from the 2 tasks of “basic” in layer")
    assert contrast.sentence.endswith(
        "none of the 6 relabellings of the tasks differs more, but they can give no p below 0.33: too few tasks for a "
        "test."
    )


def test_contrasts_need_groups_and_leave_the_control_task_out() -> None:
    assert not found(named(noise(6)), "layer_band_contrast")
    tensor = noise(6, (4, 12, 12))
    tensor[:2, 3:6] *= 3
    scores = grouped(named(tensor), complex=["Task 0", "Task 1"])
    (contrast,) = found(scores, "layer_band_contrast", control="Task 3")
    assert contrast.tasks == ["Task 0", "Task 1", "Task 2"]


def test_groups_of_like_tasks_do_not_differ() -> None:
    fired = 0
    for seed in range(60):
        tensor = noise(seed, (8, 16, 16)) * drift(np.random.default_rng(seed), 8, 16)
        scores = grouped(named(tensor), a=[f"Task {t}" for t in range(3)])
        fired += bool(found(scores, "layer_band_contrast"))
    assert fired <= 8  # at 5 %, nine or more of 60 happen in under 0.6 % of runs


def test_relabellings_are_all_of_them_where_they_are_few() -> None:
    weights, smallest, every = relabellings(6, 3, 4000, 0)
    assert (len(weights), smallest, every) == (20, 2 / 20, True)
    assert np.allclose(weights.sum(axis=1), 0)
    assert relabellings(40, 20, 999, 0)[1:] == (1 / 1000, False)


def test_a_band_is_chosen_on_one_half_and_read_from_the_other() -> None:
    tensor = noise(7, (8, 16, 8))
    tensor[:3, 4:8] *= 3
    scores = with_examples(tensor)
    tasks = tuple(replace(t, group="a" if i < 3 else None) for i, t in enumerate(scores.tasks))
    (contrast,) = found(replace(scores, tasks=tasks), "layer_band_contrast")
    held = [e.values[~e.discovery].astype(float).mean(axis=0) for e in scores.examples if e]
    shares = [100 * h[contrast.layers[0] : contrast.layers[1] + 1].sum() / h.sum() for h in held if contrast.layers]
    assert contrast.data is not None
    assert contrast.data["inside"] == pytest.approx(np.mean(shares[:3]))
    assert contrast.caveats == []
