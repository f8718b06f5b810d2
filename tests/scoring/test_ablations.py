"""Ablation to means and to other examples' outputs, and patching, against single examples run with hooks of our own."""

from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, PAIRS, hooked, log_odds, pairs, part, run, seen
from tiny_models import ROWS, examples, loaded, setting

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.methods import activation_patching, mean_ablation, resample_ablation, zero_ablation
from reportgen.scoring.methods.common.ablation import EVERY
from reportgen.scoring.methods.common.method import ScoringMethod
from reportgen.scoring.methods.common.references import donors, means, resampled
from reportgen.scoring.model.interventions import edited
from reportgen.scoring.model.loaded import LoadedModel

ZERO, MEAN = zero_ablation.METHOD, mean_ablation.METHOD
RESAMPLE, PATCHING = resample_ablation.METHOD, activation_patching.METHOD
HEADS = [(0, 1), (-1, 0), (-1, 3)]  # some of the first site and of the last
# Mean and other examples' outputs replace a head over tokens alike, so these rows come in two tasks of unlike lengths
TWO = [
    {**row, "task": task, "id": f"{task}{row['id']}"}
    for task, rows in [("a", ROWS[:2]), ("b", ROWS[2:])]
    for row in rows
]


def lost(
    model: LoadedModel, example: Encoded, site: int, head: int, by: torch.Tensor, corrupted: bool = False
) -> float:
    """The metric with (token, size) in place of a head's outputs."""
    cut = part(model.heads.sites[site], head)

    def edit(z: torch.Tensor) -> torch.Tensor:
        changed = z.clone()
        changed.view(-1, z.shape[-1])[:, cut] = by
        return changed

    with torch.no_grad(), hooked(model, {site % len(model.heads.sites): edit}):
        return float(log_odds(model, example, corrupted))


def metric(model: LoadedModel, example: Encoded, corrupted: bool = False) -> float:
    with torch.no_grad():
        return float(log_odds(model, example, corrupted))


