"""Gradients along layers and heads at once."""

import numpy as np
from made_maps import kinds, named, noise, only

from reportgen.analysis.analyze import analyze


def test_a_rise_along_both_axes_is_a_diagonal_and_one_along_the_layers_is_none() -> None:
    layer, head = np.mgrid[:32, :32]
    tensor = noise(6)
    tensor[0] *= np.exp(-layer / 16)
    tensor[1] *= np.exp((layer + head) / 24)
    assert [f.task for f in kinds(analyze(named(tensor)), "diagonal_gradient")] == ["Task 1"]
    (found,) = only(named(tensor), "diagonal_gradient")
    assert (found.register, found.task) == ("tested", "Task 1")


def test_a_clean_tensor_has_no_diagonal() -> None:
    assert not only(named(noise(6)), "diagonal_gradient")
