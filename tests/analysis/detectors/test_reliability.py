"""Reliability: how far other examples would rank the heads the same."""

import numpy as np
import pytest
from made_maps import named, noise, only, with_examples
from scipy import stats

from reportgen.analysis.detectors.reliability import more_examples


def test_reliability_says_what_another_set_of_examples_gives() -> None:
    tensor = noise(5, (3, 12, 12))
    told = only(with_examples(tensor, 40, 1.5, seed=1), "reliability")
    again = with_examples(tensor, 40, 1.5, seed=2).importance
    first = with_examples(tensor, 40, 1.5, seed=1).importance
    repeated = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, again, strict=True)]
    assert np.mean([f.data["overall"] for f in told if f.data]) == pytest.approx(np.mean(repeated), abs=0.08)
    assert told[0].sentence.startswith("Task 0: on 40 examples the ranking of heads has a split-half reliability of 0.")


def test_a_generic_map_is_reliable_but_what_sets_tasks_apart_is_not() -> None:
    generic = np.repeat(noise(6, (1, 12, 12)), 4, axis=0)
    for finding in only(with_examples(generic, 40, 1.5), "reliability"):
        assert finding.data is not None
        assert finding.data["overall"] > 0.7
        assert finding.data["specific_low"] < 0 < finding.data["specific_high"]


def test_spearman_brown_turned_round_gives_the_examples_needed() -> None:
    assert more_examples(100, 0.9) == 0
    assert more_examples(100, 0.5) == 800  # 900 examples: 9 · .5 / (1 + 8 · .5) = .9
    assert more_examples(100, -0.1) is None


def test_without_examples_reliability_is_said_to_be_unknown() -> None:
    (found,) = only(named(noise(7, (2, 8, 8))), "reliability")
    assert found.sentence == (
        "How far other examples would rank the heads the same cannot be computed: the scores hold no single examples."
    )
    assert not only(with_examples(noise(7, (1, 8, 8)), n=6), "reliability")
