"""Findings whose heads were not knocked out say in how many ways of reading the scores these stand out."""

from dataclasses import replace

import numpy as np
import pytest

from reportgen.core.findings import Effect, Finding, Findings, Robustness
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


def two_tasks(turned: bool) -> HeadScores:
    """Importance falls with depth on one task and rises on the other; where ``turned``, on one half of its examples."""
    rng, names = np.random.default_rng(1), [f"e{i}" for i in range(40)]
    discovery, slope = split_halves(names, 0), np.linspace(1, 3, 8)[:, None]
    each = []
    for shape in (slope[::-1], slope):
        values = rng.lognormal(0, 0.2, (40, 8, 6)) * shape
        values[~discovery] = rng.lognormal(0, 0.2, (20, 8, 6)) * (shape[::-1] if turned else shape)
        each.append(Examples(values.astype(np.float32), tuple(names), tuple(names), discovery))
    importance = np.stack([e.values.mean(axis=0) for e in each])
    return HeadScores(importance, (Task("t", n=40), Task("u", n=40)), Method("m"), Model("x"), tuple(each), "mean")


ON_LAYERS = [
    Finding("", "layer_gradient", "m", "observed", 0.5, rule="r", task="t", layers=(0, 7), effect=Effect("tau", -0.9)),
    Finding("", "depth", "m", "observed", 0.5, rule="r", tasks=["t", "u"], effect=Effect("layers", 1.6)),
    Finding(
        "", "depth", "m", "observed", 0.5, rule="r", tasks=["u", "t"], effect=Effect("layers", 1.6), data={"members": 1}
    ),
    Finding(
        "",
        "layer_band_contrast",
        "m",
        "observed",
        0.5,
        rule="r",
        tasks=["u", "t"],
        layers=(4, 7),
        effect=Effect("points", 20.0),
        data={"members": 1},
    ),
]


@pytest.mark.parametrize("finding", ON_LAYERS, ids=["gradient", "order", "groups", "band"])
def test_a_finding_on_layers_keeps_its_sign_and_half_its_effect_or_names_the_half_that_does_not(
    finding: Finding,
) -> None:
    assert of_scores(finding, (two_tasks(turned=False),)) == Robustness(8, 8)
    turned = of_scores(finding, (two_tasks(turned=True),))
    assert turned is not None
    assert turned.holds <= 4
    wrong = replace(finding, effect=replace(finding.effect, estimate=-finding.effect.estimate))  # type: ignore[union-attr,type-var]
    found = of_scores(wrong, (two_tasks(turned=False),))
    assert found is not None
    assert found.holds == 0, "the sign is that of the finding"


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
