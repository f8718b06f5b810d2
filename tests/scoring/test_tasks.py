import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reportgen.core.config import TasksSection
from reportgen.core.config_file import parse_study, with_overrides
from reportgen.errors import InputError, MissingResourceError, ReportgenError
from reportgen.scoring.data.sources import fingerprint
from reportgen.scoring.data.tasks import Row, TaskFile, chance, read_tasks
from reportgen.storage.files import sha256_file

GOOD = {"task": "t", "prompt": "p", "answer": "a"}


def row(prompt: str, answer: str, **rest: Any) -> Row:
    return Row("t", prompt, answer, "0", "0", "tasks.jsonl, line 1", **rest)


def read(path: Path, answers: bool = True, **settings: Any) -> TaskFile:
    return read_tasks(TasksSection(path=path, **settings), answers)


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
    one, two = read(lines).tasks["t"], read(table).tasks["t"]
    assert [{**vars(r), "location": ""} for r in one] == [{**vars(r), "location": ""} for r in two]
    assert [r.location.removeprefix(f"{tmp_path}/") for r in (*one, *two)] == [
        "tasks.jsonl, line 1",
        "tasks.jsonl, line 3",
        "tasks.csv, line 2",
        "tasks.csv, line 4",
    ]
    assert (one[1].id, one[1].group) == ("8", "8")


def test_a_second_text_and_files_are_columns_too(tmp_path: Path) -> None:
    more = {"prompt_pair": "q", "image": "a.png", "audio": "a.wav"}
    (found,) = read(written(tmp_path, {**GOOD, **more})).tasks["t"]
    assert {name: getattr(found, name) for name in more} == more
    table = written(tmp_path, "task,prompt,answer,prompt_pair", "t,p,a,q", "t,p,a,", name="tasks.csv")
    assert [r.prompt_pair for r in read(table).tasks["t"]] == ["q", None]
    assert [
        r.prompt_pair for r in read(written(tmp_path, {**GOOD, "b": "q"}), columns={"prompt_pair": "b"}).tasks["t"]
    ] == ["q"]


def test_limit_keeps_the_first_rows_of_each_task(tmp_path: Path) -> None:
    rows = [{**GOOD, "task": task, "answer": str(n)} for n in range(3) for task in ("x", "y")]
    kept = read(written(tmp_path, *rows), limit=2).tasks
    assert {name: [r.answer for r in members] for name, members in kept.items()} == {"x": ["0", "1"], "y": ["0", "1"]}


def test_limit_takes_rows_of_all_groups_in_turn_and_says_so(tmp_path: Path) -> None:
    groups = "aaaaabbbc"  # sorted by template, as files often are
    rows = [{**GOOD, "group": group, "id": f"{group}{n}"} for n, group in enumerate(groups)]
    path = written(tmp_path, *rows, {**GOOD, "task": "small"})
    kept = [read(path, limit=limit) for limit in (2, 5, 8, 99)]
    assert ["".join(row.group for row in each.tasks["t"]) for each in kept] == ["ab", "aabbc", "aaaabbbc", groups]
    assert [row.id for row in kept[1].tasks["t"]] == ["a0", "a1", "b5", "b6", "c8"]
    assert kept[1].notes == ("[tasks] limit keeps 5 of 9 rows of task t, from all groups in turn",)
    assert kept[3].notes == ()


def test_chance_is_one_over_choices_or_the_commonest_answers_share() -> None:
    assert chance((row("p", "a", choices=("a", "b")), row("p", "a", choices=("a", "b", "c", "d")))) == 0.375
    assert chance((row("p", "a"), row("p", "a"), row("p", "b"))) == pytest.approx(2 / 3)
    assert chance((row("p", "a", foil="b"), row("p", "a", choices=("a", "b", "c", "d"), foil="b"))) == 0.375
    assert chance((row("p", "a", choices=("a", " a", "A", "b"), answers=("A",)),)) == pytest.approx(2 / 3)
    assert chance((row("p", "a", choices=("b", "c")),)) == pytest.approx(1 / 3)  # the answer is one more


