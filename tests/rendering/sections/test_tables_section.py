"""Data tables: layers, findings, and the heads that findings name."""

import csv
import json

import numpy as np
from made_reports import make_findings, make_scores, make_study, view_of

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores
from reportgen.rendering.head_ranks import heads_json
from reportgen.rendering.paper.table_files import table_files
from reportgen.rendering.report import build_report
from reportgen.rendering.tables import head_table


def test_findings_stand_in_order_of_importance_with_their_statistics():
    scores = make_scores(("Recall",))
    view = view_of("tables", make_findings(scores), scores)
    rows = view["findings"].rows
    assert [row[0] for row in rows] == ["cluster/Recall/1", "anomaly/0", "absence/1"]
    assert rows[0][3:] == ("0.00025", "0.0020", "3.10 [2.80, 3.40]")
    assert [row[0] for row in view["heads"].rows] == ["L0H0", "L5H7"]
    assert [len(table.rows) for table in view["layers"]] == [6]


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
