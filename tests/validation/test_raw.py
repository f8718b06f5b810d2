"""validation.json keeps raw outcomes: what follows from them is derived anew, and what does not fit is refused."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import Case, copying_case, scored_by_hand, tried

from reportgen.core.findings import Findings
from reportgen.core.sentences import Prose
from reportgen.core.trials import RawValidation
from reportgen.errors import InputError
from reportgen.validation.derive import derive
from reportgen.validation.recorded import (
    FILE,
    disagreements,
    folded_json,
    from_json,
    read_validation,
    recorded_differences,
    refuse_other_scores,
    to_json,
)
from reportgen.validation.verdicts import judged

Plain = dict[str, Any]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Findings, RawValidation]:
    case = copying_case(tmp_path_factory.mktemp("copying"), 0, True)
    return case, *tried(case)


@pytest.fixture
def plain(ran: tuple[Case, Findings, RawValidation]) -> Plain:
    """The file's content, to be changed at will."""
    raw = ran[2]
    return copy.deepcopy(to_json(raw, derive(raw)))


def confirmed(plain: Plain) -> int:
    """The number of a set that is confirmed."""
    return next(i for i, each in enumerate(plain["sets"]) if plain["verdicts"][each["id"]]["verdict"] == "confirmed")


def test_the_file_gives_all_outcomes_back_and_the_very_same_verdicts(
    ran: tuple[Case, Findings, RawValidation], tmp_path: Path
) -> None:
    raw = ran[2]
    path = tmp_path / FILE
    path.write_text(folded_json(to_json(raw, derive(raw))), encoding="utf-8")
    again = from_json(json.loads(path.read_text(encoding="utf-8")))
    assert again == raw
    assert derive(again) == derive(raw)
    assert recorded_differences(tmp_path) == []


@pytest.mark.parametrize(
    "forge",
    [
        lambda plain, name: plain["verdicts"][name].update(verdict="refuted"),
        lambda plain, name: plain["verdicts"][name].update(specific=True),
        lambda plain, name: plain["verdicts"].pop(name),
        lambda plain, name: plain.pop("verdicts"),
        lambda plain, name: plain.update(verdicts=[name]),
        lambda plain, name: plain["verdicts"].update({name: ["refuted"]}),
    ],
)
def test_a_forged_verdict_changes_nothing_and_is_told(
    forge: Callable[[Plain, str], object], ran: tuple[Case, Findings, RawValidation], plain: Plain, tmp_path: Path
) -> None:
    _, findings, raw = ran
    name = plain["sets"][confirmed(plain)]["id"]
    forge(plain, name)
    (tmp_path / FILE).write_text(folded_json(plain), encoding="utf-8")
    told = judged(findings, derive(raw), Prose())
    assert read_validation(tmp_path, told) == derive(raw)
    differences = recorded_differences(tmp_path)
    assert any(line.startswith(f"verdicts.{name}: ") and "'confirmed'" in line for line in differences), differences


def test_a_verdict_on_a_set_that_is_not_there_is_told(plain: Plain, tmp_path: Path) -> None:
    plain["verdicts"]["cluster/none/1"] = {"verdict": "confirmed", "specific": None, "robustness": None}
    (tmp_path / FILE).write_text(folded_json(plain), encoding="utf-8")
    assert [line.partition(":")[0] for line in recorded_differences(tmp_path)] == ["verdicts.cluster/none/1"]


def test_numbers_written_otherwise_are_told(plain: Plain, tmp_path: Path) -> None:
    plain["alpha"] = str(plain["alpha"])
    (tmp_path / FILE).write_text(folded_json(plain), encoding="utf-8")
    assert recorded_differences(tmp_path) == ["it is not written as its own outcomes are"]


def changed(raw: RawValidation, plain: Plain, change: Callable[[Plain], object]) -> set[str]:
    """The fields of the derived validation that a changed outcome changes."""
    change(plain)
    before, after = derive(raw), derive(from_json(plain))
    return {name for name in vars(before) if getattr(before, name) != getattr(after, name)}


