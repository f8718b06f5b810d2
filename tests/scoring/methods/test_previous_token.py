"""Attention to the token before."""

import numpy as np
from designed_models import induction_pair, induction_rows
from known_heads import scored


def test_patterns_tell_which_head_looks_at_the_token_before() -> None:
    model = induction_pair()
    before = scored("previous_token", model, induction_rows(model))
    assert before[0, 1] > 0.9
    assert np.delete(before.ravel(), 1).max() < 0.4
