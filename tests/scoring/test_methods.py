"""What holds for the core methods alike, and what every method says of itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import scores_of
from tiny_models import examples, loaded

from reportgen.scoring import methods
from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import activation_norm, gate_gradient, zero_ablation
from reportgen.scoring.methods.common.method import METHODS, read_parameters

GRADIENT = gate_gradient.METHOD
ABLATION = zero_ablation.METHOD
NORM = activation_norm.METHOD


@pytest.mark.parametrize("method", [GRADIENT, NORM, ABLATION], ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "mixtral", "bert", "albert", "t5", "bart"])
def test_padding_and_company_change_nothing(architecture: str, method: Any) -> None:
    model = loaded(architecture)
    some = examples(model)
    together = scores_of(method, model, collate(some, pad=0))
    alone = [scores_of(method, model, collate([e])) for e in some]
    np.testing.assert_allclose(together.values, np.concatenate([a.values for a in alone]), rtol=0, atol=1e-5)
    torch.testing.assert_close(together.logits, torch.cat([a.logits for a in alone]), rtol=0, atol=1e-5)


def test_parameters_get_no_gradient_and_each_method_describes_itself() -> None:
    model = loaded("llama")
    scores_of(GRADIENT, model, collate(examples(model)))
    assert all(p.grad is None and not p.requires_grad for p in model.model.parameters())
    assert GRADIENT.unit.format(label="log-odds") == "∂ log-odds / ∂ gate"
    assert ABLATION.forwards(model.heads, ABLATION.parameters()) == 2 + 4 * (3 + 2 + 1) / 3
    for method in METHODS.own():
        texts = [method.summary, method.sign, method.cost, method.formula, method.meaning]
        assert all(texts), method.name
        assert method.references, method.name
        assert (method.score is None) != (method.together is None), method.name
        assert method.forwards(model.heads, method.parameters()) > 0, method.name
        defaults = method.parameters().model_dump()
        assert read_parameters(method.parameters, defaults, "") == method.parameters(), method.name
        assert all(of.description for of in method.parameters.model_fields.values()), method.name


def test_every_method_file_is_listed() -> None:
    files = {path.stem for path in Path(methods.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {method.name for method in METHODS.own()}
