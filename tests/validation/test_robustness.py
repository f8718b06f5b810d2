"""Findings whose heads were not knocked out say in how many ways of reading the scores these stand out."""

from dataclasses import replace

import numpy as np
import pytest

from reportgen.core.findings import Finding, Findings
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, split_halves
from reportgen.core.sentences import Prose
from reportgen.core.study_scores import Scores
from reportgen.validation.robustness import of_scores
from reportgen.validation.verdicts import bare, joined


def scores(signed: bool = False, only_first_half: bool = False) -> HeadScores:
    """A map of noise with a strip of strong heads, in all examples or in the discovery half alone."""
    rng, n = np.random.default_rng(0), 40
    names = [f"e{i}" for i in range(n)]
    discovery = split_halves(names, 0)
    values = rng.lognormal(0, 0.3, (n, 4, 8))
    strong = discovery if only_first_half else np.ones(n, dtype=bool)
    values[strong, 1, 2:6] *= 4
    if signed:
        for half in (discovery, ~discovery):  # of either half every other example has them the other way round
            values[np.flatnonzero(half)[::2], 1, 2:6] *= -1
    values = values.astype(np.float32)
    examples = Examples(values, tuple(names), tuple(names), discovery)
    importance = np.abs(values).mean(axis=0)[None]
    method = Method("m", "log-odds", signed=signed)
    return HeadScores(importance, (Task("t", n=n),), method, Model("x"), (examples,), "mean_abs" if signed else "mean")


STRIP = Finding("row_segment/t/1", "row_segment", "m", "observed", 0.5, rule="r", task="t", layers=(1, 1), heads=(2, 5))


@pytest.mark.parametrize(
    ("made", "holds", "fails"),
    [
        (scores(), 8, ()),
        (scores(only_first_half=True), 4, ("second half",)),
        (scores(signed=True), 4, ("size of the mean",)),  # their sizes stand out, and their means do not
    ],
)
def test_a_strip_stands_out_wherever_it_is(made: HeadScores, holds: int, fails: tuple[str, ...]) -> None:
    found = of_scores(STRIP, (made,))
    assert found is not None
    assert found.of == 8
    assert abs(found.holds - holds) <= 1, found
    assert found.fails == fails


def test_what_names_no_heads_or_has_no_examples_says_nothing() -> None:
    made = scores()
    assert of_scores(replace(STRIP, heads=None), (made,)) is None
    assert of_scores(replace(STRIP, heads=None), (replace(made, block="enc"),)) is None, "of all blocks together"
    assert of_scores(STRIP, (replace(made, examples=(None,)),)) is None
    assert of_scores(replace(STRIP, kind="absence"), (made,)) is None


def test_it_is_joined_and_taken_off_again() -> None:
    strip = replace(STRIP, kind="specialist", members=["L1H2", "L1H3"], layers=None, heads=None)
    prose = Prose()
    strip = replace(strip, sentence=prose.sentence(strip))
    findings = Findings({}, 0.1, 0, [], [strip], source=Scores.of(scores()))
    trials = joined(findings, None, prose)
    (found,) = trials.findings.findings
    assert found.verdict is None
    assert found.sentence.endswith("The heads stand out in 8 of 8 ways of reading the scores.")
    assert bare(trials.findings, prose) == findings
