"""Tokenizers of Python code, which know no offsets, against the same words in a tokenizer that does."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import ROWS, build
from tiny_prompts import row
from transformers import (
    BertTokenizer,
    BlenderbotSmallTokenizer,
    ByT5Tokenizer,
    CTRLConfig,
    CTRLLMHeadModel,
    CTRLTokenizer,
    EsmTokenizer,
    FSMTTokenizer,
    ProphetNetTokenizer,
)
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from reportgen.errors import InputError, MissingResourceError
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.score import score

PIECES = "one two three four five red green blue is the of un ##known ##s a b . ,".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A tokenizer of Python code and a fast one of the same words."""
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, *PIECES]) + "\n")
    return BertTokenizerLegacy(str(path)), BertTokenizer(str(path))


TEXT = st.lists(st.sampled_from("one two red unknown unknowns Green qqq a. ,b é".split()), min_size=1, max_size=4).map(
    " ".join
)


@given(TEXT, TEXT, TEXT, st.sampled_from([" ", "  ", "", ": "]))
@settings(max_examples=100, deadline=None)
def test_both_read_every_row_alike(pair: tuple[Any, Any], prompt: str, answer: str, after: str, delimiter: str) -> None:
    slow, fast = pair
    made = row(prompt, answer, foil=answer)
    inside = row(f"{prompt}{delimiter}[MASK]{delimiter}{after}", answer)
    for kind, example in (("causal", made), ("masked", made), ("masked", inside), ("seq2seq", made), ("encoder", made)):
        options = Options(kind, delimiter, decoder_start=0)  # type: ignore[arg-type]
        results = []
        for tokenizer in (slow, fast):
            try:
                results.append(encode(tokenizer, example, options))
            except InputError as error:
                results.append(error.problem)
        assert results[0] == results[1]


def files(folder: Path, words: list[str]) -> tuple[str, str]:
    vocab = {w: i for i, w in enumerate(["<unk>", "__start__", "__end__", "__null__", *words])}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\no n\non e</w>\nt w\ntw o</w>\n")
    return str(folder / "vocab.json"), str(folder / "merges.txt")


BPE = [
    *"onetwhr",
    *(f"{c}</w>" for c in "oenr"),
    "o@@",
    "n@@",
    "e@@",
    "one",
    "two",
    "tw@@",
    "on@@",
    "t@@",
    "w@@",
    "h@@",
    "o",
    "n",
    "e",
]


