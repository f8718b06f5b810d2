"""Row segments: runs of raised heads in one layer."""

import numpy as np
from made_maps import named, noise, only

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings


def test_rows_of_seven_heads_pass() -> None:
    """Though wider rows reach larger sums by chance."""
    found = 0
    for seed in range(6):
        tensor = noise(300 + seed, (4, 32, 32))
        tensor[2, 9, 5:12] *= np.exp(8 * 0.6)
        rows = analyze(named(tensor), Settings(detectors=("row_segment",))).findings
        found += any(f.register == "tested" and f.task == "Task 2" for f in rows)
    assert found == 6


def test_a_slope_along_heads_is_no_row_of_two() -> None:
    """Ranks bound what two heads can reach, so that under the null their largest sums hardly differ."""
    for seed in (407, 415, 419):
        tensor = noise(seed, (1, 32, 32)) * np.exp(0.6 * np.linspace(0, 1, 32))
        found = analyze(named(tensor), Settings(detectors=("cluster", "row_segment"))).findings
        assert all(f.heads[1] - f.heads[0] > 2 for f in found if f.test and f.heads and f.kind == "row_segment")


def test_a_row_is_found_at_its_place_and_nowhere_else() -> None:
    tensor = noise(2)
    tensor[2, 9, 5:15] *= 40
    (found,) = (f for f in only(named(tensor), "row_segment") if f.test)
    assert (found.task, found.layers, found.heads) == ("Task 2", (9, 9), (5, 14))
    assert not only(named(noise(2)), "row_segment")


def test_each_of_an_observed_run_stands_above_all_that_it_leaves_out() -> None:
    tensor = np.full((1, 8, 24), 1.0) * np.random.default_rng(0).uniform(0.9, 1.1, (1, 8, 24))
    tensor[0, 3, 4:10] = [9, 8, 7, 8, 9, 8]
    wanted = Settings(detectors=("row_segment",), permutations=20)  # too few for any test to pass
    told = [f for f in analyze(named(tensor), wanted).findings if f.kind == "row_segment" and not f.test]
    assert [(f.layers, f.heads) for f in told] == [((3, 3), (4, 9))]
    assert " are each at least 3 times their layer's median, and above all its other heads" in told[0].sentence
    tensor[0, 3, 20] = 7.5
    assert not [f for f in analyze(named(tensor), wanted).findings if f.kind == "row_segment" and not f.test]


def test_a_strip_is_told_as_itself_and_not_as_the_cluster_it_smears_into() -> None:
    """Of 10 strips of 7 heads at 3 SD nearly all are found, none as a rectangle with layers of background in it."""
    rows, rectangles = 0, 0
    for seed in range(10):
        tensor = noise(700 + seed, (4, 32, 32))
        tensor[1, 14, 15:22] *= np.exp(3 * 0.6)
        found = analyze(named(tensor), Settings(detectors=("cluster", "row_segment"))).findings
        own = [f.mask((32, 32))[14, 15:22].sum() for f in found if f.task == "Task 1" and f.kind == "row_segment"]
        rows += any(own)
        rectangles += any(
            f.mask((32, 32))[14, 15:22].any() for f in found if f.kind == "cluster" and f.task == "Task 1"
        )
    assert rows >= 8  # at .95, fewer than 8 of 10 happen in 1 % of runs
    assert rectangles == 0


def test_the_rows_of_a_cluster_are_no_strips() -> None:
    for seed in range(4):
        tensor = noise(40 + seed, (4, 32, 32))
        tensor[3, 10:16, 4:11] *= 6
        found = analyze(named(tensor), Settings(detectors=("cluster", "row_segment"))).findings
        assert [f.kind for f in found if f.task == "Task 3"] == ["cluster"]
