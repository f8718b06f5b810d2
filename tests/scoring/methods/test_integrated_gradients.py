"""Integrated gradients against edited weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, log_odds, part, run
from tiny_models import examples, loaded

from reportgen.scoring.methods import integrated_gradients
from reportgen.scoring.methods.common.interpolation import gap, legendre
from reportgen.scoring.model.heads import Site

INTEGRATED = integrated_gradients.METHOD


@contextmanager
def weights_scaled(site: Site, heads: list[int], factor: float) -> Iterator[None]:
    """The heads' columns of the projection multiplied in the weights themselves, so that no hook of ours takes part."""
    weight: Any = site.projection.weight
    before = weight.clone()
    for head in heads:
        rows = type(site.projection).__name__ == "Conv1D"
        weight[(part(site, head), slice(None)) if rows else (slice(None), part(site, head))] *= factor
    yield
    weight.copy_(before)


@contextmanager
def everywhere(sites: list[Site], factor: float) -> Iterator[None]:
    """All of these sites' heads multiplied."""
    weights: list[Any] = [site.projection.weight for site in sites]
    before = [weight.clone() for weight in weights]
    for weight in weights:
        weight *= factor
    yield
    for weight, old in zip(weights, before, strict=True):
        weight.copy_(old)


@pytest.mark.parametrize("architecture", ["gpt2", "bert", "bart"])
@pytest.mark.parametrize("path", ["joint", "layer"])
def test_integrated_gradients_are_the_integral_of_finite_differences(architecture: str, path: str) -> None:
    model = loaded(architecture, torch.float64)
    example = examples(model)[1]
    found = run(INTEGRATED, model, [example], steps=12, path=path).values
    step, points = 1e-5, [(k + 0.5) / 60 for k in range(60)]
    for index, head in [(0, 1), (len(model.heads.sites) - 1, 3)]:
        site = model.heads.sites[index]
        others = list(model.heads.sites) if path == "joint" else [site]
        slopes = []
        for point in points:
            with everywhere(others, point):
                sides = []
                for factor in (point + step, point - step):
                    with weights_scaled(site, [head], factor / point):
                        sides.append(float(log_odds(model, example)))
                slopes.append((sides[0] - sides[1]) / (2 * step))
        assert found[0, index, head] == pytest.approx(np.mean(slopes), abs=2e-3 * float(np.nanmax(np.abs(found))))


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("path", ["joint", "layer"])
def test_integrated_gradients_add_up_to_the_change_and_the_gap_is_what_they_miss(architecture: str, path: str) -> None:
    model = loaded(architecture, torch.float64)
    some, sites = examples(model)[:3], list(model.heads.sites)
    if architecture == "albert":  # one module runs as every layer: weights cannot tell the layers apart
        groups = [sites] if path == "joint" else []
    else:
        groups = [sites] if path == "joint" else [[site] for site in sites]
    # near gates of 0 norms without a mean bend sharply, and the rule converges slowly
    enough, bound = (40, 0.05) if architecture in ("llama-gqa", "t5") else (24, 2e-3)
    for steps in (2, enough):
        scored = run(INTEGRATED, model, some, steps=steps, path=path)
        missed = np.zeros((len(groups), 3))
        for g, group in enumerate(groups):
            rows = range(len(sites)) if path == "joint" else [g]
            for e, example in enumerate(some):
                clean = float(log_odds(model, example))
                with everywhere(list({s.projection: s for s in group}.values()), 0.0):
                    change = clean - float(log_odds(model, example))
                error = abs(np.nansum(scored.values[e, list(rows)].astype(float)) - change)
                missed[g, e] = error / max(abs(change), 0.1)
        if groups:
            np.testing.assert_allclose(scored.checks["completeness gap"], missed.mean(axis=0), rtol=1e-3, atol=1e-5)
        few = scored.checks["completeness gap"] if steps == 2 else few
    assert (scored.checks["completeness gap"] < bound).all()
    assert (few > scored.checks["completeness gap"]).all()


def test_the_rule_is_exact_for_polynomials() -> None:
    points = legendre(3)
    assert sum(weight for _, weight in points) == pytest.approx(1)
    for power in range(6):  # exact to degree 5
        assert sum(weight * point**power for point, weight in points) == pytest.approx(1 / (power + 1))


def test_the_gap_of_a_small_change_is_relative_to_a_tenth() -> None:
    found, change = torch.tensor([1.5, 0.03, -2.0]), torch.tensor([1.0, 0.01, -4.0])
    torch.testing.assert_close(gap(found, change), torch.tensor([0.5, 0.2, 0.5]))
