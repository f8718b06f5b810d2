"""Where heads look: the chosen heads and examples, the weights against the model's own, and how they travel."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from cases import copying_case
from transformers import AutoModelForCausalLM, AutoTokenizer

from reportgen.archive.verify import verify
from reportgen.core.findings import Finding, Findings
from reportgen.core.listener import Listener
from reportgen.core.scores import Examples, Head, HeadScores, Method, Model, Task
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.options import Options
from reportgen.validation.patterns import Wanted, wanted

pytestmark = [pytest.mark.slow, pytest.mark.pdf]

STUDY = """[study]
title = "Tiny"
[model]
path = "model"
[tasks]
path = "tasks.jsonl"
[scoring]
method = "activation_norm"
[validation]
enabled = false
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    copying_case(folder, 3, True)
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        folder = tmp_path_factory.mktemp("built") / "report"
        pipeline.build(source, folder)
    return folder


def patterns(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "patterns.json").read_text())["patterns"]
    return found


def some_scores(names: tuple[str, ...] = ("a", "b", "c")) -> HeadScores:
    """Three tasks of five examples; head L1H2 matters least on b."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (len(names), 5, 2, 4)).astype(np.float32)
    values[0, :, 1, 2] = [0.3, -5, 1, 0.2, -2]
    values[1:2, :, 1, 2] = [0.1, 0.3, -0.2, 0.05, 0]
    ids = tuple("12345")
    examples = tuple(Examples(v, ids, ids, np.arange(5) % 2 == 0) for v in values)
    return HeadScores(
        np.abs(values).mean(axis=1), tuple(Task(n) for n in names), Method("m"), Model(), examples=examples
    )


def naming(*heads: str) -> Findings:
    return Findings(
        {},
        0.05,
        0,
        [],
        [
            Finding(f"anomaly/{h}", "anomaly", "m", "observed", 1 - i / 10, "s", rule="r", task="a", members=[h])
            for i, h in enumerate(heads)
        ],
    )


def of_task_a(findings: Findings, scores: HeadScores, control: str | None = None) -> list[Wanted]:
    return [w for w in wanted(findings, scores, control) if w.task == 0]


def test_the_median_the_strongest_and_the_least_needing_tasks_median() -> None:
    assert of_task_a(naming("L1H2"), some_scores()) == [
        Wanted(0, Head(1, 2), "median", 0, 2),
        Wanted(0, Head(1, 2), "strongest", 0, 1),
        Wanted(0, Head(1, 2), "control", 1, 0),
    ]


def test_a_declared_control_comes_first_and_one_task_gives_its_weakest() -> None:
    assert of_task_a(naming("L1H2"), some_scores(), "c")[2].source == 2
    assert of_task_a(naming("L1H2"), some_scores(("a",)))[2] == Wanted(0, Head(1, 2), "control", 0, 3)


def test_six_heads_at_most_in_order_of_findings_and_three_where_none_is_named() -> None:
    named = [f"L{layer}H{head}" for layer in (1, 0) for head in range(4)]
    chosen = of_task_a(naming(*named), some_scores())
    assert list(dict.fromkeys(str(w.head) for w in chosen)) == named[:6]
    scores = some_scores()
    unnamed = {w.head for w in of_task_a(naming(), scores)}
    assert len(unnamed) == 3
    assert unnamed == {
        Head(*map(int, np.unravel_index(i, (2, 4)))) for i in np.argsort(-scores.importance[0], None)[:3]
    }


def test_the_weights_are_those_of_the_models_own_eager_attention(source: Path, built: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(source / "model", attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(source / "model")
    rows = {row["id"]: row for row in map(json.loads, (source / "tasks.jsonl").read_text().splitlines())}
    assert {p["role"] for p in patterns(built)} == {"median", "strongest", "control"}
    for found in patterns(built):
        ids = tokenizer(rows[found["example"]]["prompt"], return_tensors="pt")["input_ids"]
        with torch.no_grad():
            attention = model(ids, output_attentions=True).attentions
        layer, head = map(int, found["head"][1:].split("H"))
        expected = attention[layer][0, head].numpy()
        assert len(found["tokens"]) == ids.shape[1]
        assert np.allclose(found["rows"], expected, atol=6e-4)
        assert np.allclose(found["answer"], expected[-1], atol=6e-4)


def test_page_pdf_verification_and_a_report_made_again_from_the_pdf(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    page = (built / "report.html").read_text()
    assert 'id="figure-attention-' in page
    assert 'class="tokens"' in page  # as text, each token shaded
    assert "The examples follow a rule" in page
    assert [f"{c.what}: {c.wrong}" for c in verify(built).differences] == []
    again = pipeline.build(built / "report.pdf", tmp_path / "again")
    names = [p.relative_to(built) for p in built.rglob("*") if p.is_file()]
    assert "patterns.json" in map(str, names)
    assert [n for n in names if (again.folder / n).read_bytes() != (built / n).read_bytes()] == []


def test_what_is_there_is_not_looked_at_again_and_none_is_left_where_none_is_wanted(source: Path, built: Path) -> None:
    steps: list[str] = []
    pipeline.build(source, built, options=Options(listener=Listener(progress=lambda name, *_: steps.append(name))))
    assert "attention patterns" not in steps
    kept = (built / "patterns.json").read_bytes()
    pipeline.build(source, built, overrides={"report.patterns": False})
    assert not (built / "patterns.json").exists()
    assert "figure-attention" not in (built / "report.html").read_text()
    pipeline.build(source, built)
    assert (built / "patterns.json").read_bytes() == kept


def test_a_model_whose_patterns_cannot_be_compared_is_said_so(tmp_path: Path) -> None:
    tiny_models.build("t5", "seq2seq").save_pretrained(tmp_path / "model")
    tiny_models.word_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tiny_models.ROWS))
    (tmp_path / "study.toml").write_text(STUDY + '[report]\nformats = ["html"]\n')
    pipeline.build(tmp_path, tmp_path / "report")
    found = json.loads((tmp_path / "report" / "patterns.json").read_text())
    assert (found["patterns"], "encoder-decoder" in found["problem"]) == ([], True)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Where the named heads look on single examples is not shown: the model is an encoder-decoder" in page
