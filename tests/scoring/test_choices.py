"""Answers that are chosen among: right where they beat every other choice, by hand for every kind of model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_score import Make
from tiny_models import build, wrapped
from tiny_tokenizers import tokenizer_of

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, collate, rivals_in_batches, with_rivals
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.metrics import METRICS, baseline
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.score import score
from reportgen.validation.engine import Intervention, outcomes
from reportgen.validation.readout import readout

PROMPTS = ["The capital of France is", "Is the sky green ? Answer :", "a man", "one two three", "the sky is"]
CHOICES = [
    ("Paris", "Rome", "a red one"),  # of one token and of several
    ("yes", "no"),
    ("eats .", "eats nobody", "two"),
    ("four", "three four"),
    ("green", "blue", "red", "a"),
]
KINDS = [
    ("llama", "causal", "bytes"),
    ("gpt2", "causal", "pieces"),
    ("bert", "masked", "words"),
    ("bart", "seq2seq", "bytes"),
    ("t5", "seq2seq", "pieces"),
]


def of(architecture: str, kind: str, tokens: str) -> LoadedModel:
    tokenizer = tokenizer_of(tokens, ends=kind != "causal")
    model = wrapped(build(architecture, vocab_size=len(tokenizer)), kind)
    return replace(model, tokenizer=tokenizer)


def rows(**changed: Any) -> list[Row]:
    made = []
    for i, (prompt, choices) in enumerate(zip(PROMPTS, CHOICES, strict=True)):
        for k, answer in enumerate(choices):  # each choice once the right one, so that some are beaten and some not
            made.append(Row("t", prompt, answer, f"{i}.{k}", str(i), "", choices=choices, **changed))
    return made


def value_by_hand(model: LoadedModel, row: Row, text: str, reduction: str) -> float:
    """One choice in one plain run: tokens, log-softmax, sum."""
    tokenizer, run = model.tokenizer, model.model
    with torch.no_grad():
        if model.kind == "causal":
            whole = tokenizer(f"{row.prompt} {text}")["input_ids"]
            first = len(tokenizer(row.prompt)["input_ids"])
            logs = run(input_ids=torch.tensor([whole])).logits[0].double().log_softmax(-1)
            found = [float(logs[i - 1, whole[i]]) for i in range(first, len(whole))]
        elif model.kind == "masked":
            whole = tokenizer(f"{row.prompt} {text}")["input_ids"]
            first, last = len(tokenizer(row.prompt)["input_ids"]) - 1, len(whole) - 1
            masked = [*whole[:first], *[tokenizer.mask_token_id] * (last - first), *whole[last:]]
            logs = run(input_ids=torch.tensor([masked])).logits[0].double().log_softmax(-1)
            found = [float(logs[i, whole[i]]) for i in range(first, last)]
        else:
            start, end = model.model.config.decoder_start_token_id, tokenizer.eos_token_id
            target = [t for t in tokenizer(text_target=text)["input_ids"] if t != end]
            decoder = [start, *target[:-1]]
            logs = (
                run(
                    input_ids=torch.tensor([tokenizer(row.prompt)["input_ids"]]),
                    decoder_input_ids=torch.tensor([decoder]),
                )
                .logits[0]
                .double()
                .log_softmax(-1)
            )
            found = [float(logs[i, t]) for i, t in enumerate(target)][1:]  # its first token begins every target
    return sum(found) / (len(found) if reduction == "mean" else 1)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize(("architecture", "kind", "tokens"), KINDS)
def test_an_answer_is_right_where_it_beats_every_choice(
    architecture: str, kind: str, tokens: str, reduction: Any
) -> None:
    model, some = of(architecture, kind, tokens), rows()
    options = Options.of(model.kind, model.model, TasksSection())
    encoded = [encode(model.tokenizer, row, options) for row in some]
    right = []
    for row in some:
        values = {text: value_by_hand(model, row, text, reduction) for text in row.choices}
        right.append(values[row.answer] == max(values.values()))
    assert {True, False} == set(right)
    assert any(e.unlike for e in encoded)
    assert any(e.alike for e in encoded)
    with torch.no_grad():
        batch = with_rivals(encoded)
        made = baseline(model.answer_logits(batch), batch, reduction)
        alone = [baseline(model.answer_logits(b), b, reduction) for b in (with_rivals([e]) for e in encoded)]
        freely = baseline(model.answer_logits(b := collate([replace(e, rivals=()) for e in encoded])), b)
    assert made.correct.tolist() == right == [bool(each.correct[0]) for each in alone]
    np.testing.assert_allclose(made.log_probability, freely.log_probability, atol=1e-5)
    assert made.by_argmax.tolist() == freely.correct.tolist()


def test_a_classifiers_choices_are_its_classes() -> None:
    model = wrapped(build("bert", "classifier", num_labels=4), "classifier")
    options = Options.of("classifier", model.model, TasksSection())
    some = [
        Row("t", text, f"LABEL_{k}", "0", "0", "", choices=("LABEL_0", "LABEL_2", f"LABEL_{k}"))
        for text in ("one two", "red", "the a is blue")
        for k in range(4)
    ]
    encoded = [encode(model.tokenizer, row, options) for row in some]
    with torch.no_grad():
        made = baseline(model.answer_logits(batch := collate(encoded)), batch)
        logits = [model.model(input_ids=torch.tensor([e.inputs])).logits[0] for e in encoded]
    expected = [bool(own[k] >= own[[0, 2, k]].max()) for own, k in zip(logits, [0, 1, 2, 3] * 3, strict=True)]
    assert made.correct.tolist() == expected
    assert made.by_argmax.tolist() == [int(own.argmax()) == k for own, k in zip(logits, [0, 1, 2, 3] * 3, strict=True)]


def test_a_foil_judges_rows_without_choices_whatever_its_length() -> None:
    model = of("llama", "causal", "bytes")
    options = Options.of("causal", model.model, TasksSection())
    for answer, foil in [("Paris", "a red one"), ("a red one", "Paris"), ("Rome", "Paris")]:
        row = Row("t", PROMPTS[0], answer, "0", "0", "", foil=foil)
        batch = with_rivals([encode(model.tokenizer, row, options)])
        with torch.no_grad():
            right = bool(baseline(model.answer_logits(batch), batch).correct[0])
        assert right == (value_by_hand(model, row, answer, "sum") > value_by_hand(model, row, foil, "sum"))


def test_other_accepted_answers_are_no_rivals() -> None:
    model = of("llama", "causal", "bytes")
    row = Row(
        "t", "the sky is", "blue", "0", "0", "", answers=("a blue one",), choices=("blue", "a blue one", "red", " red ")
    )
    made = encode(model.tokenizer, row, Options())
    assert [model.tokenizer.decode(rival.answer).strip() for rival in made.rivals] == ["red"]


@pytest.mark.parametrize(
    ("kind", "row", "problem"),
    [
        (
            "words",
            {"choices": ("Red", "red")},
            "column choices: 'Red' has the answer's tokens, so that the model cannot",
        ),
        ("bytes", {"choices": ("red", "\u200b \u200b")}, None),
        ("words", {"foil": "RED"}, "column foil: 'RED' has the answer's tokens"),
    ],
)
def test_choices_that_cannot_be_told_from_the_answer_are_named(kind: str, row: dict[str, Any], problem: Any) -> None:
    tokenizer, made = tokenizer_of(kind), Row("t", "the sky is", "red", "7", "7", "tasks.jsonl, line 1", **row)
    if problem is None:
        assert encode(tokenizer, made, Options()).rivals
        return
    with pytest.raises(InputError) as caught:
        encode(tokenizer, made, Options())
    assert f"tasks.jsonl, line 1 (id '7'), {problem}" in str(caught.value)


def test_a_longer_choice_leaves_all_the_same_prompt() -> None:
    tokenizer = tokenizer_of("bytes")
    row = Row("t", " ".join(PROMPTS), "Paris", "0", "0", "", choices=("Paris", "a red or a blue one"))
    made = encode(tokenizer, row, Options(context=20, truncate="left"))
    (other,) = made.rivals
    assert made.inputs[: made.prompt] == other.inputs[: other.prompt]
    assert len(other.inputs) + 1 == 20
    assert made.cut == other.cut > 0


def test_rivals_are_cut_into_batches_of_about_the_same_rows() -> None:
    def example(unlike: int) -> Encoded:
        others = tuple(Encoded(Row(*"tpaxx", ""), (9, n), 1, (n,), (0,)) for n in range(unlike))
        return Encoded(Row(*"tpaxx", ""), (1,), 1, (2,), (0,), rivals=others)

    batches = list(rivals_in_batches([example(n) for n in (1, 5, 0, 2)], 4))
    assert [[(k, len(e.rivals)) for k, e in few] for few in batches] == [[(0, 1)], [(1, 3)], [(1, 2)], [(3, 2)]]
    assert sum(len(e.unlike) for few in batches for _, e in few) == 8


MINIMAL: list[dict[str, Any]] = [
    {"task": "minimal", "prompt": prompt, "answer": choices[0], "choices": choices, "id": prompt}
    for prompt, *choices in [
        ["one two", "three", "nine"],
        ["a b", "c d", "d"],
        ["the c is", "red", "green blue"],
        ["four", "five", "six", "two one"],
    ]
]


@pytest.mark.parametrize("scoring", [{}, {"method": "zero_ablation", "examples": "adaptive", "top_k": 2}])
def test_scores_say_both_rates_and_validation_judges_alike(study_of: Make, scoring: dict[str, Any]) -> None:
    study = study_of("gpt2", rows=MINIMAL, batch_size=2, **scoring)
    (scores, *_), *_ = score(study).values()
    task = scores.tasks[0]
    model = wrapped(build("gpt2"))
    texts = [Row(**{**row, "choices": tuple(row["choices"])}, group="", location="") for row in MINIMAL]
    encoded = [encode(model.tokenizer, row, Options()) for row in texts]
    by_hand, freely = [], []
    for row in texts:
        values = {text: value_by_hand(model, row, text, "sum") for text in row.choices}
        by_hand.append(values[row.answer] == max(values.values()))
    with torch.no_grad():
        freely = baseline(model.answer_logits(b := collate(encoded)), b).by_argmax
    assert (task.accuracy, task.argmax, task.chance) == (np.mean(by_hand), np.mean(freely), (3 * 0.5 + 1 / 3) / 4)
    # the engine of interventions, without one and with one, on a batch that holds the rivals
    setting = Setting(model, METRICS["log_probability"], "sum")
    read, batch = readout(setting, ()).read, with_rivals(encoded)
    lost = [Intervention(frozenset()), Intervention(frozenset({(0, 1), (2, 3)}), 0.0)]
    found = outcomes(setting, None, read, batch, lost, 2)  # type: ignore[arg-type]  # means are not asked for
    assert found.correct.shape == (2, 4)
    assert found.correct[0].tolist() == by_hand
    for e, example in enumerate(encoded):
        single = outcomes(setting, None, read, with_rivals([example]), lost, 1)  # type: ignore[arg-type]
        assert single.correct[:, 0].tolist() == found.correct[:, e].tolist()
        np.testing.assert_allclose(single.log_probability[:, 0], found.log_probability[:, e], atol=1e-5)
