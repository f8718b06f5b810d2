"""Whether a model scored with an adapter is the model that runs with base and adapter side by side."""

import copy
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import peft
import torch

from reportgen.core.config import ModelSection
from reportgen.errors import InputError
from reportgen.scoring.model.adapters import Adapter
from reportgen.scoring.model.forward import forward, short_batch
from reportgen.scoring.model.heads import Heads


def with_adapter(kind: Any, model: Any, heads: Heads) -> str:
    """Put LoRA on the output projection of every site: "right", or why it is refused or cannot be told.

    Raises AssertionError where what is scored is not what runs side by side.
    """

    def run(whole: Any) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = forward(whole, kind, short_batch(whole, kind, 1))[0]
        return found

    if sum(site.block is None for site in heads.sites) > 20:
        model = copy.deepcopy(model).double()  # in float32 the rounding of so many layers adds up to more
    base = copy.deepcopy(model)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as held:
        warnings.simplefilter("ignore")
        try:
            names = sorted({site.name for site in heads.sites})
            beside = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(r=2, target_modules=names)).eval()
        except Exception as error:  # peft knows no such projection
            return f"refused: {str(error).splitlines()[0][:100]}"
        torch.manual_seed(1)
        for parameter in beside.parameters():
            if parameter.requires_grad:
                parameter.data = torch.randn_like(parameter) * 0.3
        beside.save_pretrained(held)
        config = Path(held) / "adapter_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "base"}))
        try:
            merged = run(Adapter.of(Path(held), ModelSection(path=held)).merged(base, run))
        except InputError as error:
            return f"refused: {error.problem}"
    expected = run(beside.base_model.model)
    scale = max(1.0, float(expected.abs().max()))
    if torch.allclose(run(model), expected, rtol=0, atol=1e-4 * scale):
        return "untold: it changes next to nothing"
    assert torch.allclose(merged, expected, rtol=0, atol=1e-5 * scale), "merged is not side by side"
    return "right"
