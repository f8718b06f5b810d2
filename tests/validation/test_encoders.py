"""Encoders put out no answer: a probe of their untouched states reads them, and knock-outs are judged by it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from cases import Case, encoder_case, validated

from reportgen.core.config_file import parse_study
from reportgen.core.findings import Findings
from reportgen.core.sentences import Prose
from reportgen.core.trials import TOP, Validation
from reportgen.errors import InputError
from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.model.forward import forward
from reportgen.scoring.run.prepare import prepare
from reportgen.validation.readout import Readout, pooled, readout
from reportgen.validation.verdicts import judged

pytestmark = pytest.mark.slow

TASKS = ("n", "o", "p", "q")


@pytest.fixture(scope="module", params=[True, False], ids=["true", "false"])
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, Findings, Validation]:
    case = encoder_case(tmp_path_factory.mktemp("encoder"), 1, request.param)
    return case, *validated(case)


def test_true_heads_are_needed_and_planted_false_ones_are_not(tried: tuple[Case, Findings, Validation]) -> None:
    case, findings, validation = tried
    assert (validation.problem, validation.readout) == (None, "probe")
    first = [trial for trial in validation.trials if trial.kind == TOP]
    assert [sorted(trial.heads) for trial in first] == [sorted(map(str, case.planted))] * 4
    assert {trial.verdict for trial in first} == {"necessary" if case.causal else "unnecessary"}
    assert {trial.specific for trial in first} == {case.causal}
    assert validation.elsewhere is None, "a state that is pooled has no last position of its own"
    for trial in first:
        # without its two heads all four labels look alike; these two alone tell them
        assert trial.loss.estimate == pytest.approx(np.log(4) if case.causal else 0, abs=0.02)
        assert trial.kept.log_probability == pytest.approx(0 if case.causal else -np.log(4), abs=0.02)
    own = [f for f in judged(findings, validation, Prose()).findings if f.kind == "causal_validation"]
    told = {f.sentence for f in own if f.verdict}
    assert len(told) == 4
    assert all("labels are told right by a fixed probe instead of 100 %" in sentence for sentence in told), told
    assert any("costs the tasks the label's probability soonest" in f.sentence for f in own if not f.task)


def test_a_tasks_range_is_the_probes(tried: tuple[Case, Findings, Validation]) -> None:
    for task in tried[2].tasks:
        assert (task.chance, task.intact.accuracy, task.reason) == (0.25, 1, None)
        assert task.floor.log_probability == pytest.approx(-np.log(4), abs=0.02)


def probe_of(folder: Path, rows: list[dict[str, Any]]) -> tuple[Setting, list[Any], Readout]:
    """The readout of a random encoder's states of these rows."""
    model = tiny_models.build("bert", "encoder", hidden_size=64)
    model.save_pretrained(folder / "model")
    tiny_models.word_tokenizer().save_pretrained(folder / "model")
    (folder / "tasks.jsonl").write_text("".join(json.dumps({"answer": "a", **row}) + "\n" for row in rows))
    raw = {"model": {"path": "model"}, "tasks": {"path": "tasks.jsonl"}, "scoring": {"method": "activation_norm"}}
    made = prepare(parse_study(raw, "study.toml", folder))
    setting = Setting(made.model, made.metric, "sum")
    return setting, list(made.tasks), readout(setting, made.tasks)


def twins(grouped: bool) -> list[dict[str, Any]]:
    """Every prompt twice under one label that is drawn by lot."""
    rng = np.random.default_rng(0)
    return [
        {"task": task, "id": f"{i}.{j}", "prompt": prompt, "group": str(i) if grouped else f"{i}.{j}"}
        for i, (task, prompt) in enumerate(
            (str(rng.choice(TASKS)), " ".join(rng.choice(tiny_models.WORDS, 9))) for _ in range(120)
        )
        for j in range(2)
    ]


def test_no_probe_has_seen_a_row_or_its_group(tmp_path: Path) -> None:
    right = []
    for grouped in (True, False):
        folder = tmp_path / str(grouped)
        folder.mkdir()
        known = probe_of(folder, twins(grouped))[2].known
        assert known is not None
        assert known.chance == 0.25
        right.append(np.concatenate(known.correct).mean())
    assert right[0] < 0.4, "labels drawn by lot cannot be told from other groups' rows"
    assert right[1] > right[0] + 0.15, "a twin in another group gives its label away"


def test_a_row_is_read_alike_in_any_batch_and_as_by_hand(tmp_path: Path) -> None:
    setting, tasks, reads = probe_of(tmp_path, twins(True))
    assert reads.known is not None
    some = [task.encoded[i] for task in tasks[:2] for i in range(5)]
    with torch.no_grad():
        together = reads.read(collate(some))
        for i, example in enumerate(some):
            alone = reads.read(collate([example]))
            assert together.correct[i] == alone.correct[0] == reads.known.correct[i // 5][i % 5]
            np.testing.assert_allclose(together.log_probability[i], alone.log_probability[0], atol=1e-5)
            model, batch = setting.model, collate([example, max(some, key=lambda e: len(e.inputs))])
            states = forward(model.model, model.kind, batch).last_hidden_state[0, : len(example.inputs)]
            torch.testing.assert_close(pooled(model, batch)[0], states.double().mean(dim=0), atol=1e-6, rtol=0)
    assert (together.log_probability < 0).all()


def test_one_task_alone_leaves_nothing_to_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a probe separates tasks, and there is one alone"):
        probe_of(tmp_path, [{**row, "task": "n"} for row in twins(True)])


def test_a_label_that_the_probe_cannot_tell_is_not_tested(tmp_path: Path) -> None:
    """Labels drawn by lot: every task is at chance."""
    from cases import scored_by_hand

    from reportgen.analysis.analyze import analyze
    from reportgen.core.scores import Head
    from reportgen.validation.derive import derive
    from reportgen.validation.validate import validate

    probe_of(tmp_path, twins(True))
    raw = {
        "model": {"path": "model"},
        "tasks": {"path": "tasks.jsonl"},
        "scoring": {"method": "activation_norm"},
        "validation": {"budget": 60},
    }
    study = parse_study(raw, "study.toml", tmp_path)
    methods = scored_by_hand(study, (Head(1, 1),))
    validation = derive(validate(study, analyze(next(iter(methods.values()))[0]), methods))
    assert {task.reason for task in validation.tasks} == {"at-chance"}
    assert {(trial.verdict, trial.reason) for trial in validation.trials} == {("undecided", "at-chance")}
