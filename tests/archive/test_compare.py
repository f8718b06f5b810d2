"""Runs against each other: what is found where runs differ, and how rarely where they do not."""

import csv
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
from made_archives import build, make_scores

import reportgen
from reportgen import compare
from reportgen.archive.compare import figures, statistics
from reportgen.archive.compare.claims import claim_moves
from reportgen.archive.compare.compare import as_json, lines
from reportgen.archive.compare.model import Run, Versus, moves, settings_apart, trajectories
from reportgen.archive.compare.page import page as page_of
from reportgen.core.claims import Claim, Claims
from reportgen.core.findings import Family, Finding, Findings, Test
from reportgen.core.scores import Head, HeadScores
from reportgen.core.trials import Validation
from reportgen.errors import InputError

METHODS = "their methods differ (gate_gradient and zero_ablation)"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run, one on other noise, one with a head that matters more, a smaller model, other rows, another method."""
    place = tmp_path_factory.mktemp("runs")
    plain = make_scores(examples=40)
    made: dict[str, HeadScores] = {
        "base": plain,
        "again": make_scores(seed=1, examples=40),
        "changed": make_scores(seed=2, examples=40, shift=0.003),
        "small": make_scores(seed=3, examples=40, shape=(4, 6)),
        "rows": make_scores(seed=4, examples=40, ids="other-"),
        "method": replace(plain, method=replace(plain.method, name="zero_ablation", unit="log-odds lost")),
        "tasks": make_scores(tasks=("Chess",)),
    }
    return {name: build(place / f"{name} study", s, place / name, formats=("html",)).folder for name, s in made.items()}


def test_the_head_that_changed_is_found_and_nothing_where_only_noise_did(runs: dict[str, Path], tmp_path: Path) -> None:
    made = compare([runs["base"], runs["again"], runs["changed"]], tmp_path / "out")
    again, changed = made.others
    assert [d.changes for d in again.differences] == [(), ()]
    found = {d.task: d.changes for d in changed.differences}
    assert {task: [c.head for c in heads] for task, heads in found.items()} == {
        "Recall": [Head(7, 9)],
        "Logic": [Head(7, 9)],
    }
    for (change,) in found.values():
        assert change.low is not None
        assert change.high is not None
        assert change.low < change.estimate < change.high
        assert change.estimate == pytest.approx(0.003, abs=0.001)
        assert change.q <= 0.05
    assert made.searches == 4
    assert made.differs
    assert all(d.rank is not None and d.rank_low < d.rank < d.rank_high and d.rows == 40 for d in again.differences)


def test_the_page_and_the_files_say_the_same(runs: dict[str, Path], tmp_path: Path) -> None:
    made = compare([runs["base"], runs["again"], runs["changed"]], tmp_path / "out")
    page = (tmp_path / "out" / "compare.html").read_text()
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert {k: v for k, v in content.items() if k != "files"} == json.loads(json.dumps(as_json(made)))
    assert [h["head"] for t in content["comparisons"][1]["tasks"] for h in t["heads"]] == ["L7H9", "L7H9"]
    assert "changed against base: " in page
    assert page.count(">L7H9<") >= 2
    assert "Heads that move most over the runs: Recall" in page
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
    with (tmp_path / "out" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 80
    for row in rows[:50]:
        assert np.isclose(float(row["run_value"]) - float(row["reference"]), float(row["difference"]), atol=1e-6)
    told = lines(made)
    hashes = [run.settings["scores"] for run in made.runs]
    assert told[0] == f"scores: {' | '.join(hashes)}"
    assert len({*hashes}) == 3
    assert told[1] == "again: all seven claims hold in both. The runs differ in scores."
    assert "  0 heads found to differ; findings: 0 changed" in next(line for line in told if "heads found" in line)


def test_heads_that_move_over_three_runs_are_drawn_and_listed(runs: dict[str, Path], tmp_path: Path) -> None:
    made = compare([runs["base"], runs["again"], runs["changed"]], tmp_path / "out")
    drawn = figures.trajectory_figure(made, None)
    assert drawn is not None
    assert "1 base, 2 again, 3 changed" in drawn.caption
    page = (tmp_path / "out" / "compare.html").read_text()
    over = page[page.index('<section id="trajectories"') : page.index('<section id="how"')]
    figure, _, tables = over.partition("</figure>")
    for task in made.tasks:
        moved = trajectories(made, None, task, figures.HEADS)
        assert moved[0][0] in [head for head, _ in trajectories(made, None, task)]
        for head, values in moved:
            assert f">{head}</text>" in figure  # the line's name, and the row of its values
            assert f'<th scope="row">{head}</th>' in tables
            assert len(values) == 3
    assert figures.trajectory_figure(compare([runs["base"], runs["again"]]), None) is not None
    assert '<section id="trajectories"' not in page_of(compare([runs["base"], runs["again"]]))


@pytest.mark.parametrize(
    ("other", "refused", "silent"),
    [
        (
            "small",
            ["heads one by one, and places of findings: 8 layers × 10 heads in base, 4 layers × 6 heads in small"],
            None,
        ),
        ("method", [f"importance as numbers: {METHODS}; ranks are compared"], METHODS),
        ("rows", [], "the runs share no rows by id"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    runs: dict[str, Path], other: str, refused: list[str], silent: str | None
) -> None:
    made = compare([runs["base"], runs[other]])
    (versus,) = made.others
    assert list(versus.refused) == refused
    assert {d.silent for d in versus.differences} == ({silent} if silent else set())
    assert all(d.changes == () for d in versus.differences)
    if other == "method":
        assert [(d.values, d.rank) for d in versus.differences] == [(None, pytest.approx(1)), (None, pytest.approx(1))]


def test_bad_input(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        compare([runs["base"], runs["tasks"]])
    assert str(error.value) == (
        "tasks: it has no task of base: Chess against Recall, Logic. Compare runs on the same tasks."
    )
    with pytest.raises(InputError) as error:
        compare([runs["base"]])
    assert str(error.value) == "reportgen compare: there is nothing to compare it with. Give two reports or more."
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError) as error:
        compare([runs["base"], runs["again"]], tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: this holds something else than a comparison. Choose another folder with -o."
    )


@pytest.mark.slow
def test_check_tells_by_its_exit_code(runs: dict[str, Path], tmp_path: Path) -> None:
    def run(*reports: str) -> int:
        folders = [runs[r] for r in reports]
        return commands.run("compare", *folders, "--check", "--quiet", "-o", tmp_path / "-".join(reports)).returncode

    assert run("base", "base") == 0
    assert run("base", "changed") == 1
    assert run("base", "tasks") == 2


@pytest.mark.slow
def test_two_runs_of_the_same_are_rarely_told_apart_and_planted_heads_mostly() -> None:
    """80 pairs of skewed scores without a difference, each 200 heads; the bound is 5 % and its chance excess."""
    false = found = 0
    for trial in range(80):
        rng = np.random.default_rng(trial)
        base = rng.lognormal(0, 1, (10, 20))
        before, after = base * rng.lognormal(0, 1, (2, 60, 10, 20))
        half, names = np.arange(60) % 2 == 0, tuple(map(str, range(60)))
        pair = statistics.Pair(before, after, names, False, half)
        false += bool(statistics.changes(pair, base, base, 1, 0.05, trial))
        planted = after.copy()
        planted[:, 3, 4] += 3 * before[:, 3, 4].std()
        heads = statistics.changes(replace(pair, after=planted), base, base, 1, 0.05, trial)
        found += Head(3, 4) in [c.head for c in heads]
    assert false <= 8
    assert found >= 60


def finding(kind: str, heads: tuple[int, int] | None = None, **rest: object) -> Finding:
    layers = None if heads is None else (1, 3)
    return Finding(f"{kind}/x/1", kind, "m", "observed", 0.5, rule="rule", task="x", layers=layers, heads=heads, **rest)  # type: ignore[arg-type]


def run(*found: Finding, name: str = "run", families: tuple[str, ...] = (), **rest: Any) -> Run:
    """A run with those findings, on one task x."""
    families_ = [Family(each, 1, 0.05, "none") for each in families]
    return Run(name, "", (make_scores(tasks=("x",)),), Findings({}, 0.05, 0, families_, list(found)), **rest)


def test_findings_are_kept_moved_lost_and_gained() -> None:
    before = run(finding("cluster", (1, 4)), finding("row_segment", (0, 2)), finding("anomaly", members=["L1H1"]))
    after = run(finding("cluster", (3, 6)), finding("row_segment", (5, 7)), finding("anomaly", members=["L1H1"]))
    told = [(m.status, m.finding.kind) for m in moves(before, after, same_heads=True)]
    assert told == [("moved", "cluster"), ("lost", "row_segment"), ("gained", "row_segment"), ("kept", "anomaly")]
    told = [(m.status, m.finding.kind) for m in moves(before, after, same_heads=False)]
    assert told == [("kept", "cluster"), ("kept", "row_segment"), ("kept", "anomaly")]


def with_test(kind: str, **rest: object) -> Finding:
    return replace(
        finding(kind, **rest), register="tested", rule=None, test=Test("t", "n", 1.0, 0.01, 0.02, kind, 1, None)
    )


NEEDED, SPARED = (finding("anomaly", members=["L1H1"], verdict=v) for v in ("necessary", "unnecessary"))
SPECIFIC = replace(NEEDED, specific=True)


def silent(why: str) -> dict[str, object]:
    """What a finding holds of its trial where it is not told whether its heads cost more than others."""
    return {"validation": {"silence": why}}


APART = finding("causal_validation", members=["L1H1"], verdict="necessary")


@pytest.mark.parametrize(
    ("ours", "theirs", "status", "why"),
    [
        (run(NEEDED), run(SPARED), "changed", ""),
        (run(NEEDED), run(replace(NEEDED, verdict=None)), "untested", "in both, but not tried as far in run"),
        (
            run(NEEDED),
            run(replace(NEEDED, verdict="untested")),
            "untested",
            "in both, but not tried as far in run",
        ),
        (run(SPECIFIC), run(replace(SPECIFIC, specific=None, data=silent("rank"))), "changed", ""),
        (
            run(SPECIFIC),
            run(replace(SPECIFIC, specific=None, data=silent("budget"))),
            "untested",
            "in both, but not tried as far in run",
        ),
        (run(APART), run(), "untested", "nothing was knocked out in run"),
        (run(), run(APART), "untested", "nothing was knocked out in run"),
        (run(APART), run(validation=Validation("k", {})), "untested", "nothing was knocked out on x in run"),
        (run(replace(NEEDED, task="y")), run(), "untested", "run has no task y"),
        (run(replace(NEEDED, block="enc")), run(), "untested", "run has no encoder heads"),
        (run(NEEDED), run(detectors=["cluster"]), "untested", "run did not look for single heads beyond the tail"),
        (run(with_test("cluster")), run(), "untested", "run did not test clusters"),
        (run(with_test("cluster")), run(families=("cluster",)), "lost", ""),
        (run(with_test("cluster")), run(finding("cluster")), "untested", "not tested in run"),
        (run(with_test("cluster")), run(finding("cluster"), families=("cluster",)), "changed", ""),
    ],
)
def test_what_a_run_did_not_test_is_neither_lost_nor_changed(ours: Run, theirs: Run, status: str, why: str) -> None:
    (move,) = moves(ours, theirs, same_heads=True)
    assert (move.status, move.why) == (status, why)
    (back,) = moves(theirs, ours, same_heads=True)
    assert back.status == {"lost": "gained"}.get(status, status)


def claim(headline: str, *support: Finding, **rest: Any) -> Claim:
    fields: dict[str, Any] = {"tasks": ("x",), "exceptions": (), "verdict": None, "register": "observed", "values": {}}
    ids = tuple(f.id for f in support)
    return Claim("heads/carry", "heads", headline, "", support=ids, strength=0.5, **fields | rest)


@pytest.mark.parametrize(
    ("ours", "theirs", "fate", "why"),
    [
        # the same of other numbers, another head, another verdict, another wording
        (claim("3 of 8 answers"), claim("Five of 8 answers"), "holds", ()),
        (
            claim("L1H1 leads", values={"head": "L1H1"}),
            claim("L2H2 leads", values={"head": "L2H2"}),
            "changed",
            ("L1H1 → L2H2",),
        ),
        (claim("a", verdict="necessary"), claim("a", verdict="unnecessary"), "changed", ("needed → not needed",)),
        (claim("more alike"), claim("less alike"), "changed", ("it is said otherwise",)),
        (claim("a", verdict="necessary"), claim("a"), "uncompared", ("not tried in run",)),
        (claim("a", tasks=("x", "y")), claim("a"), "holds", ("not compared on y: run has no task y",)),
        (claim("a", tasks=()), claim("a"), "changed", ("also on x",)),
        # made by one alone: what became of the findings behind it
        (claim("a", NEEDED), None, "changed", ("only base makes it", "of the findings behind it none is in run")),
        (claim("a", APART), None, "uncompared", ("nothing was knocked out in run",)),
    ],
)
def test_claims_hold_changed_or_could_not_be_compared(
    ours: Claim, theirs: Claim | None, fate: str, why: tuple[str, ...]
) -> None:
    support = [f for f in (NEEDED, APART) if f.id in ours.support]
    base = run(*support, name="base", claims=Claims((ours,)))
    other = run(claims=Claims(() if theirs is None else (theirs,)))
    (found,) = claim_moves(base, Versus(other, (), tuple(moves(base, other, same_heads=True)), ()))
    assert (found.fate, found.why) == (fate, why)


def test_a_claim_that_found_no_room_in_one_run_is_compared() -> None:
    shown, hidden = claim("a"), claim("a")
    for base, other in ((Claims((shown,)), Claims(further=(hidden,))), (Claims(further=(hidden,)), Claims((shown,)))):
        (found,) = claim_moves(run(claims=base), Versus(run(claims=other), (), (), ()))
        assert (found.fate, found.before, found.after) == ("holds", shown, shown)


def test_runs_that_differ_in_seeds_alone_say_what_may_rest_on_them(
    runs: dict[str, Path], tmp_path: Path, browser, violations
) -> None:
    seeded = reportgen.build(
        runs["base"].parent / "base study", tmp_path / "seeded", overrides={"analysis.seed": 1, "report.theme": "paper"}
    ).folder
    made = compare([runs["base"], seeded], tmp_path / "out")
    assert settings_apart(made.runs) == {"analysis.seed": ("0", "1")}
    page = html.unescape((tmp_path / "out" / "compare.html").read_text())
    assert "Importance is the same in both to the last digit. The runs differ in seeds alone" in page
    assert "<figure" not in page
    claims = [*made.reference.claims.claims, *made.others[0].run.claims.claims]
    assert claims
    assert [c.headline for c in claims if f"<b>{c.headline}.</b>" not in page] == []
    compared = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert compared["settings"] == {"analysis.seed": ["0", "1"]}
    assert {c["id"] for c in compared["comparisons"][0]["claims"]} == {c.id for c in claims}
    view = browser.new_page(color_scheme="dark", viewport={"width": 375, "height": 844})
    view.goto((tmp_path / "out" / "compare.html").as_uri())
    assert violations(view) == []
    assert view.evaluate("document.documentElement.scrollWidth") <= 375
    view.close()
