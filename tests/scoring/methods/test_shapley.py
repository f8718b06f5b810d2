"""Sampled Shapley values against exact enumeration of all coalitions."""

from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from reference_loop import hooked, log_odds, part
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.methods import shapley
from reportgen.scoring.model.loaded import LoadedModel

METHOD = shapley.METHOD
SMALL = {
    "llama": {"num_hidden_layers": 2},
    "bert": {"num_hidden_layers": 2},
    "albert": {"num_hidden_layers": 2},
    "t5": {"num_layers": 1, "num_decoder_layers": 1, "num_heads": 2},
}


def small(architecture: str) -> LoadedModel:
    return loaded(architecture, torch.float64, **SMALL[architecture])


def sampled(model: LoadedModel, some: list[Encoded], **given: int) -> tuple[np.ndarray, np.ndarray]:
    assert METHOD.score is not None
    found = METHOD.score(setting(model, **{**METHOD.parameters().model_dump(), **given}), collate(some))
    assert found.errors is not None
    return found.values, found.errors


def exact(model: LoadedModel, example: Encoded) -> np.ndarray:
    """By the definition: a mean over coalitions of the other heads, each size alike."""
    players = [(i, h) for i, site in enumerate(model.heads.sites) for h in range(site.heads)]

    @cache
    def worth(kept: frozenset[tuple[int, int]]) -> float:
        def without(index: int, z: torch.Tensor) -> torch.Tensor:
            changed = z.clone()
            for i, head in players:
                if i == index and (i, head) not in kept:
                    changed[..., part(model.heads.sites[i], head)] = 0
            return changed

        edits = {i: lambda z, i=i: without(i, z) for i in range(len(model.heads.sites))}
        with torch.no_grad(), hooked(model, edits):
            return float(log_odds(model, example))

    values = np.full((len(model.heads.sites), model.heads.widest), np.nan)
    for player in players:
        others = [p for p in players if p != player]
        by_size = [
            sum(worth(frozenset({*chosen, player})) - worth(frozenset(chosen)) for chosen in combinations(others, size))
            / comb(len(others), size)
            for size in range(len(players))
        ]
        values[player] = np.mean(by_size)
    return values


@pytest.mark.parametrize("architecture", list(SMALL))
def test_sampled_values_are_the_exact_ones_within_three_standard_errors(architecture: str) -> None:
    model = small(architecture)
    assert sum(site.heads for site in model.heads.sites) <= 10
    some = examples(model)[:2]
    values, errors = sampled(model, some, pairs=32, coalitions_at_once=7)
    truth = np.stack([exact(model, example) for example in some])
    off = np.abs(values - truth) / errors
    assert (off < 3).all(), off.max()
    # errors are no mere generosity: typical ones are near one
    assert 0.3 < np.sqrt(np.mean(off**2)) < 1.6
    assert np.abs(truth).max() > 0.02


def test_shares_add_up_to_what_all_heads_do_together() -> None:
    model = small("llama")
    some = examples(model)
    values, _ = sampled(model, some, pairs=2)
    for e, example in enumerate(some):
        with torch.no_grad():
            whole = float(log_odds(model, example))
            with hooked(model, {i: lambda z: z * 0 for i in range(len(model.heads.sites))}):
                nothing = float(log_odds(model, example))
        assert values[e].sum() == pytest.approx(whole - nothing, abs=1e-5)


def test_company_and_coalitions_side_by_side_change_nothing() -> None:
    model = small("llama")
    some = examples(model)
    together, _ = sampled(model, some, pairs=2)
    alone = np.concatenate([sampled(model, [example], pairs=2, coalitions_at_once=3)[0] for example in some])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_more_orders_make_smaller_errors() -> None:
    model = small("llama")
    few, many = (np.sqrt((sampled(model, examples(model), pairs=pairs)[1] ** 2).mean()) for pairs in (4, 36))
    assert many / few == pytest.approx(1 / 3, rel=0.35)


def test_the_number_of_forwards_is_what_is_run() -> None:
    model, runs = small("llama"), list[int]()
    handle = model.model.register_forward_pre_hook(lambda *_: runs.append(1))
    base = model.model.base_model.register_forward_pre_hook(lambda *_: runs.append(1))
    sampled(model, examples(model)[:1], pairs=2, coalitions_at_once=1)
    handle.remove()
    base.remove()
    assert METHOD.forwards(model.heads, METHOD.parameters(pairs=2)) == len(runs) == 2 + 4 * 7
