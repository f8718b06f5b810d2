"""What holds for ablations alike."""

from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import PAIRS, TWO, hooked, log_odds, metric
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import activation_patching, mean_ablation, resample_ablation, zero_ablation
from reportgen.scoring.methods.common.ablation import EVERY
from reportgen.scoring.methods.common.method import ScoringMethod
from reportgen.scoring.methods.common.references import donors, means

ZERO = zero_ablation.METHOD
MEAN = mean_ablation.METHOD
RESAMPLE = resample_ablation.METHOD
PATCHING = activation_patching.METHOD


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
