"""What knocking heads out showed: findings that interventions make, and no search of the scores."""

from dataclasses import replace

from made_maps import kinds, named, noise
from made_trials import trial

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.sentences import Prose
from reportgen.core.trials import TaskTrial, Trial, Validation
from reportgen.validation.verdicts import bare, judged

TRIAL = trial(id="top/task-0", tasks=["Task 0"])


def made(*trials: Trial) -> Validation:
    """What follows of a single task's trials."""
    task = TaskTrial("Task 0", 57, 43, TRIAL.intact, TRIAL.floor, 0.1, 2.0, 0.1, None)
    return Validation("", {}, tests=1, tasks=[task], trials=[*trials])


def test_the_trial_of_a_tasks_first_heads_is_a_finding_and_without_it_there_is_none() -> None:
    findings = analyze(named(noise(0, (2, 8, 8))), Settings(permutations=999))
    assert not kinds(findings, "causal_validation")
    tried = judged(findings, made(TRIAL), Prose())
    (found,) = kinds(tried, "causal_validation")
    assert (found.register, found.verdict, found.task, found.members) == (
        "tested",
        "necessary",
        "Task 0",
        ["L1H2", "L1H3"],
    )
    assert found.effect is not None
    assert (found.effect.estimate, found.effect.low, found.effect.high) == (1.23, 0.87, 1.64)
    assert "Needed: on 57 held-out examples, knocking them out costs 1.31" in found.sentence
    assert bare(tried, Prose()) == findings


def test_a_trial_that_could_not_be_run_has_no_test() -> None:
    findings = analyze(named(noise(0, (2, 8, 8))), Settings(permutations=999))
    untold = replace(TRIAL, verdict="undecided", reason="few-groups", excess=None, p=None, q=None, rank=None)
    (found,) = kinds(judged(findings, made(untold), Prose()), "causal_validation")
    assert (found.register, found.verdict, found.test, found.effect) == ("observed", "undecided", None, None)