def test_cogqa_rows_follow_their_question_and_stray_labels_are_told(tmp_path: Path) -> None:
    skills = [("Retrieval", "s1", "a1"), ("Induction", "s2", "a2"), ("Inference", "s3", 4)]
    subs = [{"subquestion": s, "answer": a, "cognitive_skill": k} for k, s, a in skills]
    path = written(tmp_path, json.dumps([{"question": "Q", "answer": "A", "generated": subs}]), name="cogqa.json")
    found = read(path, format="cogqa")
    assert {name: [(r.prompt, r.answer, r.id, r.group) for r in rows] for name, rows in found.tasks.items()} == {
        "Retrieval": [("Q\ns1", "a1", "0.0", "0")],
        "Inference": [("Q\ns3", "4", "0.2", "0")],
    }
    assert found.notes == (
        f"{path}: dropped 1 row labelled 'Induction', which is none of CogQA's eight skills",
        f"{path}: read 1 numeric answers as text",
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], ": the task file holds no rows. Give at least one row with task, prompt and answer."),
        (
            ["{"],
            ", line 1: this is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)). "
            "Write one JSON object on each line.",
        ),
        (["[]"], ', line 1: the line holds no JSON object. Write {"task": …, "prompt": …, "answer": …}.'),
        ([GOOD, {**GOOD, "promt": "p"}], ", line 2: unknown column 'promt'. Did you mean 'prompt'?"),
        ([{"task": "t", "prompt": "p"}], ", line 1: 'answer' is missing. Give every row task, prompt, answer."),
        ([{**GOOD, "answer": 4}], ", line 1, column answer: 4 is not text. Write it in quotes."),
        ([{**GOOD, "answer": " "}], ", line 1, column answer: the answer is empty. Give it a text, or remove the row."),
        ([{**GOOD, "task": ""}], ", line 1, column task: the task is empty. Give it a text, or remove the row."),
        (
            [{**GOOD, "choices": "ab"}],
            ', line 1, column choices: \'ab\' is no list of texts. Write a list of texts: ["yes", "no"].',
        ),
        ([{**GOOD, "id": 1.5}], ", line 1, column id: 1.5 is no name. Give a text or a whole number."),
        (
            [{**GOOD, "foil": "a "}],
            ", line 1, column foil: the foil is the answer itself. Give a wrong answer, or none.",
        ),
    ],
)
def test_whole_message_of_each_bad_line(tmp_path: Path, lines: list[Any], message: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value) == f"{path}{message}"


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    path = written(tmp_path, {**GOOD, "id": "x"}, {**GOOD, "id": "x"})
    with pytest.raises(InputError) as caught:
        read(path)
    place = f"{path}, line"
    assert str(caught.value) == (f"{place} 2: the id 'x' stands already at {place} 1. Give every row an id of its own.")


def test_missing_file_and_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "none.jsonl")
    assert str(caught.value) == f"{tmp_path}/none.jsonl: no such task file. Check [tasks] path in the study file."
    with pytest.raises(InputError) as caught:
        read(written(tmp_path, "[]", name="tasks.json"))
    assert str(caught.value) == (
        f"{tmp_path}/tasks.json: the suffix '.json' does not tell the task file's format. "
        'Set [tasks] format to "jsonl", "csv" or "cogqa".'
    )


def test_csv_errors_name_line_and_column(tmp_path: Path) -> None:
    for lines, message in [
        (["task,prompt", "t,p"], ", line 1: column 'answer' is missing. Add it; needed are task, prompt, answer."),
        (
            ["task,prompt,answer", 't,"p', 'q",a', "", "t,p"],
            ", line 5: the row has 2 cells and the header 3. "
            "Give every row the header's columns, with quotes around commas.",
        ),
        (
            ["task,prompt,answer,choices", "t,p,a,x"],
            ', line 2, column choices: \'x\' is no list. Write a JSON list into the cell: ["yes", "no"].',
        ),
    ]:
        path = written(tmp_path, *lines, name="tasks.csv")
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value) == f"{path}{message}"


# ---- other sources, and columns of other names


def plain_rows(found: TaskFile) -> list[tuple[str, ...]]:
    return [(r.task, r.prompt, r.answer, r.id) for rows in found.tasks.values() for r in rows]


