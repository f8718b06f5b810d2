"""Answers that are chosen among: right where they beat every other choice, by hand for every kind of model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from reference_loop import hooked
from test_score import Make
from tiny_models import build, wrapped
from tiny_tokenizers import tokenizer_of

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.metrics import Baseline, baseline, beat
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.score import score
from reportgen.validation.engine import Intervention
from reportgen.validation.prepare import Setup, set_up
from reportgen.validation.validate import _Runs

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


@torch.no_grad()
def judged(model: LoadedModel, some: list[Encoded], reduction: Any) -> Baseline:
    """The rows' answers, held against all their rivals."""
    batch = collate([*some, *(rival for e in some for rival in e.unlike)])
    found = baseline(model.answer_logits(batch), batch).taken(range(batch.size))
    own = found.taken(range(len(some)))
    return replace(own, correct=beat(own.correct, found.log_probability, some, reduction), argmax=own.by_argmax)


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
    together, alone = judged(model, encoded, reduction), [judged(model, [e], reduction) for e in encoded]
    assert together.correct.tolist() == right == [bool(each.correct[0]) for each in alone]
    with torch.no_grad():
        freely = baseline(model.answer_logits(b := collate([replace(e, rivals=()) for e in encoded])), b)
    np.testing.assert_allclose(together.log_probability, freely.log_probability, atol=1e-5)
    assert together.by_argmax.tolist() == freely.correct.tolist()


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
        right = judged(model, [encode(model.tokenizer, row, options)], "sum").correct[0]
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


MINIMAL: list[dict[str, Any]] = [
    {"task": "minimal", "prompt": prompt, "answer": choices[0], "choices": choices, "id": prompt}
    for prompt, *choices in [
        ["one two", "three", "nine"],
        ["a b", "c d", "d"],
        ["the c is", "red", "green blue"],
        ["four", "five", "six", "two one"],
    ]
]


def cut(head: int, size: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Zero one head's part of a projection's input."""

    def edit(z: torch.Tensor) -> torch.Tensor:
        z = z.clone()
        z[..., head * size : (head + 1) * size] = 0
        return z

    return edit


def model_logits(setup: Setup, example: Encoded) -> torch.Tensor:
    """The model's own whole forward of one example, at the positions of its answer."""
    logits: torch.Tensor = setup.prepared.model.model(input_ids=torch.tensor([example.inputs])).logits
    return logits[0, list(example.positions)]


@pytest.mark.parametrize(
    "scoring",
    [{}, {"answer_reduction": "mean"}, {"method": "zero_ablation", "examples": "adaptive", "top_k": 2}],
)
def test_scores_say_both_rates_and_validation_judges_alike(study_of: Make, scoring: dict[str, Any]) -> None:
    study = study_of("gpt2", rows=MINIMAL, batch_size=2, **scoring)
    (scores, *_), *_ = score(study).values()
    task = scores.tasks[0]
    model = wrapped(build("gpt2"))
    texts = [Row(**{**row, "choices": tuple(row["choices"])}, group="", location="") for row in MINIMAL]
    encoded = [encode(model.tokenizer, row, Options()) for row in texts]
    by_hand, reduction = [], scoring.get("answer_reduction", "sum")
    for row in texts:
        values = {text: value_by_hand(model, row, text, reduction) for text in row.choices}
        by_hand.append(values[row.answer] == max(values.values()))
    with torch.no_grad():
        freely = baseline(model.answer_logits(b := collate(encoded)), b).by_argmax
    assert (task.accuracy, task.argmax, task.chance) == (np.mean(by_hand), np.mean(freely), (3 * 0.5 + 1 / 3) / 4)
    # validation holds them against the same rivals, with nothing changed and with heads knocked out
    setup = set_up(study, (scores,))
    lost = [Intervention(frozenset()), Intervention(frozenset({(0, 1), (2, 3)}), 0.0)]
    runs, examples = _Runs(setup, None, lambda *_: None, 0), setup.tasks[0].encoded
    found = runs.outcomes(0, range(4), lost)
    assert found.correct[0].tolist() == by_hand
    for e, example in enumerate(examples):
        size, batch = setup.setting.heads.sites[0].size, [example, *example.unlike]
        with torch.no_grad(), hooked(setup.prepared.model, {0: cut(1, size), 2: cut(3, size)}):
            first, *others = [baseline(model_logits(setup, one), collate([one])) for one in batch]
        assert found.log_probability[1, e] == pytest.approx(float(first.log_probability[0]), abs=1e-5)
        value, *against = (
            one.log_probability[0] / (len(each.answer) if reduction == "mean" else 1)
            for one, each in zip((first, *others), batch, strict=True)
        )
        right = all(value > other for other in against)
        assert found.correct[1, e] == (right and bool(first.correct[0]) if example.alike else right)