def test_one_changed_outcome_changes_what_hangs_on_it(ran: tuple[Case, Findings, RawValidation], plain: Plain) -> None:
    raw, at = ran[2], confirmed(plain)
    (task,) = plain["sets"][at]["tasks"]

    def knocked_out(content: Plain) -> Plain:
        answers: Plain = content["sets"][at]["mean"][task]
        return answers

    def floor(content: Plain) -> None:
        content["tasks"][0]["floor"]["log_probability"][0] -= 0.5

    assert changed(raw, copy.deepcopy(plain), lambda c: None) == set()
    assert changed(raw, copy.deepcopy(plain), floor) == {"tasks", "trials", "curves", "rankings", "best"}
    assert changed(raw, copy.deepcopy(plain), lambda c: knocked_out(c).update(right="1" * 16)) == {"trials", "matrix"}
    harmless = copy.deepcopy(plain)
    knocked_out(harmless)["log_probability"] = list(harmless["tasks"][0]["intact"]["log_probability"])
    after = derive(from_json(harmless))
    assert (after.trials[at].verdict, derive(raw).trials[at].verdict) == ("refuted", "confirmed")
    assert after.trials[at].loss is not None
    assert after.trials[at].loss.estimate == 0
    step = copy.deepcopy(plain)
    step["curves"][0]["runs"][0][0]["log_probability"][3] -= 1
    assert changed(raw, step, lambda c: None) == {"curves", "rankings", "best"}


def test_a_loss_of_one_control_changes_the_test_only_with_the_mean(
    ran: tuple[Case, Findings, RawValidation], plain: Plain
) -> None:
    controls = plain["sets"][confirmed(plain)]["controls"]
    controls["sets"][0]["loss"] += 50
    with pytest.raises(InputError, match=r"controls\.mean_loss: its mean is .*, that of the control sets' losses"):
        from_json(copy.deepcopy(plain))
    more = 50 / len(controls["sets"])
    controls["mean_loss"] = [value + more for value in controls["mean_loss"]]
    at = confirmed(plain)
    before, after = derive(ran[2]).trials[at], derive(from_json(plain)).trials[at]
    assert (before.as_strong, after.as_strong) == (0, 1)
    assert before.excess is not None
    assert after.excess is not None
    assert after.excess.estimate == pytest.approx(before.excess.estimate - more)
    assert after.q is not None
    assert before.q is not None
    assert after.q > before.q


