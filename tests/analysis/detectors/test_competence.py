"""Competence: whether the model, or a probe, does the task."""

import numpy as np
from made_maps import kinds, named, only, probed, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.core.scores import Examples, HeadScores, Method, Task, split_halves


def test_competence() -> None:
    tensor = np.ones((2, 4, 4))
    good = with_examples(tensor, n=100, accuracy=0.97, chance=0.25)
    poor = with_examples(tensor, n=100, accuracy=0.27, chance=0.25)
    unknown = named(tensor)
    assert [f.register for f in kinds(analyze(good), "competence")] == ["tested", "tested"]
    findings = kinds(analyze(poor), "competence")
    assert [(f.register, f.caveats) for f in findings] == [("observed", ["at-chance"])] * 2
    assert "not" in findings[0].sentence
    assert "is not known" in kinds(analyze(unknown), "competence")[0].sentence


def test_a_probe_is_told_beside_the_best_simpler_separation() -> None:
    (finding,) = kinds(analyze(probed()), "competence")
    assert finding.sentence == (
        "The probe tells the 2 tasks apart on 91.0 % of 200 rows, each read by a probe that had seen none of its "
        "group; the best simpler separation of the same rows, by bag of words, on 90.0 % (difference 1.00 percentage "
        "points, standard error 1.10), and always naming the commonest task on 50.0 %."
    )
    assert (finding.register, finding.caveats) == ("observed", ["simpler-separation"])
    assert kinds(analyze(probed(error=0.004)), "competence")[0].caveats == []


def test_groups_count_once_in_competence() -> None:
    n, groups = 200, tuple(str(i // 20) for i in range(200))
    values = np.abs(np.random.default_rng(5).normal(size=(n, 2, 2))).astype(np.float32)
    examples = Examples(values, tuple(map(str, range(n))), groups, split_halves(groups, 0))
    task = Task("a", n=n, accuracy=0.7, chance=0.5)
    scores = HeadScores(values.mean(0)[None], (task,), Method("m"), examples=(examples,))
    found = kinds(analyze(scores), "competence")[0]
    assert found.register == "observed"  # 7 of 10 groups is no evidence, 140 of 200 rows would be
    assert "over 10 groups" in found.sentence


def test_the_share_among_all_words_is_printed_beside_that_among_choices() -> None:
    task = Task("a", n=40, accuracy=1.0, chance=0.5, argmax=0.075)
    scores = HeadScores(np.ones((1, 4, 4)), (task,), Method("m"))
    (finding,) = kinds(analyze(scores), "competence")
    assert finding.sentence.startswith(
        "a: the model does better than chance: 40 of 40 answers right (100 %, 95 % interval 91.2–100 %; chance 50.0 %; "
        "the most probable of all words in 7.5 %)"
    )
    assert finding.data is not None
    assert finding.data["argmax"] == 7.5
    plain = kinds(
        analyze(HeadScores(np.ones((1, 4, 4)), (Task("a", n=9, accuracy=1.0, chance=0.5),), Method("m"))), "competence"
    )
    assert "argmax" not in (plain[0].data or {})


def test_the_control_task_is_not_judged() -> None:
    poor = with_examples(np.ones((2, 4, 4)), n=100, accuracy=0.27, chance=0.25)
    assert [f.task for f in only(poor, "competence", control=poor.task_names[1])] == [poor.task_names[0]]
    alone = with_examples(np.ones((1, 4, 4)), n=100, accuracy=0.27, chance=0.25)
    assert only(alone, "competence", control=alone.task_names[0]) == []
    (unknown,) = only(named(np.ones((2, 4, 4))), "competence", control=poor.task_names[1])
    assert unknown.tasks == [poor.task_names[0]]
