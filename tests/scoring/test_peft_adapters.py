"""PEFT adapters on tiny models, against the model that peft itself runs with base and adapter side by side."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import ROWS, build, word_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import reportgen
from reportgen.core.config import ModelSection
from reportgen.core.config_file import load_study
from reportgen.errors import InputError, MissingResourceError
from reportgen.pipeline.cache_keys import scores_key
from reportgen.scoring.model import adapters
from reportgen.scoring.model.load import Folder, read_folder
from reportgen.scoring.score import score

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks for it

IDS = torch.tensor([[1, 5, 9, 7, 20]])
KINDS: dict[str, tuple[str, Any]] = {
    "lora": ("llama-gqa", peft.LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "o_proj", "up_proj"])),
    "dora": ("llama", peft.LoraConfig(r=2, use_dora=True, target_modules=["v_proj", "o_proj"])),
    "conv1d": ("gpt2", peft.LoraConfig(r=2, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)),
    "ia3": (
        "llama",
        peft.IA3Config(target_modules=["v_proj", "down_proj"], feedforward_modules=["down_proj"]),
    ),
    "loha": ("llama", peft.LoHaConfig(r=2, target_modules=["q_proj", "v_proj"])),
    "encoder-decoder": ("t5", peft.LoraConfig(r=2, target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM")),
}


def wake(model: Any) -> None:
    """Give a fresh adapter, which changes nothing, weights of its own."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
            parameter.data += 1.0 if "ia3" in name or "magnitude" in name else 0.0


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Any]:
    """Write a base and an adapter on it into folders ``base`` and ``adapter``; return what peft runs."""

    def make(architecture: str, config: Any, kind: str | None = None) -> Any:
        build(architecture, kind).save_pretrained(tmp_path / "base")
        word_tokenizer().save_pretrained(tmp_path / "base")
        base = type(build(architecture, kind)).from_pretrained(tmp_path / "base")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = peft.get_peft_model(base, config)
            wake(model)
            model.save_pretrained(tmp_path / "adapter")
        return model.eval()

    return make


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    extra = {"decoder_input_ids": IDS[:, :3]} if model.config.is_encoder_decoder else {}
    found: torch.Tensor = model(input_ids=IDS, **extra).logits
    return found


def read(path: Path, **section: Any) -> Folder:
    return read_folder(ModelSection(path=str(path), **section))


def refused(path: Path, **section: Any) -> str:
    with pytest.raises((InputError, MissingResourceError)) as caught:
        read(path, **section)
    return str(caught.value)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_folder_with_an_adapter_alone_is_its_base_with_the_adapter(name: str, made: Any, tmp_path: Path) -> None:
    architecture, config = KINDS[name]
    model = made(architecture, config)
    folder, base = read(tmp_path / "adapter"), read(tmp_path / "base")
    torch.testing.assert_close(logits(folder.model), logits(model), rtol=0, atol=1e-5)
    assert not torch.allclose(logits(base.model), logits(model), rtol=0, atol=1e-2)
    assert not any(isinstance(m, peft.tuners.tuners_utils.BaseTunerLayer) for m in folder.model.modules())
    assert folder.kind == base.kind
    assert folder.weights.parts["base"] == base.weights.sha256 != folder.weights.sha256
    assert set(folder.weights.parts) == {"base", "adapter"}


def test_an_adapter_is_named_beside_its_base_or_lies_in_its_folder(made: Any, tmp_path: Path) -> None:
    model = made(*KINDS["lora"])
    together = tmp_path / "together"
    shutil.copytree(tmp_path / "base", together)
    for file in (tmp_path / "adapter").glob("adapter_*"):
        shutil.copy(file, together)
    named = read(tmp_path / "base", adapter=str(tmp_path / "adapter"))
    applied, left, base = read(together, adapter=True), read(together, adapter=False), read(tmp_path / "base")
    for folder in (named, applied):
        torch.testing.assert_close(logits(folder.model), logits(model), rtol=0, atol=1e-5)
    assert torch.equal(logits(left.model), logits(base.model))
    assert (named.weights, left.weights, left.left_over) == (applied.weights, base.weights, True)


