"""Models spread over several places, offloaded to disk, or compiled, and quantised ones, which are refused."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import build, word_tokenizer
from torch._dynamo.utils import counters

from reportgen.core.config import Study
from reportgen.errors import InputError, MissingResourceError
from reportgen.scoring.methods.common.interpolation import attributed
from reportgen.scoring.model import load as load_module
from reportgen.scoring.model.interventions import replaced, scaled
from reportgen.scoring.score import score

pytestmark = pytest.mark.slow

Make = Callable[..., Study]
METHODS = ["zero_ablation", "mean_ablation", "attribution_patching", "direct_logit_attribution", "retrieval"]
SOME = ["zero_ablation", "direct_logit_attribution"]  # beside the gradient
SPLIT = {
    "model.embed_tokens": "cpu",
    "model.layers.0": "cpu",
    "model.layers.1": "disk",
    "model.layers.2": "disk",
    "model.norm": "disk",
    "model.rotary_emb": "cpu",
    "lm_head": "disk",
}
ROWS: list[dict[str, Any]] = [
    {"task": f"t{i % 2}", "id": f"{i}", "prompt": f"{one} two {one}", "answer": "three", "corrupted": "nine two nine"}
    for i, one in enumerate(("one", "four", "five", "six"))
]


@pytest.mark.parametrize("spread", ["auto", SPLIT, {"": "disk"}], ids=["auto", "cpu-and-disk", "disk"])
@pytest.mark.filterwarnings("ignore")  # accelerate tells of what lies on disk
def test_where_a_model_lies_changes_no_score(study_of: Make, spread: Any) -> None:
    plain, other = (
        score(study_of("llama", rows=ROWS, model=model, also=METHODS)) for model in ({}, {"device_map": spread})
    )
    assert set(METHODS) < set(plain)
    for name, (scores,) in plain.items():
        np.testing.assert_allclose(other[name][0].importance, scores.importance, rtol=0, atol=1e-5, err_msg=name)


def refused(study: Study) -> str:
    with pytest.raises((InputError, MissingResourceError)) as caught:
        score(study)
    return str(caught.value)


def test_places_that_do_not_exist_are_told(study_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(study_of(model={"device_map": {"": "cuda:7"}})).startswith(
        "[model] device_map 'cuda:7': cannot use the device ("
    )
    with pytest.raises(InputError) as caught:
        study_of(model={"device_map": "auto", "device": "cpu"})
    assert "device_map stands instead of device; give one of them" in str(caught.value)
    monkeypatch.setattr(load_module, "find_spec", lambda _: None)
    assert refused(study_of(model={"device_map": "auto"})) == (
        "[model] device_map: device_map needs accelerate. pip install accelerate."
    )


def test_a_weight_that_two_modules_share_is_not_parted_between_disk_and_memory(study_of: Make, tmp_path: Path) -> None:
    build("llama", tie_word_embeddings=True).save_pretrained(tmp_path / "m")
    word_tokenizer().save_pretrained(tmp_path / "m")
    assert refused(study_of(model={"path": str(tmp_path / "m"), "device_map": SPLIT})) == (
        "[model] device_map: lm_head.weight and model.embed_tokens.weight are one weight, put on disk and on cpu. Put "
        "both modules on the same device."
    )


def test_a_quantised_model_is_refused_by_name(study_of: Make, tmp_path: Path) -> None:
    build("llama").save_pretrained(tmp_path / "m")
    word_tokenizer().save_pretrained(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    assert refused(study_of(model={"path": str(tmp_path / "m")})) == (
        f"{tmp_path / 'm'}: its weights are quantised (gptq). Score the model it was made from, in bfloat16 or "
        "float16; device_map spreads what does not fit."
    )


def test_gates_and_masks_follow_to_the_device_of_the_outputs_they_act_on() -> None:
    """Tensors without data stand on a device of their own, across which torch computes no more than across GPUs."""
    z, gate, where = torch.ones(2, 3, 4, 5, device="meta"), torch.ones(2, 4), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="device"):
        z * gate[:, None, :, None]
    for touched in (None, where):
        assert scaled(gate, touched)(z).device == z.device
        assert replaced(gate.bool(), 0.0, touched)(z).device == z.device
        assert replaced(gate.bool(), lambda x: x * 2, touched)(z).device == z.device
        assert attributed(z, z, touched).device == z.device


@pytest.mark.filterwarnings("ignore")  # dynamo looks at gradients that are none
def test_compiled_parts_score_as_the_plain_ones(study_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of torch.compile but its last step, which would call a C++ compiler for minutes."""
    plain = score(study_of("llama-gqa", rows=ROWS, also=SOME))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    counters["stats"].clear()
    other = score(study_of("llama-gqa", rows=ROWS, also=SOME, model={"compile": True}))
    assert counters["stats"]["unique_graphs"] >= 2  # a norm and a feed-forward part, shared by layers
    for name, (scores,) in plain.items():
        np.testing.assert_allclose(other[name][0].importance, scores.importance, rtol=0, atol=1e-5, err_msg=name)


def test_compilation_that_fails_is_told(study_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiler(*_: object) -> None:
        raise RuntimeError("no such compiler\nand more")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compiler))
    told = refused(study_of(model={"compile": True}))
    assert told == (
        "[model] compile: torch.compile fails (no such compiler). Install a C++ compiler that torch.compile can use, "
        "or remove the key: scores are the same without."
    )
    with pytest.raises(InputError) as caught:
        study_of(model={"device_map": "auto", "compile": True})
    assert "compile is for a model on one device, not beside device_map; give one of them" in str(caught.value)


def test_weights_of_a_compiled_model_score_as_the_model_within(study_of: Make, tmp_path: Path) -> None:
    (whole,) = score(study_of())["gate_gradient"]
    for name, parts in (("model", False), ("layers", True)):
        model = build("llama")
        if parts:
            for i, layer in enumerate(model.model.layers):
                model.model.layers[i] = torch.compile(layer, backend="eager")
        compiled = model if parts else torch.compile(model, backend="eager")
        folder = tmp_path / name
        shutil.copytree(Path(study_of().model.path), folder)
        kept = {key: value.clone() for key, value in compiled.state_dict().items()}
        assert any("_orig_mod." in key for key in kept)
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        (found,) = score(study_of(model={"path": str(folder)}))["gate_gradient"]
        np.testing.assert_array_equal(found.importance, whole.importance)
