from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_prompts import REFUSING, TEMPLATE, row, shown, words

from reportgen.core.config import TasksSection
from reportgen.core.config_file import parse_study, with_overrides
from reportgen.errors import InputError
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.prompts import prompted, shots_of
from reportgen.scoring.data.tasks import Row

ROWS = [
    row(f"{w} is", a, id=str(i), group=g)
    for i, (w, a, g) in enumerate([("a", "red", "x"), ("b", "green", "x"), ("c", "blue", "y"), ("d", "red", "z")])
]


def test_without_settings_rows_stay_as_they_are() -> None:
    assert prompted(words(), ROWS, TasksSection(), 0) == tuple(ROWS)


def test_shots_are_answered_rows_before_the_prompt_and_the_corrupted_one() -> None:
    first = row("a is", "red", group="x", corrupted="b is")
    made, *_ = prompted(words(), [first, *ROWS[2:]], TasksSection(shots=2, delimiter=": "), 0)
    order = [made.prompt.index(text) for text in ("c is: blue", "d is: red")]
    joined = ["c is: blue", "d is: red"] if order[0] < order[1] else ["d is: red", "c is: blue"]
    assert made.prompt == "\n\n".join([*joined, "a is"])
    assert made.corrupted == made.prompt.removesuffix("a is") + "b is"
    close, *_ = prompted(words(), ROWS, TasksSection(shots=1, separator=" of "), 0)
    assert close.prompt in ("c is blue of a is", "d is red of a is")


@st.composite
def tasks(draw: Any) -> list[Row]:
    groups = draw(st.lists(st.sampled_from("vwxyz"), min_size=1, max_size=12))
    prompts = draw(st.lists(st.sampled_from(["a is", "b is", "c is", "d is"]), min_size=12, max_size=12))
    return [row(p, "red", id=str(i), group=g) for i, (g, p) in enumerate(zip(groups, prompts, strict=False))]


@given(tasks(), st.integers(0, 4), st.integers(0, 9), st.randoms())
def test_shots_never_leak_the_rows_group_or_prompt_and_depend_on_nothing_else(
    rows: list[Row], count: int, seed: int, random: Any
) -> None:
    for one in rows:
        fit = [r for r in rows if r.group != one.group and r.prompt != one.prompt]
        if len(fit) < count:
            with pytest.raises(InputError):
                shots_of(one, rows, count, seed)
            continue
        shots = shots_of(one, rows, count, seed)
        assert len({shot.id for shot in shots}) == count
        assert all(shot in fit for shot in shots)
        shuffled = random.sample(rows, len(rows))
        assert shots_of(one, shuffled, count, seed) == shots  # whatever the order of the file
        fewer = [r for r in rows if r in shots or r is one]
        assert shots_of(one, fewer, count, seed) == shots  # rows that were not drawn do not matter


def test_the_seed_and_the_row_change_the_shots() -> None:
    rows = [row(f"p{i}", "red", id=str(i), group=str(i)) for i in range(30)]
    drawn = {tuple(s.id for s in shots_of(r, rows, 3, seed)) for r in rows[:5] for seed in range(4)}
    assert len(drawn) == 20
    times = [s.id for r in rows for s in shots_of(r, rows, 10, 0)]
    assert max(times.count(r.id) for r in rows) < 20  # 10 each on average: no row stands before nearly all


def test_too_few_rows_for_the_shots() -> None:
    for count, rows, found in [(3, ROWS, "only 2 rows"), (2, ROWS[:3], "only 1 row"), (1, ROWS[:2], "no row")]:
        with pytest.raises(InputError) as caught:
            prompted(words(), rows, TasksSection(shots=count), 0)
        assert str(caught.value) == (
            f"tasks.jsonl, line 1 (id '0'): {found} of task 't' and another group can stand before it, "
            f"and shots = {count}. Lower [tasks] shots, or add rows."
        )


def test_a_masked_models_shots_hold_the_answer_where_their_mask_stood() -> None:
    rows = [row("a is <mask> b", "red"), row("c is <mask> d", "green", id="1", group="1")]
    made, _ = prompted(words("<s> $A </s>"), rows, TasksSection(shots=1, separator=" of "), 0)
    assert made.prompt == "c is green d of a is <mask> b"


