"""``batch_size = "auto"``: what it finds, and that what it found stays the run's plan."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_score import forwards
from tiny_models import ROWS, build, word_tokenizer

from reportgen.core.config import Study
from reportgen.core.config_file import parse_study
from reportgen.errors import InputError
from reportgen.scoring.model import loaded as model_module
from reportgen.scoring.run.cost import plan
from reportgen.scoring.run.memory import free_bytes, peak_bytes
from reportgen.scoring.run.prepare import prepare
from reportgen.scoring.score import score

pytestmark = pytest.mark.slow

Make = Callable[..., Study]
MANY = [{**ROWS[0], "id": f"r{i}"} for i in range(200)]


def only(study: Study, **rest: Any) -> Any:
    return score(study, **rest)["gate_gradient"][0]


@pytest.fixture
def wide(study_of: Make, tmp_path: Path) -> Study:
    """A model whose logits take 240 kB an answer token, and two tasks."""
    build("llama", vocab_size=60_000).save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    return study_of(rows=MANY + ROWS[4:], model={"path": str(tmp_path / "model")}, batch_size="auto")


def test_where_memory_is_plenty_a_batch_fills_the_processor_or_holds_the_task(study_of: Make) -> None:
    length = len(prepare(study_of(rows=MANY, batch_size=1)).tasks[0].encoded[0].inputs)
    size = prepare(study_of(rows=MANY, batch_size="auto")).batch_size
    assert size * length <= 1024 < 2 * size * length
    assert prepare(study_of(batch_size="auto")).batch_size == 4  # the larger task has four rows
    assert prepare(study_of(rows=MANY, batch_size=3)).batch_size == 3


def test_little_memory_makes_smaller_batches(wide: Study, little_memory: Callable[[int], None]) -> None:
    plenty = prepare(wide).batch_size
    little_memory(150 * 2**20)
    scarce = prepare(wide).batch_size
    little_memory(2**40)
    assert plenty == 256
    assert 4 <= scarce <= 64


def test_kinds_of_models_that_answer_in_other_ways(study_of: Make) -> None:
    for architecture in ("t5", "bert"):
        assert prepare(study_of(architecture, batch_size="auto", also=["zero_ablation"])).batch_size == 4
    assert prepare(study_of(batch_size="auto", method="zero_ablation", metric="exact_match")).batch_size == 4


def test_the_size_found_is_kept_by_a_run_that_is_gone_on_with(
    wide: Study, tmp_path: Path, little_memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, told = tmp_path / "checkpoints", list[str]()
    score(wide.model_copy(update={"scoring": wide.scoring.model_copy(update={"batch_size": 4})}))  # allocates
    little_memory(150 * 2**20)
    small = only(wide, checkpoints=checkpoints, notify=told.append)
    little_memory(2**40)
    size = json.loads((checkpoints / "run.json").read_text())["batch_size"]
    assert f"batches of {size} examples" in told
    assert small.method.parameters["batch_size"] == size < 256
    paths = sorted(checkpoints.glob("*.safetensors"))
    paths[0].unlink()  # as if the run had been killed before it
    there = {path: path.stat().st_mtime_ns for path in paths[1:]}
    calls = forwards(monkeypatch)
    again = only(wide, checkpoints=checkpoints, notify=told.append)
    assert f"batches of {size} examples, as before" in told
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert 0 < len(calls) < len(prepare(wide, size).tasks[0].batches) + 8
    np.testing.assert_array_equal(again.examples[0].values, small.examples[0].values)
    fixed = wide.model_copy(update={"scoring": wide.scoring.model_copy(update={"batch_size": size})})
    np.testing.assert_array_equal(only(fixed).examples[0].values, small.examples[0].values)
    np.testing.assert_allclose(only(wide).examples[0].values, small.examples[0].values, rtol=0, atol=1e-5)


def test_another_batch_size_is_refused_in_mid_run(study_of: Make, tmp_path: Path) -> None:
    only(study_of(batch_size="auto"), checkpoints=tmp_path / "checkpoints")
    with pytest.raises(InputError, match=re.escape("[scoring] batch_size is 2, was auto. Undo it")):
        only(study_of(batch_size=2), checkpoints=tmp_path / "checkpoints")


def test_memory_that_runs_out_plans_the_unfinished_task_anew_and_leaves_what_is_finished(
    study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*ROWS[:4], *({**row, "task": "later", "id": f"l{row['id']}"} for row in ROWS[:4])]
    study, checkpoints, told = study_of(rows=rows, batch_size="auto"), tmp_path / "checkpoints", list[str]()
    real, finished = model_module.LoadedModel.answer_logits, dict[Path, int]()

    def tight(self: Any, batch: Any) -> Any:
        """Memory is enough for the first task, and for batches of two from then on."""
        if batch.rows[0].task == "later" and batch.size > 2 and (checkpoints / "run.json").exists():
            finished.update(
                finished or {path: path.stat().st_mtime_ns for path in checkpoints.glob("gate*.safetensors")}
            )
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(self, batch)

    whole = only(study)
    monkeypatch.setattr(model_module.LoadedModel, "answer_logits", tight)
    made = only(study, checkpoints=checkpoints, notify=told.append)
    assert len(finished) == 1
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert [line for line in told if "memory" in line] == ["memory ran out in task later: going on with batches of 2"]
    assert made.method.diagnostics == {"batch size after memory ran out": {"later": 2}}
    np.testing.assert_array_equal(made.examples[0].values, whole.examples[0].values)
    np.testing.assert_allclose(made.examples[1].values, whole.examples[1].values, rtol=0, atol=1e-5)
    calls = forwards(monkeypatch)
    np.testing.assert_array_equal(only(study, checkpoints=checkpoints).examples[1].values, made.examples[1].values)
    assert calls == []


def test_where_not_one_example_fits_the_longest_is_told(study_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Any, batch: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(model_module.LoadedModel, "answer_logits", none)
    with pytest.raises(InputError, match=r"^the longest example: out of memory with batches of one example\. Use a sm"):
        prepare(study_of(batch_size="auto"))


def test_a_dry_run_says_the_size(study_of: Make) -> None:
    assert "batches of 4 examples" in plan(study_of(batch_size="auto")).notes


def test_no_other_word_than_auto_is_a_size(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parse_study({"model": {"path": "m"}, "scoring": {"batch_size": "all"}}, "study.toml", tmp_path)
    assert str(caught.value) == (
        "study.toml: [scoring] batch_size: a batch size is a whole number from 1, or \"auto\" (got 'all'). "
        "Change the value; `reportgen schema study` shows what is allowed."
    )


def test_a_study_that_is_dumped_whole_can_be_read_again(study_of: Make) -> None:
    for study in (study_of(batch_size="auto"), study_of(method="zero_ablation", examples="adaptive", top_k=3)):
        assert Study.model_validate_json(study.model_dump_json()).model_dump() == study.model_dump()


def test_peaks_count_what_is_made_and_still_held() -> None:
    before = torch.zeros(1000)

    def work() -> None:
        kept = before + 1
        for _ in range(3):
            kept = kept * 2  # two at once
        kept.view(10, 100).t()  # views of either make nothing
        before[:10].add_(1)

    assert peak_bytes(work) == 8000
    assert peak_bytes(lambda: before.view(10, 100)) == 0


def test_free_memory_is_what_the_tightest_bound_leaves(little_memory: Callable[[int], None]) -> None:
    little_memory(300 * 2**20)
    assert 290 * 2**20 <= (free_bytes({torch.device("cpu")}) or 0) <= 300 * 2**20
    assert free_bytes({torch.device("meta")}) is None
