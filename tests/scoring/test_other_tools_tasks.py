"""Tasks of lm-evaluation-harness, EAP-IG and MIB: their plain forms are read, all else is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.tasks import fingerprint, read_tasks

SCIQ = """task: sciq
dataset_path: json
dataset_kwargs:
  data_files: {train: train.jsonl, test: rows.jsonl}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{support.lstrip()}}\\nQuestion: {{question}}\\nAnswer:"
doc_to_target: 3
doc_to_choice: "{{[distractor1, distractor2, distractor3, correct_answer]}}"
metric_list:
  - metric: acc
"""
DOCUMENT = {
    "support": "  Plants are green.",
    "question": "What are plants?",
    "correct_answer": "green",
    "distractor1": "red",
    "distractor2": "it's blue",
    "distractor3": "grey",
}
COPA = """include: base_yaml
task: copa
doc_to_text: premise
doc_to_target: label
doc_to_choice: ["no", "yes"]
"""
BASE = "dataset_path: rows.jsonl\noutput_type: multiple_choice\ndescription: 'Judge. '\n"


def folder(tmp_path: Path, task: str, *rows: dict[str, Any], **files: str) -> Path:
    (tmp_path / "task.yaml").write_text(task)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def rows(path: Path, **settings: Any) -> list[dict[str, object]]:
    found = read_tasks(TasksSection(path=path, **settings)).tasks
    return [
        {k: v for k, v in row.columns.items() if k not in ("id", "group")} for each in found.values() for row in each
    ]


def test_multiple_choice_of_the_harness(tmp_path: Path) -> None:
    path = folder(tmp_path, SCIQ, DOCUMENT)
    expected = {
        "task": "sciq",
        "prompt": "Plants are green.\nQuestion: What are plants?\nAnswer:",
        "answer": "green",
        "choices": ["red", "it's blue", "grey", "green"],
    }
    assert rows(path, format="lm_eval") == rows(path / "task.yaml", format="lm_eval") == [expected]
    before = fingerprint(TasksSection(path=path, format="lm_eval"))
    folder(tmp_path, SCIQ.replace("Answer:", "A:"), DOCUMENT)
    assert fingerprint(TasksSection(path=path, format="lm_eval")) != before


def test_columns_by_name_included_files_and_several_right_answers(tmp_path: Path) -> None:
    path = folder(
        tmp_path, COPA, {"premise": "It rains.", "label": 1}, {"premise": "x", "label": [1, 0]}, base_yaml=BASE
    )
    one, two = rows(path, format="lm_eval")
    assert one == {"task": "copa", "prompt": "Judge. It rains.", "answer": "yes", "choices": ["no", "yes"]}
    assert (two["answer"], two["answers"]) == ("yes", ["no"])


def test_generated_answers(tmp_path: Path) -> None:
    task = "task: sums\ndataset_path: rows.jsonl\ndoc_to_text: 'Q: {{q}}\nA:'\ndoc_to_target: '{{a}}'\n"
    assert rows(folder(tmp_path, task, {"q": "1+1", "a": 2}), format="lm_eval") == [
        {"task": "sums", "prompt": "Q: 1+1 A:", "answer": "2"}
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"{{[distractor1',
            '!function utils.choices  # "{{[',
            "task.yaml, doc_to_choice: utils.choices is code of the",
        ),
        (
            "task: sciq",
            "task: sciq\nprocess_docs: !function utils.docs",
            "process_docs: utils.docs is code of the task's",
        ),
        (
            "multiple_choice",
            "loglikelihood_rolling",
            "output_type: 'loglikelihood_rolling' is no question with an answer",
        ),
        ("doc_to_target: 3", "doc_to_target: 4", "doc_to_target is 4, which is no choice. The choices are 'red', "),
        ("doc_to_target: 3", "", "task.yaml: 'doc_to_target' is missing"),
        ("{{question}}", "{{missing}}", "doc_to_text fails (UndefinedError: 'missing' is undefined)"),
        ("{{question}}", "{{question.__class__.__mro__}}", "doc_to_text fails (SecurityError: access to attribute"),
        ("{{question}}", "{{range(10**9)|list}}", "doc_to_text fails ("),
        ("test: rows.jsonl", "test: ../rows.jsonl", "'../rows.jsonl' lies outside the task's folder"),
        ("test: rows.jsonl", "valid: rows.jsonl", "data_files: the task has no file of the split 'test'"),
        (
            "task: sciq",
            "task: sciq\ntarget_delimiter: ''",
            "the task puts '' between prompt and answer, and the study ' '",
        ),
        ("task: sciq", "task: sciq\nnum_fewshot: 5", "the task shows 5 examples before each prompt, and the study 0"),
        ("task: sciq", "task: [a, b]", "no YAML file of it is a task"),
        ("task: sciq", "task: sciq: x", "this is not YAML (mapping values are not allowed here"),
        ("task: sciq", "task: sciq\ninclude: task.yaml", "include: the files include each other"),
    ],
)
def test_what_is_not_plain_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SCIQ
    path = folder(tmp_path, SCIQ.replace(old, new), DOCUMENT)
    with pytest.raises(InputError) as caught:
        rows(path, format="lm_eval")
    assert message in str(caught.value)


def test_csv_of_eap_ig(tmp_path: Path) -> None:
    (tmp_path / "ioi.csv").write_text(
        "clean,corrupted,label\n\"When A and B, A\",When A and C,\"[' B', ' A']\"\nTwo,Three,1732\nx,y,Mary\n"
    )
    first, second, third = rows(tmp_path / "ioi.csv", format="eap")
    assert first == {
        "task": "ioi",
        "prompt": "When A and B, A",
        "answer": " B",
        "foil": " A",
        "corrupted": "When A and C",
    }
    assert (second["answer"], third["answer"]) == ("1732", "Mary")
    assert rows(tmp_path, format="eap", task_name="mine")[0]["task"] == "mine"
    assert len(fingerprint(TasksSection(path=tmp_path, format="eap"))) == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clean,corrupted,correct_idx,incorrect_idx\na,b,1,2\n", "its answers are numbers of tokens (correct_idx, "),
        ('clean,corrupted,label\na,b,"[1335, 2911]"\n', "column label: the label [1335, 2911] holds numbers of tokens"),
        ("clean,label\na,b\n", "column 'corrupted' is missing. Needed are clean, corrupted, label"),
        ("clean,corrupted,label\na,b,\n", "column answer: the answer is empty"),
    ],
)
def test_csv_that_names_no_answer(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ioi.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        rows(tmp_path / "ioi.csv", format="eap")
    assert message in str(caught.value)
