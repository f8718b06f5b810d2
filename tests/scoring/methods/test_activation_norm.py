"""Activation norms by their definition."""

from typing import Any

import numpy as np
import torch
from known_heads import DEAD, scored
from reference_loop import scores_of
from tiny_models import examples, loaded

from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import activation_norm

NORM = activation_norm.METHOD


def test_activation_norm_is_the_mean_norm_over_real_tokens() -> None:
    model = loaded("gpt2")
    some, seen = examples(model), list[torch.Tensor]()
    found = scores_of(NORM, model, collate(some)).values
    handle = model.heads.sites[2].projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for example in some:
        model.answer_logits(collate([example]))
    handle.remove()
    for e, z in enumerate(seen):
        expected = [float(z[0, :, 4 * head : 4 * head + 4].norm(dim=-1).mean()) for head in range(4)]
        np.testing.assert_allclose(found[e, 2], expected, rtol=1e-5)


def test_the_norm_sees_all_that_put_out_something(known: Any) -> None:
    which, model, some, _ = known
    found = scored("activation_norm", model, some)
    np.testing.assert_allclose([found[head] for head in DEAD[which]], 0, atol=1e-12)
    assert all(found[head] > 0.1 for head in np.ndindex(2, 4) if head not in DEAD[which]), "heard or not"
