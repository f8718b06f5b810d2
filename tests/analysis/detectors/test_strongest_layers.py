"""Each task's leading layers, with the ranks that they may have."""

import numpy as np
import pytest
from made_maps import found, named, noise, with_examples


def test_the_strongest_layer_is_shown_to_be_the_first() -> None:
    tensor = noise(2, (1, 24, 16))
    tensor[0, 7] *= 3
    (finding,) = found(with_examples(tensor, 60), "strongest_layers")
    assert finding.members is not None
    assert finding.data is not None
    assert finding.members[0] == 7
    assert (finding.data["first_ranks"][0], finding.data["last_ranks"][0], finding.data["separable"]) == (1, 1, True)
    assert finding.effect is not None
    assert finding.effect.estimate == pytest.approx(2.7, abs=0.5)
    assert finding.sentence.startswith(
        "Task 0: the layers of largest mean importance on held-out examples are layer 7 "
    )


def test_layers_alike_are_not_told_apart() -> None:
    (finding,) = found(with_examples(np.ones((1, 24, 8)), 40), "strongest_layers")
    assert finding.data is not None
    assert finding.data["separable"] is False
    assert "no layer leads on held-out examples: " in finding.sentence


def test_without_examples_the_layers_are_listed_and_ties_counted() -> None:
    tensor = np.ones((1, 8, 4))
    tensor[0, [2, 5]] = [[3.0], [2.0]]
    (finding,) = found(named(tensor), "strongest_layers")
    assert finding.members == [2, 5]
    tensor[0] = 1.0
    tensor[0, 7] = 0.5
    (finding,) = found(named(tensor), "strongest_layers")
    assert "7 of the 8 layers tie at a mean importance of 1.00, the largest" in finding.sentence


def test_layers_without_heads_have_no_rank() -> None:
    tensor = noise(3, (1, 12, 4))
    tensor[:, 6:] = np.nan
    (finding,) = found(named(tensor), "strongest_layers")
    assert finding.data is not None
    assert finding.data["total"] == 6
    assert all(isinstance(m, int) and m < 6 for m in finding.members or [])
    assert not found(named(tensor[:, :3]), "strongest_layers")
