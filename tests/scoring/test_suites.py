"""Every suite of tasks: its rows are right, and are those that a tokenizer reads as they are meant."""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tiny_models import build
from tiny_tokenizers import tokenizer_of
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from reportgen.cli.main import app
from reportgen.core.config import TasksSection
from reportgen.core.config_file import parse_study
from reportgen.core.scores import HeadScores
from reportgen.core.suites import SUITES, Suite
from reportgen.errors import InputError
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.cache_keys import scores_key
from reportgen.pipeline.options import Listener, Options
from reportgen.pipeline.source import open_source
from reportgen.scoring.data.encoding import Options as Reading
from reportgen.scoring.data.suite_rows import FEWEST, USUAL, Reader, make_tasks, refuse_empty
from reportgen.scoring.data.suites.common.meanings import KINDS
from reportgen.scoring.data.suites.common.words import MEN, NOUNS, WOMEN
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.run.prepare import prepare

ALL = [suite.name for suite in SUITES.own()]
PEOPLE = {*MEN, *WOMEN}
ROWS = 12  # of a task
WORDS = re.compile(r"\w+|[^\w\s]|\n")


@cache
def words_of_all() -> tuple[str, ...]:
    texts = [str(row[c]) for s in SUITES.own() for row in s.make(0) for c in ("prompt", "corrupted", "answer", "foil")]
    return tuple(dict.fromkeys(word for text in dict.fromkeys(texts) for word in WORDS.findall(text)))