def test_a_chat_template_goes_around_the_prompt_without_doubling_special_tokens() -> None:
    tokenizer, section = words("<s> $A </s>", TEMPLATE), TasksSection(chat_template=True)
    made, *_ = prompted(tokenizer, [row("a is", "red green", corrupted="b is")], section, 0)
    assert (made.prompt, made.corrupted) == ("<s><user> a is <bot> ", "<s><user> b is <bot> ")
    options = Options(delimiter=section.between, templated=section.chat_template, with_corrupted=True)
    encoded = encode(tokenizer, made, options)
    assert shown(tokenizer, encoded.inputs) == "<s> <user> a is <bot> red"
    assert shown(tokenizer, encoded.corrupted) == "<s> <user> b is <bot> red"
    assert (shown(tokenizer, encoded.answer), encoded.positions) == ("red green", (4, 5))
    plain = encode(tokenizer, row("a is", "red green"), Options())
    assert shown(tokenizer, plain.inputs) == "<s> a is red"  # without a template the tokenizer puts its own
    for kind in ("masked", "seq2seq", "encoder", "classifier"):
        other = encode(tokenizer, made, Options(kind, "", True, decoder_start=0, labels={"red green": 0}))  # type: ignore[arg-type]
        assert shown(tokenizer, other.inputs).startswith("<s> <user> a is <bot>")
        assert shown(tokenizer, other.inputs).count("s>") == 1


def test_shots_and_system_are_turns_of_the_chat() -> None:
    section = TasksSection(chat_template=True, system="the b", shots=1)
    made, *_ = prompted(words("<s> $A", TEMPLATE), [ROWS[0], ROWS[2]], section, 0)
    assert made.prompt == "<s><sys> the b <user> c is <bot> blue <user> a is <bot> "


def test_under_a_template_the_delimiter_counts_where_it_is_given(tmp_path: Path) -> None:
    assert (TasksSection().between, TasksSection(delimiter="\n").between) == (" ", "\n")
    assert TasksSection(chat_template=True).between == ""
    assert TasksSection(chat_template=True, delimiter=" ").between == " "
    raw = {"model": {"path": "m"}, "tasks": {"path": "t.jsonl", "chat_template": True}}
    study = parse_study(raw, "study.toml", tmp_path)
    changed = with_overrides(study, {"tasks.limit": 2}, tmp_path / "study.toml")
    assert (study.tasks.between, changed.tasks.between) == ("", "")


@pytest.mark.parametrize(
    ("template", "system", "message"),
    [
        (
            None,
            None,
            "[tasks] chat_template: the tokenizer has no chat template. "
            "Remove the key, or choose a model whose tokenizer has one, such as one tuned for chat.",
        ),
        (
            REFUSING,
            "the b",
            "[tasks] system, tasks.jsonl, line 1: the tokenizer's chat template refuses the turns "
            "(System role not supported). Remove the key, and write it into the prompts.",
        ),
        (
            TEMPLATE.replace("<sys> {{ m.content }}", ""),
            "the b",
            "[tasks] system, tasks.jsonl, line 1: the tokenizer's chat template leaves the system's turn out. "
            "Remove the key, and write it into the prompts.",
        ),
        (
            "{{ raise_exception('No turns.') }}",
            None,
            "[tasks] chat_template, tasks.jsonl, line 1: the tokenizer's chat template refuses the turns (No turns). "
            "Remove the key.",
        ),
    ],
)
def test_whole_message_of_each_template_that_does_not_serve(template: Any, system: Any, message: str) -> None:
    section = TasksSection(chat_template=True, system=system)
    with pytest.raises(InputError) as caught:
        prompted(words(template=template), [row("a is", "red")], section, 0)
    assert str(caught.value) == message


def test_a_template_that_refuses_the_systems_turn_serves_without_one() -> None:
    made, *_ = prompted(words(template=REFUSING), [row("a is", "red")], TasksSection(chat_template=True), 0)
    assert made.prompt == "<s><user> a is <bot> "


def test_a_system_turn_needs_a_template(tmp_path: Path) -> None:
    raw = {"model": {"path": "m"}, "tasks": {"path": "t.jsonl", "system": "the b"}}
    with pytest.raises(InputError) as caught:
        parse_study(raw, "study.toml", tmp_path)
    assert caught.value.location == "study.toml: [tasks]"
    assert caught.value.problem.startswith("system is a turn of a chat; give chat_template = true with it (got ")
