"""Models of several languages, tokens that a model has no embedding for, and the study's own limit of length."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_score import Make
from tiny_models import build, word_tokenizer, wrapped
from tiny_prompts import row, words
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

from reportgen.core.config import Study, TasksSection
from reportgen.errors import InputError
from reportgen.pipeline.cache_keys import scores_key
from reportgen.scoring.data.batches import collate
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.run.prepare import prepare


@pytest.fixture(scope="module")
def nllb() -> LoadedModel:
    letters = {c: i for i, c in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = NllbTokenizer(vocab=letters, merges=[])
    torch.manual_seed(0)
    sizes = dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 2)
    config = M2M100Config(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        init_std=0.3,
        decoder_start_token_id=2,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        max_position_embeddings=64,
        **sizes,
    )
    model = wrapped(M2M100ForConditionalGeneration(config).eval(), "seq2seq")
    return replace(model, tokenizer=tokenizer)


@pytest.mark.parametrize("code", ["fra_Latn", "deu_Latn"])
def test_a_decoder_begins_with_the_language_as_generation_does(nllb: LoadedModel, code: str) -> None:
    options = Options.of("seq2seq", nllb.model, TasksSection(target_language=code))
    made = encode(nllb.tokenizer, row("the sky", "le ciel"), options)
    number = nllb.tokenizer.convert_tokens_to_ids(code)
    source = nllb.tokenizer("the sky", return_tensors="pt")
    written = nllb.model.generate(**source, forced_bos_token_id=number, max_new_tokens=3, do_sample=False, num_beams=1)
    assert list(made.decoder or ())[:2] == written[0, :2].tolist() == [2, number]
    assert made.inputs == tuple(source["input_ids"][0].tolist())
    answer = nllb.tokenizer("le ciel", add_special_tokens=False)["input_ids"]
    assert list(made.answer) == answer
    with torch.no_grad():
        plain = nllb.model(**source, decoder_input_ids=torch.tensor([[2, number, *answer[:-1]]])).logits[0, 1:]
        torch.testing.assert_close(nllb.answer_logits(collate([made])), plain, rtol=0, atol=1e-5)


def test_of_several_languages_one_has_to_be_named_and_known(nllb: LoadedModel) -> None:
    for section, message in [
        (TasksSection(), "the model writes several languages, and nothing says which. Give one of them, such as "),
        (
            TasksSection(target_language="fra_Lain"),
            "the tokenizer knows no language 'fra_Lain'. Did you mean 'fra_Latn'?",
        ),
        (TasksSection(target_language="ciel"), "the tokenizer knows no language 'ciel'. "),
    ]:
        with pytest.raises(InputError) as caught:
            encode(nllb.tokenizer, row("the sky", "le ciel"), Options.of("seq2seq", nllb.model, section))
        assert str(caught.value).startswith(f"[tasks] target_language: {message}")
    with pytest.raises(InputError, match="only an encoder-decoder is told which language"):
        encode(words(), row("a is", "red"), Options(language="fra_Latn"))
    with pytest.raises(InputError, match="knows no language 'fr'"):
        encode(words("$A </s>"), row("a", "red"), Options("seq2seq", decoder_start=0, language="fr"))


def test_m2ms_tokens_for_languages_stand_between_underscores() -> None:
    tokenizer = words("$A </s>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["__fr__", "__de__"]})
    made = encode(tokenizer, row("a is", "red"), Options("seq2seq", decoder_start=0, language="fr"))
    assert tokenizer.convert_ids_to_tokens(list(made.decoder or ())) == ["<pad>", "__fr__"]


# ---- tokens beyond the embeddings


def saved(folder: Path) -> dict[str, Any]:
    tokenizer = word_tokenizer()
    build("llama", vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.add_tokens(["extra"])
    tokenizer.save_pretrained(folder)
    return {"path": str(folder)}


@pytest.mark.parametrize(
    "changed", [{"prompt": "one extra"}, {"answer": "extra"}, {"choices": ["three", "extra"]}, {"foil": "extra two"}]
)
def test_a_token_without_an_embedding_is_named_with_its_row(
    study_of: Make, tmp_path: Path, changed: dict[str, Any]
) -> None:
    rows = [{"task": "t", "id": str(i), "prompt": "one two", "answer": "three"} for i in range(3)]
    study = study_of(rows=[*rows, {**rows[0], "id": "bad", **changed}], model=saved(tmp_path / "m"))
    with pytest.raises(InputError) as caught:
        prepare(study)
    size = len(word_tokenizer())
    assert str(caught.value).startswith(
        f"{tmp_path}/tasks.jsonl, line 4 (id 'bad'): the model has no embedding for the token 'extra': "
        f"it is number {size}, counted from 0, and there are {size}. Resize the model's embeddings"
    )


# ---- length


def limited(study: Study, **tasks: Any) -> Study:
    return study.model_copy(update={"tasks": study.tasks.model_copy(update=tasks)})


def test_the_studys_limit_stands_in_the_place_of_the_tokenizers(study_of: Make, tmp_path: Path) -> None:
    build("llama").save_pretrained(tmp_path / "m")
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 8
    tokenizer.save_pretrained(tmp_path / "m")
    rows = [{"task": "t", "id": str(i), "prompt": " ".join(["one two"] * 6), "answer": "three"} for i in range(2)]
    study = study_of(rows=rows, model={"path": str(tmp_path / "m")})
    with pytest.raises(InputError, match="take 14 tokens but the model's context is 8"):
        prepare(study)
    assert len(prepare(limited(study, max_length=20)).tasks[0].encoded[0].inputs) == 13
    assert len(prepare(limited(study, max_length=6, truncate="left")).tasks[0].encoded[0].inputs) == 5
    with pytest.raises(InputError) as caught:
        prepare(limited(study, max_length=33))
    assert str(caught.value) == (
        "[tasks] max_length: max_length is 33 and the model has 32 positions. Give at most 32."
    )


def test_keys_of_tasks_that_are_not_set_leave_the_scores_key_as_it_was(study_of: Make) -> None:
    study = study_of()
    plain = scores_key(study)
    assert scores_key(limited(study, chat_template_kwargs={}, answer_prefix=None)) == plain
    for changed in ({"answer_prefix": "the"}, {"target_language": "fr"}, {"max_length": 9}):
        assert scores_key(limited(study, **changed)) != plain