def parquet(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def refused(path: Path, **settings: Any) -> str:
    with pytest.raises(ReportgenError) as caught:
        read(path, **settings)
    return str(caught.value).replace(str(path), "PATH")


def test_tsv_and_parquet_hold_the_same_rows_as_jsonl(tmp_path: Path) -> None:
    rows = [{**GOOD, "id": str(n), "prompt": f"p, {n}", "choices": ["a", "b"]} for n in range(2)]
    names = list(rows[0])
    tabs = "\n".join(["\t".join(names), *(f't\tp, {n}\ta\t{n}\t"[""a"", ""b""]"' for n in range(2))])
    files = [
        written(tmp_path, *rows),
        written(tmp_path, tabs, name="t.tsv"),
        parquet(tmp_path / "t.parquet", **{name: [r[name] for r in rows] for name in names}),
    ]
    one, two, three = ([{**vars(r), "location": ""} for r in read(f).tasks["t"]] for f in files)
    assert one == two == three
    assert [r.location.removeprefix(f"{tmp_path}/") for r in read(files[2]).tasks["t"]] == [
        "t.parquet, row 1",
        "t.parquet, row 2",
    ]


def test_columns_say_what_the_data_call_them(tmp_path: Path) -> None:
    columns = {"prompt": "question", "answer": "gold", "task": "category", "id": "key"}
    rows = [{"question": "p", "gold": "a", "category": "t", "key": 7, "answers": {"text": 1}, "id": [0]}]
    table = "category,question,gold,key,rest\nt,p,a,7,x"
    for path in (written(tmp_path, *rows), written(tmp_path, table, name="t.csv")):
        assert plain_rows(read(path, columns=columns)) == [("t", "p", "a", "7")]
    named = written(tmp_path, {"question": "p", "answer": "a", "task": "own"}, {"question": "q", "answer": "a"})
    assert plain_rows(read(named, columns={"prompt": "question"}, task_name="rest")) == [
        ("own", "p", "a", "line 1"),
        ("rest", "q", "a", "line 2"),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"promt": "question"}, "[tasks] columns: unknown column 'promt'. Did you mean 'prompt'?"),
        ({"prompt": "questions"}, "PATH, line 1: 'questions' is missing. Give every row task, questions, answer."),
        (
            {"prompt": "question", "foil": "rong"},
            "[tasks] columns, PATH: no row has a column 'rong'. Did you mean 'wrong'?",
        ),
        ({"prompt": "question", "foil": "number"}, "PATH, line 1, column number: 4 is not text. Write it in quotes."),
        (
            {"prompt": "question", "foil": "wrong"},
            "PATH, line 1, column wrong: the foil is the answer itself. Give a wrong answer, or none.",
        ),
    ],
)
def test_whole_message_of_each_mapping_that_does_not_fit(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    path = written(tmp_path, {"task": "t", "question": "p", "answer": "a", "wrong": "a", "number": 4})
    assert refused(path, columns=columns) == message


def test_a_tables_mapped_columns_are_checked_in_its_header(tmp_path: Path) -> None:
    path = written(tmp_path, "question,answer", "p,a", name="t.csv")
    columns = {"prompt": "question"}
    assert refused(path, columns=columns) == (
        "PATH, line 1: column 'task' is missing. Add it; needed are task, question, answer."
    )
    assert plain_rows(read(path, columns=columns, task_name="t")) == [("t", "p", "a", "line 2")]


def test_typed_columns_may_hold_numbers(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", prompt=["p", "q", "r"], answer=[1.0, 2.5, 3.0], task=[None, "t", "t"])
    found = read(path, task_name="t")
    assert plain_rows(found) == [("t", "p", "1", "row 1"), ("t", "q", "2.5", "row 2"), ("t", "r", "3", "row 3")]
    assert found.notes == (f"{path}: read 3 numbers as text",)
    other = parquet(tmp_path / "o.parquet", question=["p"], answer=["a"])
    assert refused(other) == (
        "PATH: the columns are question, answer. "
        'Say which of them are task, prompt and answer: [tasks] columns = {prompt = "…", …}.'
    )
    broken = written(tmp_path, "none", name="b.parquet")
    assert refused(broken) == "PATH: this is not Parquet. Save the table again."
    assert refused(tmp_path / "no.parquet") == "PATH: no such task file. Check [tasks] path in the study file."


def test_rows_without_answers_where_none_are_needed(tmp_path: Path) -> None:
    path = written(tmp_path, {"task": "t", "prompt": "p"}, {"task": "t", "prompt": "q", "answer": "a"})
    assert plain_rows(read(path, answers=False)) == [("t", "p", "", "line 1"), ("t", "q", "a", "line 2")]
    assert refused(path) == "PATH, line 1: 'answer' is missing. Give every row task, prompt, answer."


def test_control_characters_in_task_names(tmp_path: Path) -> None:
    assert refused(written(tmp_path, {**GOOD, "task": "a\u0000b"})) == (
        "PATH, line 1, column task: the task's name 'a\\x00b' holds a control character. Remove the character."
    )
    for name in ("a\tb", "a\nb", "é – b"):
        assert list(read(written(tmp_path, {**GOOD, "task": name})).tasks) == [name]


def folder_of_splits(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "more").mkdir(parents=True)
    (folder / ".cache").mkdir()
    written(folder, {**GOOD, "prompt": "p1"}, {**GOOD, "prompt": "p2"}, name="test-00000-of-00002.jsonl")
    parquet(folder / "more" / "test-00001-of-00002.parquet", task=["t"], prompt=["p3"], answer=["a"])
    written(folder, {**GOOD, "prompt": "other"}, name="train.jsonl")
    written(folder, "not a task file", name="README.md")
    written(folder / ".cache", "{", name="test.jsonl")
    return folder


def test_a_folder_of_files_is_read_by_name_and_split(tmp_path: Path) -> None:
    folder = folder_of_splits(tmp_path)
    assert plain_rows(read(folder, split="test")) == [
        ("t", "p3", "a", "more/test-00001-of-00002.parquet row 1"),
        ("t", "p1", "a", "test-00000-of-00002.jsonl line 1"),
        ("t", "p2", "a", "test-00000-of-00002.jsonl line 2"),
    ]
    assert [r[1] for r in plain_rows(read(folder, split="test", format="jsonl"))] == ["p1", "p2"]
    assert refused(folder) == "PATH: the folder holds the splits train, test. Choose one with [tasks] split."
    assert refused(folder, split="dev") == (
        "PATH: the folder holds no file of the split 'dev'. "
        "It holds more/test-00001-of-00002.parquet, test-00000-of-00002.jsonl, train.jsonl."
    )
    assert refused(folder, format="tsv") == "PATH: the folder holds no .tsv file. Put the task files there."
    assert refused(folder, format="cogqa") == "PATH: CogQA is one file and this is a folder. Give the file's path."


def test_settings_that_a_file_cannot_use(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert refused(path, split="test") == (
        "[tasks] split: a file has no splits. Remove the key, or give a folder or a data set."
    )
    for key in ("config", "revision"):
        assert refused(path, **{key: "x"}) == (
            f'[tasks] {key}: only a data set of the hub has one. Remove the key, or give path = "hf://owner/name".'
        )


def saved(folder: Path, splits: int = 1) -> Path:
    """A data set as `datasets` saves one: questions with a class for an answer, one of them unlabelled."""
    features = datasets.Features(
        {"question": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    made = [datasets.Dataset.from_dict({"question": [f"p{i}"], "label": [1]}, features=features) for i in range(splits)]
    whole = datasets.DatasetDict(dict(zip(["train", "test"], made, strict=False))) if splits > 1 else made[0]
    whole.save_to_disk(folder)
    return folder


@pytest.fixture
def quiet() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


COLUMNS = {"prompt": "question", "answer": "label"}


@pytest.mark.usefixtures("quiet")
def test_a_saved_data_set_is_read_with_the_names_of_its_classes(tmp_path: Path) -> None:
    one, two = saved(tmp_path / "one"), saved(tmp_path / "two", splits=2)
    settings: dict[str, Any] = {"columns": COLUMNS, "task_name": "t"}
    assert plain_rows(read(one, **settings)) == [("t", "p0", "yes", "row 1")]
    assert plain_rows(read(two, split="test", **settings)) == [("t", "p1", "yes", "row 1")]
    assert refused(two, **settings) == (
        "[tasks] path PATH: the data set has the splits train, test. Choose one with [tasks] split."
    )
    assert refused(two, split="dev", **settings) == (
        "[tasks] path PATH: the data set has no split 'dev'. It has train, test."
    )
    assert refused(one, split="dev", **settings) == "[tasks] path PATH: the data set has no split 'dev'. It has all."
    (one / "state.json").write_text("{")
    assert refused(one, **settings) == (
        "PATH: the saved data set cannot be read. Save the data set again with save_to_disk."
    )


@pytest.mark.usefixtures("quiet")
def test_an_unlabelled_row_lacks_its_answer(tmp_path: Path) -> None:
    features = datasets.Features({"question": datasets.Value("string"), "label": datasets.ClassLabel(names=["no"])})
    datasets.Dataset.from_dict({"question": ["p", "q"], "label": [0, -1]}, features=features).save_to_disk(
        tmp_path / "d"
    )
    assert refused(tmp_path / "d", columns=COLUMNS, task_name="t") == (
        "PATH, row 2: 'label' is missing. Give every row question, label."
    )


def test_a_hub_id_without_network_and_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    section = TasksSection(path="hf://nobody/nothing")
    with pytest.raises(InputError) as caught:
        read_tasks(section)
    assert caught.value.location == "[tasks] path hf://nobody/nothing"
    assert caught.value.problem.startswith("no such file or folder, and the hub gave no such data set (")
    hint = "Check path, config, split and revision, and the network unless the data set is in the local cache"
    assert caught.value.hint == hint
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingResourceError) as missing:
        read_tasks(section)
    assert str(missing.value) == (
        "[tasks] path hf://nobody/nothing: the library datasets is not installed. "
        "Install it with: pip install 'reportgen[datasets]'."
    )


def test_ids_and_paths_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "owner" / "here").mkdir(parents=True)
    for given_path, wanted in [
        ("t.jsonl", tmp_path / "t.jsonl"),
        ("owner/name.jsonl", tmp_path / "owner" / "name.jsonl"),
        ("owner/here", tmp_path / "owner" / "here"),
        ("owner/name", "hf://owner/name"),
        ("hf://owner/name", "hf://owner/name"),
        ("./owner/name", tmp_path / "owner" / "name"),
        ("/x/y", Path("/x/y")),
    ]:
        study = parse_study({"model": {"path": "m"}, "tasks": {"path": given_path}}, "study.toml", tmp_path)
        assert study.tasks.path == wanted
        again = with_overrides(study, {"tasks.limit": 2}, tmp_path / "study.toml")
        assert (again.tasks.path, again.tasks.limit) == (wanted, 2)


@pytest.mark.usefixtures("quiet")
def test_the_fingerprint_changes_with_every_file_that_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert fingerprint(TasksSection(path=path)) == sha256_file(path)
    folder = folder_of_splits(tmp_path)
    section = TasksSection(path=folder, split="test")
    before = fingerprint(section)
    written(folder, {**GOOD, "prompt": "changed"}, name="train.jsonl")
    assert fingerprint(section) == before
    parquet(folder / "more" / "test-00001-of-00002.parquet", task=["t"], prompt=["changed"], answer=["a"])
    assert fingerprint(section) != before
    one, two = (fingerprint(TasksSection(path=saved(tmp_path / name, splits=n))) for name, n in [("a", 1), ("b", 2)])
    assert one != two
    with pytest.raises(InputError) as caught:
        fingerprint(TasksSection(path=tmp_path / "none.jsonl"))
    assert str(caught.value) == f"[tasks] path {tmp_path}/none.jsonl: no such file. Give the path of the task file."


def test_sources_load_neither_torch_nor_tables_until_used() -> None:
    code = (
        "import sys; from reportgen.scoring.data.sources import fingerprint\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'pyarrow', 'datasets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
