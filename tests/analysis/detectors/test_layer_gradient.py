"""Gradients along the layers."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import kinds, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.scores import Method


def test_a_fall_along_the_layers_is_a_gradient_and_one_along_both_axes_is_none() -> None:
    layer, head = np.mgrid[:32, :32]
    tensor = noise(6)
    tensor[0] *= np.exp(-layer / 16)
    tensor[1] *= np.exp((layer + head) / 24)
    findings = analyze(named(tensor))
    falls = kinds(findings, "layer_gradient")
    assert [f.task for f in falls] == ["Task 0"]
    assert falls[0].data is not None
    assert falls[0].data["direction"] == "falls"
    assert falls[0].effect is not None
    assert falls[0].effect.estimate < -0.5


@pytest.mark.parametrize("autocorrelation", [0.7, 0.9])
def test_layers_that_resemble_their_neighbours_are_no_gradient(autocorrelation: float) -> None:
    fired = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drift = np.zeros(32)
        for i in range(1, 32):
            drift[i] = autocorrelation * drift[i - 1] + np.sqrt(1 - autocorrelation**2) * rng.normal()
        tensor = noise(100 + seed, (1, 32, 32)) * np.exp(0.7 * drift)[None, :, None]
        fired += bool(
            kinds(analyze(named(tensor), Settings(detectors=("layer_gradient",))), "layer_gradient", "tested")
        )
    assert fired <= 5  # with the estimate in place of its bound about 8 at .9


def test_a_gradient_that_the_heads_output_sizes_show_too_says_so() -> None:
    fall = np.exp(-np.arange(32) / 16)[None, :, None]
    scores, norm = named(noise(6, (1, 32, 32)) * fall), named(noise(7, (1, 32, 32)) * fall)
    flat = named(noise(8, (1, 32, 32)))
    norm, flat = (replace(s, method=Method("activation_norm", family="control")) for s in (norm, flat))
    only = Settings(detectors=("layer_gradient",))
    (found,) = kinds(analyze(scores, only, others={"activation_norm": norm}), "layer_gradient")
    assert "norm-trend" in found.caveats
    (found,) = kinds(analyze(scores, only, others={"activation_norm": flat}), "layer_gradient")
    assert "norm-trend" not in found.caveats


def test_falls_that_no_test_can_tell_from_drift_are_still_said_to_be_falls() -> None:
    """Ten layers leave room for any autocorrelation: no task's fall passes, and "none found" would be all."""
    falls = noise(3, (8, 10, 16)) * np.exp(-np.arange(10) / 4)[None, :, None]
    findings = analyze(named(falls), Settings(detectors=("layer_gradient", "absence")))
    told = kinds(findings, "layer_gradient")
    assert len(told) == 8
    for finding in (f for f in told if f.register == "observed"):
        assert finding.effect is not None
        assert finding.effect.estimate <= -0.64
        assert f"{finding.task}: importance falls over all layers (0–9), " in finding.sentence
        assert "gradient" not in finding.sentence
    assert any(f.register == "observed" for f in told)
    assert not kinds(findings, "absence")


def test_noise_has_no_observed_trend() -> None:
    fired = 0
    for seed in range(60):
        findings = analyze(named(noise(seed, (4, 14, 12))), Settings(detectors=("layer_gradient",)))
        fired += bool(kinds(findings, "layer_gradient"))
    assert fired <= 5  # at 2 %, six or more of 60 happen in .2 % of runs