def made(name: str, folder: Path) -> Any:
    lines = {"esm": ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERT", "<mask>"], "prophetnet": [*SPECIAL, *PIECES]}
    if name in lines:
        (folder / "v.txt").write_text("\n".join(lines[name]) + "\n")
        return {"esm": EsmTokenizer, "prophetnet": ProphetNetTokenizer}[name](str(folder / "v.txt"))
    if name in ("ctrl", "blenderbot-small"):
        return {"ctrl": CTRLTokenizer, "blenderbot-small": BlenderbotSmallTokenizer}[name](*files(folder, BPE))
    return ByT5Tokenizer()


@pytest.mark.parametrize(
    ("name", "prompt", "answer"),
    [
        ("byt5", "one  two", "über é"),
        ("esm", "L A G V", "S E"),
        ("prophetnet", "the unknown is", "unknowns, red"),
        ("ctrl", "two one", "two one"),
        ("blenderbot-small", "two one", "one two"),
    ],
)
def test_a_familys_own_tokenizer_tells_prompt_and_answer_apart(
    name: str, prompt: str, answer: str, tmp_path: Path
) -> None:
    tokenizer = made(name, tmp_path)
    assert not tokenizer.is_fast
    found = encode(tokenizer, row(prompt, answer), Options())
    text = tokenizer.decode(found.answer, skip_special_tokens=True).replace(" ", "")
    assert text == answer.replace(" ", "")
    before = tokenizer.decode(found.inputs[: found.prompt], skip_special_tokens=True)
    assert before.replace(" ", "") == prompt.replace(" ", "")
    assert found.inputs[found.prompt :] == found.answer[:-1]


def test_a_model_with_such_a_tokenizer_is_scored(study_of: Any, tmp_path: Path) -> None:
    config = CTRLConfig(vocab_size=40, n_positions=32, n_embd=16, dff=24, n_layer=2, n_head=4, initializer_range=0.2)
    torch.manual_seed(0)
    model = CTRLLMHeadModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = made("ctrl", tmp_path)
    tokenizer.save_pretrained(tmp_path)
    rows = [{"task": "t", "prompt": p, "answer": a} for p, a in (("one two one", "two"), ("two", "one"))]
    method = zero_ablation.METHOD.name
    found = score(study_of(rows=rows, model={"path": str(tmp_path)}, method=method))[method][0]

    def log_odds(prompt: str, answer: str) -> float:
        ids = tokenizer(f"{prompt} {answer}")["input_ids"]
        with torch.no_grad():
            p = model(input_ids=torch.tensor([ids])).logits[0].double().softmax(-1)
        answers = range(len(tokenizer(prompt)["input_ids"]), len(ids))
        return sum(float((p[at - 1, ids[at]] / (1 - p[at - 1, ids[at]])).log()) for at in answers)

    def lose(_: Any, inputs: Any) -> Any:
        return (inputs[0].index_fill(-1, torch.arange(4, 8), 0.0),)

    for example, one in zip(found.examples[0].values, rows, strict=True):
        whole = log_odds(one["prompt"], one["answer"])
        with model.transformer.h[1].multi_head_attention.dense.register_forward_pre_hook(lose):
            without = log_odds(one["prompt"], one["answer"])
        assert example[1, 1] == pytest.approx(whole - without, abs=1e-5)


def test_a_byte_level_encoder_decoder_is_scored(study_of: Any, tmp_path: Path) -> None:
    build("t5", vocab_size=384).save_pretrained(tmp_path)
    ByT5Tokenizer().save_pretrained(tmp_path)
    found = score(study_of(rows=ROWS[:2], model={"path": str(tmp_path)}))["gate_gradient"]
    assert [blocks.block for blocks in found] == ["enc", "dec", "cross"]


def test_a_tokenizer_that_reads_no_text_alone_is_refused_by_name() -> None:
    class Tables(ByT5Tokenizer):  # type: ignore[misc]
        def __call__(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("Table must be of type pd.DataFrame")

    with pytest.raises(InputError) as caught:
        encode(Tables(), row("one", "two"), Options())
    assert str(caught.value) == (
        "one two: the tokenizer Tables does not read a text alone (Table must be of type pd.DataFrame). "
        "Choose a model that reads texts."
    )


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="the library that it lacks is installed")
def test_a_tokenizer_whose_library_is_not_installed_says_which(study_of: Any, tmp_path: Path) -> None:
    build("bart").save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "M2M100Tokenizer"}')
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(MissingResourceError) as caught:
        score(study_of(rows=ROWS[:1], model={"path": str(tmp_path)}))
    assert str(caught.value) == (
        f"{tmp_path}: its tokenizer cannot be loaded (M2M100Tokenizer requires the SentencePiece library but it was "
        "not found in your environment). Install that library with pip."
    )


class Shifted(ByT5Tokenizer):  # type: ignore[misc]
    """Bytes whose numbers are turned around in the decoder's vocabulary."""

    tgt_vocab_size = 259

    @property
    def encoder(self) -> dict[str, int]:
        return {self.convert_ids_to_tokens(i): i for i in range(259)}

    @property
    def decoder(self) -> dict[int, str]:
        return {i if i < 3 else 261 - i: token for token, i in self.encoder.items()}


def turned(folder: Path) -> Any:
    """FSMT's tokenizer with other numbers for the words of its targets."""
    pytest.importorskip("sacremoses")
    words = ["<s>", "<pad>", "</s>", "<unk>", *(f"{c}</w>" for c in "deorw"), *"deortw"]
    for name, of in (("source", words), ("target", [*words[:4], *reversed(words[4:])])):
        (folder / name).write_text(json.dumps({word: i for i, word in enumerate(of)}))
    (folder / "merges").write_text("#version: 0.2\n")
    files = {"src_vocab_file": "source", "tgt_vocab_file": "target", "merges_file": "merges"}
    return FSMTTokenizer(langs=["en", "ru"], **{key: str(folder / name) for key, name in files.items()})


@pytest.mark.parametrize("made", [lambda _: Shifted(), turned], ids=["bytes", "fsmt"])
def test_an_answer_has_the_numbers_of_the_decoders_vocabulary(made: Any, tmp_path: Path) -> None:
    tokenizer = made(tmp_path)
    found = encode(tokenizer, row("two", "red"), Options("seq2seq", decoder_start=0))
    assert "".join(tokenizer.decoder[i] for i in found.answer).removesuffix("</w>") == "red"
    assert found.decoder == (0, *found.answer[:-1])
    source = {number: token for token, number in tokenizer.encoder.items()}
    assert "".join(source[i] for i in found.inputs[:3]).removesuffix("</w>") == "two"
