"""Attention to the token behind an earlier occurrence of the present one."""

import numpy as np
from designed_models import induction_pair, induction_rows
from known_heads import ranked, scored


def test_patterns_tell_which_head_looks_behind_an_earlier_occurrence() -> None:
    model = induction_pair()
    some = induction_rows(model)
    behind = scored("induction", model, some, tokens=8)
    assert behind[1, 2] > 0.8
    assert np.delete(behind.ravel(), 6).max() < 0.3
    in_prompts = scored("induction", model, some, source="prompt")
    assert ranked(in_prompts)[0] == (1, 2)
