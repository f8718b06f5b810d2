"""The tables and curves of the causal validation, from a validation made by hand."""

import re
import subprocess
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from made_reports import build, make_findings, make_scores, make_study
from made_trials import shown, trial

from reportgen.core.findings import Finding
from reportgen.core.trials import Curve, Interval, Outcome, Rank, TaskTrial, Validation
from reportgen.rendering.plots.knockout import knockout
from reportgen.rendering.trial_tables import tables

DONE = Outcome(0.9, -0.2)


def made(readout: str = "answer") -> Validation:
    gain = {"1.5": Interval(-0.1, -0.2, 0.05), "2": Interval(-0.4, -0.7, -0.1)}
    one = trial(tasks=["Recall"], heads=["L0H1"], core=["L0H1"], amplified={"1.5": DONE, "2": DONE}, gain=gain)
    one = replace(one, intact=DONE, knocked_out=Outcome(0.2, -2.0), after_controls=Outcome(0.85, -0.25))
    names = ["gate_gradient", "activation_norm", "random order", "layer order"]
    return Validation(
        "",
        {},
        readout=readout,
        tests=1,
        tasks=[TaskTrial("Recall", 30, 30, DONE, Outcome(0, -5), 0.1, 2.0, 0.1, None)],
        trials=[one],
        matrix={"top/0": {"Recall": Outcome(0.2, -2.0)}},
        curves=[
            Curve("Recall", name, [0, 1, 2, 4], [0.9, 0.5, 0.2, 0], [-0.2, -1, -2, -5], 0.4, n > 0)
            for n, name in enumerate(names)
        ],
    )


def test_the_published_form_stands_first_and_amplification_has_a_table_of_its_own() -> None:
    by_name = {table.name: table for table in tables(made())}
    assert next(iter(by_name)) == "validation-tasks"
    assert by_name["validation-tasks"].rows[0][2:5] == ("90.0 %", "85.0 %", "20.0 %")
    assert [title for title, _ in by_name["validation-sufficiency"].columns] == [
        "Set",
        "No head (floor)",
        "Only the set",
        "All heads (ceiling)",
    ]
    assert [title for title, _ in by_name["validation-amplification"].columns] == ["Set", "Gain at ×1.5", "Gain at ×2"]


def test_need_and_specificity_have_a_table_each() -> None:
    one = made()
    several = [
        replace(one.trials[0], shown=shown(votes=False), specific=False, rank=Rank(29, 20, 40, 56)),
        replace(one.trials[0], id="top/1", verdict="mixed", specific=None, silence="few-sets", rank=None),
    ]
    by_name = {
        table.name: table
        for table in tables(replace(one, trials=several, matrix=dict.fromkeys(("top/0", "top/1"), one.matrix["top/0"])))
    }
    assert by_name["validation-sets"].rows[0][2:5] == ("1.31", "1.20", "(1.40)"), "zero that does not vote in brackets"
    assert [row[7:] for row in by_name["validation-sets"].rows] == [("needed", "46 of 48"), ("depends", "46 of 48")]
    told = [(row[4], row[6]) for row in by_name["validation-others"].rows]
    assert told == [("29 of 56 (20–40)", "no"), ("—", "too small a layer")]


def test_an_encoders_tables_speak_of_the_label() -> None:
    for readout, word, other in (("answer", "answer’s", "label’s"), ("probe", "label’s", "answer’s")):
        notes = " ".join(table.note for table in tables(made(readout)))
        assert word in notes
        assert other not in notes


def test_curves_are_told_apart_without_colours() -> None:
    drawing = knockout(made())
    assert drawing is not None
    dashes = {stroke.partition('"')[0] for stroke in drawing.svg.split('stroke-dasharray="')[1:]}
    assert {"5,1.5", "1,1.2", "5,1.5,1,1.5"} <= dashes
    assert 'stroke="#0072b2"' in drawing.svg, "the method's own line is drawn through"


@pytest.mark.pdf
def test_no_word_of_a_wide_table_lies_over_another_in_two_columns(tmp_path: Path) -> None:
    names = ("Knowledge Recall", "Syntactic Understanding", "Semantic Understanding", "Logical Reasoning", "Inference")
    one, trials = made(), []
    for i, name in enumerate(names):
        trials.append(
            replace(one.trials[0], id=f"top/{i}", tasks=[name], heads=["L0H1", "L0H4", "L5H2"], core=["L0H1"])
        )
    tasks = [replace(one.tasks[0], name=name) for name in names]
    matrix = {trial.id: dict.fromkeys(names, Outcome(0.2, -2.0)) for trial in trials}
    validation = replace(one, tasks=tasks, trials=trials, matrix=matrix, curves=[])
    study = make_study(formats=["pdf"], theme="paper")
    scores = make_scores(names)
    knocked_out = Finding(
        "causal_validation/top/0", "causal_validation", "m", "observed", 0.8, "It was so.", rule="as stated"
    )
    findings = replace(make_findings(scores), findings=[*make_findings(scores).findings, knocked_out])
    build(tmp_path, scores, findings, study, validation=validation)
    command = ["pdftotext", "-bbox", str(tmp_path / "report.pdf"), "-"]
    pages = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("<page ")[
        3:
    ]  # of the appendix
    assert any(">Needed<" in page for page in pages)
    for page in pages:
        boxes = [
            tuple(map(float, box)) for box in re.findall(r'xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)"', page)
        ]
        over = [(a, b) for a, b in combinations(boxes, 2) if _shared(a, b, 0) > 1.5 and _shared(a, b, 1) > 3]
        assert not over


def _shared(one: tuple[float, ...], other: tuple[float, ...], axis: int) -> float:
    """Points that two boxes (left, top, right, bottom) share along an axis."""
    return min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])
