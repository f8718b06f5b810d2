"""What a finding's explanation says, and that the lines it gives compute its value."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_maps import named, noise, with_examples
from made_trials import trial

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.cli import explain
from reportgen.core.claims import Claims
from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores, Model
from reportgen.core.study_scores import Scores
from reportgen.core.trials import Trials, Validation
from reportgen.errors import InputError
from reportgen.storage.scores_file import scores_bytes
from reportgen.summary.summarize import summarize


def planted() -> np.ndarray:
    """A rectangle, two that overlap, and a single head."""
    tensor = noise(1, (3, 20, 20))
    tensor[0, 4:10, 3:9] *= 8
    tensor[1, 4:10, 3:9] *= 8
    tensor[1, 7:13, 7:13] *= 8
    tensor[2, 15, 15] = 40
    return tensor


@pytest.mark.parametrize("examples", [False, True])
def test_the_lines_for_a_findings_numbers_print_them(tmp_path: Path, examples: bool) -> None:
    tensor = planted()
    tensor[2, 5] /= 9
    tensor[2, 10, 3:9] *= 30
    scores = with_examples(tensor, noise_scale=0.5) if examples else named(tensor)
    (tmp_path / "scores.safetensors").write_bytes(scores_bytes(scores))
    findings, explained = analyze(scores), set()
    for finding in findings.findings:
        if not (lines := explain.as_json(finding, findings, tmp_path)["again"]["by_hand"]):
            assert not (finding.value and finding.heads and finding.task)
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec("\n".join(lines), {})
        told = {"value": finding.value, "effect": finding.effect}
        wanted = [n.estimate for name, n in told.items() if n and any(line.endswith(f"# {name}") for line in lines)]
        assert [float(number) for number in out.getvalue().split()] == pytest.approx(wanted, rel=1e-6), finding.id
        explained.add((finding.kind, "in-sample" not in finding.caveats))
    assert {("anomaly", examples), ("sparse_layers", False)} <= explained
    assert {("cluster", examples), ("row_segment", examples)} <= explained


def test_an_explanation_tells_null_numbers_cells_family_and_commands(tmp_path: Path) -> None:
    findings = analyze(named(planted(), model=Model(kv_groups=20)))
    text = explain.text(findings.get("cluster/task-0/1"), findings, tmp_path).splitlines()
    for line in (
        "test: rectangle scan",
        "null: heads shuffled within each layer",
        "family: cluster, 3 tests at α = 0.023, Benjamini–Hochberg over tasks, thresholds of the rank before",
        "layers 4–9",
        "heads 3–8",
        "cells: 36",
        f"  reportgen analyze {tmp_path} -o NEW --set analysis.alpha=0.1 "
        "--set analysis.seed=0 --set analysis.permutations=4000",
        "  reportgen explain NEW cluster/task-0/1",
        "  print(importance[4:10, 3:9].mean())  # value",
    ):
        assert line in text, line
    far = np.full((1, 12, 12), 0.01)
    far[0, 5, 3] = 1.0
    alone = analyze(named(far))
    single = next(f for f in alone.findings if f.kind == "anomaly" and f.register == "observed")
    assert f"rule: {single.rule}" in explain.text(single, alone, tmp_path)


def test_every_kind_is_explained_with_its_documentation(tmp_path: Path) -> None:
    findings = analyze(named(planted()))
    for finding in findings.findings:
        doc = next(d.doc for d in DETECTORS.own() if d.name == finding.kind)
        assert doc.strip().splitlines()[0] in explain.text(finding, findings, tmp_path)


def test_a_block_is_named_where_its_scores_are_read(tmp_path: Path) -> None:
    scores = HeadScores.from_array(planted(), list("abc"), block="dec")
    findings: Findings = analyze(scores, Settings(detectors=("cluster",)))
    lines = explain.as_json(findings.findings[0], findings, tmp_path)["again"]["by_hand"]
    assert f"scores = load_scores('{tmp_path / 'scores.safetensors'}', block='dec')" in lines


@pytest.fixture(scope="module")
def claims() -> Claims:
    """Claims on scores per example; a set of two heads, and one of them alone, were knocked out."""
    losses = {"Task 0": {"mean": {"L5H4": 0.31, "L15H15": 0.001}}}
    tried = [trial(tasks=["Task 0"], heads=["L5H4", "L5H5"])]
    scores = with_examples(planted(), noise_scale=0.5)
    findings = replace(analyze(scores), source=Scores.of(scores))
    return summarize(Trials(findings, Validation("k", {}, trials=tried, losses=losses)))  # type: ignore[arg-type]


def test_a_head_is_told_on_every_task_with_all_that_names_it(claims: Claims, tmp_path: Path) -> None:
    known, lines = explain.explained("L5H4", claims, tmp_path)
    scores = claims.made_from.findings.made_from.blocks[0]
    size = abs(scores.importance)
    assert isinstance(known, dict)
    for t, row in enumerate(known["tasks"]):
        assert row["importance"] == scores.importance[t, 5, 4]
        assert row["rank"] == 1 + (size[t] > size[t, 5, 4]).sum()
        assert row["of"] == 400
        assert any(line.startswith(f"{row['task']}: ") and f"rank {row['rank']} of 400" in line for line in lines)
    assert [row["loss_alone"] for row in known["tasks"]] == [{"mean": 0.31}, None, None]
    assert any("knocked out alone it costs 0.310 (mean) nats" in line for line in lines)
    assert "  top/0 (Task 0): L5H4 and L5H5: needed, more than other heads of the same layers" in lines
    assert "cluster/task-0/1" in known["findings"]
    assert {c.id for c in claims.claims if "cluster/task-0/1" in c.support} <= {*known["claims"]}
    leading = next(f for f in claims.made_from.findings.by_task("Task 2") if f.kind == "top_heads")
    assert leading.members
    assert leading.members[0] == "L15H15"
    (row,) = (r for r in explain.explained("L15H15", claims, tmp_path)[0]["tasks"] if r["task"] == "Task 2")  # type: ignore[index]
    assert row["rank_interval"] == [leading.data["first_ranks"][0], leading.data["last_ranks"][0]]  # type: ignore[index]
    bare, told = explain.explained("L0H0", claims, tmp_path)
    assert ("no finding names it" in told) == (bare["findings"] == [])  # type: ignore[index]


def test_without_a_name_all_names_are_listed_in_the_order_of_the_report(claims: Claims, tmp_path: Path) -> None:
    known, lines = explain.explained(None, claims, tmp_path)
    assert isinstance(known, dict)
    ids = [*(c.id for c in (*claims.claims, *claims.further)), *(f.id for f in claims.made_from.findings.ranked())]
    assert [*known["claims"], *known["findings"]] == ids
    told = [line.strip().partition(": ")[0] for line in lines if line.startswith("  ")]
    assert told == ids
    assert "heads: L0H0 to L19H19" in lines
    for name in (ids[0], ids[-1]):
        assert explain.explained(name, claims, tmp_path)[0]["id"] == name  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("l5h4", "Did you mean L5H4?"),
        ("enc.L5H4", "Did you mean L5H4?"),
        ("L20H3", "Heads count from zero, and there are 20 layers × 20 heads."),
        ("Cluster/task-0/2", "Did you mean cluster/task-0/1"),
        ("heads/blcks", "Did you mean heads/blocks"),
        ("task-2", "/task-2/1"),
        ("xyzzy", "explain {}` lists all names."),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_near(
    claims: Claims, tmp_path: Path, name: str, hint: str
) -> None:
    with pytest.raises(InputError) as raised:
        explain.explained(name, claims, tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}: no claim, finding or head is called {name!r}. ")
    assert hint.format(tmp_path) in str(raised.value)
