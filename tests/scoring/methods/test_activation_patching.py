"""Activation patching against hooks of the test's own."""

import numpy as np
import pytest
import torch
from designed_models import induction_pair, induction_rows
from known_heads import PAIR, ranked, scored
from reference_loop import FAMILIES, HEADS, lost, metric, pairs, part, run, seen
from tiny_models import loaded

from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import activation_patching

PATCHING = activation_patching.METHOD


@pytest.mark.parametrize("direction", ["noising", "denoising"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_patching_is_what_hooks_by_hand_give(architecture: str, direction: str) -> None:
    model = loaded(architecture, torch.float64)
    some = pairs(model)
    found = run(PATCHING, model, some, direction=direction, heads_at_once=3)
    for e, example in enumerate(some):
        own, other = (seen(model, example, corrupted)[0] for corrupted in (False, True))
        for site, head in HEADS:
            cut = part(model.heads.sites[site], head)
            if direction == "noising":
                by = other[site].reshape(-1, other[site].shape[-1])[:, cut]
                expected = metric(model, example) - lost(model, example, site, head, by)
            else:
                by = own[site].reshape(-1, own[site].shape[-1])[:, cut]
                expected = lost(model, example, site, head, by, corrupted=True) - metric(model, example, True)
            assert found.values[e, site, head] == pytest.approx(expected, abs=1e-5)
        between = metric(model, example) - metric(model, example, True)
        assert found.checks["change between the prompts"][e] == pytest.approx(between, abs=1e-9)
    assert np.abs(found.values).max() > 0.01
    torch.testing.assert_close(found.logits, model.answer_logits(collate(some)))


@pytest.mark.parametrize("given", [{"direction": "denoising"}, {"direction": "noising"}])
def test_patching_the_pair_either_way(given: dict[str, str]) -> None:
    model = induction_pair()
    found = scored("activation_patching", model, induction_rows(model), **given)
    assert set(ranked(found)[:2]) == set(PAIR)
    assert min(found[head] for head in PAIR) > 1, "either alone breaks the answer, and brings it back"
