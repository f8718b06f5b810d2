"""Hand-written models: true heads are confirmed and planted false ones refuted, from the model's folder to the page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cases import Case, copying_case, induction_case, null_study, scored_by_hand, validated, verdict_on

from reportgen.analysis.analyze import analyze
from reportgen.core.findings import Findings
from reportgen.core.sentences import Prose
from reportgen.core.trials import TOP, Validation
from reportgen.validation.derive import derive
from reportgen.validation.validate import validate
from reportgen.validation.verdicts import bare, judged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Findings, Validation]:
    case = copying_case(tmp_path_factory.mktemp("copying"), 0, True)
    return case, *validated(case)


def test_the_copying_head_is_confirmed(copying: tuple[Case, Findings, Validation]) -> None:
    case, findings, validation = copying
    trial = verdict_on(case, validation)
    assert (trial.kind, trial.verdict, trial.reason) == ("anomaly", "confirmed", None)
    assert trial.intact is not None
    assert trial.knocked_out is not None
    assert trial.kept is not None
    assert trial.after_controls is not None
    assert (trial.intact.accuracy, trial.after_controls.accuracy) == (1, 1)
    assert trial.knocked_out.accuracy < 0.3
    assert trial.kept.accuracy == 1, "the head alone is enough"
    assert validation.best is not None
    assert validation.best.area.estimate > validation.rankings[-1].area.estimate
    named = next(f for f in judged(findings, validation, Prose()).findings if f.id == trial.id)
    assert named.verdict == "confirmed"
    assert " Confirmed: mean ablation of it lowers the answer's log-probability by " in named.sentence


def test_controls_touch_no_found_head_and_are_as_many_as_asked(copying: tuple[Case, Findings, Validation]) -> None:
    _, _, validation = copying
    found = {head for trial in validation.trials for head in trial.heads}
    assert validation.wanted == max(199, 20 * validation.tests)
    for trial in validation.trials:
        sets = [tuple(control.heads) for control in trial.controls]
        assert len(set(sets)) == len(sets) == min(trial.distinct, validation.wanted)
        assert not found & {head for each in sets for head in each}
        assert all(len(each) == trial.size for each in sets)


def test_only_held_out_examples_are_tried(copying: tuple[Case, Findings, Validation]) -> None:
    _, _, validation = copying
    assert [(t.examples, t.groups, t.reason) for t in validation.tasks] == [(16, 16, None)]


def test_a_planted_false_pair_is_refuted_and_a_true_one_confirmed(tmp_path: Path) -> None:
    for truth, verdict in ((True, "confirmed"), (False, "refuted")):
        (tmp_path / verdict).mkdir()
        case = induction_case(tmp_path / verdict, 1, truth)
        findings, validation = validated(case)
        trial = verdict_on(case, validation)
        assert (trial.kind, trial.verdict) == (TOP, verdict)
        told = next(f for f in judged(findings, validation, Prose()).findings if f.verdict and f.members == trial.heads)
        assert ("not necessary under this intervention" in told.sentence) is not truth


def test_noise_on_a_random_model_confirms_nothing(tmp_path: Path) -> None:
    study = null_study(tmp_path, 0)
    methods = scored_by_hand(study)
    validation = derive(validate(study, analyze(next(iter(methods.values()))[0]), methods))
    assert validation.problem is None
    assert [t.verdict for t in validation.trials if t.verdict == "confirmed"] == []


def test_verdicts_can_be_taken_off_again(copying: tuple[Case, Findings, Validation]) -> None:
    _, findings, validation = copying
    prose = Prose()
    assert bare(judged(findings, validation, prose), prose) == findings


def test_what_cannot_be_used_any_more_leaves_findings_unvalidated(
    copying: tuple[Case, Findings, Validation], tmp_path: Path
) -> None:
    case, findings, _ = copying
    assert case.study.model is not None
    methods = scored_by_hand(case.study, case.planted)
    gone = replace_model(case, str(tmp_path / "gone"))
    validation = derive(validate(gone.study, findings, methods))
    assert validation.problem is not None
    assert "gone" in validation.problem
    told = judged(findings, validation, Prose())
    assert {f.verdict for f in told.findings if f.kind == "anomaly"} == {"unvalidated"}
    assert [f for f in told.findings if f.kind == "causal_validation"] == []
    (name, (block,)), *_ = methods.items()
    others = {name: (replace(block, model=replace(block.model, weights_sha256="0" * 64)),)}
    assert validate(case.study, findings, others).problem == (
        "[model] path: the model's weights are not those that were scored. Score the study again."
    )


def replace_model(case: Case, path: str) -> Case:
    assert case.study.model is not None
    model = case.study.model.model_copy(update={"path": path})
    return replace(case, study=case.study.model_copy(update={"model": model}))


def test_a_budget_that_covers_nothing_is_named(copying: tuple[Case, Findings, Validation]) -> None:
    case, findings, _ = copying
    section = case.study.validation.model_copy(update={"budget": 0.01})
    poor = case.study.model_copy(update={"validation": section})
    assert validate(poor, findings, scored_by_hand(case.study, case.planted)).problem == (
        "[validation] budget = 0.01: the budget does not cover the curves and the table of all tasks and sets. "
        "Raise it."
    )


def test_sets_beyond_the_budget_are_undecided(copying: tuple[Case, Findings, Validation]) -> None:
    case, findings, whole = copying
    assert whole.cost is not None
    section = case.study.validation.model_copy(update={"budget": 3.0})
    limited = case.study.model_copy(update={"validation": section})
    validation = derive(validate(limited, findings, scored_by_hand(case.study, case.planted)))
    assert validation.cost is not None
    assert validation.cost.runs <= 3 * validation.cost.ablation
    assert "budget" in {trial.reason for trial in validation.trials}
    assert {trial.verdict for trial in validation.trials if trial.reason == "budget"} == {"undecided"}


def test_a_task_of_one_group_has_nothing_to_be_tried_on(
    copying: tuple[Case, Findings, Validation], tmp_path: Path
) -> None:
    case, findings, _ = copying
    rows = [json.loads(line) for line in Path(str(case.study.tasks.path)).read_text().splitlines()]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps({**row, "group": "one"}) + "\n" for row in rows))
    tied = case.study.model_copy(update={"tasks": case.study.tasks.model_copy(update={"path": path})})
    name = findings.by_kind("anomaly")[0].task
    assert validate(tied, findings, scored_by_hand(case.study, case.planted)).problem == (
        f"[tasks] path: task {name} has one group of rows, so that none is held out from what heads were found on. "
        "Give its rows more groups, or set [validation] enabled = false."
    )


def test_a_whole_layer_and_a_set_with_hardly_a_head_left_are_not_tested(
    copying: tuple[Case, Findings, Validation],
) -> None:
    case, findings, _ = copying
    layer = [f"L2H{head}" for head in range(12)]
    rest = [f"L{i}H{head}" for i in (0, 1, 3) for head in range(12)][:30]
    model = findings.by_kind("anomaly")[0]
    sets = [
        replace(model, id=f"anomaly/{n}", members=members, caveats=[], layers=None, heads=None, cells=None)
        for n, members in (("layer", layer), ("most", rest), ("one", ["L1H0"]))
    ]
    raw = validate(case.study, replace(findings, findings=sets), scored_by_hand(case.study, case.planted))
    validation = derive(raw)
    told = {trial.id: (trial.verdict, trial.reason, trial.p) for trial in validation.trials}
    assert told["anomaly/layer"] == ("undecided", "whole-layer", None)
    assert told["anomaly/one"] == ("undecided", "few-controls", None), "six heads at most touch no found set"
    one = validation.trial("anomaly/one")
    assert one is not None
    assert one.distinct < 20
