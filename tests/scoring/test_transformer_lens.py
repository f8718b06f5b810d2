"""Scores against TransformerLens' on the same weights and texts; benchmarks/transformer_lens made the reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lens_models import CONFIGS, TEXTS, built
from tiny_models import setting, wrapped

from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.common.method import METHODS
from reportgen.scoring.model.loaded import LoadedModel

pytestmark = pytest.mark.slow

REFERENCE = np.load(Path(__file__).parent / "transformer_lens.npz")
BY_NAME = {method.name: method for method in METHODS.own()}
COMPARED: list[tuple[str, str, dict[str, Any]]] = [
    ("zero_ablation", "zero_ablation", {}),
    ("gate_gradient", "gate_gradient", {}),
    ("noising", "activation_patching", {"direction": "noising"}),
    ("denoising", "activation_patching", {"direction": "denoising"}),
    ("attribution_patching", "attribution_patching", {}),
    ("direct_logit_attribution", "direct_logit_attribution", {}),
    ("previous_token", "previous_token", {}),
]


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest) -> tuple[str, LoadedModel]:
    return request.param, wrapped(built(request.param))


def encoded() -> list[Encoded]:
    made = []
    for i, (prompt, answer, corrupted) in enumerate(TEXTS):
        places = range(len(prompt) - 1, len(prompt) - 1 + len(answer))
        made.append(
            Encoded(
                Row("t", "", "", f"{i}", f"{i}", ""),
                (*prompt, *answer[:-1]),
                len(prompt),
                tuple(answer),
                tuple(places),
                corrupted=(*corrupted, *answer[:-1]),
            )
        )
    return made


@pytest.mark.parametrize(("quantity", "name", "given"), COMPARED, ids=[quantity for quantity, _, _ in COMPARED])
def test_scores_are_those_of_transformer_lens(
    quantity: str, name: str, given: dict[str, Any], model: tuple[str, LoadedModel]
) -> None:
    (architecture, loaded), method = model, BY_NAME[name]
    assert method.score is not None
    found = method.score(setting(loaded, **{**method.parameters().model_dump(), **given}), collate(encoded())).values
    expected = REFERENCE[f"{architecture}/{quantity}"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
