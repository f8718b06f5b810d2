"""Gate gradients against finite differences."""

from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import scores_of, weights_scaled
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import collate
from reportgen.scoring.data.metrics import baseline
from reportgen.scoring.methods import gate_gradient

GRADIENT = gate_gradient.METHOD


# Norms in float32 whatever the weights, as Llama's: differences need a wide step and are coarser
@pytest.mark.parametrize(
    ("architecture", "step", "bound"),
    [
        ("gpt2", 1e-4, 1e-7),
        ("gpt_neox", 1e-4, 1e-7),
        ("falcon", 1e-4, 1e-7),
        ("bert", 1e-4, 1e-7),
        ("bart", 1e-4, 1e-7),
        ("llama-gqa", 3e-3, 2e-4),
    ],
)
@pytest.mark.parametrize("metric", ["log_odds", "log_probability", "logit_difference"])
def test_gate_gradient_agrees_with_finite_differences(
    architecture: str, step: float, bound: float, metric: str
) -> None:
    model = loaded(architecture, torch.float64)
    batch = collate(examples(model, with_foil=True))
    found = scores_of(GRADIENT, model, batch, metric).values
    for index, head in [(0, 1), (1, 3), (len(model.heads.sites) - 1, 0)]:
        sides = []
        for gate in (1 + step, 1 - step):
            with weights_scaled(model.heads.sites[index], head, gate):
                sides.append(setting(model, metric).value(batch)[0])
        slope = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found[:, index, head], slope.numpy(), rtol=1e-6, atol=bound)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_have_gates_and_sums_in_float32(dtype: torch.dtype) -> None:
    model, outputs = loaded("llama-gqa", dtype), list[torch.Tensor]()
    batch = collate(examples(model))

    def keep(_: Any, inputs: Any) -> Any:
        outputs.append(inputs[0].detach().requires_grad_())
        return (outputs[-1],)

    found = scores_of(GRADIENT, model, batch)
    for index, site in enumerate(model.heads.sites):
        handle, before = site.projection.register_forward_pre_hook(keep), len(outputs)
        with torch.enable_grad(), model.narrowed(batch):
            (gradient,) = torch.autograd.grad(setting(model).value(batch)[0].sum(), outputs[before:])
        handle.remove()
        product = (gradient.float() * outputs[-1].detach().float()).unflatten(-1, (site.heads, site.size))
        expected = product.sum(dim=(1, 3)).numpy()
        assert found.values.dtype == np.float32
        # to a twentieth of what one rounding to half precision would cost
        bound = float(np.abs(expected).max()) * torch.finfo(dtype).eps / 20
        np.testing.assert_allclose(found.values[:, index, : site.heads], expected, rtol=0, atol=bound)


def test_log_probability_weights_each_example_by_its_miss() -> None:
    model = loaded("llama", torch.float64)
    batch = collate([e for e in examples(model) if len(e.answer) == 1])
    odds, of_log = (scores_of(GRADIENT, model, batch, metric) for metric in ("log_odds", "log_probability"))
    miss = baseline(odds.logits, batch).miss
    np.testing.assert_allclose(of_log.values, odds.values * miss[:, None, None], rtol=1e-5, atol=1e-8)
