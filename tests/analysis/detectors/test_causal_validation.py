"""What knocking heads out showed: findings that interventions make, and no search of the scores."""

from dataclasses import replace

from made_maps import kinds, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.sentences import Prose
from reportgen.core.trials import TOP, Interval, Outcome, Trial, Validation
from reportgen.validation.verdicts import bare, judged

TRIAL = Trial(
    "top/task-0",
    TOP,
    ["Task 0"],
    ["L1H2", "L1H3"],
    "confirmed",
    None,
    57,
    43,
    margin=0.04,
    intact=Outcome(0.93, -0.2),
    knocked_out=Outcome(0.41, -1.5),
    loss=Interval(1.31, 1.1, 1.5),
    excess=Interval(1.23, 0.87, 1.64),
    after_controls=Outcome(0.89, -0.3),
    p=0.004,
    q=0.0123,
)


def test_the_trial_of_a_tasks_first_heads_is_a_finding_and_without_it_there_is_none() -> None:
    findings = analyze(named(noise(0, (2, 8, 8))), Settings(permutations=999))
    assert not kinds(findings, "causal_validation")
    tried = judged(findings, Validation("", {}, tests=1, trials=[TRIAL]), Prose())
    (found,) = kinds(tried, "causal_validation")
    assert (found.register, found.verdict, found.task, found.members) == (
        "tested",
        "confirmed",
        "Task 0",
        ["L1H2", "L1H3"],
    )
    assert found.effect is not None
    assert (found.effect.estimate, found.effect.low, found.effect.high) == (1.23, 0.87, 1.64)
    assert "Confirmed: mean ablation of them lowers the answer's log-probability by 1.31" in found.sentence
    assert bare(tried, Prose()) == findings


def test_a_trial_that_could_not_be_run_has_no_test() -> None:
    findings = analyze(named(noise(0, (2, 8, 8))), Settings(permutations=999))
    trial = replace(TRIAL, verdict="undecided", reason="budget", loss=None, excess=None, p=None, q=None)
    (found,) = kinds(judged(findings, Validation("", {}, tests=1, trials=[trial]), Prose()), "causal_validation")
    assert (found.register, found.verdict, found.test, found.effect) == ("observed", "undecided", None, None)
