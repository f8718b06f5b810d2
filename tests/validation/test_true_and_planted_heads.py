"""Hand-written models: true heads are needed and planted false ones are not, from the model's folder to the page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import Case, copying_case, induction_case, null_study, scored_by_hand, validated, verdict_on
from tiny_models import WORDS
from transformers import AutoModelForCausalLM

from reportgen.analysis.analyze import analyze
from reportgen.core.findings import Findings
from reportgen.core.sentences import Prose
from reportgen.core.trials import TOP, Validation
from reportgen.scoring.run.cost import plan
from reportgen.scoring.score import score
from reportgen.validation.derive import derive
from reportgen.validation.plan import foreseen
from reportgen.validation.prepare import set_up
from reportgen.validation.sinks import on_first_token
from reportgen.validation.statistics import is_sink
from reportgen.validation.validate import validate
from reportgen.validation.verdicts import bare, judged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Findings, Validation]:
    case = copying_case(tmp_path_factory.mktemp("copying"), 0, True)
    return case, *validated(case)


def test_the_copying_head_is_needed_and_specific(copying: tuple[Case, Findings, Validation]) -> None:
    case, findings, validation = copying
    trial = verdict_on(case, validation)
    assert (trial.kind, trial.verdict, trial.reason, trial.specific) == ("anomaly", "necessary", None, True)
    assert [(each.name, each.votes) for each in trial.shown] == [("mean", True), ("zero", True), ("resample", True)]
    assert trial.after_controls is not None
    assert (trial.intact.accuracy, trial.after_controls.accuracy) == (1, 1)
    assert trial.knocked_out.accuracy < 0.3
    assert trial.kept.accuracy == 1, "the head alone is enough"
    assert trial.robustness is not None
    assert (trial.robustness.holds, trial.robustness.of) == (48, 48)
    assert validation.best is not None
    assert validation.best.area.estimate > validation.rankings[-1].area.estimate
    named = next(f for f in judged(findings, validation, Prose()).findings if f.id == trial.id)
    assert (named.verdict, named.specific, named.robustness) == ("necessary", True, trial.robustness)
    assert " Needed: on 16 held-out examples, knocking it out costs " in named.sentence


def test_a_task_first_heads_are_judged_by_the_one_that_does_the_task(
    copying: tuple[Case, Findings, Validation],
) -> None:
    case, _, validation = copying
    (top,) = (trial for trial in validation.trials if trial.kind == TOP)
    assert len(top.heads) == 2
    assert top.core == [str(case.planted[0])]
    assert top.rank is not None
    assert (top.verdict, top.specific, top.rank.rank, top.rank.of) == ("necessary", True, 1, 12)


def test_heads_are_compared_with_all_others_of_their_layers(copying: tuple[Case, Findings, Validation]) -> None:
    _, _, validation = copying
    assert (validation.wanted, validation.level) == (399, 0.025)
    assert {(trial.controls, trial.distinct) for trial in validation.trials} == {(11, 11)}
    assert len(validation.losses["copy"]["mean"]) == 48


def test_only_held_out_examples_are_tried(copying: tuple[Case, Findings, Validation]) -> None:
    _, _, validation = copying
    assert [(t.examples, t.groups, t.reason) for t in validation.tasks] == [(16, 16, None)]


def test_a_planted_false_pair_is_not_needed_and_a_true_one_is(tmp_path: Path) -> None:
    for truth, verdict in ((True, "necessary"), (False, "unnecessary")):
        (tmp_path / verdict).mkdir()
        case = induction_case(tmp_path / verdict, 1, truth)
        findings, validation = validated(case)
        trial = verdict_on(case, validation)
        assert (trial.kind, trial.verdict, trial.specific) == (TOP, verdict, truth)
        assert {*trial.core} == {*trial.heads}, "both of two heads that work one after the other"
        told = next(f for f in judged(findings, validation, Prose()).findings if f.verdict and f.members == trial.heads)
        assert ("other heads may stand in" in told.sentence) is not truth


def test_noise_on_a_random_model_finds_nothing_specific(tmp_path: Path) -> None:
    study = null_study(tmp_path, 0)
    methods = scored_by_hand(study)
    validation = derive(validate(study, analyze(next(iter(methods.values()))[0]), methods))
    assert validation.problem is None
    assert [t.heads for t in validation.trials if t.specific] == []


def test_rivals_that_the_model_reads_by_themselves_are_part_of_the_cost(tmp_path: Path) -> None:
    study = null_study(tmp_path, 0, also=[f"{WORDS[0]} {WORDS[1]}"])  # of two tokens: a text of its own
    foretold = plan(study)
    assert foretold.texts == {"t": 2 * foretold.examples["t"]}
    alone = replace(foretold, texts=foretold.examples)
    assert foreseen(foretold, study).smallest == pytest.approx(2 * foreseen(alone, study).smallest)
    methods, done = scored_by_hand(study), list[tuple[int, int]]()
    findings = analyze(next(iter(methods.values()))[0])
    section = study.validation.model_copy(update={"budget": 6})
    limited = study.model_copy(update={"validation": section})
    raw = validate(limited, findings, methods, progress=lambda name, at, total: done.append((at, total)))
    assert raw.problem is None
    assert [at for at, total in done].count(done[-1][1]) <= 2, "the bar is full at the end, told twice, and not before"
    assert done[-1][0] == done[-1][1]
    assert raw.first_token.keys() == {name for each in raw.sets for name in each.heads}


def test_the_share_of_attention_on_the_first_token_is_the_models_own(tmp_path: Path) -> None:
    study = null_study(tmp_path, 1)
    (blocks,) = score(study).values()
    setup = set_up(study, blocks)
    found = on_first_token(setup, [[3, 5]], ["L1H2", "L3H7"])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", attn_implementation="eager")
    looked = []
    for row in (3, 5):
        one = setup.tasks[0].encoded[row]
        with torch.no_grad():
            weights = model(torch.tensor([one.inputs]), output_attentions=True).attentions
        looked.append([float(weights[layer][0, head, one.positions[0], 0]) for layer, head in ((1, 2), (3, 7))])
    assert list(found) == ["L1H2", "L3H7"]
    assert list(found.values()) == pytest.approx(np.mean(looked, axis=0), abs=0.001)
    assert is_sink(["L1H2"], {"L1H2": 0.6}) is True
    assert is_sink(["L1H2", "L3H7"], {"L1H2": 0.6, "L3H7": 0.4}) is False, "half are not most"
    assert is_sink(["L1H2"], {}) is None


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
    assert {f.verdict for f in told.findings if f.kind == "anomaly"} == {"untested"}
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


def test_a_budget_that_covers_nothing_is_told_with_the_smallest_that_would_do(
    copying: tuple[Case, Findings, Validation],
) -> None:
    case, findings, _ = copying
    section = case.study.validation.model_copy(update={"budget": 0.01})
    poor, said = case.study.model_copy(update={"validation": section}), list[str]()
    raw = validate(poor, findings, scored_by_hand(case.study, case.planted), notify=said.append)
    words = re.fullmatch(
        r"\[validation\] budget = 0\.01: the budget covers no more than a part of the interventions, so that none was "
        r"made\. Raise it to at least (\d\.\d+), or set \[validation\] enabled = false\.",
        raw.problem or "",
    )
    assert words is not None, raw.problem
    assert said == [f"validation: no intervention was made. {raw.problem}"], "never silently"
    least = float(words[1])
    assert 1 < least < 5
    section = case.study.validation.model_copy(update={"budget": least})
    limited = case.study.model_copy(update={"validation": section})
    said.clear()
    done: list[tuple[int, int]] = []
    raw = validate(
        limited,
        findings,
        scored_by_hand(case.study, case.planted),
        notify=said.append,
        progress=lambda name, at, total: done.append((at, total)),
    )
    validation = derive(raw)
    assert validation.cost is not None
    assert validation.cost.runs <= least * validation.cost.ablation
    assert verdict_on(case, validation).verdict == "necessary", "need is told all the same"
    assert re.fullmatch(
        rf"validation: 2 sets, [01] of them against .* \(budget {least:g} ×, the smallest that would do {least:g} ×\), "
        r"(under 1|about \d+) (s|min)",
        said[0],
    ), said
    assert done[-1][0] == done[-1][1], "one unit, from the first to the last"
    assert done == sorted(done, key=lambda each: each[0])
    assert len(done) > 20, "it moves with every run"


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
