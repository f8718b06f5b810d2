"""Data tables: layers, findings, and the heads that findings name."""

from made_reports import make_findings, make_scores, view_of


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
