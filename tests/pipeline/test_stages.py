"""The five stages as functions: they compose, take paths, hold what they were made from, and refuse other things."""

import inspect
import json
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

import reportgen
from reportgen.cli.main import app
from reportgen.core.listener import Listener
from reportgen.errors import InputError
from reportgen.scoring.methods import zero_ablation

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from cases import copying_case

pytestmark = pytest.mark.slow

STUDY = """[study]
title = "Tiny"
[model]
path = "model"
[tasks]
path = "tasks.jsonl"
[scoring]
method = "zero_ablation"
[validation]
budget = 60
[report]
formats = ["html"]
"""
STAGES = ("score", "analyze", "validate", "summarize", "render")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    case = copying_case(folder, 3, True)
    (folder / "study.toml").write_text(STUDY)
    (folder / "head.txt").write_text(str(case.planted[0]))
    return folder / "study.toml"


@pytest.fixture(scope="module")
def claims(study: Path) -> reportgen.Claims:
    return reportgen.summarize(reportgen.validate(reportgen.analyze(reportgen.score(study))))


@pytest.fixture(scope="module")
def report(claims: reportgen.Claims, tmp_path_factory: pytest.TempPathFactory) -> reportgen.Built:
    return reportgen.render(claims, tmp_path_factory.mktemp("rendered") / "out")


class ReachedError(Exception):
    """Ends a run where its method would begin."""


def test_from_the_command_to_a_methods_arithmetic_are_few_frames(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []

    def score(*_: object) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None:
            name = frame.f_globals["__name__"]
            passed.extend([f"{name}.{frame.f_code.co_name}"] if name.startswith("reportgen.") else [])
            frame = frame.f_back
        raise ReachedError

    monkeypatch.setitem(vars(zero_ablation.METHOD), "score", score)
    with pytest.raises(ReachedError):
        app(["build", str(study), "-o", str(tmp_path / "out"), "--quiet"], standalone_mode=False)
    assert len(passed) <= 7, f"one more is main: {passed[::-1]}"
    assert passed[-1] == "reportgen.cli.main.build"


def test_the_stages_compose_and_each_result_holds_the_one_before(claims: reportgen.Claims) -> None:
    trials = claims.made_from
    assert trials.validation is not None
    assert {f.verdict for f in trials.findings.findings} & {"necessary", "unnecessary", "mixed", "undecided"}
    assert claims.claims == reportgen.summarize(trials).claims
    scores = trials.findings.made_from
    assert next(iter(scores.methods)) == "zero_ablation"
    assert [claim.strength for claim in claims.claims] == sorted((c.strength for c in claims.claims), reverse=True)


def test_the_claims_name_the_head_that_does_the_task(claims: reportgen.Claims, study: Path) -> None:
    head = (study.parent / "head.txt").read_text()
    needed = [c for c in claims.claims if c.verdict == "necessary"]
    assert any(head in f"{c.headline} {c.body}" for c in needed), [c.headline for c in claims.claims]


def test_what_is_composed_is_what_build_makes(report: reportgen.Built, study: Path, tmp_path: Path) -> None:
    built = reportgen.build(study, tmp_path / "built")
    assert json.loads((report.folder / "claims.json").read_text()) == json.loads(
        (built.folder / "claims.json").read_text()
    )
    for name in ("scores.safetensors", "scores.csv", "findings.json", "validation.json", "claims.json"):
        assert (report.folder / name).read_bytes() == (built.folder / name).read_bytes(), name
    ours, theirs = (
        {p.name: p.read_bytes() for p in (folder / "tables").iterdir()} for folder in (report.folder, built.folder)
    )
    assert ours == theirs


def test_a_report_that_was_composed_is_verified(report: reportgen.Built) -> None:
    assert reportgen.verify(report.folder).result == "verified"


def test_every_stage_takes_a_path(report: reportgen.Built, claims: reportgen.Claims, tmp_path: Path) -> None:
    folder = report.folder
    assert reportgen.summarize(folder).claims == reportgen.summarize(folder / "validation.json").claims == claims.claims
    bare = reportgen.analyze(str(folder))
    assert bare == reportgen.analyze(folder / "scores.safetensors")
    assert [f.id for f in bare.findings] == [
        f.id for f in claims.made_from.findings.findings if f.kind != "causal_validation"
    ]
    again = reportgen.render(folder / "claims.json", tmp_path / "again")
    assert (again.folder / "findings.json").read_bytes() == (folder / "findings.json").read_bytes()
    assert reportgen.render(folder).folder == folder


def test_scores_in_memory_are_analyzed_with_the_defaults(tmp_path: Path) -> None:
    scores = reportgen.HeadScores.from_array(np.random.default_rng(0).random((2, 4, 4)), ["One", "Two"])
    claims = reportgen.summarize(reportgen.validate(reportgen.analyze(scores)))
    assert claims.made_from.validation is None  # there is no model
    built = reportgen.render(claims, tmp_path / "out")
    assert built.html.is_file()
    assert reportgen.verify(built.folder).result == "verified"


def test_who_listens_hears_of_the_run(study: Path) -> None:
    steps: list[str] = []
    reportgen.score(study, listener=Listener(progress=lambda stage, *_: steps.append(stage)))
    assert any(step.startswith("zero_ablation") for step in steps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reportgen.score(42), "score(): int is no path and not a Study"),
        (lambda: reportgen.analyze([1]), "analyze(): list is no path and not Scores"),
        (lambda: reportgen.validate(None), "validate(): NoneType is no path and not Findings"),
        (lambda: reportgen.summarize(1.5), "summarize(): float is no path and not Trials"),
        (lambda: reportgen.render({}, "out"), "render(): dict is no path and not Claims"),
        (lambda: reportgen.validate("nowhere"), "nowhere: this is no run directory"),
    ],
)
def test_other_things_are_refused_in_a_sentence(call, message: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_claims_without_a_folder_are_refused(claims: reportgen.Claims) -> None:
    with pytest.raises(InputError, match="there is no folder to write"):
        reportgen.render(claims)


def test_the_stages_have_few_parameters_and_their_types_are_public() -> None:
    public = set(reportgen.__all__)
    for name in (*STAGES, "build"):
        parameters = inspect.signature(getattr(reportgen, name)).parameters.values()
        assert len(parameters) <= 5, name
        assert [p for p in parameters if p.kind is not p.KEYWORD_ONLY][2:] == [], name
        assert not any(p.kind is p.VAR_KEYWORD for p in parameters), name
        hints = get_type_hints(getattr(reportgen, name))
        for named in {each for hint in hints.values() for each in (get_args(hint) or (hint,))}:
            if getattr(named, "__module__", "").startswith("reportgen"):
                assert named.__name__ in public, (name, named)
