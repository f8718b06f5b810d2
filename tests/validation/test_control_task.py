"""The control task asks nothing: whether the model does it is judged nowhere, and it switches nothing off."""

from pathlib import Path
from typing import Any

import pytest
from tiny_models import WORDS, build, word_tokenizer

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.config_file import parse_study, with_overrides
from reportgen.scoring.score import score
from reportgen.storage.json_files import canonical_json
from reportgen.validation.plan import at_chance
from reportgen.validation.prepare import set_up


@pytest.mark.parametrize("control", [None, "neutral"])
@pytest.mark.parametrize("judged", [True, False])
def test_a_control_task_at_chance_is_not_said_to_be(tmp_path: Path, control: str | None, judged: bool) -> None:
    build("gpt2").save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    rows: list[dict[str, Any]] = [
        {"task": task, "id": f"{task}{i}", "prompt": f"{word} is", "answer": WORDS[(i * 7) % 19]}
        for task in ("asked", "neutral")
        for i, word in enumerate(WORDS[:16])
    ]
    (tmp_path / "tasks.jsonl").write_text("".join(canonical_json(row) + "\n" for row in rows))
    raw = {"model": {"path": "model"}, "tasks": {"path": "tasks.jsonl"}}
    study = parse_study(raw, "study.toml", tmp_path)
    if control is not None:
        study = with_overrides(study, {"tasks.control": control}, tmp_path / "study.toml")
    blocks = next(iter(score(study).values()))
    detectors = ("competence",) if judged else ("concentration",)
    findings = analyze(blocks[0], Settings(detectors=detectors, control=control))
    setup = set_up(study, blocks)
    assert [at_chance(setup, findings, t) for t in range(2)] == [True, control is None]
