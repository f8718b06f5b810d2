"""EAP-IG against finite differences along the embeddings."""

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, PAIRS, embedded, hooked, log_odds, pairs, part, run, seen
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import eap_ig

EAP_IG = eap_ig.METHOD


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
