"""Where texts of a row meet: special tokens that are written twice, white space that doubles, and who is told."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from test_score import Make
from tiny_models import build
from tiny_prompts import TEMPLATE, row, shown, words
from tiny_tokenizers import tokenizer_of

from reportgen.cli.console import plan_lines
from reportgen.core.config import TasksSection
from reportgen.core.config_file import parse_study
from reportgen.errors import InputError
from reportgen.scoring.data.encoding import DOUBLED, WHITE_SPACE, Options, encode
from reportgen.scoring.data.joining import joined, together
from reportgen.scoring.data.prompts import prompted
from reportgen.scoring.run.cost import plan
from reportgen.scoring.run.prepare import prepare

PROMPT = "The capital of France is"


@pytest.mark.parametrize("kind", ["bytes", "pieces", "words"])
@pytest.mark.parametrize(
    ("prompt", "answer", "delimiter", "meant"),
    [
        (PROMPT, "Paris", " ", f"{PROMPT} Paris"),
        (PROMPT, " Paris", " ", f"{PROMPT} Paris"),
        (f"{PROMPT} ", "Paris", " ", f"{PROMPT} Paris"),
        (f"{PROMPT} ", " Paris", " ", f"{PROMPT} Paris"),
        (f"{PROMPT} ", " Paris", "", f"{PROMPT} Paris"),
        (PROMPT, " Paris", "", f"{PROMPT} Paris"),
        (f"{PROMPT}\n", "Paris", " ", f"{PROMPT}\nParis"),
        (f"{PROMPT}\n", " Paris", " ", f"{PROMPT}\nParis"),
        (f"{PROMPT} ", "Paris", "\n", f"{PROMPT}\nParis"),
        (f"{PROMPT} ", " Paris", "\n\n", f"{PROMPT}\n\nParis"),
        (PROMPT, " Paris", " : ", f"{PROMPT} : Paris"),
        (PROMPT, "\tParis", " ", f"{PROMPT} Paris"),
        (PROMPT, "Paris ", " ", f"{PROMPT} Paris"),
    ],
)
def test_one_run_of_white_space_stands_between_prompt_and_answer(
    kind: str, prompt: str, answer: str, delimiter: str, meant: str
) -> None:
    tokenizer = tokenizer_of(kind)
    made = encode(tokenizer, row(prompt, answer), Options(delimiter=delimiter))
    whole = tokenizer(meant)["input_ids"]
    assert (*made.inputs, made.answer[-1]) == tuple(whole)
    assert tokenizer.decode(made.answer).strip() == "Paris".lower() if kind == "words" else "Paris"
    written = tokenizer(prompt + delimiter + answer.rstrip())["input_ids"]
    assert made.joined == (() if written == whole else (WHITE_SPACE,))  # said where it changes what is read


def test_the_answers_share_of_a_template_that_ends_in_white_space() -> None:
    tokenizer = tokenizer_of("bytes")
    made = encode(tokenizer, row("<s>The sky is\n", " green"), Options(delimiter="", templated=True))
    assert (*made.inputs, made.answer[-1]) == tuple(
        tokenizer("<s>The sky is\ngreen", add_special_tokens=False).input_ids
    )
    kept = encode(tokenizer, row("<s>The sky is ", "green"), Options(delimiter="\n", templated=True))
    assert tokenizer.decode(kept.inputs[: kept.prompt]) == "<s>The sky is"  # its space, which the answer's token holds


@pytest.mark.parametrize(
    ("left", "right", "whole"), [("a ", " b", "a b"), ("a", "b", "ab"), ("a\n", "\n\nb", "a\n\nb")]
)
def test_of_two_runs_that_with_more_line_breaks_stands_else_the_first(left: str, right: str, whole: str) -> None:
    assert "".join(joined(left, right)) == together(left, right) == whole


def test_white_space_around_a_mask_stands_once() -> None:
    tokenizer = tokenizer_of("bytes", ends=True)
    made = encode(tokenizer, row("The capital is <mask> .", " Paris "), Options("masked"))
    plain = encode(tokenizer, row("The capital is <mask> .", "Paris"), Options("masked"))
    assert (made.inputs, made.answer, made.joined) == (plain.inputs, plain.answer, (WHITE_SPACE,))


def test_a_target_begins_without_white_space() -> None:
    tokenizer = tokenizer_of("bytes", ends=True)
    options = Options("seq2seq", decoder_start=2)
    made, plain = (encode(tokenizer, row("The sky is", answer), options) for answer in (" green", "green"))
    assert (made.decoder, made.answer, made.joined) == (plain.decoder, plain.answer, (WHITE_SPACE,))


@pytest.mark.parametrize("kind", ["bytes", "pieces", "words"])
def test_special_tokens_that_a_prompt_brings_along_stand_once(kind: str) -> None:
    once, ends = tokenizer_of(kind), tokenizer_of(kind, ends=True)
    made = encode(once, row(f"<s>{PROMPT}", "Paris"), Options())
    assert (*made.inputs, made.answer[-1]) == tuple(once(f"<s>{PROMPT} Paris", add_special_tokens=False)["input_ids"])
    assert made.joined == (DOUBLED,)
    assert shown(once, made.inputs).count("<s>") == 1
    for other in ("classifier", "encoder", "seq2seq"):
        options = Options(other, labels={"x": 0}, decoder_start=0)  # type: ignore[arg-type]
        both = encode(ends, row(f"<s>{PROMPT}</s>", "x" if other == "classifier" else "red"), options)
        assert both.inputs == tuple(ends(f"<s>{PROMPT}</s>", add_special_tokens=False)["input_ids"])
        assert both.joined == (DOUBLED,)
    masked = encode(ends, row("<s>The sky is <mask> .</s>", "red"), Options("masked"))
    assert shown(ends, masked.inputs).count("s>") == 2
    assert encode(once, row(PROMPT, "Paris"), Options()).joined == ()


def test_a_token_that_begins_texts_is_written_before_the_first_shot_alone() -> None:
    rows = [row(f"<s>{w} is", a, id=w, group=w) for w, a in (("a", "red"), ("b", "green"), ("c", "blue"))]
    made, *_ = prompted(words(), rows, TasksSection(shots=2, separator=" of "), 0)
    assert made.prompt.count("<s>") == 1
    assert made.prompt.startswith("<s>")
    encoded = encode(words(), made, Options())
    assert shown(words(), encoded.inputs).count("<s>") == 1


def test_shots_are_joined_like_rows() -> None:
    rows = [row("a is ", " red"), row("b is", " green", id="1", group="1")]
    made = prompted(words(), rows, TasksSection(shots=1, separator=" of "), 0)
    assert [m.prompt for m in made] == ["b is green of a is ", "a is red of b is"]
    masked = prompted(
        words("<s> $A </s>"),
        [row("a is <mask> .", " red"), row("c is <mask>", "blue", id="1", group="1")],
        TasksSection(shots=1),
        0,
    )
    assert masked[1].prompt == "a is red .\n\nc is <mask>"


SPACED = [
    {"task": "t", "id": "r0", "prompt": "<bos> the a is", "answer": "red"},
    {"task": "t", "id": "r1", "prompt": "one two", "answer": "three"},
    {"task": "u", "id": "r2", "prompt": "four", "answer": "five"},
]


def test_the_study_is_told_with_the_rows_tokens_and_the_dry_run_shows_a_row_a_task(study_of: Make) -> None:
    study = study_of("llama", rows=SPACED)
    (note,) = [note for note in prepare(study).notes if "special tokens" in note]
    assert note == (
        "task t: 1 of 2 prompts hold special tokens that the tokenizer puts there itself: they stand once. "
        "Row 'r0' is read as <bos> the a is | red"
    )
    made = plan(study)
    assert [(shown.task, shown.prompt, shown.answer) for shown in made.rows] == [
        ("t", ("<bos>", "the", "a", "is"), ("red",)),
        ("u", ("<bos>", "four"), ("five",)),
    ]
    lines = list(plan_lines(made))
    assert "task t, row 'r0': <bos> the a is | red" in lines
    assert "task u, row 'r2': <bos> four | five" in lines


@pytest.mark.parametrize(
    ("architecture", "kind", "answer", "line"),
    [
        ("bart", None, "three", "<bos> one two | <eos> <bos> | three"),
        ("bert", None, "three", "<bos> one two <mask> | three"),
        ("bert", "classifier", "LABEL_1", "<bos> one two | LABEL_1"),
    ],
)
def test_a_dry_run_shows_what_each_kind_of_model_reads(
    study_of: Make, tmp_path: Path, architecture: str, kind: str | None, answer: str, line: str
) -> None:
    model: dict[str, Any] = {}
    if kind:
        from tiny_models import word_tokenizer

        build(architecture, kind).save_pretrained(tmp_path / "m")
        word_tokenizer().save_pretrained(tmp_path / "m")
        model = {"path": str(tmp_path / "m")}
    rows = [{"task": "t", "id": str(i), "prompt": "one two", "answer": answer} for i in range(2)]
    (made,) = plan(study_of(architecture, rows=rows, model=model)).rows
    assert str(made) == line


def test_a_long_prompt_is_shown_by_its_ends() -> None:
    from reportgen.scoring.data.shown import ShownRow

    prompt = tuple(str(i) for i in range(100))
    made = str(ShownRow("t", "0", prompt, ("x",)))
    assert made.split(" | ")[0].split() == [*prompt[:10], "…", *prompt[70:]]


# ---- what a template is given, and how an answer begins

CLOCKED = "{{ bos_token }}{{ strftime_now('%Y') }} <user> {{ messages[-1].content }} <bot> "
THINKING = TEMPLATE + "{% if enable_thinking is defined and not enable_thinking %}the of {% endif %}"


def test_a_templates_clock_stands_still_and_may_be_set() -> None:
    tokenizer, rows = words("<s> $A", CLOCKED), [row("a is", "red")]
    (made,) = prompted(tokenizer, rows, TasksSection(chat_template=True), 0)
    assert made.prompt == "<s>2024 <user> a is <bot> "
    given: str | date
    for given in ("1999-12-31", date(1999, 12, 31)):
        section = TasksSection(chat_template=True, chat_template_kwargs={"strftime_now": given})
        assert prompted(tokenizer, rows, section, 0)[0].prompt == "<s>1999 <user> a is <bot> "


def test_values_reach_the_template_and_those_it_does_not_read_are_refused() -> None:
    tokenizer, rows = words("<s> $A", THINKING), [row("a is", "red")]
    plain = prompted(tokenizer, rows, TasksSection(chat_template=True), 0)[0].prompt
    section = TasksSection(chat_template=True, chat_template_kwargs={"enable_thinking": False})
    assert prompted(tokenizer, rows, section, 0)[0].prompt == plain + "the of "
    for values, message in [
        ({"enable_thinkin": False}, "reads no 'enable_thinkin'. Did you mean 'enable_thinking'?"),
        ({"messages": []}, "'messages' is no value to be given. Remove it."),
        ({"strftime_now": "today"}, "strftime_now is 'today'. Give the day as 2024-07-26."),
    ]:
        wrong = TasksSection(chat_template=True, chat_template_kwargs=values)
        with pytest.raises(InputError) as caught:
            prompted(words("<s> $A", THINKING + CLOCKED), rows, wrong, 0)
        assert str(caught.value).startswith("[tasks] chat_template_kwargs: ")
        assert str(caught.value).endswith(message)


def test_values_without_a_template_are_refused(tmp_path: Path) -> None:
    raw = {"model": {"path": "m"}, "tasks": {"path": "t.jsonl", "chat_template_kwargs": {"x": 1}}}
    with pytest.raises(InputError, match="give chat_template = true"):
        parse_study(raw, "study.toml", tmp_path)


@pytest.mark.parametrize("delimiter", [None, "\n"])
def test_an_answer_begins_with_its_prefix_which_is_not_scored(delimiter: str | None) -> None:
    section = TasksSection(answer_prefix="The capital is", delimiter=delimiter)
    options = replace(Options(), delimiter=section.between, prefix=section.answer_prefix or "")
    tokenizer = tokenizer_of("bytes")
    made = encode(tokenizer, row(PROMPT, "Paris", choices=("Paris", "Rome")), options)
    whole = tokenizer(f"{PROMPT}{section.between}The capital is Paris")["input_ids"]
    assert (*made.inputs, made.answer[-1]) == tuple(whole)
    assert tokenizer.decode(made.answer) == " Paris"
    assert tokenizer.decode(made.rivals[0].answer) == " Rome"


def test_a_prefix_follows_a_template_and_stands_in_every_shot() -> None:
    tokenizer, section = words("<s> $A", TEMPLATE), TasksSection(chat_template=True, answer_prefix="the of", shots=1)
    made, _ = prompted(tokenizer, [row("a is", "red"), row("b is", "blue", id="1", group="1")], section, 0)
    options = Options(delimiter=section.between, templated=True, prefix="the of")
    encoded = encode(tokenizer, made, options)
    assert shown(tokenizer, encoded.inputs) == "<s> <user> b is <bot> the of blue <user> a is <bot> the of"
    assert shown(tokenizer, encoded.answer) == "red"
    freely, _ = prompted(
        words(),
        [row("a is", "red"), row("b is", "blue", id="1", group="1")],
        TasksSection(answer_prefix="the of", shots=1, separator=" d "),
        0,
    )
    assert freely.prompt == "b is the of blue d a is"


def test_a_decoder_begins_with_the_prefix() -> None:
    tokenizer = words("$A </s>")
    made = encode(tokenizer, row("one two", "red green"), Options("seq2seq", decoder_start=0, prefix="the of"))
    assert shown(tokenizer, made.decoder) == "<pad> the of red"
    assert (shown(tokenizer, made.answer), made.positions) == ("red green", (2, 3))


@pytest.mark.parametrize("kind", ["classifier", "encoder", "masked"])
def test_where_an_answer_cannot_begin_the_prefix_is_refused(kind: Any) -> None:
    with pytest.raises(InputError, match="answer_prefix"):
        encode(words("<s> $A </s>"), row("a is <mask>", "red"), Options(kind, prefix="the", labels={"red": 0}))
