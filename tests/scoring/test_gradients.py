"""What holds for the methods of several gradients alike."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, pairs, run
from tiny_models import loaded

from reportgen.scoring.methods import attribution_patching, eap_ig, integrated_gradients
from reportgen.scoring.methods.common.method import ScoringMethod

INTEGRATED = integrated_gradients.METHOD
EAP_IG = eap_ig.METHOD
PATCHING = attribution_patching.METHOD


@pytest.mark.parametrize("method", [EAP_IG, PATCHING], ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", ["llama", "bert", "bart"])
def test_a_prompt_against_itself_scores_nothing(architecture: str, method: ScoringMethod) -> None:
    model = loaded(architecture)
    scored = run(method, model, [replace(e, corrupted=e.inputs) for e in pairs(model)])
    assert (scored.values == 0).all()
    assert all((check == 0).all() for check in scored.checks.values())


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


def test_parameters_get_no_gradient() -> None:
    model = loaded("llama")
    for method in (INTEGRATED, EAP_IG, PATCHING):
        run(method, model, pairs(model))
    assert all(p.grad is None and not p.requires_grad for p in model.model.parameters())
