"""What each family of tests gets of the alpha that all of them share."""

import numpy as np
import pytest
from made_maps import named, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.core.stats import benjamini_hochberg, guarded_benjamini_hochberg

ALPHA = 0.10


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 4), (1, 16, 16), (2, 12, 6), (8, 12, 12)])
@pytest.mark.parametrize("examples", [False, True])
def test_families_share_alpha(shape: tuple[int, int, int], examples: bool) -> None:
    tensor = noise(0, shape)
    scores = with_examples(tensor, accuracy=0.9, chance=0.5) if examples else named(tensor)
    families = analyze(scores, Settings(permutations=999)).families
    assert families
    assert all(0 < family.alpha <= ALPHA / 2 for family in families)
    assert sum(family.alpha for family in families) <= ALPHA + 1e-12


def test_every_kind_that_tests_has_a_part() -> None:
    kinds = {f.id for f in analyze(with_examples(noise(0, (8, 16, 16)), accuracy=0.9, chance=0.5)).families}
    assert kinds <= {d.name for d in DETECTORS.own() if d.weight}


def test_a_finding_does_not_depend_on_what_else_is_looked_for() -> None:
    tensor = noise(2)
    tensor[3, 10:16, 4:11] *= 6
    everything = [f for f in analyze(named(tensor)).findings if f.kind == "cluster"]
    assert everything
    assert analyze(named(tensor), Settings(detectors=("cluster",))).findings == everything


@pytest.mark.slow
def test_at_most_a_tenth_of_clean_tensors_carries_any_tested_finding() -> None:
    fired = sum(any(f.test for f in analyze(named(noise(100 + seed, (8, 24, 24)))).findings) for seed in range(40))
    assert fired <= 9  # at a true rate of 10 %, ten or more of 40 happen in half a per cent of runs


def test_a_test_beside_one_true_effect_is_held_against_the_level_it_has_alone() -> None:
    level, p = 0.02, [0.0001, 0.004, *[0.5] * 6]
    assert [q <= level for q in benjamini_hochberg(p)] == [True, True, *[False] * 6]
    assert [q <= level for q in guarded_benjamini_hochberg(p)] == [True, *[False] * 7]
    assert guarded_benjamini_hochberg([0.3, 0.002, 0.001, 0.003]) == pytest.approx([0.4, 0.006, 0.004, 0.006])
    assert guarded_benjamini_hochberg([]) == []
    rng = np.random.default_rng(0)
    for ps in rng.random((20, 9)) ** 3:
        assert (np.array(guarded_benjamini_hochberg(list(ps))) >= np.array(benjamini_hochberg(list(ps))) - 1e-12).all()
