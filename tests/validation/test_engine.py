"""Many interventions side by side give what each gives alone, in the model's own forward."""

from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, hooked, pairs, part
from tiny_models import loaded, setting

from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.data.metrics import Baseline, baseline
from reportgen.scoring.methods.common.references import means
from reportgen.scoring.model.forward import forward
from reportgen.validation.engine import Intervention, outcomes

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


@pytest.mark.parametrize("family", FAMILIES)
def test_every_set_is_changed_as_by_hand(family: str) -> None:
    model = loaded(family, torch.float64)
    some = pairs(model)
    ready, batch = setting(model), collate(some)
    reference = means(ready, [batch])

    def read(several: Batch) -> Baseline:
        return baseline(model.answer_logits(several), several)

    found = outcomes(ready, reference, read, batch, SETS, together=2)
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


def test_the_work_counts_the_layers_from_the_lowest_head_up() -> None:
    assert Intervention(frozenset({(2, 0), (3, 1)})).share(4) == 0.5
    assert Intervention(frozenset()).share(4) == 0
