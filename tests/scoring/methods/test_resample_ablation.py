"""Resample ablation against hooks of the test's own."""

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, HEADS, TWO, lost, metric, seen
from tiny_models import ROWS, examples, loaded, setting

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.methods import resample_ablation
from reportgen.scoring.methods.common.references import donors, resampled
from reportgen.scoring.model.loaded import LoadedModel

RESAMPLE = resample_ablation.METHOD


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
