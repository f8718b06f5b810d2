"""The language that a translation model answers in, and how many tokens a text may have."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ROWS, WORDS, build, word_tokenizer
from tiny_prompts import row
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
)

from reportgen.errors import InputError
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.score import score

ROW = {"task": "t", "prompt": "one two", "answer": "red"}
METHOD = zero_ablation.METHOD.name


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A folder of a tiny NLLB, its model and its tokenizer."""
    folder = tmp_path_factory.mktemp("nllb")
    letters = sorted({c for word in WORDS for c in word})
    tokenizer = NllbTokenizer(
        vocab={w: i for i, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *letters])}, merges=[]
    )
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokenizer) + 4,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        init_std=0.3,
        decoder_start_token_id=2,
    )
    model = M2M100ForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def studied(study_of: Any, folder: Path, **tasks: Any) -> Any:
    study = study_of(rows=[ROW], model={"path": str(folder)}, method=METHOD)
    return study.model_copy(update={"tasks": study.tasks.model_copy(update=tasks)})


def test_a_translation_model_answers_in_the_language_that_it_is_told(nllb: Any, study_of: Any) -> None:
    folder, model, tokenizer = nllb
    told = tokenizer.convert_tokens_to_ids("fra_Latn")
    blocks = score(studied(study_of, folder, target_language="fra_Latn"))[METHOD]
    ids, answer = tokenizer("one two", return_tensors="pt"), tokenizer("red", add_special_tokens=False)["input_ids"]
    written = model.generate(**ids, forced_bos_token_id=told, max_new_tokens=2, do_sample=False)
    assert written[0, :2].tolist() == [2, told]

    def log_odds() -> float:
        with torch.no_grad():
            logits = model(**ids, decoder_input_ids=torch.tensor([[2, told, *answer[:-1]]])).logits[0, 1:].double()
        p = logits.softmax(-1)[range(len(answer)), answer]
        return float((p / (1 - p)).log().sum())

    def lose(_: Any, inputs: Any) -> Any:
        return (inputs[0].index_fill(-1, torch.arange(8, 12), 0.0),)

    whole = log_odds()
    with model.model.decoder.layers[1].encoder_attn.out_proj.register_forward_pre_hook(lose):
        without = log_odds()
    cross = next(block for block in blocks if block.block == "cross")
    assert cross.examples[0].values[0, 1, 2] == pytest.approx(whole - without, abs=1e-5)
    assert cross.model.target_language == "fra_Latn"
    assert "the model is made to answer in fra_Latn ([tasks] target_language)" in cross.model.notes


def test_whole_message_of_each_language_that_cannot_be_told(nllb: Any, study_of: Any, folder_of: Any) -> None:
    def refused(folder: Path, language: str | None) -> str:
        with pytest.raises(InputError) as caught:
            score(studied(study_of, folder, target_language=language))
        return str(caught.value)

    place = "[tasks] target_language: "
    assert refused(nllb[0], None) == (
        f"{place}the model answers in many languages, and is told none. Give one, as ace_Arab, ace_Latn, acm_Arab, …."
    )
    assert refused(nllb[0], "fra_latn") == (
        f"{place}the tokenizer knows no language 'fra_latn'. Did you mean 'fra_Latn'?"
    )
    assert refused(folder_of("llama"), "fra_Latn") == (
        f"{place}the model is no translation model that is told its language. Remove the key."
    )


def test_a_model_that_begins_with_its_language_needs_none(study_of: Any, tmp_path: Path) -> None:
    words = ["<s>", "<pad>", "</s>", "<unk>", *("▁" + w for w in WORDS)]
    tokenizer = MBartTokenizer(vocab=[(w, 0.0) for w in words])
    start = tokenizer.convert_tokens_to_ids("ro_RO")
    build("bart", vocab_size=len(tokenizer), decoder_start_token_id=start).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert score(studied(study_of, tmp_path))[METHOD][0].model.target_language is None


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("forced", [None, 3])
def test_a_language_before_a_target_is_no_part_of_the_answer(special: bool, forced: int | None) -> None:
    raw = Tokenizer(WordLevel({w: i for i, w in enumerate(["<unk>", "</s>", "__de__", "__fr__", *WORDS])}, "<unk>"))
    raw.pre_tokenizer = WhitespaceSplit()
    raw.post_processor = TemplateProcessing(
        single="__de__ $A </s>", special_tokens=[(token, raw.token_to_id(token)) for token in ("__de__", "</s>")]
    )
    listed = {"extra_special_tokens": ["__de__", "__fr__"]} if special else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", eos_token="</s>", **listed)
    assert (2 in tokenizer.all_special_ids) == special
    found = encode(tokenizer, row("one two", " red"), Options("seq2seq", decoder_start=1, forced_bos=forced))
    assert found.answer == (raw.token_to_id("red"),)
    assert found.decoder == (1, forced or 2)
    assert found.joined == ()


def test_max_length_stands_in_place_of_the_tokenizers_limit_alone(study_of: Any, tmp_path: Path) -> None:
    model = build("llama")
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 3}))

    def studied_with(length: int | None) -> Any:
        study = study_of(rows=ROWS[:1], model={"path": str(tmp_path)})
        return study.model_copy(update={"tasks": study.tasks.model_copy(update={"max_length": length})})

    with pytest.raises(
        InputError, match=r"context is 3\. .*or give \[tasks\] max_length: this limit is the tokenizer's"
    ):
        score(studied_with(None))
    assert score(studied_with(32))["gate_gradient"][0].examples[0].values.shape == (1, 3, 4)
    with pytest.raises(InputError) as caught:
        score(studied_with(33))
    assert str(caught.value) == (
        "[tasks] max_length: max_length is 33 tokens and the model reads at most 32. "
        "Give less, or use a model with a longer context."
    )
