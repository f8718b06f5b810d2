"""Heads that look at the answer."""

from typing import Any

import numpy as np
from known_heads import scored


def test_heads_that_look_at_the_answer_retrieve_it(known: Any) -> None:
    which, model, some, causal = known
    found = scored("retrieval", model, some)
    assert found[causal[-1]] == 1
    others = [found[head] for head in np.ndindex(2, 4) if head != causal[-1]]
    assert max(others) < 0.5, which
