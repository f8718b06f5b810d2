"""validation.json keeps raw outcomes: what follows from them is derived anew, and what does not fit is refused."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import Case, copying_case, scored_by_hand, tried
from circuits import Circuit, any_of

from reportgen.core.findings import Findings
from reportgen.core.sentences import Prose
from reportgen.core.study_scores import Scores
from reportgen.core.trials import RawValidation
from reportgen.errors import InputError
from reportgen.validation.derive import derive
from reportgen.validation.recorded import (
    FILE,
    disagreements,
    folded_json,
    from_json,
    outcomes_in,
    recorded_differences,
    refuse_other_scores,
    to_json,
)
from reportgen.validation.verdicts import joined

Plain = dict[str, Any]
NONE = Findings({}, 0.1, 0, [], [])
NAME = "causal_validation/copy/1"


@pytest.fixture(scope="module")
def raw() -> RawValidation:
    """A head that does the task, found with a filler; and neutral text."""
    circuit = Circuit({"copy": any_of(["L1H1"], 1.0), "plain": lambda out, how: 0.0}, 3, groups=20, neutral="plain")
    return circuit.raw(circuit.found(["L1H1", "L1H2"]))


@pytest.fixture(scope="module")
def content(raw: RawValidation) -> Plain:
    """The file's content."""
    return to_json(joined(NONE, raw, Prose()))


@pytest.fixture
def plain(content: Plain) -> Plain:
    """The same, to be changed at will."""
    return copy.deepcopy(content)


def test_the_file_gives_all_outcomes_back_and_the_very_same_verdicts(raw: RawValidation, tmp_path: Path) -> None:
    trials, path = joined(NONE, raw, Prose()), tmp_path / FILE
    path.write_text(folded_json(to_json(trials)), encoding="utf-8")
    again = from_json(json.loads(path.read_text(encoding="utf-8")))
    assert again == raw
    assert derive(again) == derive(raw)
    assert recorded_differences(tmp_path, trials) == []
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["verdicts"][NAME] == {
        "verdict": "necessary",
        "specific": True,
        "robustness": {"holds": 48, "of": 48, "fails": []},
    }
    assert content["findings"][0]["id"] == NAME
    assert {f["kind"] for f in content["findings"]} == {"causal_validation"}


@pytest.mark.parametrize(
    "forge",
    [
        lambda plain: plain["verdicts"][NAME].update(verdict="unnecessary"),
        lambda plain: plain["verdicts"][NAME].update(specific=False),
        lambda plain: plain["verdicts"][NAME]["robustness"].update(holds=47),
        lambda plain: plain["verdicts"].pop(NAME),
        lambda plain: plain.pop("verdicts"),
        lambda plain: plain.update(verdicts=[NAME]),
        lambda plain: plain["verdicts"].update({NAME: ["unnecessary"]}),
    ],
)
def test_a_forged_verdict_changes_nothing_and_is_told(
    forge: Callable[[Plain], object], raw: RawValidation, plain: Plain, tmp_path: Path
) -> None:
    forge(plain)
    (tmp_path / FILE).write_text(folded_json(plain), encoding="utf-8")
    assert from_json(plain) == raw
    differences = recorded_differences(tmp_path, joined(NONE, raw, Prose()))
    assert any(line.startswith(f"verdicts.{NAME}: ") and "'necessary'" in line for line in differences), differences


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (lambda c: c["verdicts"].update({"cluster/none/1": {}}), ["verdicts.cluster/none/1"]),
        (lambda c: c["findings"][0].update(sentence="They carry it."), [f"findings.{NAME}"]),
        (lambda c: c["findings"].pop(0), [f"findings.{NAME}"]),
        (lambda c: c.update(alpha=str(c["alpha"])), ["it is not written as its own outcomes are"]),
    ],
)
def test_what_stands_there_and_does_not_follow_is_told(
    forge: Callable[[Plain], object], told: list[str], raw: RawValidation, plain: Plain, tmp_path: Path
) -> None:
    forge(plain)
    (tmp_path / FILE).write_text(folded_json(plain), encoding="utf-8")
    found = recorded_differences(tmp_path, joined(NONE, raw, Prose()))
    assert [line.partition(": ")[0] for line in found] == told


