"""What a finding's explanation says, and that the lines it gives compute its value."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from made_maps import named, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.cli import explain
from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores, Model
from reportgen.storage.scores_file import scores_bytes


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
