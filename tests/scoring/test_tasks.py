import json
from pathlib import Path
from typing import Any

import pytest
from tiny_models import WORDS, word_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from reportgen.errors import InputError
from reportgen.scoring.tasks import Row, chance, read_tasks
from reportgen.scoring.tokens import collate, encode, plan_batches

GOOD = {"task": "t", "prompt": "p", "answer": "a"}


def row(prompt: str, answer: str, **rest: Any) -> Row:
    return Row("t", prompt, answer, "0", "0", "tasks.jsonl, line 1", **rest)


def written(tmp_path: Path, *lines: Any, name: str = "tasks.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_jsonl_and_csv_hold_the_same_rows(tmp_path: Path) -> None:
    full = {**GOOD, "id": "7", "group": "g", "choices": ["a", "b"], "foil": "b", "corrupted": "q\nr", "answers": ["A"]}
    plain = {**GOOD, "prompt": "with, comma", "id": "8"}
    lines = written(tmp_path, full, "", plain)
    cells = ['"with, comma"', "a", "t", "", "", "", "8", ""]
    header = "prompt,answer,task,choices,foil,corrupted,id,group,answers"
    first = 'p,a,t,"[""a"", ""b""]",b,"q\nr",7,g,"[""A""]"'
    table = written(tmp_path, header, first, ",".join([*cells, ""]), name="tasks.csv")
    one, two = read_tasks(lines).tasks["t"], read_tasks(table).tasks["t"]
    assert [{**vars(r), "place": ""} for r in one] == [{**vars(r), "place": ""} for r in two]
    assert [r.place.removeprefix(f"{tmp_path}/") for r in (*one, *two)] == [
        "tasks.jsonl, line 1", "tasks.jsonl, line 3", "tasks.csv, line 2", "tasks.csv, line 4"]  # fmt: skip
    assert (one[1].id, one[1].group) == ("8", "8")


def test_limit_keeps_the_first_rows_of_each_task(tmp_path: Path) -> None:
    rows = [{**GOOD, "task": task, "answer": str(n)} for n in range(3) for task in ("x", "y")]
    kept = read_tasks(written(tmp_path, *rows), limit=2).tasks
    assert {name: [r.answer for r in members] for name, members in kept.items()} == {"x": ["0", "1"], "y": ["0", "1"]}


def test_chance_is_one_over_choices_or_the_commonest_answers_share() -> None:
    assert chance((row("p", "a", choices=("a", "b")), row("p", "a", choices=("a", "b", "c", "d")))) == 0.375
    assert chance((row("p", "a"), row("p", "a"), row("p", "b"))) == pytest.approx(2 / 3)


def test_cogqa_rows_follow_their_question_and_stray_labels_are_told(tmp_path: Path) -> None:
    skills = [("Retrieval", "s1", "a1"), ("Induction", "s2", "a2"), ("Inference", "s3", 4)]
    subs = [{"subquestion": s, "answer": a, "cognitive_skill": k} for k, s, a in skills]
    path = written(tmp_path, json.dumps([{"question": "Q", "answer": "A", "generated": subs}]), name="cogqa.json")
    read = read_tasks(path, "cogqa")
    assert {name: [(r.prompt, r.answer, r.id, r.group) for r in rows] for name, rows in read.tasks.items()} == {
        "Retrieval": [("Q\ns1", "a1", "0.0", "0")], "Inference": [("Q\ns3", "4", "0.2", "0")]}  # fmt: skip
    assert read.notes == (f"{path}: dropped 1 row labelled 'Induction', which is none of CogQA's eight skills",
                          f"{path}: read 1 numeric answers as text")  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], ": the task file holds no rows. Give at least one row with task, prompt and answer."),
        (["{"],
         ", line 1: this is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)). "
         "Write one JSON object on each line."),
        (["[]"], ', line 1: the line holds no JSON object. Write {"task": …, "prompt": …, "answer": …}.'),
        ([GOOD, {**GOOD, "promt": "p"}], ", line 2: unknown column 'promt'. The nearest known one is 'prompt'."),
        ([{"task": "t", "prompt": "p"}], ", line 1: 'answer' is missing. Give every row task, prompt, answer."),
        ([{**GOOD, "answer": 4}], ", line 1, column answer: 4 is not text. Write it in quotes."),
        ([{**GOOD, "answer": " "}], ", line 1, column answer: the answer is empty. Give it a text, or remove the row."),
        ([{**GOOD, "task": ""}], ", line 1, column task: the task is empty. Give it a text, or remove the row."),
        ([{**GOOD, "choices": "ab"}],
         ", line 1, column choices: 'ab' is no list of texts. Write a list of texts: [\"yes\", \"no\"]."),
        ([{**GOOD, "id": 1.5}], ", line 1, column id: 1.5 is no name. Give a text or a whole number."),
        ([{**GOOD, "foil": "a "}],
         ", line 1, column foil: the foil is the answer itself. Give a wrong answer, or none."),
    ],
)  # fmt: skip
def test_whole_message_of_each_bad_line(tmp_path: Path, lines: list[Any], message: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        read_tasks(path)
    assert str(caught.value) == f"{path}{message}"


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    path = written(tmp_path, {**GOOD, "id": "x"}, {**GOOD, "id": "x"})
    with pytest.raises(InputError) as caught:
        read_tasks(path)
    place = f"{path}, line"
    assert str(caught.value) == (
        f"{place} 2: the id 'x' stands already at {place} 1. Give every row an id of its own.")  # fmt: skip


def test_missing_file_and_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_tasks(tmp_path / "none.jsonl")
    assert str(caught.value) == f"{tmp_path}/none.jsonl: no such task file. Check [tasks] path in the study file."
    with pytest.raises(InputError) as caught:
        read_tasks(written(tmp_path, "[]", name="tasks.json"))
    assert str(caught.value) == (
        f"{tmp_path}/tasks.json: the suffix '.json' does not tell the task file's format. "
        'Set [tasks] format to "jsonl", "csv" or "cogqa".')  # fmt: skip


def test_csv_errors_name_line_and_column(tmp_path: Path) -> None:
    for lines, message in [
        (["task,prompt", "t,p"], ", line 1: column 'answer' is missing. Add it; needed are task, prompt, answer."),
        (["task,prompt,answer", 't,"p', 'q",a', "", "t,p"],
         ", line 5: the row has 2 cells and the header 3. "
         "Give every row the header's columns, with quotes around commas."),
        (["task,prompt,answer,choices", "t,p,a,x"],
         ", line 2, column choices: 'x' is no list. Write a JSON list into the cell: [\"yes\", \"no\"]."),
    ]:  # fmt: skip
        path = written(tmp_path, *lines, name="tasks.csv")
        with pytest.raises(InputError) as caught:
            read_tasks(path)
        assert str(caught.value) == f"{path}{message}"


def byte_pairs() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with a few merges: 'two', ' two', and '=t' across prompt and answer."""
    letters = ["Ġ", *sorted(set("=abotw1"))]
    merges = [("t", "w"), ("tw", "o"), ("Ġ", "two"), ("=", "b")]
    words = [*letters, *("".join(pair) for pair in merges)]
    raw = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw)


def test_joint_tokenisation_finds_the_answer() -> None:
    words = encode(word_tokenizer(), row("one two", "three four"), " ", None, with_foil=False)
    assert words.ids == (1, 5, 6, 7, 8)
    assert words.answer == tuple(4 + WORDS.index(w) for w in ("three", "four"))
    tokenizer = byte_pairs()
    spaced = encode(tokenizer, row("1=", "two"), " ", None, with_foil=False)
    assert tokenizer.convert_ids_to_tokens(list(spaced.answer)) == ["Ġtwo"]
    # '=b' covers the prompt's end and the answer's beginning: scored with the answer, which has 'o' of its own
    shared = encode(tokenizer, row("1=", "bo"), "", None, with_foil=False)
    assert tokenizer.convert_ids_to_tokens(list(shared.answer)) == ["=b", "o"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: encode(byte_pairs(), row("1=", "b"), "", None, with_foil=False),
         "the answer 'b' leaves no tokens of its own. Put a white-space delimiter between them ([tasks] delimiter), "
         "or reword the row."),
        (lambda: encode(byte_pairs(), row(" ", "two"), "", None, with_foil=False),
         "no token stands before the answer, so nothing predicts it. Lengthen the prompt."),
        (lambda: encode(word_tokenizer(), row("one " * 9, "two"), " ", 8, with_foil=False),
         "prompt and answer take 11 tokens but the model's context is 8. "
         "Shorten the prompt, remove the row, or use a model with a longer context."),
    ],
)  # fmt: skip
def test_whole_message_of_each_row_that_cannot_be_encoded(make: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == f"tasks.jsonl, line 1 (id '0'): {message}"


def test_foils_stand_against_the_answer_token_by_token() -> None:
    tokenizer = word_tokenizer()
    encoded = encode(tokenizer, row("one", "two three", foil="red a"), " ", None, with_foil=True)
    assert tokenizer.convert_ids_to_tokens(list(encoded.foil or ())) == ["red", "a"]
    place = "tasks.jsonl, line 1 (id '0'), column foil: "
    for foil, message in [
        (None, "the metric logit_difference needs a foil. "
               'Add a foil (a wrong answer) to every row, or choose metric = "log_odds".'),
        ("red", "the foil takes 1 tokens and the answer 2. "
                "Give a foil of as many tokens, which leaves the prompt's tokens as they are."),
    ]:  # fmt: skip
        with pytest.raises(InputError) as caught:
            encode(tokenizer, row("one", "two three", foil=foil), " ", None, with_foil=True)
        assert str(caught.value) == place + message


def test_batches_go_by_length_and_pad_on_the_right() -> None:
    prompts = ("one two three", "one", "one two")
    encoded = [encode(word_tokenizer(), row(p, "red red" if p == "one" else "red"), " ", None, False) for p in prompts]
    assert plan_batches(encoded, 2) == [[1, 2], [0]]
    batch = collate([encoded[1], encoded[0]], pad=9)
    assert batch.input_ids.tolist() == [[1, 5, 14, 9], [1, 5, 6, 7]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert (batch.owner.tolist(), batch.position.tolist()) == ([0, 0, 1], [1, 2, 3])
