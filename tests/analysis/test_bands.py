"""Bands of heads and of layers, over tasks and between groups of tasks, against nulls that fit each."""

from dataclasses import replace

import numpy as np
import pytest
from test_detectors import kinds, noise, with_examples
from test_hard_inputs import named

from reportgen.analysis.analyze import analyze
from reportgen.analysis.detectors.layer_band_contrast import relabellings
from reportgen.analysis.view import Settings
from reportgen.core.findings import Finding, Findings
from reportgen.core.scores import HeadScores, Model

REGIONS = ("cluster", "row_segment")


def found(scores: HeadScores, kind: str, *more: str, register: str | None = None, **settings: object) -> list[Finding]:
    findings: Findings = analyze(scores, Settings(detectors=(*more, kind), **settings))  # type: ignore[arg-type]
    return kinds(findings, kind, register)


def grouped(scores: HeadScores, **groups: list[str]) -> HeadScores:
    return scores.with_groups(groups)


def drift(rng: np.random.Generator, tasks: int, layers: int = 32) -> np.ndarray:
    """First-order autoregressive layer levels of each task, as factors (task, layer, 1)."""
    levels = rng.normal(size=(tasks, layers))
    for i in range(1, layers):
        levels[:, i] = 0.7 * levels[:, i - 1] + 0.7 * levels[:, i]
    factors: np.ndarray = np.exp(0.6 * levels)[:, :, None]
    return factors


def test_a_faint_head_band_over_all_layers_and_tasks_is_found() -> None:
    tensor = noise(1)
    tensor[:, :, 12:17] *= 1.25
    (band,) = found(named(tensor), "head_band", *REGIONS)
    assert (band.register, band.heads, band.layers) == ("tested", (12, 16), (0, 31))
    assert band.sentence.startswith(
        "Heads 12–16 are raised through the layers, over the 8 tasks together: outside found regions their mean "
    )
    assert "head-order" in band.caveats


def test_a_head_band_that_is_one_cluster_is_said_to_be_carried_by_it() -> None:
    tensor = noise(2, (2, 24, 24))
    tensor[:, 2:20, 8:12] *= 12
    (band,) = found(named(tensor), "head_band", *REGIONS)
    assert (band.register, band.heads) == ("observed", (8, 11))
    assert "but only through the regions found above: without them q" in band.sentence


@pytest.mark.parametrize("tied", [False, True])
def test_heads_alike_in_all_tasks_are_no_band(tied: bool) -> None:
    fired = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shared = np.repeat(rng.normal(size=(1, 16, 8)), 2, axis=2) if tied else rng.normal(size=(1, 16, 16))
        scores = named(np.exp(shared + 0.3 * rng.normal(size=(4, 16, 16))), model=Model(kv_groups=8 if tied else 16))
        fired += bool(found(scores, "head_band", register="tested"))
    assert fired <= 6  # at a true rate of 5 %, seven or more of 40 happen in under 1 % of runs


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
    assert alphas[3]["layer_band_contrast"] == pytest.approx(0.1 * 18 / 55)
    assert alphas[3]["cluster"] == pytest.approx(0.1 * 10 / 55)


def test_a_contrast_of_too_few_tasks_is_only_observed() -> None:
    scores = grouped(named(noise(5, (4, 12, 12))), complex=["Task 0", "Task 1"], basic=["Task 2", "Task 3"])
    (contrast,) = found(scores, "layer_band_contrast")
    assert contrast.register == "observed"
    assert contrast.sentence.startswith("The 2 tasks of “complex” differ most from the 2 tasks of “basic” in layer")
    assert contrast.sentence.endswith("6 relabellings of the tasks can give no p below 0.33: too few tasks for a test.")


def test_contrasts_need_groups_and_leave_the_control_task_out() -> None:
    assert not found(named(noise(6)), "layer_band_contrast")
    scores = grouped(named(noise(6, (4, 12, 12))), complex=["Task 0", "Task 1"])
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


def test_a_tasks_own_band_is_told_only_where_it_leaves_the_shared_one() -> None:
    tensor = noise(8, (5, 16, 16)) ** 0.3
    tensor[:4, 2:5] *= 12
    tensor[4, 9:12] *= 12
    shared, own = found(named(tensor), "layer_band")
    assert (shared.test is not None, shared.layers) == (True, (2, 4))
    assert (own.task, own.layers) == ("Task 4", (9, 11))
