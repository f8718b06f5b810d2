"""Claims that were read and approved, and are kept as files: what the findings of these cases must go on saying.

``golden/<case>.findings.json.gz`` holds a case's findings, with verdicts where heads were knocked out, and
``golden/<case>.json`` what is claimed of them. ``PYTHONPATH=tests/analysis python tests/summary/test_golden.py`` makes
all anew, with the sample's report as an argument the sample's too; read each before it is kept.
"""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_findings import trials_of
from made_maps import grouped, named, noise, with_examples
from pydantic import TypeAdapter

import reportgen
from reportgen.core.claims import Claims, to_json
from reportgen.core.findings import Finding
from reportgen.core.scores import HeadScores
from reportgen.summary.summarize import summarize

GOLDEN, ROOT = Path(__file__).parent / "golden", Path(__file__).parents[2]
LONG = [f"mmlu_{level}_{name}" for level in ("high_school", "college") for name in "abcdefghijkl"]


FINDINGS = TypeAdapter(list[Finding])


def findings_of(scores: HeadScores | Path) -> list[Finding]:
    given = reportgen.score(scores) if isinstance(scores, Path) else scores
    return reportgen.validate(reportgen.analyze(given)).findings.findings


def figure() -> list[Finding]:
    """The layout of the published figure."""
    return findings_of(ROOT / "sample_data" / "figure" / "study.toml")


def one_task() -> list[Finding]:
    """One task of the figure's."""
    scores = reportgen.load_scores(ROOT / "sample_data" / "figure" / "scores.csv")
    return findings_of(HeadScores.from_array(scores.importance[3:4], [scores.task_names[3]]))


def many_tasks() -> list[Finding]:
    """24 tasks of long names, of which 17 hold a block."""
    tensor = noise(1, (24, 24, 24))
    tensor[:17, 6:12, 4:10] *= 7
    return findings_of(HeadScores.from_array(tensor, LONG))


def with_halves() -> list[Finding]:
    """Four tasks with examples, one head that leads them all, and a layer that matters to none."""
    tensor = noise(7, (4, 16, 8))
    tensor[:, 3, 5] *= 12
    tensor[:, 9] *= 0.2
    scores = with_examples(tensor, n=60, accuracy=0.9, chance=0.25)
    return findings_of(grouped(scores, basic=["Task 0", "Task 1"], complex=["Task 2", "Task 3"]))


def at_chance() -> list[Finding]:
    """A model that guesses."""
    return findings_of(with_examples(noise(2, (3, 8, 8)), n=60, accuracy=0.25, chance=0.25))


def pure_noise() -> list[Finding]:
    """Heads that are all alike."""
    return findings_of(named(noise(21, (8, 32, 32))))


CASES: dict[str, Callable[[], list[Finding]]] = {
    case.__name__: case for case in (figure, one_task, many_tasks, with_halves, at_chance, pure_noise)
}


def kept(claims: Claims) -> dict[str, object]:
    plain = to_json(claims)
    fields = ("id", "headline", "body", "register", "verdict", "exceptions")
    plain["claims"] = [{k: c[k] for k in fields} for c in plain["claims"]]  # type: ignore[attr-defined]
    plain["further"] = [c.id for c in claims.further]
    plain["interpretation"] = [r.text for r in claims.interpretation]
    plain["searches"] = claims.searches.text if claims.searches else None
    return plain


def stored(case: str) -> Claims:
    plain = gzip.decompress((GOLDEN / f"{case}.findings.json.gz").read_bytes())
    return summarize(trials_of(FINDINGS.validate_json(plain)))


@pytest.mark.parametrize("case", [*CASES, "sample"])
def test_claims_say_what_was_read_and_approved(case: str) -> None:
    assert kept(stored(case)) == json.loads((GOLDEN / f"{case}.json").read_text())


def test_pure_noise_is_one_claim() -> None:
    (claim,) = stored("pure_noise").claims
    assert claim.headline == "Nothing stands out on all eight tasks"


def test_the_published_description_is_answered() -> None:
    claims = stored("figure")
    remarks = [*claims.interpretation, *([claims.searches] if claims.searches else [])]
    said = " ".join([*(f"{c.headline}. {c.body}" for c in claims.claims), *(r.text for r in remarks)])
    for answer in (
        "Nothing here separates basic and complex tasks by depth",  # higher layers matter more for complex tasks
        "Heads 5–15 stand out over all eight tasks only through the found blocks",  # heads 6–12 matter across tasks
        "They lie in layers 22–27 and heads 12–24",  # and so do heads 15–21: these are strips, of other tasks each
        "L6H24 is the largest head of Decision-making, 1.4 times the next",  # L6H24 stands out, at 0.0028
        "It reaches 0.0028; on other tasks the first is at most 1.0 times the second. A heavy tail gives as much.",
        "single heads beyond the tail",
        "Semantic Understanding the least",  # Math Calculation and Logical Reasoning are more localised than it
        "the most localised first, Logical Reasoning, Inference, Decision-making, Math Calculation, Syntactic",
        "which layers the tasks need is not shown here",  # lower, middle and higher layers serve other tasks
    ):
        assert answer in said, answer


def test_each_published_retrieval_map_names_its_heads(published: Path) -> None:
    for name, heads in (("llama-2-7b-80k", ("L16H19", "L11H15")), ("Qwen1.5-14B", ("L12H2",))):
        claims = summarize(trials_of(findings_of(published / "retrieval_head" / f"{name}.json"))).claims
        said = " ".join(f"{c.headline}. {c.body}" for c in claims)
        assert all(head in said for head in heads), said


def write(sample: Path | None) -> None:
    made: dict[str, Callable[[], list[Finding]]] = dict(CASES)
    if sample is not None:
        made["sample"] = lambda: reportgen.summarize(sample).made_from.findings.findings
    for name, case in made.items():
        plain = FINDINGS.dump_json(case())
        (GOLDEN / f"{name}.findings.json.gz").write_bytes(gzip.compress(plain, mtime=0))
        claims = stored(name)
        (GOLDEN / f"{name}.json").write_text(json.dumps(kept(claims), indent=1, ensure_ascii=False) + "\n")
        print(f"\n## {name}: {claims.title}")
        for c in claims.claims:
            print(f"- **{c.headline}** [{', '.join(c.badges)}] {c.body}")
        print(claims.searches.text if claims.searches else "", [r.text for r in claims.interpretation])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
