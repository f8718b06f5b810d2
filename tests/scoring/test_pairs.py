"""Pairs of texts, by models that embed which text a token is of and by those that do not, against plain runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import hooked
from test_score import Make
from tiny_models import build, setting, wrapped
from tiny_prompts import TEMPLATE, row, shown, words
from tiny_tokenizers import tokenizer_of

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.prompts import prompted
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.score import score

PAIRS = [
    ("a man eats .", "nobody eats ."),
    ("The capital of France is Paris .", "Rome is blue"),
    ("the sky", "is green or blue or red or a red one ."),
]


def of(architecture: str, kind: str, tokens: str) -> tuple[LoadedModel, list[Encoded]]:
    tokenizer = tokenizer_of(tokens, ends=True, pairs=True)
    model = wrapped(build(architecture, kind, vocab_size=len(tokenizer), num_labels=3), kind)
    model = replace(model, tokenizer=tokenizer)
    options = Options.of(model.kind, model.model, TasksSection(), context=32)
    answer = "LABEL_2" if kind == "classifier" else "red"
    first = [f"{a} <mask>" if kind == "masked" else a for a, _ in PAIRS]
    rows = [row(a, answer, prompt_pair=b, id=b) for a, (_, b) in zip(first, PAIRS, strict=True)]
    return model, [encode(tokenizer, one, options) for one in rows]


def plainly(model: LoadedModel, example: Encoded) -> torch.Tensor:
    """The logits of one row as the model's own call gives them for what its tokenizer makes of the pair."""
    made = dict(model.tokenizer(example.row.prompt, example.row.prompt_pair, return_tensors="pt"))
    if not getattr(model.model.config, "type_vocab_size", 0):
        made.pop("token_type_ids", None)
    if model.kind == "seq2seq":
        made["decoder_input_ids"] = torch.tensor([example.decoder])
    with torch.no_grad():
        return model.model(**made).logits[0]


@pytest.mark.parametrize(
    ("architecture", "kind", "tokens"),
    [
        ("bert", "classifier", "words"),
        ("albert", "classifier", "pieces"),
        ("bert", "masked", "words"),
        ("gpt2", "classifier", "bytes"),
        ("llama", "classifier", "pieces"),
        ("bart", "seq2seq", "bytes"),
    ],
)
def test_pairs_are_read_as_the_models_own_call_reads_them(architecture: str, kind: str, tokens: str) -> None:
    model, some = of(architecture, kind, tokens)
    embeds = architecture in ("bert", "albert")
    assert [e.types is not None for e in some] == [embeds] * 3
    batch = collate(some, model.tokenizer.pad_token_id)
    assert (batch.token_type_ids is not None) == embeds
    with torch.no_grad():
        together = model.answer_logits(batch)
    for e, example in enumerate(some):
        logits = plainly(model, example)
        own = logits if kind == "classifier" else logits[list(example.positions)].squeeze(0)
        torch.testing.assert_close(together[batch.owner == e].squeeze(0), own, rtol=0, atol=1e-5)
    if embeds:
        without = replace(batch, token_type_ids=None)
        with torch.no_grad():
            assert (model.answer_logits(without) - together).abs().max() > 1e-3  # they do matter to it


def test_heads_are_ablated_on_pairs_as_by_hand() -> None:
    model, some = of("bert", "classifier", "words")
    batch = collate(some, model.tokenizer.pad_token_id)
    method = zero_ablation.METHOD
    assert method.score is not None
    made = method.score(setting(model, "class_logit", **method.parameters().model_dump()), batch).values
    for e, example in enumerate(some):
        before = plainly(model, example)[2]
        for site, head in [(0, 1), (2, 3)]:
            size = model.heads.sites[site].size

            def edit(z: torch.Tensor, cut: slice = slice(head * size, (head + 1) * size)) -> torch.Tensor:
                z = z.clone()
                z[..., cut] = 0
                return z

            with hooked(model, {site: edit}):
                after = plainly(model, example)[2]
            assert made[e, site, head] == pytest.approx(float(before - after), abs=1e-5)


