"""Encoder-decoders: three blocks of heads of different depth, each analysed for itself."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.cli import explain
from reportgen.core.blocks import as_blocks
from reportgen.core.findings import Finding, from_json, to_json
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, split_halves
from reportgen.core.study_scores import Scores
from reportgen.core.trials import Trials
from reportgen.errors import InputError
from reportgen.summary.summarize import summarize

SHAPES = {"enc": (4, 4), "dec": (6, 4), "cross": (6, 4)}
TASKS = ("Recall", "Logic", "Math")


def planted(seed: int = 1, n: int = 0, accuracy: float | None = None) -> tuple[HeadScores, ...]:
    """Noise in three blocks, with a raised region of cross-attention on the second task."""
    rng = np.random.default_rng(seed)
    tasks = tuple(Task(t, n=n or None, accuracy=accuracy, chance=None if accuracy is None else 0.5) for t in TASKS)
    ids = tuple(map(str, range(n)))
    blocks = []
    for name, shape in SHAPES.items():
        tensor = np.exp(0.3 * rng.normal(size=(len(TASKS), *shape)))
        if name == "cross":
            tensor[1, 1:, 1:3] *= 9
        if name == "enc":
            tensor[0, 2, 3] *= 400
        examples: list[Examples | None] = (
            [
                Examples(
                    (cells * rng.lognormal(0, 0.3, (n, *shape))).astype(np.float32), ids, ids, split_halves(ids, 0)
                )
                for cells in tensor
            ]
            if n
            else [None] * len(TASKS)
        )
        means = [cells if e is None else e.values.mean(axis=0) for cells, e in zip(tensor, examples, strict=True)]
        blocks.append(
            HeadScores(
                np.stack(means),
                tasks,
                Method("planted"),
                Model("m", kv_groups=SHAPES["cross"][1]),
                tuple(examples),
                block=name,
            )
        )
    return tuple(blocks)


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return analyze(planted()).findings


def test_a_cluster_of_one_block_is_found_there_only(found: list[Finding]) -> None:
    clusters = [f for f in found if f.kind == "cluster"]
    assert [(f.id, f.block, f.layers, f.heads) for f in clusters] == [
        ("cluster/cross/logic/1", "cross", (1, 5), (1, 2))
    ]
    assert clusters[0].sentence.startswith("Logic, cross-attention: layers 1–5 × heads 1–2 form a cluster of 10 heads")


def test_every_finding_on_heads_names_their_block(found: list[Finding]) -> None:
    for finding in found:
        if finding.kind == "competence":
            assert finding.block is None
            continue
        assert finding.block in SHAPES
        assert finding.id.split("/")[1] == finding.block
        assert finding.mask(SHAPES[finding.block]).shape == SHAPES[finding.block]
        heads = re.findall(r"\S*L\d+H\d+", finding.sentence)
        assert all(h.lstrip("(").startswith(f"{finding.block}.") for h in heads), finding.sentence
        assert all(str(m).startswith(f"{finding.block}.") for m in finding.members or () if isinstance(m, str))
    assert any("enc.L" in f.sentence for f in found)


def test_the_level_is_divided_by_the_number_of_blocks() -> None:
    findings = analyze(planted(n=40, accuracy=0.95))
    alphas = {f.id: f.alpha for f in findings.families}
    assert findings.alpha == 0.1
    assert sum(alphas.values()) <= 0.1 + 1e-12
    for kind in ("cluster", "row_segment"):
        assert len({alphas[f"{kind}/{b}"] for b in SHAPES}) == 1
    for family in findings.families:
        assert family.correction.endswith("; alpha divided by 3, the number of blocks") == ("/" in family.id)
    tested = [f for f in findings.findings if f.test is not None]
    assert {f.test.family for f in tested if f.test} <= set(alphas)
    assert all(f.test.q <= alphas[f.test.family] for f in tested if f.test)


def test_competence_is_told_once() -> None:
    findings = analyze(planted(n=40, accuracy=0.95)).findings
    assert [f.id for f in findings if f.kind == "competence"] == [f"competence/{t.lower()}/1" for t in TASKS]
    assert len([f for f in analyze(planted()).findings if f.kind == "competence"]) == 1


def test_noise_in_three_blocks_carries_few_tested_findings() -> None:
    fired = 0
    for seed in range(30):
        blocks = [b for b in planted(seed) if b.block != "cross"]
        rng = np.random.default_rng(seed)
        clean = HeadScores(
            np.exp(0.3 * rng.normal(size=(3, 6, 4))), blocks[0].tasks, Method("planted"), blocks[0].model, block="cross"
        )
        findings = analyze([*blocks, clean], Settings(detectors=("cluster", "row_segment"))).findings
        fired += any(f.register == "tested" for f in findings)
    assert fired <= 5  # at a true rate of 5 %, six or more of 30 happen in under 0.4 % of runs


def test_one_named_block_alone_keeps_the_whole_level() -> None:
    findings = analyze(planted()[2])
    blocks = analyze(planted())
    (alone,) = (f.alpha for f in findings.families if f.id.startswith("cluster"))
    (shared,) = (f.alpha for f in blocks.families if f.id == "cluster/cross")
    assert shared == pytest.approx(alone / 3)
    assert "cluster/cross/logic/1" in {f.id for f in findings.findings}
    assert not any("number of blocks" in f.correction for f in findings.families)


def test_findings_of_blocks_survive_their_file_and_are_explained(tmp_path: Path) -> None:
    findings = analyze(planted())
    assert from_json(to_json(findings)) == findings
    text = explain.text(findings.get("cluster/cross/logic/1"), findings, tmp_path)
    assert "block: cross-attention\nlayers 1–5\nheads 1–2" in text
    assert "family: cluster/cross, 3 tests" in text


def test_the_cells_of_a_block_are_explained_by_name(tmp_path: Path) -> None:
    tensor = np.exp(0.3 * np.random.default_rng(0).normal(size=(6, 12, 12)))
    tensor[:, 3, 5] *= 30
    findings = analyze(HeadScores.from_array(tensor, list("abcdef"), block="dec"))
    shared = findings.get("cross_task_head/dec/all/1")
    assert shared.members == ["dec.L3H5"]
    assert shared.sentence.startswith("One decoder head is the top head of its layer in more of the 6 tasks")
    assert "members: dec.L3H5\ncells: dec.L3H5" in explain.text(shared, findings, tmp_path)
    scores = HeadScores.from_array(tensor, list("abcdef"), block="dec")
    claims = summarize(Trials(replace(findings, source=Scores.of(scores))))
    known, _ = explain.explained("dec.L3H5", claims, tmp_path)
    assert shared.id in known["findings"]  # type: ignore[index]
    with pytest.raises(InputError, match=r"Did you mean dec\.L3H5\?"):
        explain.explained("L3H5", claims, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: (b[0], b[0]), "the block 'enc' is unknown, unnamed or not unique"),
        (lambda b: (b[0], HeadScores.from_array(b[1].importance, TASKS)), "the block None is unknown"),
        (lambda b: (HeadScores.from_array(b[1].importance, TASKS, block="vision"),), "the block 'vision' is unknown"),
        (
            lambda b: (b[0], HeadScores(b[1].importance, b[1].tasks, Method("x"), b[0].model, block="dec")),
            "enc and dec differ in their method",
        ),
        (lambda b: (b[0], planted(n=9)[1]), "enc and dec differ in their tasks"),
        (lambda b: (), "there are none"),
    ],
)
def test_blocks_that_do_not_belong_together(change: Callable[..., tuple[HeadScores, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_blocks(change(planted()))


def test_blocks_with_other_examples_do_not_belong_together() -> None:
    one, other = planted(n=8)[0], planted(n=8)[1]
    turned = tuple(Examples(e.values, e.ids, e.groups, ~e.discovery) for e in other.examples if e)
    with pytest.raises(InputError, match="enc and dec differ in their examples"):
        as_blocks((one, HeadScores(other.importance, other.tasks, other.method, other.model, turned, block="dec")))
