"""Direct logit attribution on a model whose heads are known."""

from designed_models import induction_pair, induction_rows
from known_heads import ranked, scored


def test_the_direct_path_is_the_last_heads_alone() -> None:
    model = induction_pair()
    found = scored("direct_logit_attribution", model, induction_rows(model))
    assert ranked(found)[0] == (1, 2)
    assert found[1, 2] > 1
    assert abs(found[0, 1]) < 0.02 * found[1, 2], "what other heads read and pass on is not direct"
