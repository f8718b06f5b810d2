"""Architectures that are refused by name, and those that are read for what they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from tiny_models import SIZE, USUAL, build, word_tokenizer

from reportgen.core.config import ModelSection
from reportgen.errors import InputError
from reportgen.scoring.model.load import read_folder
from reportgen.scoring.score import score

WHISPER = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
WHISPER |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 28, "decoder_start_token_id": 1}


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_folder(ModelSection(path=str(path)))
    return str(caught.value)


@pytest.mark.parametrize(
    "named",
    [
        "BertForTokenClassification",
        "BertForQuestionAnswering",
        "BertForMultipleChoice",
        "BertForNextSentencePrediction",
    ],
)
def test_other_heads_are_refused_by_name(named: str, tmp_path: Path) -> None:
    config = transformers.BertConfig(**SIZE, **USUAL)
    getattr(transformers, named)(config).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    assert refused(tmp_path) == (
        f"{tmp_path}: {named} puts out neither words nor the class of a text, so no metric here measures it. Choose a "
        "causal, masked or sequence-to-sequence language model, or a classifier of whole texts."
    )


@pytest.mark.parametrize("named", ["WhisperForConditionalGeneration", "Speech2TextForConditionalGeneration"])
def test_models_that_hear_are_refused_by_name(named: str, tmp_path: Path) -> None:
    made = getattr(transformers, named)
    made(made.config_class(**WHISPER, pad_token_id=0, bos_token_id=1, eos_token_id=2)).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    assert refused(tmp_path) == (
        f"{tmp_path}: {named} reads sound, and rows of sound are not scored. "
        "Choose a causal, masked or sequence-to-sequence language model."
    )


def test_a_language_model_that_hears_too_is_scored_on_text(tmp_path: Path) -> None:
    config = transformers.Qwen2AudioConfig(
        text_config={"model_type": "qwen2", **USUAL, **SIZE, "num_key_value_heads": 2},
        audio_config={"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16},
        audio_token_index=27,
    )
    transformers.Qwen2AudioForConditionalGeneration(config).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    folder = read_folder(ModelSection(path=str(tmp_path)))
    assert (folder.kind, type(folder.model).__name__) == ("causal", "Qwen2AudioForConditionalGeneration")


@pytest.mark.parametrize(
    ("architecture", "named", "kind"),
    [
        ("llama", "LlamaForCausalLM", "causal"),
        ("llama", "SomeoneElsesForCausalLM", "causal"),
        ("llama", None, "causal"),
        ("t5", "T5ForConditionalGeneration", "seq2seq"),
        ("t5", None, "seq2seq"),
        ("bart", "BartForConditionalGeneration", "seq2seq"),
        ("bert", "BertForMaskedLM", "masked"),
    ],
)
def test_what_a_model_puts_out_is_read_from_its_class(architecture: str, named: Any, kind: str, tmp_path: Path) -> None:
    build(architecture).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": named and [named]}))
    assert read_folder(ModelSection(path=str(tmp_path))).kind == kind


def test_a_decoder_taken_out_of_an_encoder_decoder_is_causal(tmp_path: Path) -> None:
    config = build("bart").config
    config.is_decoder, config.is_encoder_decoder = True, False
    transformers.BartForCausalLM(config).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    assert read_folder(ModelSection(path=str(tmp_path))).kind == "causal"


@pytest.mark.parametrize("name", ["image", "audio"])
def test_rows_of_images_and_sound_are_refused_by_name(name: str, study_of: Any) -> None:
    rows = [{"task": "t", "prompt": "one", "answer": "two", name: "a.file"}]
    with pytest.raises(InputError) as caught:
        score(study_of(rows=rows))
    assert str(caught.value).endswith(
        f"column {name}: the row has an {name}, and only texts are read. "
        "Remove the column, and score what the model does with the texts alone."
    )
