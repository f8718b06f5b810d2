"""Every type that reads images and text, on rows of text: padded side by side against its plain call of each row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import CannotBuildError
from image_text import TYPES, tiny
from test_architectures import short_text
from tiny_models import ROWS, word_tokenizer
from transformers import BlipConfig, BlipForConditionalGeneration

from reportgen.core.config import ModelSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.model.checks import refuse_looking_ahead
from reportgen.scoring.model.forward import forward
from reportgen.scoring.model.heads import find
from reportgen.scoring.model.load import _kind, _reading, _scored, read_folder
from reportgen.scoring.score import score

UNBUILT = set(
    "diffusion_gemma dots3_note emu3 ernie4_5_vl_moe evolla fast_vlm florence2 gemma3n granite4_vision molmo2 "
    "muse_spark perception_lm".split()
)  # no tiny configuration of theirs is found, or they need timm
REFUSED = {
    "has no part that reads text without them": "blip pix2struct pp_formulanet vision-encoder-decoder".split(),
    "reads state, and rows of state are not scored": ["pi0"],
    "a later token changes an earlier one's logits": ["paligemma"],
    "the model cannot be run on a short text alone": "idefics mistral4 udop".split(),
    "the heads are mixed before it": ["inkling2", "kosmos-2"],
    "no output projection reads what its attention puts out": ["glm5_next"],
}
DEEP = {"gemma4", "gemma4_unified"}  # 30 layers, whose rounding adds up to more in float32
NATURAL = {"kosmos-2.5"}  # its positions begin behind the padding's own: right only where it counts them itself


def checked(model: Any) -> tuple[Any, Any]:
    """Return what is scored of a model, and its kind, as loading does."""
    reading = _reading(model.config, Path("folder"), None)
    part: Any = _scored(model, reading, Path("folder")).requires_grad_(False)
    kind = _kind(part, reading)
    find(part)
    if kind == "causal":
        refuse_looking_ahead(part)
    return part, kind


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # each family warns of its own odd defaults
@pytest.mark.parametrize("name", TYPES)
@torch.no_grad()
def test_rows_of_text_side_by_side_are_each_rows_plain_call(name: str) -> None:
    if name in UNBUILT:
        with pytest.raises(CannotBuildError):
            tiny(name)
        return
    refused = next((words for words, names in REFUSED.items() if name in names), None)
    if refused is not None:
        with pytest.raises(InputError, match=refused):
            checked(tiny(name))
        return
    model, kind = checked(tiny(name).double() if name in DEEP else tiny(name))
    rows = [short_text(kind, tokens, (7,)) for tokens in (5, 13, 9)]  # beyond the tiny models' windows of 8
    batch = collate(rows)
    decoder = {"decoder_input_ids": batch.decoder_ids} if kind == "seq2seq" else {}
    ours = forward(model, kind, batch).logits
    if name in NATURAL:
        ours = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    for i, row in enumerate(rows):
        extra = {key: value[i : i + 1] for key, value in decoder.items()}
        plain = model(input_ids=torch.tensor([row.inputs]), **extra).logits[0]
        torch.testing.assert_close(ours[i, : len(plain)], plain, rtol=0, atol=1e-5 * max(1.0, float(plain.abs().max())))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "blip-2"])
def test_a_folder_of_images_and_text_is_scored_on_text(name: str, study_of: Any, tmp_path: Path) -> None:
    model = tiny(name)
    model.save_pretrained(tmp_path / "m")
    word_tokenizer().save_pretrained(tmp_path / "m")
    rows = [{**row, "task": "all"} for row in ROWS]
    study = study_of(rows=rows, model={"path": str(tmp_path / "m")}, method=zero_ablation.METHOD.name, batch_size=3)
    found = score(study)[zero_ablation.METHOD.name][0]
    assert "the model reads images too; it is scored on text alone" in found.model.notes
    part, tokenizer = (model.language_model if name == "blip-2" else model), word_tokenizer()
    first = next(
        module
        for path, module in part.named_modules()
        if path.endswith(("0.self_attn.o_proj", "0.self_attn.out_proj")) and "vision" not in path
    )
    size, row = first.weight.shape[1] // 4, ROWS[0]
    ids = torch.tensor([tokenizer(f"{row['prompt']} {row['answer']}")["input_ids"]])

    def log_odds() -> float:
        with torch.no_grad():
            p = part(input_ids=ids[:, :-1]).logits[0, -1].double().softmax(-1)[ids[0, -1]]
        return float((p / (1 - p)).log())

    def lose(_: Any, inputs: Any) -> Any:
        return (inputs[0].index_fill(-1, torch.arange(size, 2 * size), 0.0),)

    whole = log_odds()
    with first.register_forward_pre_hook(lose):
        without = log_odds()
    index = found.examples[0].ids.index(row["id"])
    assert found.examples[0].values[index, 0, 1] == pytest.approx(whole - without, abs=1e-5)


def test_a_model_whose_text_reads_its_images_is_refused_by_name(tmp_path: Path) -> None:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={**small, "vocab_size": 28, "encoder_hidden_size": 16},
        vision_config={**small, "image_size": 16, "patch_size": 8},
    )
    BlipForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(InputError) as caught:
        read_folder(ModelSection(path=str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path}: BlipForConditionalGeneration reads images, and has no part that reads text without them. "
        "Choose a causal, masked or sequence-to-sequence language model."
    )