@pytest.mark.parametrize("installed", [True, False])
def test_an_adapter_beside_weights_is_asked_about(
    installed: bool, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(*KINDS["lora"])
    for file in (tmp_path / "adapter").glob("adapter_*"):
        shutil.copy(file, tmp_path / "base")
    if not installed:
        monkeypatch.setattr(adapters, "find_spec", lambda _: None)
    assert refused(tmp_path / "base") == (
        f"{tmp_path / 'base'}: an adapter (adapter_config.json) lies beside the model's weights, which may hold it "
        "already. Give [model] adapter = true where it is to be applied to these weights, or adapter = false where it "
        "is merged into them."
    )
    assert refused(tmp_path / "adapter").startswith(f"{tmp_path / 'base'}: the adapter's base holds an adapter_config")


def test_without_peft_an_adapter_is_refused_by_name(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(*KINDS["lora"])
    monkeypatch.setattr(adapters, "find_spec", lambda _: None)
    assert refused(tmp_path / "adapter") == (
        f'{tmp_path / "adapter"}: an adapter needs peft. pip install "reportgen[peft]", or merge the adapter elsewhere '
        "(AutoPeftModelForCausalLM.from_pretrained(adapter).merge_and_unload().save_pretrained(folder))."
    )


def test_scores_are_the_merged_models_and_record_both_hashes(made: Any, study_of: Any, tmp_path: Path) -> None:
    model = made(*KINDS["lora"])
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    word_tokenizer().save_pretrained(tmp_path / "merged")
    found, merged, base = (
        score(study_of(model={"path": str(tmp_path / name)}))["gate_gradient"][0]
        for name in ("adapter", "merged", "base")
    )
    torch.testing.assert_close(torch.tensor(found.importance), torch.tensor(merged.importance), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(torch.tensor(found.importance), torch.tensor(base.importance), rtol=1e-2)
    assert found.model.adapter == "LORA of rank 3"
    assert found.model.parts_sha256["base"] == base.model.weights_sha256
    assert any("with an adapter, LORA of rank 3 (sha256" in note for note in found.model.notes)


def test_a_report_of_it_says_so_and_verifies(made: Any, tmp_path: Path) -> None:
    made(*KINDS["lora"])
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    study = '[model]\npath = "adapter"\n[tasks]\npath = "tasks.jsonl"\n[validation]\nenabled = false\n'
    (tmp_path / "study.toml").write_text(study + '[report]\nformats = ["html"]\n')
    reportgen.build(tmp_path / "study.toml", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    for said in (
        "with an adapter, LORA of rank 3 (sha256",
        "sha256 of the model’s adapter",
        "sha256 of the model’s base",
    ):
        assert said in page
    checks = reportgen.verify(tmp_path / "out").checks
    assert [check for check in checks if check.wrong] == []
    path = tmp_path / "adapter" / "adapter_config.json"
    before = scores_key(load_study(tmp_path / "study.toml"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "lora_alpha": 50}))
    assert scores_key(load_study(tmp_path / "study.toml")) != before


def test_a_classifiers_adapter_brings_its_classes(made: Any, tmp_path: Path) -> None:
    build("llama").save_pretrained(tmp_path / "base")
    word_tokenizer().save_pretrained(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=5)
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, task_type="SEQ_CLS", target_modules=["v_proj"]))
    wake(model)
    model.save_pretrained(tmp_path / "adapter")
    folder = read(tmp_path / "adapter")
    assert folder.kind == "classifier"
    torch.testing.assert_close(logits(folder.model), logits(model.eval()), rtol=0, atol=1e-5)
    assert logits(folder.model).shape == (1, 5)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_an_adapter_with_tokens_of_its_own_widens_the_embeddings(tmp_path: Path) -> None:
    build("llama").save_pretrained(tmp_path / "base")
    base: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer = word_tokenizer()
    tokenizer.add_tokens(["<new>"])
    base.resize_token_embeddings(29)
    saved = ["embed_tokens", "lm_head"]
    model: Any = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["v_proj"], modules_to_save=saved))
    wake(model)
    model.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    folder = read(tmp_path / "adapter")
    torch.testing.assert_close(logits(folder.model), logits(model.eval()), rtol=0, atol=1e-5)
    assert (logits(folder.model).shape[-1], len(folder.tokenizer)) == (29, len(tokenizer))


def edit(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_whole_message_of_each_adapter_that_cannot_be_applied(made: Any, tmp_path: Path) -> None:
    made(*KINDS["lora"])
    adapter, base = tmp_path / "adapter", tmp_path / "base"
    hint = "Give the base model that the adapter was trained on."
    build("llama", num_hidden_layers=2).save_pretrained(tmp_path / "other")
    assert refused(tmp_path / "other", adapter=str(adapter)).startswith(f"{adapter}: the adapter ")
    tensors = load_file(adapter / "adapter_model.safetensors")
    first = min(tensors)
    save_file({k: v for k, v in tensors.items() if k != first}, adapter / "adapter_model.safetensors")
    lacks = first.replace(".weight", ".default.weight")
    assert (
        refused(adapter) == f"{adapter}: the adapter and the model do not fit: {lacks} is in one of them alone. {hint}"
    )
    save_file(tensors, adapter / "adapter_model.safetensors")
    assert refused(adapter, device_map="auto").startswith("[model] device_map: an adapter is merged on one device.")
    edit(adapter / "adapter_config.json", task_type="TOKEN_CLS")
    assert refused(adapter) == (
        f"{adapter}: the adapter is for token classification, which no metric here measures. "
        "Choose an adapter that was trained on text to write, or on classes of whole texts."
    )
    edit(adapter / "adapter_config.json", task_type=None, base_model_name_or_path=None)
    assert refused(adapter) == (
        f"{adapter}: its adapter_config.json names no base model. "
        "Give the base model as [model] path and this folder as [model] adapter."
    )
    assert read(base, adapter=str(adapter)).weights.adapter == "LORA of rank 3"
    assert refused(adapter, adapter=False).startswith(f"{adapter}: the folder holds an adapter alone, without a model.")
    assert refused(base, adapter=True).startswith("[model] adapter: the model's folder holds no adapter_config.json.")
    assert refused(base, adapter=str(base)).startswith(f"{base}: the adapter's folder holds no adapter_config.json.")
    torch.save(tensors, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    assert refused(base, adapter=str(adapter)).startswith(f"{adapter}: adapter_model.bin is a pickle, which can run")


@pytest.mark.parametrize(
    "config",
    [
        peft.PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
        peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
        peft.LoraConfig(r=2, target_modules=["v_proj"], alora_invocation_tokens=[5], task_type="CAUSAL_LM"),
    ],
    ids=["prefix", "prompt", "activated"],
)
def test_an_adapter_that_cannot_be_merged_is_refused_by_name(config: Any, made: Any, tmp_path: Path) -> None:
    made("llama", config)
    said = refused(tmp_path / "adapter")
    assert "merged into the weights" in said
    assert f"Choose an adapter that can be merged into the weights, such as LoRA, or give {tmp_path / 'base'}" in said