def test_the_answer_of_a_masked_pair_stands_at_its_mask_or_at_the_end() -> None:
    tokenizer = tokenizer_of("words", ends=True, pairs=True)
    for first, second, where in [
        ("the sky is <mask> .", "a man", "<s> the sky is <mask> . <sep> a man </s>"),
        ("a man", "the sky is <mask> .", "<s> a man <sep> the sky is <mask> . </s>"),
        ("a man", "the sky is", "<s> a man <sep> the sky is <mask> </s>"),
    ]:
        made = encode(tokenizer, row(first, "red", prompt_pair=second), Options("masked", types=2))
        assert shown(tokenizer, made.inputs) == where
        assert [made.inputs[i] for i in made.positions] == [tokenizer.mask_token_id]
        texts = [t.replace("<mask>", "red") for t in (first, second if "<mask>" in first + second else f"{second} red")]
        assert made.types == tuple(tokenizer(*texts)["token_type_ids"])
    with pytest.raises(InputError, match="holds the mask token <mask> 2 times"):
        encode(tokenizer, row("a <mask>", "red", prompt_pair="b <mask>"), Options("masked"))


@pytest.mark.parametrize(("how", "first", "second"), [("left", "one two", "blue red"), ("middle", "a two", "the red")])
def test_of_a_pair_the_longer_text_is_cut_first(how: Any, first: str, second: str) -> None:
    tokenizer = tokenizer_of("words", ends=True, pairs=True)
    options = Options("classifier", context=7, truncate=how, labels={"x": 0}, types=2)
    made = encode(
        tokenizer, row("a man eats . nobody one two", "x", prompt_pair="the sky is green . blue red"), options
    )
    assert shown(tokenizer, made.inputs) == f"<s> {first} <sep> {second} </s>"
    assert (made.types, made.cut) == ((0, 0, 0, 0, 1, 1, 1), 10)
    short = encode(tokenizer, row("red", "x", prompt_pair="the sky is green . blue red"), options)
    assert shown(tokenizer, short.inputs).startswith("<s> red <sep> ")
    assert len(short.inputs) == 7


def test_pairs_are_refused_where_one_text_is_read() -> None:
    pair = row("a is", "red", prompt_pair="b is")
    with pytest.raises(InputError) as caught:
        encode(words(), pair, Options())
    assert str(caught.value) == (
        "tasks.jsonl, line 1 (id '0'), column prompt_pair: a causal language model reads one text, no pair. "
        "Write both texts into the prompt, or choose a model of pairs, such as a classifier."
    )
    for section, named in [(TasksSection(shots=1), "shots"), (TasksSection(chat_template=True), "chat template")]:
        with pytest.raises(InputError, match=f"a pair of texts fits no {named}"):
            prompted(words(template=TEMPLATE), [pair, row("c", "red", id="1", group="1")], section, 0)


@pytest.mark.parametrize("column", ["image", "audio"])
def test_files_that_no_model_here_reads_are_refused_by_name(column: str) -> None:
    with pytest.raises(InputError, match=f"column {column}: the row has an {column}, and only texts are read"):
        encode(words(), row("a is", "red", **{column: "x.png"}), Options())


def test_a_study_of_pairs_is_scored_alike_in_any_batch(study_of: Make, tmp_path: Any) -> None:
    tokenizer = tokenizer_of("words", ends=True, pairs=True)
    build("bert", "classifier", vocab_size=len(tokenizer), num_labels=3).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    rows = [
        {"task": "nli", "id": str(i), "prompt": a, "prompt_pair": b, "answer": f"LABEL_{i % 3}"}
        for i, (a, b) in enumerate(PAIRS * 2)
    ]
    wanted = {"model": {"path": str(tmp_path / "m")}, "metric": "class_logit"}
    one, four = (score(study_of(rows=rows, batch_size=n, **wanted))["gate_gradient"][0] for n in (1, 4))
    np.testing.assert_allclose(one.importance, four.importance, rtol=0, atol=1e-5)
    assert one.importance.any()
    swapped = [{**r, "prompt": r["prompt_pair"], "prompt_pair": r["prompt"]} for r in rows]
    other = score(study_of(rows=swapped, batch_size=4, **wanted))["gate_gradient"][0]
    assert np.abs(other.importance - four.importance).max() > 1e-4
