"""From raw outcomes to verdicts: what votes, what is compared, what the matrix of single heads says, what is robust."""

from dataclasses import replace

import numpy as np
import pytest
from circuits import INTACT, KINDS, Circuit, all_of, any_of

from reportgen.core.trials import RawValidation, Trial
from reportgen.validation.derive import derive
from reportgen.validation.matrix import Matrix
from reportgen.validation.robustness import counted


def only(raw: RawValidation) -> Trial:
    (trial,) = derive(raw).trials
    return trial


def test_zero_that_breaks_more_than_all_heads_at_their_mean_is_printed_and_does_not_vote() -> None:
    case = KINDS["off_distribution"](3)
    trial = only(case.circuit.raw(case.circuit.found(case.heads)))
    assert [(each.name, each.votes) for each in trial.shown] == [("mean", True), ("zero", False), ("resample", True)]
    assert trial.shown[1].loss.estimate > 4
    assert trial.robustness is not None
    assert (trial.robustness.holds, trial.robustness.of) == (32, 32), "its specifications do not exist"


def test_a_task_without_resampled_rows_is_judged_by_the_others() -> None:
    case = KINDS["one_head"](0)
    found = case.circuit.found(case.heads)
    elsewhere = {name: each for name, each in found.elsewhere.items() if name != "resample"}
    trial = only(case.circuit.raw(replace(found, resample={}, elsewhere=elsewhere)))
    assert (trial.verdict, [each.name for each in trial.shown]) == ("necessary", ["mean", "zero"])


def test_neutral_text_decides_whether_heads_carry_and_whether_zero_votes() -> None:
    for spared in (True, False):
        costs = {"t": any_of(["L1H1"], 1.0), "n": any_of(["L1H1"], 0.0 if spared else 0.7)}
        circuit = Circuit(costs, 0, floor=4.0, neutral="n")
        trial = only(circuit.raw(circuit.found(["L1H1"])))
        assert (trial.verdict, trial.specific, trial.spared) == ("necessary", True, spared)
        assert next(each.votes for each in trial.shown if each.name == "zero") is spared
        assert trial.neutral is not None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"held_out": False}, "in-sample"), ({"at_chance": True}, "at-chance"), ({"guess": INTACT}, "no-worth")],
)
def test_nothing_is_concluded_where_nothing_can_be(changed: dict[str, object], reason: str) -> None:
    case = KINDS["one_head"](0)
    raw = case.circuit.raw(case.circuit.found(case.heads))
    if "held_out" in changed:
        raw = replace(raw, sets=[replace(raw.sets[0], **changed)])  # type: ignore[arg-type]
    else:
        raw = replace(raw, tasks=[replace(raw.tasks[0], **changed)])  # type: ignore[arg-type]
    trial = only(raw)
    assert (trial.verdict, trial.reason, trial.specific, trial.silence) == ("undecided", reason, None, reason)
    assert (trial.q, trial.robustness) == (None, None)


def test_fewer_than_sixteen_groups_conclude_nothing() -> None:
    circuit = Circuit({"t": any_of(["L1H1"], 1.0)}, 0, groups=15)
    assert only(circuit.raw(circuit.found(["L1H1"]))).reason == "few-groups"


def test_what_cannot_be_compared_says_why_and_is_still_judged() -> None:
    circuit = Circuit({"t": any_of(["L0H1", "L0H2"], 1.0)}, 0)
    small = replace(circuit, widths=(4, 12, 12, 12))
    whole = [f"L0H{h}" for h in range(4)]
    for made, heads, silence in ((small, ["L0H1", "L0H2"], "few-sets"), (small, whole, "whole-layer")):
        found = made.found(heads)
        if silence == "whole-layer":
            found = replace(found, core=whole, controls=made.controls(whole, ["t"]))
        trial = only(made.raw(found))
        assert (trial.verdict, trial.specific, trial.silence) == ("necessary", None, silence)
        assert (trial.rank and (trial.rank.rank, trial.rank.low, trial.rank.of)) == (
            (1, None, 4) if silence == "whole-layer" else None
        ), "of whole layers the rank is observed only"
    trial = only(circuit.raw(circuit.found(["L0H1"], controls=None)))
    assert (trial.verdict, trial.specific, trial.silence) == ("necessary", None, "budget")


def test_sets_of_one_core_are_one_test() -> None:
    circuit = Circuit({"t": any_of(["L1H1"], 1.0)}, 0)
    sets = [circuit.found(["L1H1"]), circuit.found(["L1H1", "L1H2"], name="cluster/t/1")]
    validation = derive(circuit.raw(*sets))
    assert (validation.tests, validation.compared) == (1, 1)
    assert [trial.core for trial in validation.trials] == [["L1H1"], ["L1H1"]]


