import csv
import json

import numpy as np
import pytest
from made_reports import HOSTILE, build, make_findings, make_scores, make_study

from reportgen.core.config import Study
from reportgen.core.scores import HeadScores, Method, Task
from reportgen.errors import InputError
from reportgen.rendering.paper.latex import escaped
from reportgen.rendering.paper.table_files import inert
from reportgen.storage.files import sha256_file
from reportgen.storage.scores_file import read_scores


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.pdf
def test_two_renders_are_the_same_bytes(tmp_path):
    scores = make_scores(examples=8)
    study = make_study(sections=["summary", "overview", "tasks"])
    for name in ("a", "b"):
        build(tmp_path / name, scores, study=study, figures=("svg", "pdf", "png"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_files_and_their_order(tmp_path):
    steps = []
    written = build(tmp_path, make_scores(), study=make_study(formats=["html"]), progress=steps.append)
    names = [p.relative_to(tmp_path).as_posix() for p in written]
    assert names[:4] == ["study.toml", "scores.csv", "report.html", "figures/overview.svg"]
    paper = ["cite.txt", "report.bib", "figures/captions.tex", "claims.tex", "claims.md"]
    assert names[-7:] == ["heads.json", *paper, "manifest.json"]
    assert steps == ["figures", "page", "tables"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest["files"]) == {*names, "scores.safetensors", "findings.json"} - {"manifest.json"}
    assert manifest["files"]["report.html"]["sha256"] == sha256_file(tmp_path / "report.html")


def test_heads_json(report):
    heads = json.loads((report / "heads.json").read_text())
    (scores,), _ = read_scores(report / "scores.safetensors")
    rows = heads["tasks"]["Recall"]
    assert heads["columns"] == ["layer", "head", "value", "low", "high", "rank"]
    assert [r[5] for r in rows] == list(range(1, 49))
    layer, head, value, low, high, _ = rows[0]
    assert np.float32(value) == scores.importance[0, layer, head] == scores.importance[0].max()
    assert low < value < high
    assert heads["found"]["cluster/Recall/1"][:2] == ["L0H0", "L0H1"]
    assert heads["found"]["anomaly/0"] == ["L5H7", "L0H0"]


def test_csv_is_inert_and_latex_escaped(report):
    rows = list(csv.reader((report / "tables" / "heads.csv").read_text(encoding="utf-8").splitlines()))
    names = {row[0] for row in rows[1:]}
    assert "'=HYPERLINK(1)" in names
    assert HOSTILE[0] in names
    for path in (report / "tables").glob("*.tex"):
        text = path.read_text(encoding="utf-8")
        assert r"\toprule" in text
        assert r"\input" not in text
    assert escaped("a_b & 5 % ≤ 10⁻³ \\x") == r"a\_b \& 5 \% ≤ 10$^{-3}$ {\textbackslash}x".replace("≤", escaped("≤"))
    assert inert(-1.5) == -1.5
    assert inert("-1.5") == "'-1.5"


def test_citation(report):
    text = (report / "cite.txt").read_text()
    assert text.startswith("A. Author (2023). A study of heads. Attention-head report made with reportgen ")
    assert "@misc{reportgen-" in text


@pytest.mark.pdf
@pytest.mark.parametrize("case", ["1x1", "constant", "absent", "signed", "many", "deep"])
def test_odd_tensors_render(tmp_path, case):
    rng = np.random.default_rng(0)
    values = {
        "1x1": np.ones((1, 1, 1)),
        "constant": np.zeros((3, 4, 4)),
        "absent": np.where(np.arange(5) < np.array([[5], [2], [0]]), rng.random((2, 3, 5)), np.nan),
        "signed": rng.normal(0, 1, (2, 3, 3)),
        "many": rng.random((100, 3, 3)),
        "deep": rng.random((1, 200, 8)),
    }[case]
    tasks = tuple(Task(f"task {i}") for i in range(len(values)))
    scores = HeadScores(values, tasks, Method("m", signed=case == "signed"), reduction="mean")
    study = make_study(formats=["html"] if case in ("many", "deep") else ["html", "pdf"])
    build(tmp_path, scores, make_findings(scores), study)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_unknown_figure_form(tmp_path):
    with pytest.raises(InputError) as error:
        build(tmp_path, make_scores(), figures=("gif",))
    assert str(error.value) == "--figures: no figure can be written as 'gif'. Choose from: svg, pdf, png."


def test_a_study_without_source_or_authors(tmp_path):
    study = Study(scores={"path": "x.csv"}, report={"formats": ["html"]})
    build(tmp_path, make_scores(), study=study)
    assert not (tmp_path / "study.toml").exists()