@pytest.mark.parametrize("architecture", FAMILIES)
def test_mean_ablation_puts_in_the_mean_of_the_tasks_means(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    some = examples(model, TWO)
    discovery = [some[i] for i in (0, 1, 3, 4)]  # of task a all, of task b two of four
    given = setting(model, **MEAN.parameters().model_dump())
    reference = means(given, [collate(discovery[:3]), collate(discovery[3:])])
    assert MEAN.score is not None
    found = MEAN.score(setting(model, reference=reference, **MEAN.parameters().model_dump()), collate(some))
    for site, head in HEADS:
        cut, by_task = part(model.heads.sites[site], head), dict[str, list[torch.Tensor]]()
        for example in discovery:
            z = seen(model, example)[0][site]
            by_task.setdefault(example.row.task, []).append(z.reshape(-1, z.shape[-1])[:, cut])
        first = torch.stack([torch.stack([z[0] for z in zs]).mean(0) for zs in by_task.values()]).mean(0)
        rest = torch.stack([torch.cat([z[1:] for z in zs]).mean(0) for zs in by_task.values()]).mean(0)
        for e, example in enumerate(some):
            tokens = seen(model, example)[0][site].reshape(-1, 16).shape[0]
            by = torch.stack([first, *[rest] * (tokens - 1)])
            expected = metric(model, example) - lost(model, example, site, head, by)
            assert found.values[e, site, head] == pytest.approx(expected, abs=1e-5)
    assert np.abs(found.values).max() > 0.01


def test_a_mean_over_scored_positions_alone() -> None:
    model = loaded("llama", torch.float64)
    some = examples(model)
    reference = means(setting(model, positions="last"), [collate(some)])
    by_task: dict[str, list[torch.Tensor]] = {}
    for example in some:
        by_task.setdefault(example.row.task, []).append(seen(model, example)[0][1][0, example.positions[0]])
    expected = torch.stack([torch.stack(zs).mean(0) for zs in by_task.values()]).mean(0)
    torch.testing.assert_close(reference.others[1].flatten(), expected)
    # no example's first token is scored: the others' mean stands in
    torch.testing.assert_close(reference.first[1].flatten(), expected)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_resample_ablation_is_the_mean_over_other_examples(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    some = examples(model, TWO)
    wanted = {**RESAMPLE.parameters().model_dump(), "draws": 3, "references": 4, "kept": 2}
    given = setting(model, **wanted)
    assert RESAMPLE.prepare is not None
    assert RESAMPLE.score is not None
    chosen = RESAMPLE.prepare(given, [collate(some[:3]), collate(some[3:])])
    assert [donor.row.task for donor in chosen] in (["a", "b", "a", "b"], ["b", "a", "b", "a"])
    found = RESAMPLE.score(setting(model, reference=chosen, **wanted), collate(some))
    width = {site: model.heads.sites[site].heads * model.heads.sites[site].size for site, _ in HEADS}
    for site, head in HEADS:
        for e, example in enumerate(some):
            own, losses = seen(model, example)[0][site].shape, []
            for draw in range(3):
                substitute = resampled(given, collate([example]), chosen, draw)
                z = torch.zeros(1, own[-2], model.heads.sites[site].heads, model.heads.sites[site].size)
                by = substitute(site % len(model.heads.sites))(z.double())[0]
                _check_comes_from_another(model, some, example, site, by.reshape(-1, width[site]))
                losses.append(metric(model, example) - lost(model, example, site, head, by[:, head]))
            assert found.values[e, site, head] == pytest.approx(np.mean(losses), abs=1e-5)
            assert found.errors is not None
            assert found.errors[e, site, head] == pytest.approx(np.std(losses, ddof=1) / 3**0.5, abs=1e-5)


def _check_comes_from_another(
    model: LoadedModel, some: list[Encoded], example: Encoded, site: int, by: torch.Tensor
) -> None:
    """The first token's outputs are an example's of another group at its first token, the others' at its others."""
    donors_of = []
    for other in some:
        z = seen(model, other)[0][site].reshape(-1, by.shape[-1])
        same = torch.isclose(z[None], by[:, None], rtol=0, atol=1e-9).all(-1)  # by token and token of the donor
        if len(z) == 1:
            same = same.expand(-1, 2)
        fits = bool(same[0, 0]) and bool(same[1:, 1:].any(dim=1).all())
        donors_of += [other] if fits else []
    assert donors_of
    assert all(other.row.group != example.row.group for other in donors_of)


def test_without_another_group_there_is_nothing_to_draw() -> None:
    model = loaded("llama")
    of_one = [{**row, "group": "g"} for row in ROWS]
    with pytest.raises(InputError, match="of fewer than two groups"):
        donors(setting(model), [collate(examples(model, of_one))], 4, 2)
    some = examples(model)
    chosen = donors(setting(model), [collate(some)], 6, 2)
    ours = [donor for donor in chosen if donor.row.group == "g"]
    with pytest.raises(InputError, match="all reference examples are of its group 'g'"):
        resampled(setting(model), collate(some[4:]), ours, 0)


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


@pytest.mark.parametrize("method", [MEAN, RESAMPLE, PATCHING], ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", ["llama", "albert", "t5"])
def test_company_changes_nothing(architecture: str, method: Any) -> None:
    model = loaded(architecture)
    some = examples(model, [{**row, "group": row["id"]} for row in PAIRS], with_corrupted=True)
    given = {**method.parameters().model_dump(), **({"draws": 2} if method is RESAMPLE else {})}
    reference = method.prepare(setting(model, **given), [collate(some)]) if method.prepare else None
    ready = setting(model, reference=reference, **given)
    together = method.score(ready, collate(some))
    alone = [method.score(ready, collate([example])) for example in some]
    np.testing.assert_allclose(together.values, np.concatenate([a.values for a in alone]), rtol=0, atol=1e-5)


def test_means_and_donors_do_not_hinge_on_batches() -> None:
    model = loaded("gpt2", torch.float64)
    some = examples(model, TWO)
    one, other = ([collate(some)], [collate(some[3:]), collate(some[:3])])
    first, second = (means(setting(model), batches) for batches in (one, other))
    torch.testing.assert_close(first.others, second.others)
    drawn = [donors(setting(model), batches, 4, 2) for batches in (one, other)]
    for a, b in zip(*drawn, strict=True):
        assert a.row.id == b.row.id
        torch.testing.assert_close(a.others, b.others)


def test_means_serve_texts_of_any_length() -> None:
    model = loaded("gpt2")
    reference = means(setting(model), [collate(examples(model))])
    z = torch.randn(2, 9, 4, 4)
    put = reference.substitute(1)(z)
    torch.testing.assert_close(put[0, 0], reference.first[1].float())
    torch.testing.assert_close(put[0, 8], reference.others[1].float())
    with edited(model.model, model.heads, {1: reference.substitute(1)}):
        assert model.answer_logits(collate(examples(model))).isfinite().all()


@pytest.mark.parametrize("method", [ZERO, MEAN, RESAMPLE], ids=lambda m: m.name)
def test_the_effect_of_ablating_all_heads_is_told(method: ScoringMethod) -> None:
    model = loaded("llama", torch.float64)
    some = examples(model, TWO)
    assert method.score is not None
    given = setting(model, **method.parameters().model_dump())
    batches = [collate(some[:3]), collate(some[3:])]
    reference = None if method.prepare is None else method.prepare(given, batches)
    told = method.score(setting(model, reference=reference, **method.parameters().model_dump()), collate(some)).checks[
        EVERY
    ]
    for e, example in enumerate(some):
        alone = method.score(
            setting(model, reference=reference, **method.parameters().model_dump()), collate([example])
        ).checks[EVERY]
        assert told[e] == pytest.approx(alone[0], abs=1e-6)
        if method is ZERO:
            with torch.no_grad(), hooked(model, dict.fromkeys(range(len(model.heads.sites)), torch.zeros_like)):
                nothing = float(log_odds(model, example))
            assert told[e] == pytest.approx(metric(model, example) - nothing, abs=1e-6)
    assert np.abs(told).max() > 0.01
