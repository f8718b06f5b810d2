"""Inputs on which an analysis is easily wrong: zeros, ties, absent layers, signs, shared keys, few examples."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import ablated, grouped, named, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.scores import HeadScores, Method, Task
from reportgen.core.stats import mean_intervals, wilson


def test_a_task_of_zeros_is_described_without_a_word_too_many() -> None:
    tensor = noise(0, (3, 12, 12))
    tensor[1] = 0
    findings = analyze(named(tensor))
    assert {f.kind for f in findings.findings if f.task == "Task 1"} <= {"competence"}


@pytest.mark.parametrize("n", [4, 12, 50])
def test_intervals_cover(n: int) -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(1, 0.3, size=(n, 2000))
    low, high = mean_intervals(values, [str(i) for i in range(n)])
    if n < 8:
        assert np.isnan(low).all()
    else:
        assert 0.93 <= ((low < 1) & (high > 1)).mean() <= 0.97


def test_wilson_reaches_the_ends() -> None:
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0


def test_example_free_and_example_rich_tasks_go_together() -> None:
    rich = with_examples(noise(8, (1, 8, 8)))
    mixed = HeadScores(
        np.concatenate([rich.importance, noise(9, (1, 8, 8)).astype(np.float32)]),
        (rich.tasks[0], Task("plain")),
        Method("m"),
        examples=(rich.examples[0], None),
    )
    assert {f.task for f in analyze(mixed).findings if f.kind == "concentration"} == {"Task 0", "plain"}


def test_skewed_scores_get_intervals_that_cover() -> None:
    rng = np.random.default_rng(8)
    values = rng.lognormal(0, 0.6, size=(50, 3000))
    low, high = mean_intervals(values, [str(i) for i in range(50)])
    truth = np.exp(0.18)
    assert 0.93 <= ((low < truth) & (high > truth)).mean() <= 0.97


def test_values_that_do_not_vary_have_intervals_of_no_width() -> None:
    low, high = mean_intervals(np.ones((30, 2)), [str(i) for i in range(30)])
    assert (low == high).all()


def test_sentences_on_negative_scores_keep_their_signs() -> None:
    tensor = noise(5, (2, 12, 12))
    tensor[0, 2, 2] = -60
    heads = [f for f in analyze(named(tensor)).findings if f.kind == "anomaly" and f.members == ["L2H2"]]
    assert heads
    assert all(f.sentence.startswith("Task 0, by size: L2H2 (−60.0") for f in heads)
    positive = analyze(named(np.abs(tensor))).findings
    assert not [f for f in positive if "by size" in f.sentence or "absolute" in f.caveats]


@pytest.mark.parametrize("examples", [False, True], ids=["means", "examples"])
def test_a_head_that_works_against_a_task_is_negative_wherever_it_is_printed(examples: bool) -> None:
    """Tested and observed, with its interval, and as the next of another."""
    rng = np.random.default_rng(0)
    maps = rng.lognormal(0, 0.3, (3, 16, 16))
    maps[:, 3, 4], maps[:, 9, 1] = -50.0, -20.0
    effects = maps[:, None] + 0.3 * rng.normal(size=(3, 40, 16, 16))
    scores = replace(ablated(effects), importance=effects.mean(axis=1), reduction="mean") if examples else named(maps)
    told = [f for f in analyze(scores).findings if f.members and f.members[0] in ("L3H4", "L9H1") and f.value]
    assert {"anomaly", "top_heads"} <= {f.kind for f in told}
    for finding in told:
        assert finding.value is not None
        assert finding.value.estimate < 0, finding.sentence
        assert f"{finding.members[0]} (−" in finding.sentence or f"{finding.members[0]} −" in finding.sentence  # type: ignore[index]
        if finding.value.low is not None and finding.value.high is not None:
            assert finding.value.low <= finding.value.estimate <= finding.value.high


ABSENT = {
    "most": [1, 2, 4, 5, 7, 8, 10, 11],
    "the last": [5, 6, 7, 8, 9, 10, 11],
    "the first": [0, 1, 2, 3],
    "all but one": [*range(11)],
}


@pytest.mark.parametrize("absent", ABSENT.values(), ids=ABSENT)
@pytest.mark.parametrize("examples", [False, True], ids=["means", "examples"])
def test_no_range_begins_or_ends_where_there_are_no_heads(absent: list[int], examples: bool) -> None:
    tensor = noise(len(absent), (6, 12, 24)) * np.exp(-np.arange(12) / 3)[None, :, None]
    tensor[:, 4, 3:9] *= 6
    tensor[0, 9, 2] *= 40
    tensor[:, absent] = np.nan
    scores = grouped(with_examples(tensor, 24) if examples else named(tensor), first=["Task 0", "Task 1", "Task 2"])
    there = set(range(12)) - set(absent)
    findings = analyze(scores, Settings(permutations=300)).findings
    assert {f.kind for f in findings} >= {"top_heads", "concentration"}
    for finding in findings:
        named_layers = [m for m in finding.members or [] if isinstance(m, int)]
        told = (finding.data or {}).get("range") or []
        cells = [layer for layer, _ in finding.cells or []]
        assert {*(finding.layers or ()), *named_layers, *told, *cells} <= there, finding.sentence
        assert "nan" not in finding.sentence, finding.sentence


def test_what_is_the_largest_of_all_is_not_said_to_be_so_of_some_layers() -> None:
    tensor = noise(1, (1, 16, 16)).clip(0.3, 2.0)
    tensor[0, 3, 4], tensor[0, 15, 2] = 9.0, 8.0
    largest = [f for f in analyze(named(tensor)).findings if f.kind == "anomaly" and f.members == ["L3H4"]]
    assert [f.sentence for f in largest if not f.test] == [
        "Task 0: L3H4 (9.00) is the largest head of all layers, 1.12 × the next (8.00)."
    ] or all(f.test for f in largest)
    assert not any("largest head in layers" in f.sentence for f in largest)
