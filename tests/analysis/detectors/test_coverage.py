"""Coverage: what scores can tell where some heads have none, where they are ranks, or where all are equal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reportgen.analysis.analyze import analyze
from reportgen.core.config import ScoresSection
from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores, Method
from reportgen.core.sentences import Prose
from reportgen.importers import load_scores
from reportgen.summary.summarize import summarize
from reportgen.validation.verdicts import joined

RNG = np.random.default_rng(0)
WHOLE = RNG.lognormal(size=(1, 6, 8)).astype(np.float32)
SAYS = ("coverage", "top_heads", "competence", "out_of_range")  # all that may be said of some heads


def partial(rest: str = "unknown") -> HeadScores:
    """Scores of the twelve largest heads of 48."""
    unscored = np.argsort(np.argsort(-WHOLE[0], axis=None)).reshape(6, 8) >= 12
    values = np.where(unscored, np.nan, WHOLE)
    return replace(HeadScores.from_array(WHOLE, ["A"]), importance=values, unscored=unscored, rest=rest)


def headlines(findings: Findings) -> list[tuple[str, str]]:
    return [(c.headline, c.body) for c in summarize(joined(findings, None, Prose())).claims]


@pytest.mark.parametrize(
    ("rest", "said"), [("unknown", "nothing is known of the others"), ("below", "the others rank below them")]
)
def test_of_heads_that_were_not_scored_nothing_is_said(rest: str, said: str) -> None:
    found = analyze(partial(rest))
    assert {f.kind for f in found.findings} <= {*SAYS}
    (coverage,) = (f for f in found.findings if f.kind == "coverage")
    assert coverage.sentence.startswith(f"A: 12 of 48 heads were scored; {said}. The first are L")
    first = np.unravel_index(int(WHOLE[0].argmax()), (6, 8))
    assert coverage.members is not None
    assert coverage.members[0] == f"L{first[0]}H{first[1]}"
    headline, body = headlines(found)[0]
    assert headline == "12 of 48 heads were scored"
    assert body.endswith("nothing is said of layers or regions.")


def test_of_ranks_no_size_is_said(tmp_path: Path) -> None:
    path = tmp_path / "ranks.csv"
    path.write_text("layer,head,rank\n" + "".join(f"{i},{j},{4 * i + j + 1}\n" for i in range(3) for j in range(4)))
    scores = load_scores(path, ScoresSection(path=path))
    assert scores.method.ordinal
    assert scores.unscored is None
    found = analyze(scores)
    assert {f.kind for f in found.findings} <= {"coverage", "competence"}
    assert found.findings[0].sentence == (
        "ranks: the scores are ranks: how far heads lie apart they do not say. The first are L0H0, L0H1, L0H2, L0H3 "
        "and L1H0."
    )


@pytest.mark.parametrize(("value", "shown"), [(0.25, "0.25"), (0.0, "0"), (-3.5, "−3.5")])
def test_of_equal_scores_that_alone_is_said(value: float, shown: str) -> None:
    found = analyze(HeadScores.from_array(np.full((2, 3, 4), value, dtype=np.float32), ["A", "B"]))
    assert {f.kind for f in found.findings} <= {"coverage", "competence"}
    assert found.findings[0].sentence.startswith("A")
    assert found.findings[0].sentence.endswith(f": all 12 heads have the same score, {shown}.")
    assert headlines(found)[0][0] == "All heads have the same score on both tasks"


def test_a_whole_map_of_scores_needs_no_such_finding() -> None:
    assert "coverage" not in {f.kind for f in analyze(HeadScores.from_array(WHOLE, ["A"])).findings}
    ranks = replace(HeadScores.from_array(WHOLE, ["A"]), method=Method("m", ordinal=True))
    assert "coverage" in {f.kind for f in analyze(ranks).findings}


def test_digits_follow_the_spread() -> None:
    close = HeadScores.from_array((0.999 + WHOLE * 1e-6).astype(np.float32), ["A"])
    told = {f.kind: f.sentence for f in analyze(close).findings}
    shown = [part.split()[1] for part in told["top_heads"].split(" are ")[1].rstrip(".").split("; ")]
    assert len(set(shown)) == len(shown) == 5
    assert "1.0 ×" not in told["strongest_layers"]
    assert not any("leads" in headline for headline, _ in headlines(analyze(close)))
