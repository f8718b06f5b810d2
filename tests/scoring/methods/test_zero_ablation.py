"""Zero ablation against weights set to zero."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import plain_log_odds, scores_of, weights_scaled
from tiny_models import ARCHITECTURES, examples, loaded, setting

from reportgen.scoring.data.batches import collate
from reportgen.scoring.fast_forward.capabilities import Shortcuts
from reportgen.scoring.methods import zero_ablation

ABLATION = zero_ablation.METHOD
UNUSUAL = {"lfm2", "albert"}  # layers without heads; layers that share their weights


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a not in UNUSUAL])
def test_zero_ablation_is_what_zeroed_weights_give(architecture: str) -> None:
    model = loaded(architecture)
    some = examples(model)
    assert model.shortcuts.resumes
    found = scores_of(ABLATION, model, collate(some), heads_at_once=3).values
    for e, example in enumerate(some[:3]):
        clean = plain_log_odds(model, example)
        for index, site in enumerate(model.heads.sites):
            for head in range(site.heads):
                with weights_scaled(site, head, 0):
                    without = plain_log_odds(model, example)
                np.testing.assert_allclose(found[e, index, head], clean - without, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["albert", "t5", "lfm2", "gpt2"])
def test_ablation_without_resuming_is_the_same(architecture: str) -> None:
    model = loaded(architecture)
    batch, whole = collate(examples(model)), replace(model, shortcuts=Shortcuts(model.shortcuts.logits))
    one, other = (scores_of(ABLATION, m, batch).values for m in (model, whole))
    assert model.shortcuts.resumes
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_layers_that_share_weights_are_ablated_one_call_at_a_time() -> None:
    model = loaded("albert")
    some = examples(model)
    found = scores_of(ABLATION, model, collate(some)).values
    (projection,) = {site.projection for site in model.heads.sites}
    assert [site.call for site in model.heads.sites] == [0, 1, 2]
    for index, head in [(0, 1), (1, 0), (2, 3)]:
        calls: list[int] = []

        def cut(_: Any, inputs: Any, index: int = index, head: int = head, calls: list[int] = calls) -> Any:
            calls.append(1)
            z = inputs[0].clone()
            if len(calls) == index + 1:
                z[..., 4 * head : 4 * head + 4] = 0
            return (z,)

        handle = projection.register_forward_pre_hook(cut)
        without = plain_log_odds(model, some[0])
        handle.remove()
        assert found[0, index, head] == pytest.approx(plain_log_odds(model, some[0]) - without, abs=1e-5)


@pytest.mark.parametrize("positions", ["prompt", "answer", "last"])
def test_positions_bound_what_is_touched(positions: str) -> None:
    model = loaded("llama", torch.float64)
    (example,) = examples(model)[1:2]
    batch, site = collate([example]), model.heads.sites[1]
    places = {"prompt": range(example.prompt), "answer": example.positions, "last": example.positions[:1]}[positions]

    def cut(_: Any, inputs: Any) -> Any:
        z = inputs[0].clone()
        z[:, list(places), 8:12] = 0
        return (z,)

    handle = site.projection.register_forward_pre_hook(cut)
    without = plain_log_odds(model, example)
    handle.remove()
    found = ABLATION.score(setting(model, positions=positions, heads_at_once=4), batch).values
    assert found[0, 1, 2] == pytest.approx(plain_log_odds(model, example) - without, abs=1e-5)
