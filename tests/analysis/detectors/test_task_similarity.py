"""Similarity of tasks over their whole maps."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import named, noise, only, with_examples
from scipy import stats


def alike(seed: int, shared: float) -> np.ndarray:
    """Four maps of which a share of the log variance is common to all, and tasks 2 and 3 have more in common."""
    rng = np.random.default_rng(seed)
    logs = np.sqrt(shared) * rng.normal(size=(1, 12, 12)) + np.sqrt(1 - shared) * rng.normal(size=(4, 12, 12))
    logs[2:] += rng.normal(size=(1, 12, 12))
    return np.exp(0.6 * logs)


def test_similarity_is_spearmans_and_the_order_puts_like_tasks_together() -> None:
    tensor = alike(0, 0.6)
    (found,) = only(named(tensor), "task_similarity")
    assert found.data is not None
    assert found.data["overall"][0][1] == pytest.approx(stats.spearmanr(tensor[0].ravel(), tensor[1].ravel()).statistic)
    assert found.data["most"] == ["Task 2", "Task 3"]
    assert abs(found.data["order"].index("Task 2") - found.data["order"].index("Task 3")) == 1
    assert len(found.data["merges"]) == 3


def test_the_task_specific_part_does_not_see_what_all_tasks_share() -> None:
    generic = np.exp(np.random.default_rng(1).normal(size=(1, 12, 12)) + 0.3 * alike(1, 0))
    (found,) = only(named(generic[:3]), "task_similarity")
    assert found.data is not None
    assert found.data["median"] > 0.8
    assert found.data["unrelated"] == -0.5
    assert np.median(np.array(found.data["specific"])[np.triu_indices(3, 1)]) == pytest.approx(-0.5, abs=0.1)
    assert "where unrelated tasks would have −0.50." in found.sentence


def test_tasks_that_rank_all_heads_alike_have_no_task_specific_part() -> None:
    (found,) = only(named(np.repeat(noise(3, (1, 8, 8)), 3, axis=0)), "task_similarity")
    assert found.data is not None
    assert (found.data["specific"], found.data["unrelated"], found.data["most_rho"]) == (None, None, 1.0)
    assert "nan" not in found.sentence


def test_layers_that_all_tasks_use_make_them_alike_over_all_heads_only() -> None:
    tensor = noise(2, (3, 12, 12)) * np.exp(np.arange(12))[None, :, None]
    (found,) = only(named(tensor), "task_similarity")
    assert found.data is not None
    assert found.data["median"] > 0.9
    assert abs(found.data["median_within"]) < 0.2


def test_two_tasks_have_no_task_specific_part() -> None:
    (found,) = only(named(alike(3, 0.9)[:2]), "task_similarity")
    assert found.data is not None
    assert found.data["specific"] is None
    assert found.sentence.startswith(
        "Over 144 heads the importances on Task 0 and Task 1 have a rank correlation of 0."
    )


@pytest.mark.parametrize("tensor", [noise(0, (1, 9, 9)), np.ones((3, 9, 9)), noise(0, (3, 1, 4))])
def test_similarity_is_silent(tensor: np.ndarray) -> None:
    assert not only(named(tensor), "task_similarity")


@pytest.mark.slow
def test_intervals_of_similarity_and_reliability_cover() -> None:
    """About what other examples of as many would give; four intervals a draw, so about 1 in 20 of 160 may miss."""
    rng = np.random.default_rng(4)
    truth = np.exp(0.6 * (rng.normal(size=(1, 8, 8)) + rng.normal(size=(3, 8, 8))))
    rows = []
    for seed in range(40):
        scores = with_examples(truth, 50, 1.5, seed=seed + 1)
        like, kept = only(scores, "task_similarity")[0].data, only(scores, "reliability")[0].data
        assert like is not None
        assert kept is not None
        rows.append(
            [
                *((like[k][0][1], like[f"{k}_low"][0][1], like[f"{k}_high"][0][1]) for k in ("overall", "specific")),
                *((kept[k], kept[f"{k}_low"], kept[f"{k}_high"]) for k in ("overall", "specific")),
            ]
        )
    estimate, low, high = np.moveaxis(np.array(rows), 2, 0)
    covered = (low < estimate.mean(axis=0)) & (high > estimate.mean(axis=0))
    assert covered.mean() >= 0.92
    assert (high - low).mean() < 0.35


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_of_pairs_as_alike_the_first_by_name_is_told(order: list[int]) -> None:
    scores = named(alike(3, 0.0)[[0, 0, 1, 1]])
    mixed = replace(scores, importance=scores.importance[order], tasks=tuple(scores.tasks[t] for t in order))
    (found,) = only(mixed, "task_similarity")
    assert found.data is not None
    assert sorted(found.data["most"]) == ["Task 0", "Task 1"]
    assert sorted(found.data["least"]) == ["Task 0", "Task 2"]
