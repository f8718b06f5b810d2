"""Heads that act alike in runs, as where they share keys and values, and what follows where that cannot be told."""

import re

import numpy as np
import pytest
from made_maps import kinds, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.known_shapes import models_of
from reportgen.analysis.view import Settings
from reportgen.core.scores import Model

SCAN = Settings(detectors=("cluster", "row_segment", "tied_heads"))


def tied(seed: int, shape: tuple[int, int, int], run: int, correlation: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(*shape[:2], shape[2] // run)), run, axis=2)
    tensor: np.ndarray = np.exp(
        0.6 * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=shape))
    )
    return tensor


def test_ties_are_a_finding_whether_groups_are_known_or_not() -> None:
    tensor = tied(1, (4, 32, 32), 4, 0.3)
    for model, end in ((Model(kv_groups=8), "the heads that share keys and values."), (Model(), "kv_groups = 8.")):
        (found,) = kinds(analyze(named(tensor, model=model), SCAN), "tied_heads")
        assert found.data is not None
        assert found.data["size"] == 4
        assert found.sentence.startswith("Adjacent heads act alike in runs of 4, 8 a layer: their ranks correlate by ")
        assert found.sentence.endswith(end)
    for unshared in (named(noise(3)), named(tensor, model=Model(kv_groups=32))):
        assert not kinds(analyze(unshared, SCAN), "tied_heads")


@pytest.mark.parametrize(("layers", "heads", "run"), [(24, 14, 7), (28, 12, 6), (36, 16, 8), (30, 9, 3)])
def test_with_few_groups_unknown_to_the_file_empty_maps_carry_no_region(layers: int, heads: int, run: int) -> None:
    fired = sum(
        any(f.test for f in analyze(named(tied(seed, (1, layers, heads), run, 0.3)), SCAN).findings)
        for seed in range(25)
    )
    assert fired <= 3  # at 5 %, four or more of 25 happen in 3 % of runs; by heads alone it was a fifth and more


def test_a_strip_that_groups_would_show_too_asks_for_them() -> None:
    tensor = noise(2, (1, 24, 14))
    tensor[0, 5, 2:8] *= 30
    (open_,) = kinds(analyze(named(tensor), SCAN), "row_segment")
    assert (open_.register, open_.layers, open_.heads) == ("observed", (5, 5), (2, 7))
    assert re.search("groups of [27] heads that share keys and values would look the same", open_.sentence)
    assert "state kv_groups; Qwen2.5-0.5B (kv_groups = 2) has this shape" in open_.sentence
    assert "kv-unknown" in open_.caveats
    (known,) = kinds(analyze(named(tensor, model=Model(kv_groups=14)), SCAN), "row_segment")
    assert (known.register, known.heads) == ("tested", (2, 7))
    assert not kinds(analyze(named(tensor, model=Model(kv_groups=2)), SCAN), "row_segment", "tested")
    assert models_of(5, 3) == []
