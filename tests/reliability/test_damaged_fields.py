"""Every field of a report's own files with a value of another type, in every command: never a fault of reportgen."""

import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import readers

from reportgen.cli import main as cli

pytestmark = pytest.mark.slow

GONE = object()
ODD = (None, True, -1, 1.5, 10**30, "", "a\x00b", "../x", [], [None], [[1]], {}, {"a": None}, float("nan"), GONE)
HTML = 'report.formats=["html"]'  # what lays out the PDF reads no file of the report's
TRIED = 40  # fields and values of each file in each command
FILES = ("manifest.json", "findings.json", "validation.json", "patterns.json", "ro-crate-metadata.json")
COMMANDS: dict[str, Callable[[Path, str], list[str]]] = {
    "render": lambda report, _: ["render", str(report), "--quiet"],
    "explain": lambda report, finding: ["explain", str(report), finding],
    "verify": lambda report, _: ["verify", str(report), "--quick", "--quiet"],
    "compare": lambda report, _: ["compare", str(report), str(report), "-o", str(report.parent / "c"), "--quiet"],
    "index": lambda report, _: ["index", str(report.parent), "--quiet"],
    "analyze": lambda report, _: ["analyze", str(report), "-o", str(report), "--quiet"],
    "build": lambda report, _: [*f"build {report / 'scores.csv'} -o {report} --quiet --set".split(), HTML],
}
TOLD = {"render", "analyze", "build"}  # the commands that render: fewer cases, each takes a second
OUTCOME = {"accuracy": 0.5, "log_probability": -1.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a validation and patterns, of the page alone."""
    site = tmp_path_factory.mktemp("site")
    report = site / "report"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", readers.EPOCH)
        (site / "scores.csv").write_text(readers.scores_csv(readers.small_scores()))
        readers.build(site / "scores.csv", report, overrides={"report.formats": ["html"]})
    findings = json.loads((report / "findings.json").read_text())
    findings["findings"][0]["verdict"] = "undecided"
    (report / "findings.json").write_text(json.dumps(findings))
    first = findings["findings"][0]["id"]
    trial = {
        "id": first,
        "kind": "cluster",
        "tasks": ["Task 0"],
        "heads": ["L0H0"],
        "verdict": "undecided",
        "reason": "budget",
        "examples": 3,
        "groups": 3,
        "intact": OUTCOME,
        "knocked_out": OUTCOME,
    }
    task = {
        "name": "Task 0",
        "examples": 3,
        "groups": 3,
        "intact": OUTCOME,
        "floor": OUTCOME,
        "chance": 0.5,
        "reason": None,
    }
    curve = {
        "task": "Task 0",
        "order": "random",
        "knocked": [0, 1],
        "accuracy": [1.0, 0.5],
        "log_probability": [-1.0, -2.0],
        "area": 0.5,
    }
    (report / "validation.json").write_text(
        json.dumps(
            {
                "schema": "reportgen/validation/1",
                "key": "k",
                "scores": findings["scores"],
                "tasks": [task],
                "trials": [trial],
                "matrix": {first: {"Task 0": OUTCOME}},
                "curves": [curve],
            }
        )
    )
    (report / "patterns.json").write_text(
        json.dumps(
            {
                "schema": "reportgen/patterns/1",
                "key": "k",
                "scores": findings["scores"],
                "patterns": [],
                "problem": None,
            }
        )
    )
    return report


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The fields of a JSON value, of lists those of the first entry."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*at, key))


def exchanged(value: Any, at: tuple[Any, ...], new: object) -> Any:
    """The value with another in place of the field."""
    if not at:
        return None if new is GONE else new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and new is GONE:
        del copy[at[0]]
    else:
        copy[at[0]] = exchanged(copy[at[0]], at[1:], new)
    return copy


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_value_of_another_type_is_a_fault(
    name: str,
    command: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = json.loads((whole / name).read_text())
    finding = json.loads((whole / "findings.json").read_text())["findings"][0]["id"]
    cases = [(at, new) for at in places(content) for new in ODD]
    chosen = random.Random(f"{name} {command}").sample(cases, min(TRIED // (8 if command in TOLD else 1), len(cases)))
    for number, (at, new) in enumerate(chosen):
        report = tmp_path / str(number) / "report"
        shutil.copytree(whole, report)
        (report / name).write_text(json.dumps(exchanged(content, at, new)))
        monkeypatch.setattr(sys, "argv", ["reportgen", *COMMANDS[command](report, finding)])
        try:
            code = int(cli.app(standalone_mode=False) or 0)
        except (Exception, SystemExit) as error:
            code = cli.code_of(error)
        assert code in (0, 1, 2, 3, 4), f"{at} = {new!r}: {capsys.readouterr().err}"
        shutil.rmtree(report.parent)
