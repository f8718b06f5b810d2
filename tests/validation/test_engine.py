"""Many interventions side by side give what each gives alone, in the model's own forward."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, hooked, pairs, part
from tiny_models import loaded, setting

from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.data.metrics import Baseline, baseline
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.common.references import means, outputs
from reportgen.scoring.model.forward import forward
from reportgen.validation.engine import Ground, Intervention, outcomes

SETS = [
    Intervention(frozenset()),
    Intervention(frozenset({(0, 1)})),
    Intervention(frozenset({(0, 0), (1, 2), (1, 3)})),
    Intervention(frozenset({(1, 1)}), 0.0),
    Intervention(frozenset({(1, 1), (0, 2)}), 2.0),
    Intervention(frozenset((0, h) for h in range(4))),
]


def log_probability(model: Any, example: Any) -> float:
    batch = collate([example])
    logits = forward(model.model, model.kind, batch).logits[0].log_softmax(-1)
    return float(logits[list(example.positions), list(example.answer)].sum())


def ground(ready: Setting, *batches: Batch) -> Ground:
    """What interventions stand on: the study's positions and the last one, donors being the rows turned around."""

    def read(several: Batch) -> Baseline:
        return baseline(ready.model.answer_logits(several), several)

    last = replace(ready, positions="last")
    both = means(ready, [*batches]), means(last, [*batches])
    return Ground((ready, last), both, read, lambda batch, draw: batch.taken([*range(batch.size)][::-1]))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_set_is_changed_as_by_hand(family: str) -> None:
    model = loaded(family, torch.float64)
    some = pairs(model)
    ready, batch = setting(model), collate(some)
    reference = means(ready, [batch])
    done: list[int] = []
    found = outcomes(ground(ready, batch), batch, SETS, 2, done.append)
    assert sum(done) == sum(bool(each.heads) for each in SETS), "every run is told"
    for i, each in enumerate(SETS):
        for e, example in enumerate(some):
            edits = {}
            for index in {at for at, _ in each.heads}:
                site, mine = model.heads.sites[index], [head for at, head in each.heads if at == index]

                def edit(
                    z: torch.Tensor, site: Any = site, mine: Any = mine, index: int = index, each: Any = each
                ) -> torch.Tensor:
                    z = z.clone()
                    for head in mine:
                        if each.factor is None:
                            z[:, 1:, part(site, head)] = reference.others[index][head]
                            z[:, 0, part(site, head)] = reference.first[index][head]
                        else:
                            z[..., part(site, head)] *= each.factor
                    return z

                edits[index] = edit
            with torch.no_grad(), hooked(model, edits):
                expected = log_probability(model, example)
            np.testing.assert_allclose(found.log_probability[i, e], expected, atol=1e-6)
    assert np.ptp(found.log_probability, axis=0).min() > 1e-3, "the sets do different things"


@pytest.mark.parametrize("family", FAMILIES[:1])
def test_another_rows_outputs_stand_in_from_the_last_token_on_and_other_positions_are_the_last(family: str) -> None:
    model = loaded(family, torch.float64)
    some = pairs(model)
    ready, batch = setting(model), collate(some)
    stands = ground(ready, batch)
    wanted = [
        Intervention(frozenset({(0, 1), (1, 2)}), draw=0),
        Intervention(frozenset({(0, 1)}), draw=0, elsewhere=True),
        Intervention(frozenset({(0, 1)}), elsewhere=True),
    ]
    found = outcomes(stands, batch, wanted, together=3)
    seen, real = outputs(ready, batch), batch.attention_mask.bool()
    where = batch.gated(None, "last")
    for i, each in enumerate(wanted):
        for e, example in enumerate(some):
            donor, n = len(some) - 1 - e, len(example.inputs)
            edits = {}
            for index in {at for at, _ in each.heads}:
                site, mine = model.heads.sites[index], [head for at, head in each.heads if at == index]
                others, m = seen[index][donor][real[donor]], int(real[donor].sum())
                by = torch.stack([others[0] if not t else others[1 + (m - n + t - 1) % (m - 1)] for t in range(n)])
                if each.draw is None:
                    by = stands.means[1].others[index].expand_as(by)
                places = where[e, :n] if each.elsewhere else torch.ones(n, dtype=torch.bool)

                def edit(
                    z: torch.Tensor, site: Any = site, mine: Any = mine, by: Any = by, places: Any = places
                ) -> torch.Tensor:
                    z = z.clone()
                    for head in mine:
                        z[:, places, part(site, head)] = by[places, head]
                    return z

                edits[index] = edit
            with torch.no_grad(), hooked(model, edits):
                expected = log_probability(model, example)
            np.testing.assert_allclose(found.log_probability[i, e], expected, atol=1e-6)
    assert np.ptp(found.log_probability, axis=0).min() > 1e-4, "the interventions do different things"


def test_the_work_counts_the_layers_from_the_lowest_head_up() -> None:
    assert Intervention(frozenset({(2, 0), (3, 1)})).share(4) == 0.5
    assert Intervention(frozenset()).share(4) == 0
