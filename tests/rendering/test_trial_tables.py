"""The tables and curves of the causal validation, from a validation made by hand."""

from reportgen.rendering.knockout import CONTROLS, knockout
from reportgen.rendering.trial_tables import tables
from reportgen.trials import TOP, Curve, Interval, Outcome, TaskTrial, Trial, Validation

DONE = Outcome(0.9, -0.2)


def made(readout: str = "answer") -> Validation:
    gain = {"1.5": Interval(-0.1, -0.2, 0.05), "2": Interval(-0.4, -0.7, -0.1)}
    trial = Trial(
        "top/0", TOP, ["Recall"], ["L0H1"], "confirmed", None, 30, 30, margin=0.02, intact=DONE,
        knocked_out=Outcome(0.2, -2.0), zeroed=Outcome(0.1, -3.0), kept=Outcome(0.3, -1.0), floor=Outcome(0.0, -5.0),
        amplified={"1.5": DONE, "2": DONE}, gain=gain, loss=Interval(1.8, 1.5, 2.1), excess=Interval(1.7, 1.4, 2.0),
        after_controls=Outcome(0.85, -0.25), p=0.005, q=0.01,
    )  # fmt: skip
    names = ["gate_gradient", *CONTROLS]
    return Validation(
        "", {}, readout=readout, tests=1, tasks=[TaskTrial("Recall", 30, 30, DONE, Outcome(0, -5), 0.1, None)],
        trials=[trial], matrix={"top/0": {"Recall": Outcome(0.2, -2.0)}},
        curves=[Curve("Recall", name, [0, 1, 2, 4], [0.9, 0.5, 0.2, 0], [-0.2, -1, -2, -5], 0.4) for name in names],
    )  # fmt: skip


def test_the_published_form_stands_first_and_amplification_has_a_table_of_its_own() -> None:
    by_name = {table.name: table for table in tables(made())}
    assert next(iter(by_name)) == "validation-tasks"
    assert by_name["validation-tasks"].rows[0][2:5] == ("90.0 %", "85.0 %", "20.0 %")
    assert [title for title, _ in by_name["validation-sufficiency"].columns] == [
        "Set", "No head (floor)", "Only the set", "All heads (ceiling)"]  # fmt: skip
    assert [title for title, _ in by_name["validation-amplification"].columns] == ["Set", "Gain at ×1.5", "Gain at ×2"]


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