@cache
def knowing(digits: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer that knows all words of all suites, numbers in one piece or in ``digits``."""
    known = dict.fromkeys(["<pad>", "<bos>", "<eos>", "<unk>", *words_of_all(), *"0123456789"])
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(known)}, unk_token="<unk>"))
    cut = [pre_tokenizers.Split(Regex(WORDS.pattern), "removed", invert=True)]
    raw.pre_tokenizer = pre_tokenizers.Sequence([*cut, *([pre_tokenizers.Digits(True)] if digits else [])])
    raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **names)


def tokens(text: str | None) -> int:
    return len(knowing()(str(text))["input_ids"])


def section_of(name: str) -> TasksSection:
    return TasksSection(suite=name, limit=ROWS, lengths=[128, 200] if SUITES.get(name, "").lengths else [])


@cache
def made(name: str, seed: int = 0, digits: bool = False) -> dict[str, tuple[Row, ...]]:
    return make_tasks(section_of(name), seed, Reader(knowing(digits))).tasks


def rows_of(task: str) -> list[Row]:
    return [row for name in ALL for each, rows in made(name).items() if each.startswith(task) for row in rows]


@pytest.mark.parametrize("name", ALL)
def test_rows_differ_and_are_read_as_they_are_meant(name: str) -> None:
    for task, rows in made(name).items():
        assert len({row.prompt for row in rows}) == len({row.id for row in rows}) == len(rows) == ROWS, task
        assert len({row.group for row in rows}) >= 6, task
        for row in rows:
            assert tokens(row.answer) == tokens(row.foil)
            assert tokens(row.prompt) == tokens(row.corrupted)
            assert row.foil != row.answer, row
            assert row.corrupted != row.prompt, row
            assert not row.choices or {row.answer, row.foil} <= {*row.choices}, row
    suite = SUITES.get(name, "")
    pool = [*suite.make(0)]
    assert pool == [*suite.make(0)]
    # which choice stands first must not give the answer away
    first = [row["choices"][0] == row["answer"] for row in pool if "choices" in row]  # type: ignore[index]
    assert name == "control" or 0.15 < sum(first) / len(first) < 0.6
    assert [*suite.make(1)] != [*suite.make(0)]


@pytest.mark.parametrize("name", ALL)
def test_a_suite_says_what_it_is(name: str) -> None:
    suite = SUITES.get(name, "")
    assert all(len(text) > 20 for text in (suite.doc, suite.measures, suite.source, suite.known, suite.pitfalls))
    shown = CliRunner().invoke(app, ["tasks", "show", name])
    assert suite.pitfalls in shown.output
    assert all(f"task {task}: " in shown.output for task in {str(row["task"]) for row in suite.make(0)})


def last(pattern: str) -> Callable[[str], str]:
    return lambda text: str(re.search(pattern, text, re.DOTALL)[1])  # type: ignore[index]


def other_name(text: str) -> str:
    names = Counter(w for w in re.findall(r"[A-Z][a-z]+", text) if w in PEOPLE)
    assert sorted(names.values()) == [1, 2], text
    return min(names, key=lambda name: names[name])


def looked_up(text: str) -> str:
    *pairs, question = [re.findall(r"\w+", line) for line in text.split("\n")]
    return dict(pair for pair in pairs)[question[0]]  # type: ignore[arg-type]


def after_the_first(text: str) -> str:
    words = text.split()
    return words[words.index(words[-1]) + 1]


def twice(text: str) -> str:
    return next(word for word, n in Counter(re.findall(r"[a-z]+", text)).items() if n == 2 and word in NOUNS)


def letter(text: str) -> str:
    kind = str(re.search(r"Which of these is an? (\w+)", text)[1])  # type: ignore[index]
    return next(of for of, word in re.findall(r"([A-D])\W+(\w+)\n", text) if word in KINDS[kind])


def next_argument(text: str) -> str:
    arguments = text.partition("self, ")[2].partition(")")[0].split(", ")
    return arguments[len(re.findall(r"(?:param|-|Parameter) (\w+)", text.partition('"""')[2]))]


def cheaper(text: str) -> str:
    (one, first), (two, second) = re.findall(r"[Tt]he (\w+) costs (\d) dollars", text)
    return one if first < second else two


# task, what its prompts hold, and another way to the answer
SOLVED: list[tuple[str, str, Callable[[str], str]]] = [
    ("Indirect object identification", "", other_name),
    ("Induction", "", after_the_first),
    ("Duplicate token", "", twice),
    ("Key–value retrieval", r"^\w+: \w+\n", looked_up),
    ("Needle", "The secret word", lambda t: last(rf"The secret word of {t.split()[-2]} is (\w+)\.")(t)),
    ("Multiple choice", "Which of these", letter),
    ("Docstring", "", next_argument),
    ("Gendered", "", lambda t: "he" if {*re.findall(r"\w+", t)} & {*MEN} else "she"),
    ("Addition", r"\+", lambda t: str(sum(map(int, re.findall(r"\d+", t))))),
    ("Subtraction", "-", lambda t: str(int(re.findall(r"\d+", t)[0]) - int(re.findall(r"\d+", t)[1]))),
    ("Decision-making", "cheaper", cheaper),
    ("Retrieval", "lives in", lambda t: last(rf"{t.split()[-3]} lives in (\w+)")(t)),
    ("Logical Reasoning", "taller", lambda t: last(r"than (\w+)\.")(t)),
    ("Agreement", "^The .*is/are", lambda t: "are" if t.split()[1].endswith("s") else "is"),
]


@pytest.mark.parametrize(("task", "holding", "solve"), SOLVED, ids=[s[0] for s in SOLVED])
def test_prompts_ask_for_the_answer_and_counterfactual_ones_for_the_foil(
    task: str, holding: str, solve: Callable[[str], str]
) -> None:
    rows = [row for row in rows_of(task) if re.search(holding, f"{row.prompt} {row.group}", re.DOTALL)]
    rows = [row for row in rows if "is/are" not in holding or row.group.endswith("is/are")]
    assert len(rows) >= 2
    for row in rows:
        assert solve(row.prompt) == row.answer, row
        if row.foil in row.prompt or task not in ("Docstring",):
            assert solve(str(row.corrupted)) == row.foil, row


def test_years_come_after_and_foils_before() -> None:
    for row in rows_of("Greater than"):
        begun = int(re.search(r"\d{4}", row.prompt)[0])  # type: ignore[index]
        assert begun // 100 * 100 + 1 < int(str(row.foil)) < begun < int(row.answer) < begun // 100 * 100 + 100


def test_digits_are_another_matter() -> None:
    rows = made("arithmetic", digits=True)["Addition"]
    digits = [row for row in rows if row.answer.isdigit()]
    assert digits
    assert all(len(row.answer) == len(str(row.foil)) for row in digits)
    (note,) = make_tasks(TasksSection(suite="arithmetic"), 0, Reader(knowing(digits=True))).notes
    assert re.match(
        r"rows that this tokenizer does not read as they are meant were replaced by others: \d+ of task", note
    )
    assert make_tasks(TasksSection(suite="arithmetic"), 0, Reader(knowing())).notes == ()


@pytest.mark.parametrize("name", [name for name in ALL if SUITES.get(name, "").lengths])
def test_prompts_are_as_long_as_they_are_chosen(name: str) -> None:
    counts = {task: [len(knowing()(r.prompt)["input_ids"]) for r in rows] for task, rows in made(name).items()}
    for (task, found), length in zip(counts.items(), (128, 200), strict=True):
        assert f"{length} tokens" in task
        assert all(0.8 * length < count <= 1.1 * length for count in found), (task, found)
    with pytest.raises(InputError, match=r"\[tasks\] lengths: prompts of suite \w+ take \d+ tokens at least"):
        make_tasks(TasksSection(suite=name, lengths=[16]), 0, Reader(knowing()))


def test_what_a_tokenizer_cannot_hold_is_left_out_by_name() -> None:
    reader = Reader(tokenizer_of("pieces"))
    found = make_tasks(TasksSection(suites=["ioi", "induction"]), 0, reader)
    assert [*found.tasks] == ["Induction"]
    assert found.left_out == ("Indirect object identification",)
    (said,) = (note for note in found.notes if "left out" in note)
    assert said.startswith(
        f"task Indirect object identification of suite ioi is left out: this tokenizer reads 0 of its rows as they are "
        f"meant, and {FEWEST} are needed (of the first other one: the "
    )
    with pytest.raises(InputError) as caught:
        refuse_empty(make_tasks(TasksSection(suites=["ioi"]), 0, reader))
    assert str(caught.value) == (
        f"[tasks] suites: nothing is left to score: {said}. "
        "Choose a suite whose words it knows, or write tasks of your own ([tasks] path)."
    )


def test_bad_names_and_lengths() -> None:
    for section, message in (
        (TasksSection(suites=["iio"]), "[tasks] suites: no suite is called 'iio'. Did you mean 'ioi'?"),
        (
            TasksSection(suite="ioi", lengths=[64]),
            "[tasks] lengths: no suite of the study has prompts of chosen lengths. These do: key_value, needle.",
        ),
        (
            TasksSection(suite="needle", lengths=[64, 4096]),
            "[tasks] lengths: prompts of 4096 tokens do not fit the model's context of 512. Give lengths below 512.",
        ),
    ):
        with pytest.raises(InputError) as caught:
            make_tasks(section, 0, Reader(knowing(), Reading(context=512)))
        assert str(caught.value) == message
    none = make_tasks(TasksSection(suite="needle"), 0, Reader(knowing(), Reading(context=100)))
    assert (none.tasks, len(none.left_out), len(none.notes)) == ({}, 2, 3)
    found = make_tasks(TasksSection(suite="needle"), 0, Reader(knowing(), Reading(context=300)))
    assert [*found.tasks] == ["Needle in a haystack, 128 tokens"]
    assert found.notes == ("suite needle: no prompts of 512 tokens, for the model's context is 300",)


def test_the_usual_number_and_all_that_there_are() -> None:
    assert [len(rows) for rows in make_tasks(TasksSection(suite="country_facts"), 0, None).tasks.values()] == [
        USUAL
    ] * 3
    found = make_tasks(TasksSection(suite="country_facts", limit=1000), 0, None)
    assert all(100 < len(rows) < 300 for rows in found.tasks.values())
    assert found.notes[0].startswith("task Country to capital: suite country_facts has ")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-llama"
    build("llama", vocab_size=len(knowing()), max_position_embeddings=64).save_pretrained(folder)
    knowing().save_pretrained(folder)
    return folder


def test_tasks_makes_a_file_that_is_read_as_the_suite_is(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    run = ["tasks", "make", "country_facts", "-o", str(file), "--limit", "12", "--model", str(model)]
    printed = CliRunner().invoke(app, [*run, "--json"])
    assert json.loads(printed.output)["tasks"] == {f"Country to {r}": 12 for r in ("capital", "language", "continent")}
    raw = {"model": {"path": str(model)}, "scoring": {"method": "attribution_patching"}}
    of_file = prepare(parse_study({**raw, "tasks": {"path": str(file)}}, "", tmp_path))
    of_suite = prepare(parse_study({**raw, "tasks": {"suite": "country_facts", "limit": 12}}, "", tmp_path))
    assert [t.encoded for t in of_file.tasks] != []
    for one, other in zip(of_file.tasks, of_suite.tasks, strict=True):
        assert [e.inputs for e in one.encoded] == [e.inputs for e in other.encoded]
        assert [e.corrupted for e in one.encoded] == [e.corrupted for e in other.encoded]
    bare = CliRunner().invoke(app, ["tasks", "make", "ioi", "-o", str(file)])
    assert "the rows were fitted to no tokenizer: --model does" in bare.output
    for command, message in (
        (["tasks", "mak"], "reportgen tasks: tasks cannot 'mak'. Did you mean 'make'?"),
        (["tasks", "show", "ioj"], "reportgen tasks: no suite is called 'ioj'. Did you mean 'ioi'?"),
        (["tasks", "make", "ioi"], "reportgen tasks make: there is no file to write. Give one: -o FILE."),
    ):
        assert str(CliRunner().invoke(app, command).exception) == message


def test_own_tasks_and_a_suite_stand_beside_each_other(model: Path, tmp_path: Path) -> None:
    rows = [{"task": "own", "prompt": "The capital of", "answer": "France", "id": str(i)} for i in range(2)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = {"model": {"path": str(model)}, "tasks": {"path": "tasks.jsonl", "suite": "control", "limit": 10}}
    study = parse_study(raw, "", tmp_path)
    assert [task.name for task in prepare(study).tasks] == ["own", "Neutral text"]
    changed = parse_study({**raw, "tasks": {**raw["tasks"], "suite": "ioi"}}, "", tmp_path)
    assert scores_key(study) != scores_key(changed)
    for tasks, message in (
        (
            {"suite": "ioi", "control": "Neutral"},
            "[tasks] control: no task is called 'Neutral'. The tasks are: Indirect",
        ),
        ({"path": "tasks.jsonl", "lengths": [64]}, "[tasks]: lengths are those of a suite's prompts; give suite with"),
    ):
        with pytest.raises(InputError) as caught:
            prepare(parse_study({**raw, "tasks": tasks}, "", tmp_path))
        assert str(caught.value).removeprefix(": ").startswith(message)


def test_a_model_alone_makes_a_report(model: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    settings = {"tasks.limit": 10, "validation.enabled": False, "report.formats": ["html"]}
    built = pipeline.build(model, tmp_path / "out", overrides=settings, options=Options(Listener(notify=heard.append)))
    assert re.match(r"9 tasks, 90 examples, 12 heads: scoring takes .+$", heard[0])
    assert [task.name for task in built.scores.tasks] == [*made("cognitive"), *made("control")]
    assert built.scores.study.tasks.control == "Neutral text"
    assert isinstance(built.scores.blocks[0], HeadScores)
    assert "Attention-head importance: tiny-llama" in built.html.read_text()
    # a model that knows nothing: the report says so before anything else
    first = built.claims.claims[0]
    assert (first.topic, first.headline) == ("trust", "The model does no better than chance on all eight tasks")
    again = open_source(tmp_path / "out", {})
    assert again.study.tasks.asked == ["cognitive", "control"]


def test_a_path_that_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        open_source(tmp_path / "empty", {})
    assert str(caught.value) == (
        f"{tmp_path}/empty: the folder holds no study.toml, and no model: neither config.json, adapter_config.json nor "
        "a GGUF file. Give the folder of a study or a model, or make a study with `reportgen init`."
    )
    monkeypatch.chdir(tmp_path)
    for name in ("empty/absent", "absent/study.toml", "absent"):  # paths of this machine
        with pytest.raises(InputError, match="no such file"):
            open_source(Path(name), {})
    # a hub id, and no network: nothing is fetched (tests/conftest.py)
    study = open_source(Path("owner/name"), {}).study
    assert study.model is not None
    with pytest.raises(InputError, match=r"owner/name: no such model folder, and the hub gave no such model \("):
        prepare(study)


def test_a_suite_is_known_by_its_record_alone() -> None:
    package = Path(pipeline.__file__).parents[1]
    knowing = [*package.glob("scoring/run/*.py"), *package.glob("scoring/data/*.py"), *package.glob("pipeline/*.py")]
    names = [name for name in ALL if name not in ("control", "induction", "multiple_choice")]  # other things too
    for file in (*knowing, *package.glob("cli/*.py")):
        assert not [name for name in names if f'"{name}"' in file.read_text()], file


def test_another_packages_suite_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Suite("broken", "raises", lambda seed: [{"task": "t", "prompt": seed / 0}])
    known = type(SUITES)._by_name(SUITES)
    monkeypatch.setattr(type(SUITES), "_by_name", lambda _: {**known, "broken": broken})
    with pytest.raises(InputError) as caught:
        make_tasks(TasksSection(suite="broken"), 0, None)
    assert str(caught.value) == "[tasks] suites: the suite broken fails (division by zero). Mend its package."


def test_every_suite_is_a_record() -> None:
    assert all(isinstance(suite, Suite) for suite in SUITES.own())
    assert sum(suite.usual for suite in SUITES.own()) == 2