def matrix() -> RawValidation:
    """L1H2 for Math alone, L0H7 for two tasks, L0H6 costs Recall more than what the scores name."""
    costs = {
        "Math": any_of(["L1H2", "L0H7"], 1.5),
        "Inference": any_of(["L0H7"], 0.8),
        "Recall": lambda out, how: 1.2 * ("L0H6" in out) + 0.3 * ("L0H1" in out),
        "Syntax": all_of(["L2H1", "L2H2"], 1.0),
    }
    circuit = Circuit(costs, 2)
    firsts = {"Math": ["L1H2"], "Inference": ["L0H7"], "Recall": ["L0H1", "L0H2"], "Syntax": ["L2H1", "L2H2"]}
    return circuit.raw(*(circuit.found(heads, [task]) for task, heads in firsts.items()))


def test_the_matrix_gives_specialists_shared_and_overlooked_heads() -> None:
    validation = derive(matrix())
    specialists = {each.head: each.task for each in validation.specialists}
    assert specialists == {"L1H2": "Math", "L0H6": "Recall", "L0H1": "Recall"}
    assert [(each.head, each.tasks) for each in validation.shared] == [("L0H7", ["Math", "Inference"])]
    assert [(each.task, each.head, each.first) for each in validation.overlooked] == [
        ("Recall", "L0H6", ["L0H1", "L0H2"])
    ]
    for each in validation.specialists:
        assert each.others < 0.11 < each.loss.estimate
    assert max(each.p for each in validation.overlooked) <= validation.single_level
    assert validation.choice is not None
    assert (validation.choice.tasks, validation.choice.rank > 0.6) == (4, True)


def test_heads_without_effect_give_no_finding_of_the_matrix() -> None:
    found = []
    for seed in range(12):
        circuit = Circuit({"a": lambda out, how: 0.0, "b": lambda out, how: 0.0}, seed)
        sets = [circuit.found([f"L{1 + seed % 3}H{seed}"], [task]) for task in ("a", "b")]
        validation = derive(circuit.raw(*sets))
        found += [*validation.specialists, *validation.shared, *validation.overlooked]
        assert {trial.verdict for trial in validation.trials} == {"unnecessary"}
    assert found == []


def test_the_choice_of_a_score_that_knows_nothing_is_uniform() -> None:
    p = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        cost = {f"L{i}H{h}": float(rng.uniform(0, 0.3)) for i, w in enumerate((8, 12)) for h in range(w)}
        circuit = Circuit({"t": lambda out, how, c=cost: max((c[h] for h in out), default=0.0)}, seed, widths=(8, 12))
        heads = [f"L0H{h}" for h in rng.choice(8, 2, replace=False)]
        choice = Matrix(circuit.raw(circuit.found(heads, controls=None)), {"t": 0.11}, 0.005).choice()
        assert choice is not None
        p.append(choice.p)
    assert np.mean(np.array(p) <= 0.25) == pytest.approx(0.25, abs=0.2)


def test_a_claim_that_hangs_on_one_choice_names_it() -> None:
    trial = only(KINDS["by_intervention"](1).circuit.raw(KINDS["by_intervention"](1).circuit.found(("L1H1",))))
    levels = ("mean", "zero", "resample")
    holds = {(name, str(i)): name == "zero" for name in levels for i in range(4)}
    made = counted(holds)
    assert made is not None
    assert (made.holds, made.of) == (4, 12)
    assert made.fails == ("mean",)
    one = {**dict.fromkeys(holds, True), ("zero", "3"): False}
    made = counted(one)
    assert made is not None
    assert (made.holds, made.fails) == (11, ("zero", "3")), "what all that fail have in common"
    assert counted(dict.fromkeys([(str(i),) for i in range(7)], True)) is None, "of seven nothing is said"
    assert trial.robustness is None or trial.robustness.of == 48


def test_forty_eight_specifications_of_a_needed_set() -> None:
    case = KINDS["by_intervention"](0)
    trial = only(case.circuit.raw(case.circuit.found(case.heads)))
    assert (trial.verdict, trial.robustness and trial.robustness.of) == ("mixed", 48)
    assert trial.robustness is not None
    assert trial.robustness.holds <= 16
    assert trial.robustness.fails[0] in ("mean ablation", "resample ablation")


def test_curves_have_bands_that_have_a_width_where_all_answers_are_right() -> None:
    case = KINDS["one_head"](0)
    made = derive(case.circuit.raw(case.circuit.found(case.heads)))
    assert made.curves
    for curve in made.curves:
        assert len(curve.low) == len(curve.high) == len(curve.knocked)
        for low, accuracy, high in zip(curve.low, curve.accuracy, curve.high, strict=True):
            assert 0 <= low <= accuracy <= high <= 1
            assert 0.02 < high - low < 0.5
