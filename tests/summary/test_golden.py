"""Claims that were read and approved, and are kept as files: what the cases' claims must go on saying.

``PYTHONPATH=tests/analysis python tests/summary/test_golden.py`` writes the files anew; read each before it is kept.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_maps import grouped, named, noise, with_examples

import reportgen
from reportgen.core.claims import Claims, to_json
from reportgen.core.scores import HeadScores

GOLDEN, ROOT = Path(__file__).parent / "golden", Path(__file__).parents[2]
LONG = [f"mmlu_{level}_{name}" for level in ("high_school", "college") for name in "abcdefghijkl"]


def claims_of(scores: HeadScores | Path) -> Claims:
    given = reportgen.score(scores) if isinstance(scores, Path) else scores
    return reportgen.summarize(reportgen.validate(reportgen.analyze(given)))


def figure() -> Claims:
    """The layout of the published figure."""
    return claims_of(ROOT / "sample_data" / "figure" / "study.toml")


def one_task() -> Claims:
    """One task of the figure's."""
    scores = reportgen.load_scores(ROOT / "sample_data" / "figure" / "scores.csv")
    return claims_of(HeadScores.from_array(scores.importance[3:4], [scores.task_names[3]]))


def many_tasks() -> Claims:
    """24 tasks of long names, of which 17 hold a block."""
    tensor = noise(1, (24, 24, 24))
    tensor[:17, 6:12, 4:10] *= 7
    return claims_of(HeadScores.from_array(tensor, LONG))


def with_halves() -> Claims:
    """Four tasks with examples, one head that leads them all, and a layer that matters to none."""
    tensor = noise(7, (4, 16, 8))
    tensor[:, 3, 5] *= 12
    tensor[:, 9] *= 0.2
    scores = with_examples(tensor, n=60, accuracy=0.9, chance=0.25)
    return claims_of(grouped(scores, basic=["Task 0", "Task 1"], complex=["Task 2", "Task 3"]))


def at_chance() -> Claims:
    """A model that guesses."""
    return claims_of(with_examples(noise(2, (3, 8, 8)), n=60, accuracy=0.25, chance=0.25))


def pure_noise() -> Claims:
    """Heads that are all alike."""
    return claims_of(named(noise(21, (8, 32, 32))))


CASES: dict[str, Callable[[], Claims]] = {
    case.__name__: case for case in (figure, one_task, many_tasks, with_halves, at_chance, pure_noise)
}


def kept(claims: Claims) -> dict[str, object]:
    plain = to_json(claims)
    fields = ("id", "headline", "body", "register", "verdict", "exceptions")
    plain["claims"] = [{k: c[k] for k in fields} for c in plain["claims"]]  # type: ignore[attr-defined]
    plain["interpretation"] = [r.text for r in claims.interpretation]
    plain["searches"] = claims.searches.text if claims.searches else None
    return plain


@pytest.mark.parametrize("case", CASES)
def test_claims_say_what_was_read_and_approved(case: str) -> None:
    assert kept(CASES[case]()) == json.loads((GOLDEN / f"{case}.json").read_text())


def test_pure_noise_is_one_claim() -> None:
    (claim,) = json.loads((GOLDEN / "pure_noise.json").read_text())["claims"]
    assert claim["headline"] == "Nothing stands out on all eight tasks"


def test_each_published_retrieval_map_names_its_heads(published: Path) -> None:
    for name, heads in (("llama-2-7b-80k", ("L16H19", "L11H15")), ("Qwen1.5-14B", ())):
        claims = claims_of(published / "retrieval_head" / f"{name}.json")
        said = " ".join(f"{c.headline}. {c.body}" for c in claims.claims)
        assert all(head in said for head in heads), said
        assert "L" in said
    assert np.isfinite(claims.claims[0].strength)


def write() -> None:
    for name, case in CASES.items():
        claims = case()
        (GOLDEN / f"{name}.json").write_text(json.dumps(kept(claims), indent=1, ensure_ascii=False) + "\n")
        print(f"\n## {name}: {claims.title}")
        for c in claims.claims:
            print(f"- **{c.headline}** [{', '.join(c.badges)}] {c.body}")
        print(claims.searches.text if claims.searches else "", [r.text for r in claims.interpretation])


if __name__ == "__main__":
    write()