def changed(raw: RawValidation, plain: Plain, change: Callable[[Plain], object]) -> set[str]:
    """The fields of the derived validation that a changed outcome changes."""
    change(plain)
    before, after = derive(raw), derive(from_json(plain))
    return {name for name in vars(before) if getattr(before, name) != getattr(after, name)}


def test_one_changed_outcome_changes_what_hangs_on_it(raw: RawValidation, plain: Plain) -> None:
    def harmless(content: Plain) -> None:
        one, intact = content["sets"][0], content["tasks"][0]["intact"]
        one["mean"]["copy"] = one["zero"]["copy"] = copy.deepcopy(intact)
        one["resample"]["copy"] = [copy.deepcopy(intact)]

    def curve(content: Plain) -> None:
        content["curves"][0]["runs"][0][0]["log_probability"][3] -= 1

    def alone(content: Plain) -> None:
        content["singles"][0]["mean"]["copy"] = [2.0] * 20

    def floor(content: Plain) -> None:
        content["tasks"][0]["floor"]["log_probability"][0] -= 0.5

    assert changed(raw, copy.deepcopy(plain), lambda c: None) == set()
    assert changed(raw, copy.deepcopy(plain), floor) == {"tasks", "trials", "curves", "rankings", "best"}
    assert changed(raw, copy.deepcopy(plain), curve) == {"curves", "rankings", "best"}
    assert changed(raw, copy.deepcopy(plain), alone) >= {"losses", "overlooked"}
    harmless(plain)
    trial = derive(from_json(plain)).trials[0]
    assert (trial.verdict, trial.specific, trial.loss.estimate) == ("unnecessary", False, 0)


