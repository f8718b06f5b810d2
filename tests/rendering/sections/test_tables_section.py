"""Data tables: layers, findings, and the heads that findings name."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made_reports import make_findings, make_scores, make_study, view_of

from reportgen import load_scores
from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores
from reportgen.rendering.head_ranks import heads_json
from reportgen.rendering.named_heads import head_matrix
from reportgen.rendering.paper.table_files import table_files
from reportgen.rendering.report import build_report
from reportgen.rendering.sections.tables import depth_tables
from reportgen.rendering.tables import head_table


def test_findings_stand_in_order_of_importance_with_their_statistics():
    scores = make_scores(("Recall",))
    view = view_of("tables", make_findings(scores), scores)
    rows = view["findings"].rows
    assert [row[0] for row in rows] == ["cluster/Recall/1", "anomaly/0", "absence/1"]
    assert rows[0][3:] == ("0.00025", "0.0020", "3.10 [2.80, 3.40]")
    assert [row[0] for row in view["heads"].rows] == ["L0H0", "L5H7"]
    assert [len(table.rows) for table in view["layers"]] == [6]


def test_the_pdf_tells_of_each_named_head_its_importance_and_rank_on_every_task():
    scores = make_scores(("Recall", "Logic"))
    report = build_report((scores,), make_findings(scores), make_study(), {}, {})
    table = head_matrix(report, 9)
    assert [title for title, _ in table.columns] == ["Head", "Recall", "Logic"]
    assert [row[0] for row in table.rows] == ["L5H7", "L0H0"]  # in the order of the finding that names them
    for row, (layer, head) in zip(table.rows, [(5, 7), (0, 0)], strict=True):
        for cell, values in zip(row[1:], scores.importance, strict=True):
            rank = int((values > values[layer, head]).sum()) + 1
            assert cell == f"{values[layer, head]:.4f} ({rank})"
    assert "1 more head in findings.json" in head_matrix(report, 1).note
    many = make_scores([f"Task {i}" for i in range(9)])
    wide = head_matrix(build_report((many,), make_findings(many), make_study(), {}, {}), 9)
    assert [title for title, _ in wide.columns] == ["Head", "Ranks highest on"]
    assert wide.rows[0][1].count(";") == 2


def test_without_findings_no_head_is_named():
    view = view_of("tables")
    assert (view["heads"], view["findings"].rows) == (None, ())


def test_leading_heads_and_layers_come_first_with_their_ranks_and_anchors():
    scores = make_scores(("Recall", "Logic"), examples=40)
    findings = analyze(scores, Settings(detectors=("top_heads", "strongest_layers")))
    heads, layers = view_of("tables", findings, scores)["leading"]
    assert [title for title, _ in heads.columns][:2] == ["Task", "Head"]
    assert [title for title, _ in layers.columns][:2] == ["Task", "Layer"]
    listed = {f.id: f for f in findings.findings}
    found = listed["top_heads/recall/1"]
    many = len(found.members)
    assert [row[:2] for row in heads.rows[:many]] == [("Recall", member) for member in found.members]
    assert [row[4] for row in heads.rows[:many]] == [
        str(a) if a == b else f"{a}–{b}"
        for a, b in zip(found.data["first_ranks"], found.data["last_ranks"], strict=True)
    ]
    assert [i for i in heads.ids if i] == ["finding-top_heads-recall-1", "finding-top_heads-logic-1"]


def test_leading_heads_are_written_as_numbers_too():
    scores = make_scores(("Recall",), examples=40)
    findings = analyze(scores, Settings(detectors=("top_heads",)))
    report = build_report((scores,), findings, make_study(), {}, {})
    files = dict(table_files(report))
    rows = list(csv.DictReader(files["tables/leading-heads.csv"].splitlines()))
    data = findings.findings[0].data
    assert [row["name"] for row in rows] == findings.findings[0].members
    for name, key in (("value", "values"), ("low", "lows"), ("rank", "ranks"), ("last_rank", "last_ranks")):
        assert [float(row[name]) for row in rows] == data[key]
    assert {row["of"] for row in rows} == {"48"}
    assert "tables/leading-heads.tex" in files


def test_the_largest_head_of_lower_middle_and_higher_layers_is_listed_though_no_finding_names_it():
    """The figure's published description names L6H24 on Decision-making and L5H10 on Inference."""
    scores = load_scores(Path(__file__).parents[3] / "sample_data" / "figure" / "scores.csv")
    report = build_report((scores,), Findings({}, 0.05, 0, [], []), make_study(), {}, {})
    (table,) = depth_tables(report)
    assert [title for title, _ in table.columns] == ["Task", "Layers 0–10", "Layers 11–21", "Layers 22–31"]
    cells = {row[0]: row[1] for row in table.rows}
    assert cells["Decision-making"] == "L6H24 0.00280 (2.0 ×)"
    assert cells["Inference"].startswith("L5H10 0.00180 (")
    files = dict(table_files(report))
    assert "L5H10" in files["tables/largest-by-depth.tex"]
    rows = list(csv.DictReader(files["tables/largest-by-depth.csv"].splitlines()))
    assert len(rows) == 3 * len(scores.tasks)
    for row in rows:
        first, last = int(row["first_layer"]), int(row["last_layer"])
        heads = np.sort(scores.importance[scores.task_names.index(row["task"]), first : last + 1].ravel())[::-1]
        assert float(row["value"]) == pytest.approx(heads[0], rel=1e-5)
        assert float(row["times_next"]) == pytest.approx(heads[0] / heads[1], rel=1e-5)


def test_of_equal_heads_none_is_named_as_the_largest_and_of_idle_layers_none():
    values = np.zeros((1, 4, 3))
    values[0, 0], values[0, 2], values[0, 3, 1] = -2.0, np.nan, 5.0  # thirds: layers 0–1, 2, 3
    values[0, 3, [0, 2]] = np.nan
    report = build_report(
        (HeadScores.from_array(values, "Gates"),), Findings({}, 0.05, 0, [], []), make_study(), {}, {}
    )
    assert depth_tables(report)[0].rows == (("Gates", "3 tie at −2.00", "—", "L3H1 5.00"),)
    assert (
        len(
            depth_tables(
                build_report((make_scores(shape=(2, 3)),), Findings({}, 0.05, 0, [], []), make_study(), {}, {})
            )[0].columns
        )
        == 3
    )


def test_equal_heads_share_a_rank_in_every_table_and_file():
    values = np.random.default_rng(0).random((1, 8, 16)).round(2)
    values.flat[5:40] = 1.0
    scores = HeadScores.from_array(values, "Gates")
    report = build_report((scores,), Findings({}, 0.05, 0, [], []), make_study(), {}, {})
    size = np.abs(scores.importance[0]).ravel()
    tied = int((size == size.max()).sum())
    assert tied > 10
    table = head_table("T", report.tasks[0].maps[0], "score")
    assert {row[1] for row in table.rows} == {"1"}
    assert f"{tied} heads tie at 1.00, rank 1; 10 of them are listed." in table.note
    rows = next(iter(json.loads(heads_json(report))["tasks"].values()))
    assert [row[-1] for row in rows] == [int((size > abs(row[2]) * (1 + 1e-7)).sum()) + 1 for row in rows]
    lines = list(csv.DictReader(dict(table_files(report))["tables/heads.csv"].splitlines()))
    assert {line["rank"] for line in lines if line["task"] == scores.task_names[0]} == {"1"}