DAMAGED: list[tuple[Callable[[Plain], object], str]] = [
    (lambda c: c.update(alpha=float("nan")), "alpha: Input should be a finite number"),
    (lambda c: c.update(alpha=2), "alpha: 2 is no level of a test"),
    (lambda c: c.update(margin=-0.1), "margin: -0.1 is no share"),
    (lambda c: c.update(alpha=10**400), "alpha: "),
    (lambda c: c.update(trials=[]), "trials: Unexpected keyword argument"),
    (lambda c: c.update(cost=None), "cost: "),
    (lambda c: c["cost"].update(ablation=0), "cost: "),
    (lambda c: c.update(layers={}), "layers: there are none"),
    (lambda c: c["layers"].update(L0=10**30), "layers.L0: "),
    (lambda c: c.update(tasks=[]), "tasks: there are none"),
    (lambda c: c["tasks"].append(c["tasks"][0]), "tasks: 'copy' stands 2 times"),
    (lambda c: c["tasks"][0]["groups"].pop(), "tasks.0.groups: 15 groups of 16 examples"),
    (lambda c: c["tasks"][0]["intact"].update(right="1"), "tasks.0.intact.right: "),
    (lambda c: c["tasks"][0]["intact"].update(right="2" * 16), "tasks.0.intact.right: "),
    (lambda c: c["tasks"][0]["floor"]["log_probability"].pop(), "tasks.0.floor.log_probability: 15 numbers for 16"),
    (lambda c: c["tasks"][0]["floor"]["log_probability"].__setitem__(0, 0.1), "tasks.0.floor.log_probability: 0.1 is"),
    (lambda c: c["tasks"][0]["floor"]["log_probability"].__setitem__(0, None), "tasks.0.floor.log_probability.0: "),
    (lambda c: c["sets"][0].update(heads=["L9H0"]), "sets.0.heads: 'L9H0' is no head of the model"),
    (lambda c: c["sets"][0].update(heads=["L0H12"]), "sets.0.heads: 'L0H12' is no head of the model"),
    (lambda c: c["sets"][0].update(heads=[]), "sets.0.heads: there are none"),
    (lambda c: c["sets"][0].update(kind="\x07"), "sets.0.kind: '\\x07' is no kind of set"),
    (lambda c: c["sets"][0].update(tasks=["none"]), "sets.0.tasks: they are none of the file's tasks"),
    (lambda c: c["sets"][0].update(mean={}), "sets.0.mean: it has to give the answers on 'copy'"),
    (lambda c: c["sets"][0]["amplified"].update(much={}), "sets.0.amplified: "),
    (lambda c: c["sets"][-1].update(id=c["sets"][0]["id"]), "sets: "),
    (lambda c: c["sets"][0]["controls"].update(distinct=1), "sets.0.controls.distinct: "),
    (
        lambda c: c["sets"][0]["controls"]["sets"][0].update(heads=c["sets"][0]["heads"]),
        "sets.0.controls.sets.0.heads: they hold a found head",
    ),
    (lambda c: c["sets"][0]["controls"]["sets"][0].update(accuracy=1.5), "sets.0.controls.sets.0: "),
    (lambda c: c["sets"][0]["controls"]["mean_loss"].pop(), "sets.0.controls.mean_loss: "),
    (lambda c: c["curves"].pop(), "curves: there has to be one of every task and order"),
    (lambda c: c["curves"][0]["runs"][0].pop(), "curves.0.runs: every run has to have 11 steps"),
    (lambda c: c["curves"][0].update(runs=[]), "curves.0.runs: every run has to have 11 steps"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGED, ids=[problem for _, problem in DAMAGED])
def test_damage_is_refused_by_field(damage: Callable[[Plain], object], problem: str, plain: Plain) -> None:
    damage(plain)
    with pytest.raises(InputError) as refused:
        from_json(plain)
    assert refused.value.problem.startswith(problem)
    assert refused.value.hint.startswith("Make the file again with `reportgen build`")


@pytest.mark.parametrize("content", [None, [], "text", 1, {}, {"schema": "reportgen/validation/3"}])
def test_what_is_no_validation_is_refused(content: Any) -> None:
    with pytest.raises(InputError):
        from_json(content)


def test_a_file_of_verdicts_alone_names_the_version_that_made_it() -> None:
    with pytest.raises(InputError) as refused:
        from_json({"schema": "reportgen/validation/1", "trials": []}, "old.json")
    assert str(refused.value) == (
        "old.json: schema: reportgen/validation/1 holds no raw outcomes that verdicts could be derived from. "
        "Install the version that made it, `pip install reportgen==0.1.0`, or make the report again."
    )


def test_no_outcome_however_large_is_more_than_numbers_can_hold(plain: Plain) -> None:
    n = len(plain["tasks"][0]["examples"])
    for answers in (plain["tasks"][0]["intact"], plain["tasks"][0]["floor"], plain["curves"][0]["runs"][0][0]):
        answers["log_probability"] = [-1e9 if i % 2 else 0.0 for i in range(n)]
    plain["tasks"][0]["floor"]["log_probability"] = [-1e9] * n
    plain["sets"][0]["mean"]["copy"]["log_probability"] = [-1e9 * (i % 3) / 2 for i in range(n)]
    json.dumps(to_json(raw := from_json(plain), derive(raw)), allow_nan=False)


def test_what_follows_from_scores_findings_and_study_is_held_against_them(
    ran: tuple[Case, Findings, RawValidation], plain: Plain
) -> None:
    case, findings, raw = ran
    methods = scored_by_hand(case.study, case.planted)
    blocks = next(iter(methods.values()))
    refuse_other_scores(raw, blocks, FILE)
    assert disagreements(raw, findings, methods, case.study) == []
    forged = replace(
        raw,
        margin=0.5,
        tasks=[replace(raw.tasks[0], chance=0.9, at_chance=True, examples=[f"x{i}" for i in range(16)])],
        curves=[replace(c, order="mine" if c.order == "activation_norm" else c.order) for c in raw.curves],
        sets=[replace(raw.sets[0], heads=raw.sets[0].heads[1:] or ["L0H0"], held_out=False), *raw.sets[2:]],
    )
    told = disagreements(forged, findings, methods, case.study)
    assert told[:2] == [
        "margin is 0.5, and should be 0.01",
        "curves: their orders are ['mine', 'random order', 'layer order'], and should be "
        "['activation_norm', 'random order', 'layer order']",
    ]
    assert [line for line in told if line.startswith("task copy: ")] == [
        f"task copy: chance is 0.9, and should be {raw.tasks[0].chance!r}",
        "task copy: whether it is at chance is not what the findings say",
        "task copy: its examples are not of the held-out half",
    ]
    assert f"set {raw.sets[0].id}: its kind, tasks or heads are not those that were found" in told
    assert f"set {raw.sets[1].id} is missing" in told
    with pytest.raises(InputError, match="tasks: they are not those of the scores"):
        refuse_other_scores(replace(raw, tasks=[replace(raw.tasks[0], name="other")]), blocks, FILE)
    with pytest.raises(InputError, match="layers: the heads are not those of the scores"):
        refuse_other_scores(replace(raw, layers={"L0": 12}), blocks, FILE)