DAMAGED: list[tuple[Callable[[Plain], object], str]] = [
    (lambda c: c.update(alpha=float("nan")), "alpha: Input should be a finite number"),
    (lambda c: c.update(alpha=2), "alpha: 2 is no level of a test"),
    (lambda c: c.update(alpha=10**400), "alpha: "),
    (lambda c: c.update(controls=-1), "controls: -1 is no number"),
    (lambda c: c.update(positions="here"), "positions: 'here' is no choice of positions"),
    (lambda c: c.update(elsewhere="there"), "elsewhere: 'there' is no choice of positions"),
    (lambda c: c.update(trials=[]), "trials: Unexpected keyword argument"),
    (lambda c: c.update(cost=None), "cost: "),
    (lambda c: c["cost"].update(ablation=0), "cost: "),
    (lambda c: c.update(layers={}), "layers: there are none"),
    (lambda c: c["layers"].update(L0=10**30), "layers.L0: "),
    (lambda c: c.update(tasks=[]), "tasks: there are none"),
    (lambda c: c["tasks"].append(c["tasks"][0]), "tasks: 'copy' stands 2 times"),
    (lambda c: c["tasks"][0].update(neutral=True), "tasks: one alone is the control task"),
    (lambda c: c["tasks"][0].update(guess=0.5), "tasks.0.guess: 0.5 is the logarithm of no probability"),
    (lambda c: c["tasks"][0].update(discovery=1), "tasks.0.discovery: 1 is the logarithm of no probability"),
    (lambda c: c["tasks"][0]["groups"].pop(), "tasks.0.groups: 19 groups of 20 examples"),
    (lambda c: c["tasks"][0]["intact"].update(right="1"), "tasks.0.intact.right: "),
    (lambda c: c["tasks"][0]["intact"].update(right="2" * 20), "tasks.0.intact.right: "),
    (lambda c: c["tasks"][0]["floor"]["log_probability"].pop(), "tasks.0.floor.log_probability: 19 numbers for 20"),
    (lambda c: c["tasks"][0]["floor"]["log_probability"].__setitem__(0, 0.1), "tasks.0.floor.log_probability: 0.1 is"),
    (lambda c: c["tasks"][0]["floor"]["log_probability"].__setitem__(0, None), "tasks.0.floor.log_probability.0: "),
    (lambda c: c["sets"][0].update(heads=["L9H0"]), "sets.0.heads: 'L9H0' is no head of the model"),
    (lambda c: c["sets"][0].update(heads=["L1H12"]), "sets.0.heads: 'L1H12' is no head of the model"),
    (lambda c: c["sets"][0].update(heads=[]), "sets.0.heads: there are none"),
    (lambda c: c["sets"][0].update(kind="\x07"), "sets.0.kind: '\\x07' is no kind of set"),
    (lambda c: c["sets"][0].update(tasks=["none"]), "sets.0.tasks: they are none of the file's tasks"),
    (lambda c: c["sets"][0].update(mean={}), "sets.0.mean: it has to give the answers on 'copy'"),
    (lambda c: c["sets"][0]["zero"].pop("plain"), "sets.0.zero: it has to give the answers on 'copy', 'plain'"),
    (lambda c: c["sets"][0]["resample"].update(copy=[]), "sets.0.resample: it has to give as many draws"),
    (lambda c: c["sets"][0]["elsewhere"].pop("zero"), "sets.0.elsewhere: it has to give mean, resample, zero"),
    (lambda c: c["sets"][0].update(core=["L1H2"]), "sets.0.core: L1H1 follow from the subsets"),
    (lambda c: c["sets"][0].update(tried=[]), "sets.0.tried: the loss without"),
    (lambda c: c["sets"][0]["tried"][0].update(heads=["L0H0"]), "sets.0.tried.0: these are none"),
    (lambda c: c["sets"].append(c["sets"][0]), "sets: "),
    (lambda c: c["sets"][0]["controls"].update(distinct=1), "sets.0.controls.distinct: "),
    (
        lambda c: c["sets"][0]["controls"]["sets"][0].update(heads=["L1H1"]),
        "sets.0.controls.sets.0.heads: they hold a head of the core",
    ),
    (
        lambda c: c["sets"][0]["controls"]["sets"][0].update(heads=["L2H1"]),
        "sets.0.controls.sets.0.heads: they are not as many of each layer",
    ),
    (lambda c: c["sets"][0]["controls"]["sets"][0].update(accuracy=1.5), "sets.0.controls.sets.0.accuracy: "),
    (lambda c: c["sets"][0]["controls"]["sets"][0]["losses"].pop(), "sets.0.controls.sets.0.losses: 19 numbers"),
    (lambda c: c["singles"][0].update(head="L9H9"), "singles.0.head: 'L9H9' is no head of the model"),
    (lambda c: c["singles"][1].update(head=c["singles"][0]["head"]), "singles: "),
    (lambda c: c["singles"][0]["mean"].pop("copy"), "singles.0: it has to give the losses on every task"),
    (lambda c: c["singles"][0]["mean"]["copy"].pop(), "singles.0.mean.copy: 19 numbers for 20"),
    (lambda c: c["curves"].pop(), "curves: there has to be one of every task and order"),
    (lambda c: c["curves"][0]["runs"][0].pop(), "curves.0.runs: every run has to have 10 steps"),
    (lambda c: c["curves"][0].update(runs=[]), "curves.0.runs: every run has to have 10 steps"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGED, ids=[problem for _, problem in DAMAGED])
def test_damage_is_refused_by_field(damage: Callable[[Plain], object], problem: str, plain: Plain) -> None:
    damage(plain)
    with pytest.raises(InputError) as refused:
        from_json(plain)
    assert refused.value.problem.startswith(problem)
    assert refused.value.hint.startswith("Make the file again with `reportgen build`")


@pytest.mark.parametrize("content", [None, [], "text", 1, {}, {"schema": "reportgen/validation/4"}])
def test_what_is_no_validation_is_refused(content: Any) -> None:
    with pytest.raises(InputError):
        from_json(content)


def test_files_of_earlier_rules_name_the_way_out() -> None:
    for schema, problem in (
        ("reportgen/validation/1", "holds no raw outcomes that verdicts could be derived from"),
        ("reportgen/validation/2", "holds control sets of other layers, and no outcomes of resample ablation"),
    ):
        with pytest.raises(InputError) as refused:
            from_json({"schema": schema, "trials": []}, "old.json")
        hint = "Make it again with `reportgen validate`, or read it with the version that made it"
        assert str(refused.value) == f"old.json: schema: {schema} {problem}. {hint}."


def test_no_outcome_however_large_is_more_than_numbers_can_hold(plain: Plain) -> None:
    n = len(plain["tasks"][0]["examples"])
    for answers in (plain["tasks"][0]["intact"], plain["tasks"][0]["floor"], plain["curves"][0]["runs"][0][0]):
        answers["log_probability"] = [-1e9 if i % 2 else 0.0 for i in range(n)]
    plain["tasks"][0]["floor"]["log_probability"] = [-1e9] * n
    plain["sets"][0]["mean"]["copy"]["log_probability"] = [-1e9 * (i % 3) / 2 for i in range(n)]
    json.dumps(to_json(joined(NONE, from_json(plain), Prose())), allow_nan=False)


@pytest.mark.slow
def test_what_follows_from_scores_findings_and_study_is_held_against_them(tmp_path: Path) -> None:
    case: Case = copying_case(tmp_path, 0, True)
    findings, raw = tried(case)
    methods = scored_by_hand(case.study, case.planted)
    blocks = next(iter(methods.values()))
    refuse_other_scores(raw, blocks, FILE)
    assert disagreements(raw, findings, methods, case.study) == []
    known = replace(findings, source=Scores(case.study, methods))
    (tmp_path / FILE).write_text(folded_json(to_json(joined(known, raw, Prose()))), encoding="utf-8")
    assert outcomes_in(tmp_path, known) == raw
    assert outcomes_in(tmp_path, replace(known, findings=[])) is None, "they are of other findings"
    forged = replace(
        raw,
        controls=7,
        tasks=[replace(raw.tasks[0], chance=0.9, at_chance=True, neutral=True, examples=[f"x{i}" for i in range(16)])],
        curves=[replace(c, order="mine" if c.order == "activation_norm" else c.order) for c in raw.curves],
        sets=[replace(raw.sets[0], heads=raw.sets[0].heads[1:] or ["L0H0"], held_out=False), *raw.sets[2:]],
    )
    told = disagreements(forged, findings, methods, case.study)
    assert told[:2] == [
        "controls is 7, and should be 399",
        "curves: their orders are ['mine', 'random order', 'layer order'], and should be "
        "['activation_norm', 'random order', 'layer order']",
    ]
    assert [line for line in told if line.startswith("task copy: ")] == [
        f"task copy: chance is 0.9, and should be {raw.tasks[0].chance!r}",
        "task copy: whether it is the control task is not what the study says",
        "task copy: whether it is at chance is not what the findings say",
        "task copy: its examples are not of the held-out half",
    ]
    assert f"set {raw.sets[0].id}: its kind, tasks or heads are not those that were found" in told
    assert f"set {raw.sets[1].id} is missing" in told
    with pytest.raises(InputError, match="tasks: they are not those of the scores"):
        refuse_other_scores(replace(raw, tasks=[replace(raw.tasks[0], name="other")]), blocks, FILE)
    with pytest.raises(InputError, match="layers: the heads are not those of the scores"):
        refuse_other_scores(replace(raw, layers={"L0": 12}), blocks, FILE)
