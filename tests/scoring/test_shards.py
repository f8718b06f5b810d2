"""A weight index names safetensors files of its own folder, and no others."""

import json
from pathlib import Path

import pytest

from reportgen.core.config import ModelSection
from reportgen.errors import InputError
from reportgen.scoring.model.load import read_folder


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/outside.safetensors", "a/../../outside.safetensors", "link.safetensors"]
)
def test_a_shard_outside_the_folder_is_refused_by_name(name: str, tmp_path: Path) -> None:
    place = "which lies outside the model's folder"
    hint = "Copy that file into the model's folder, if you trust it, and name it so."
    assert refusal(name, tmp_path) == f"it names {name!r}, {place}. {hint}"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights"])
def test_a_shard_that_is_a_pickle_is_refused_by_name(name: str, tmp_path: Path) -> None:
    hint = "Save the model again with model.save_pretrained, which writes safetensors."
    assert refusal(name, tmp_path) == f"it names {name!r}, which is no safetensors file. {hint}"


def refusal(name: str, place: Path) -> str:
    model = place / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (place / "outside.safetensors").write_bytes(b"")
    (model / "link.safetensors").symlink_to(place / "outside.safetensors")
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(InputError) as caught:
        read_folder(ModelSection(path=str(model)))
    return str(caught.value).removeprefix(f"{index}: ")
