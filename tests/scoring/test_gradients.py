"""Gradient-based methods against edited weights, loops over single examples, and exact patching."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, PAIRS, embedded, hooked, log_odds, pairs, part, run, seen
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.methods import attribution_patching, eap_ig, integrated_gradients
from reportgen.scoring.methods.common.interpolation import gap, legendre
from reportgen.scoring.methods.common.method import ScoringMethod
from reportgen.scoring.model.heads import Site
from reportgen.scoring.model.loaded import LoadedModel

INTEGRATED, EAP_IG, PATCHING = integrated_gradients.METHOD, eap_ig.METHOD, attribution_patching.METHOD


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


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("steps", [1, 4])
def test_eap_ig_is_the_mean_of_finite_differences_along_the_embeddings(architecture: str, steps: int) -> None:
    model = loaded(architecture, torch.float64)
    some = pairs(model)
    scored = run(EAP_IG, model, some, steps=steps).values
    for e in (1, 2):
        (clean, x), (other, y) = seen(model, some[e]), seen(model, some[e], corrupted=True)
        for index, head in [(0, 1), (1, 2), (len(clean) - 1, 3)]:
            where = part(model.heads.sites[index], head)
            change = torch.zeros_like(clean[index])
            change[..., where] = clean[index][..., where] - other[index][..., where]
            slopes = []
            for k in range(1, steps + 1):
                sides = []
                for step in (1e-4, -1e-4):
                    moved = {index: lambda z, s=step, c=change: z + s * c}
                    with hooked(model, moved), embedded(model, lambda _, k=k, x=x, y=y: y + k / steps * (x - y)):
                        sides.append(float(log_odds(model, some[e])))
                slopes.append((sides[0] - sides[1]) / 2e-4)
            # norms in float32 whatever the weights, as Llama's and T5's, make differences coarser
            assert scored[e, index, head] == pytest.approx(np.mean(slopes), rel=2e-2, abs=2e-3)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_eap_ig_of_many_points_explains_the_change_between_prompts(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    some = pairs(model)
    gaps = {steps: run(EAP_IG, model, some, steps=steps).checks["completeness gap"] for steps in (1, 200)}
    assert (gaps[200] < 0.05).all()
    assert gaps[1].mean() > 0.1


def test_eap_ig_reports_the_embeddings_gap() -> None:
    model = loaded("gpt2", torch.float64)
    some = pairs(model)
    reported = run(EAP_IG, model, some, steps=3).checks["completeness gap"]
    for e, example in enumerate(some):
        (_, x), (_, y) = seen(model, example), seen(model, example, corrupted=True)
        total = 0.0
        for k in (1, 2, 3):
            sides = []
            for step in (1e-5, -1e-5):
                with embedded(model, lambda _, a=k / 3 + step, x=x, y=y: y + a * (x - y)):
                    sides.append(float(log_odds(model, example)))
            total += (sides[0] - sides[1]) / 2e-5 / 3
        change = float(log_odds(model, example) - log_odds(model, example, corrupted=True))
        assert reported[e] == pytest.approx(abs(total - change) / max(abs(change), 0.1), rel=1e-4)


def test_a_decoder_that_shares_the_encoders_embeddings_keeps_its_own() -> None:
    apart, shared = loaded("t5"), loaded("t5")
    shared.model.decoder.set_input_embeddings(shared.model.encoder.get_input_embeddings())
    one, other = (run(EAP_IG, model, pairs(model), steps=2) for model in (apart, shared))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", [EAP_IG, PATCHING], ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", ["llama", "bert", "bart"])
def test_a_prompt_against_itself_scores_nothing(architecture: str, method: ScoringMethod) -> None:
    model = loaded(architecture)
    scored = run(method, model, [replace(e, corrupted=e.inputs) for e in pairs(model)])
    assert (scored.values == 0).all()
    assert all((check == 0).all() for check in scored.checks.values())


def patched(model: LoadedModel, example: Encoded, index: int, head: int) -> float:
    """Baseline minus the metric with one head's outputs put in from the corrupted prompt's run."""
    where, (outputs, _) = part(model.heads.sites[index], head), seen(model, example, corrupted=True)

    def put(z: torch.Tensor) -> torch.Tensor:
        z = z.clone()
        z[..., where] = outputs[index][..., where]
        return z

    with torch.no_grad():
        clean = float(log_odds(model, example))
        with hooked(model, {index: put}):
            return clean - float(log_odds(model, example))


@pytest.mark.parametrize("architecture", ["gpt2", "bert", "bart"])
def test_attribution_is_patching_in_the_limit_of_a_small_corruption(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    some = pairs(model)
    words: Any = model.model.get_input_embeddings().weight
    before = words.clone()
    errors = []
    for size in (1e-2, 1e-4):
        for example in some[:2]:  # the corrupted words come ever nearer to the prompt's
            for own, other in zip(example.inputs, example.corrupted or (), strict=True):
                if own != other:
                    words[other] = before[own] + size * (before[other] - before[own])
            exact = np.array([[patched(model, example, i, h) for h in range(4)] for i in range(len(model.heads.sites))])
            found = [run(m, model, [example]).values[0] for m in (PATCHING, EAP_IG)]
            errors.append([np.abs(f - exact).max() / np.abs(exact).max() for f in found])
            words.copy_(before)
    by_size = np.array(errors).reshape(2, 2, 2).max(axis=1)
    assert (by_size[1] < by_size[0] / 20).all()
    assert (by_size[1] < 1e-3).all()


@pytest.mark.parametrize(
    ("method", "given"),
    [
        (INTEGRATED, {"path": "joint", "steps": 3}),
        (INTEGRATED, {"path": "layer", "steps": 2}),
        (EAP_IG, {"steps": 3}),
        (PATCHING, {}),
        (PATCHING, {"qk_correction": True}),
    ],
    ids=["joint", "layer", "eap_ig", "patching", "corrected"],
)
@pytest.mark.parametrize("architecture", FAMILIES)
def test_padding_and_company_change_nothing(architecture: str, method: ScoringMethod, given: dict[str, Any]) -> None:
    model = loaded(architecture)
    some = pairs(model)
    together, alone = run(method, model, some, **given), [run(method, model, [e], **given) for e in some]
    np.testing.assert_allclose(together.values, np.concatenate([a.values for a in alone]), rtol=1e-4, atol=1e-5)
    for name, check in together.checks.items():
        np.testing.assert_allclose(check, np.concatenate([a.checks[name] for a in alone]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.logits, torch.cat([a.logits for a in alone]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "given"),
    [
        (INTEGRATED, {"path": "joint", "steps": 50}),
        (INTEGRATED, {"path": "layer"}),
        (EAP_IG, {"steps": 2}),
        (PATCHING, {}),
        (PATCHING, {"qk_correction": True}),
    ],
    ids=["joint", "layer", "eap_ig", "patching", "corrected"],
)
def test_positions_part_the_prompt_from_the_answer(method: ScoringMethod, given: dict[str, Any]) -> None:
    model = loaded("llama", torch.float64)
    some = pairs(model)
    found = {p: run(method, model, some, p, **given) for p in ("all", "prompt", "answer", "last")}
    one_token = [0, 2]  # "answer" and "last" are the same place there
    np.testing.assert_allclose(found["answer"].values[one_token], found["last"].values[one_token], rtol=1e-6)
    assert not np.allclose(found["answer"].values[1], found["last"].values[1], atol=1e-4)
    if method is not INTEGRATED:  # linear in the outputs: the prompt's own places and the answer's add up
        shared = found["prompt"].values + found["answer"].values - found["last"].values
        np.testing.assert_allclose(shared, found["all"].values, rtol=1e-4, atol=1e-5)
    elif given["path"] == "joint":
        for p, scored in found.items():
            assert (scored.checks["completeness gap"] < 0.05).all(), p


def test_layers_without_heads_are_passed_over() -> None:
    model = loaded("lfm2")
    for given in ({}, {"qk_correction": True}):
        assert np.isfinite(run(PATCHING, model, pairs(model), **given).values).all()
    found = run(INTEGRATED, model, pairs(model), path="layer")
    assert found.values.shape == (4, 1, 4)
    assert (found.checks["completeness gap"] < 0.2).all()


def test_classifiers_are_scored_by_their_classes() -> None:
    model = loaded("bert", torch.float64, kind="classifier")
    rows = [{**row, "answer": f"LABEL_{i % 2}"} for i, row in enumerate(PAIRS)]
    some = examples(model, rows, with_corrupted=True)
    by_class = setting(model, "class_logit", **{**EAP_IG.parameters().model_dump(), "steps": 100})
    assert EAP_IG.score is not None
    scored = EAP_IG.score(by_class, collate(some))
    assert (scored.checks["completeness gap"] < 0.05).all()
    assert np.abs(scored.values).max() > 1e-3
    with torch.no_grad():
        logits = [model.model(torch.tensor([e.inputs])).logits[0] for e in some]
    torch.testing.assert_close(scored.logits, torch.stack(logits), rtol=0, atol=1e-6)


def test_parameters_get_no_gradient() -> None:
    model = loaded("llama")
    for method in (INTEGRATED, EAP_IG, PATCHING):
        run(method, model, pairs(model))
    assert all(p.grad is None and not p.requires_grad for p in model.model.parameters())
