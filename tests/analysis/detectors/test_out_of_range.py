"""Scores beyond the bounds of their unit."""

import numpy as np
from made_maps import kinds, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.scores import Examples, HeadScores, Method, Task

BOUNDED = Settings(bounds=(0.0, 1.0), detectors=("out_of_range",))


def test_a_score_beyond_its_bounds_is_named_with_the_digits_that_show_it() -> None:
    tensor = np.clip(noise(0, (2, 8, 8)) / 4, 0, 1)
    tensor[1, 4, 3], tensor[1, 2, 2] = 1.0028, -0.5
    (found,) = kinds(analyze(named(tensor), BOUNDED), "out_of_range")
    assert found.sentence == (
        "Task 1: the scores' unit allows values from 0 to 1, but 2 of 64 heads have an importance outside: L2H2 (−0.5) "
        "and L4H3 (1.0028)."
    )
    assert (found.register, found.members, found.mask((8, 8)).sum()) == ("observed", ["L2H2", "L4H3"], 2)


def test_a_single_example_beyond_its_bounds_is_enough() -> None:
    values = np.full((4, 2, 2), 0.5, dtype=np.float32)
    values[2, 1, 0] = 1.25
    ids = tuple("abcd")
    examples = Examples(values, ids, ids, np.array([True, True, False, False]))
    scores = HeadScores(values.mean(0)[None], (Task("a"),), Method("m"), examples=(examples,), reduction="mean")
    (found,) = kinds(analyze(scores, BOUNDED), "out_of_range")
    assert found.sentence == (
        "a: the scores' unit allows values from 0 to 1, but 1 score of single examples, on 1 head, lies outside, the "
        "farthest 1.25 of L1H0."
    )


def test_scores_at_their_bounds_and_scores_without_bounds_are_passed_over() -> None:
    ends = np.array([[[0.0, 1.0], [np.float32(1) + np.finfo(np.float32).eps, np.nan]]])
    assert not kinds(analyze(named(ends), BOUNDED), "out_of_range")
    assert not kinds(analyze(named(ends * 7)), "out_of_range")


def test_an_average_beyond_the_bounds_is_told_before_its_examples() -> None:
    values = np.array([[[1.2, 0.5], [0.5, 1.6]]] * 3 + [[[0.9, 0.5], [0.5, 0.5]]] * 3, dtype=np.float32)
    ids = tuple("abcdef")
    examples = Examples(values, ids, ids, np.arange(6) < 3)
    scores = HeadScores(values.mean(0)[None], (Task("a"),), Method("m"), examples=(examples,), reduction="mean")
    (found,) = kinds(analyze(scores, BOUNDED), "out_of_range")
    assert found.sentence == (
        "a: the scores' unit allows values from 0 to 1, but 2 of 4 heads have an importance outside: L0H0 (1.05) and "
        "L1H1 (1.05); 6 scores of single examples, on 2 heads, lie outside, the farthest 1.6 of L1H1."
    )
