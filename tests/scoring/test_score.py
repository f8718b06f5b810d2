import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file
from tiny_models import ROWS, build, word_tokenizer

from reportgen.core.config import Study
from reportgen.core.config_file import load_study
from reportgen.core.scores import HeadScores, reduce_examples, split_halves
from reportgen.errors import InputError
from reportgen.scoring.methods.common.method import METHODS
from reportgen.scoring.model import loaded as model_module
from reportgen.scoring.run.cost import plan
from reportgen.scoring.score import score

Make = Callable[..., Study]


def scored(study: Study, method: str = "gate_gradient", **rest: Any) -> HeadScores:
    """The scores of a model whose heads are all in one block."""
    (scores,) = score(study, **rest)[method]
    return scores


def refusal(study: Study, checkpoints: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        score(study, checkpoints=checkpoints)
    assert checkpoints is None or not checkpoints.exists()
    return str(caught.value)


# answered freely: no foil has to be run beside the answer
FREE = [{name: value for name, value in row.items() if name != "foil"} for row in ROWS]


def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every call of answer_logits from here on, counted in a list."""
    calls, real = list[int](), model_module.LoadedModel.answer_logits

    def counted(self: Any, batch: Any) -> Any:
        calls.append(batch.size)
        return real(self, batch)

    monkeypatch.setattr(model_module.LoadedModel, "answer_logits", counted)
    return calls


def test_scores_describe_tasks_examples_model_and_methods(study_of: Make) -> None:
    study = study_of(also=["zero_ablation"], batch_size=2, seed=5)
    study = study.model_copy(update={"tasks": study.tasks.model_copy(update={"groups": {"easy": ["colour"]}})})
    seen: list[tuple[str, int, int]] = []
    results = score(study, progress=lambda *step: seen.append(step))
    assert list(results) == ["gate_gradient", "zero_ablation", "activation_norm"]
    steps = [(name.partition(":")[0], done, total) for name, done, total in seen]
    assert [s for s in steps if s[0] == "gate_gradient"] == [("gate_gradient", n, 6) for n in (0, 2, 4, 6)]
    for name, unit in [("gate_gradient", "|∂ log-odds / ∂ gate|"), ("zero_ablation", "|Δ log-odds|")]:
        (got,) = results[name]
        assert (got.importance.shape, got.importance.dtype) == ((2, 3, 4), np.float32)
        assert (got.method.name, got.method.unit, got.method.metric, got.method.signed) == (
            name,
            unit,
            "log_odds",
            False,
        )
        assert [(t.name, t.group, t.n, t.chance) for t in got.tasks] == [
            ("count", None, 4, 0.5),  # against a foil
            ("colour", "easy", 2, 0.5),
        ]
        examples = got.examples[1]
        assert examples is not None
        assert (examples.ids, examples.groups, examples.ordered) == (("k0", "k1"), ("g", "g"), False)
        assert examples.discovery.tolist() == split_halves(("g", "g"), 5).tolist()
        assert (examples.values < 0).any()
        np.testing.assert_array_equal(
            got.importance[1], reduce_examples(examples.values, "mean_abs").astype(np.float32)
        )
        assert set(got.versions) == {"torch", "transformers", "reportgen"}
        assert (got.seed, got.reduction, got.model.kv_groups) == (5, "mean_abs", 4)


def test_baseline_is_the_models_own(study_of: Make, folder_of: Callable[[str], Path]) -> None:
    study, model = study_of("gpt2", batch_size=3), build("gpt2")
    tokenizer, logs, right, argmax = word_tokenizer(), [], [], []
    for row in ROWS[:4]:
        prompt, found = tokenizer(row["prompt"])["input_ids"], []
        for text in (row["answer"], row["foil"]):
            answer = tokenizer(text, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                p = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)[len(prompt) - 1 : -1]
            found.append(float(sum(p[j, t] for j, t in enumerate(answer))))
            argmax.append(p.argmax(-1).tolist() == answer)
        logs.append(found[0])
        right.append(found[0] > found[1])
    task = scored(study).tasks[0]
    assert (task.accuracy, task.argmax) == (np.mean(right), np.mean(argmax[::2]))
    assert task.log_probability == pytest.approx(np.mean(logs), abs=1e-5)
    assert task.miss == pytest.approx(np.mean(1 - np.exp(logs)), abs=1e-5)
    digest = hashlib.sha256((folder_of("gpt2") / "model.safetensors").read_bytes()).hexdigest()
    assert scored(study).model.weights_sha256 == digest


@pytest.mark.parametrize("metric", ["log_odds", "log_probability", "logit_difference"])
def test_importance_does_not_depend_on_the_batch_size(study_of: Make, metric: str) -> None:
    also = ["zero_ablation"]
    one, four = (score(study_of(batch_size=size, metric=metric, also=also)) for size in (1, 4))
    for name in one:
        np.testing.assert_allclose(one[name][0].importance, four[name][0].importance, rtol=0, atol=1e-5)


def test_finished_units_are_used_again_and_broken_ones_are_not(
    study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, checkpoints = study_of(rows=FREE, batch_size=2), tmp_path / "checkpoints"
    calls = forwards(monkeypatch)
    first = scored(study, checkpoints=checkpoints)
    files = sorted(checkpoints.glob("*.safetensors"))
    assert (len(calls), len(files)) == (6, 4)  # two methods, two tasks
    calls.clear()
    again = scored(study, checkpoints=checkpoints)
    assert (calls, again.tasks) == ([], first.tasks)
    np.testing.assert_array_equal(again.importance, first.importance)
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 1
    files[0].write_bytes(content)
    files[1].write_bytes(b"")
    np.testing.assert_array_equal(scored(study, checkpoints=checkpoints).importance, first.importance)
    assert len(calls) == 3


def test_an_interrupted_run_keeps_its_finished_tasks(
    study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, checkpoints = study_of(rows=FREE, batch_size=2), tmp_path / "checkpoints"

    def stop(said: str, *_: int) -> None:
        if "1 of 2 shards" in said:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(study, checkpoints=checkpoints, progress=stop)
    calls = forwards(monkeypatch)
    score(study, checkpoints=checkpoints)
    assert len(calls) == 1 + 3  # the first method's second task, and the control


def test_plan_counts_examples_and_forwards(study_of: Make) -> None:
    made = plan(study_of(also=["zero_ablation"], batch_size=2))
    assert (made.examples, made.batches, made.layers, made.heads) == ({"count": 4, "colour": 2}, 3, 3, 4)
    assert [(m.method, m.forwards) for m in made.methods] == [
        ("gate_gradient", 3 * 2.12),
        ("zero_ablation", 30.0),
        ("activation_norm", 3.0),
    ]
    assert [(f.layer, f.heads, f.size, f.order) for f in made.found] == [(i, 4, 4, "verified") for i in range(3)]
    assert made.seconds > 0
    assert made.memory_bytes > 0


def test_plan_says_what_memory_patterns_take_that_a_model_makes_whole(study_of: Make) -> None:
    rows = [{**ROWS[0], "prompt": "one two " * 10}]
    fused, whole = (plan(study_of(name, rows=rows, method="previous_token")) for name in ("llama", "gemma2"))
    assert not any("pattern" in note for note in fused.notes)
    (said,) = (note for note in whole.notes if "pattern" in note)
    assert said.startswith("3 of 3 layers compute their attention pattern as a whole")
    without = plan(study_of("gemma2", rows=rows))
    assert whole.memory_bytes - without.memory_bytes == 3 * 4 * 4 * 21**2  # float32, four heads, BOS among the tokens


def test_the_models_path_is_kept_as_the_study_writes_it(tmp_path: Path, folder_of: Callable[[str], Path]) -> None:
    shutil.copytree(folder_of("llama"), tmp_path / "model")
    (tmp_path / "tasks.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / "study.toml").write_text('[model]\npath = "model"\n[tasks]\npath = "tasks.jsonl"\n')
    assert scored(load_study(tmp_path / "study.toml")).model.path == "model"


def test_layers_without_attention_have_no_heads(study_of: Make) -> None:
    results = score(study_of("lfm2", also=["zero_ablation"], batch_size=2))
    for (scores,) in results.values():
        assert scores.present.tolist() == [[False] * 4, [True] * 4, [False] * 4]
        assert scores.model.kv_groups == 2


def test_shards_are_read_and_a_missing_one_is_named(study_of: Make, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    build("llama").save_pretrained(folder, max_shard_size="6KB")
    word_tokenizer().save_pretrained(folder)
    whole, study = scored(study_of()), study_of(model={"path": str(folder)})
    np.testing.assert_array_equal(scored(study).importance, whole.importance)
    lost = sorted(folder.glob("*.safetensors"))[1]
    lost.unlink()
    assert refusal(study) == (
        f"{folder}: {lost.name} is missing, which model.safetensors.index.json names. "
        "Copy the whole model folder again."
    )


def test_half_precision_scores_are_close(study_of: Make) -> None:
    exact, half = (scored(study_of(model={"dtype": d})) for d in ("float32", "bfloat16"))
    np.testing.assert_allclose(half.importance, exact.importance, rtol=0.2, atol=0.05)


def test_unknown_names_are_told_with_the_nearest_known_one(study_of: Make) -> None:
    assert refusal(study_of(method="gate_gradints")) == (
        "[scoring] method: no scoring method is called 'gate_gradints'. Did you mean 'gate_gradient'?"
    )
    assert refusal(study_of(also=["xyz"])) == (
        f"[scoring] also: no scoring method is called 'xyz'. Known here: {', '.join(m.name for m in METHODS.own())}."
    )
    assert refusal(study_of(parameters={"zero_ablation": {"heads_at_one": 2}}, also=["zero_ablation"])) == (
        "[scoring] parameters.zero_ablation: unknown parameter 'heads_at_one'. Did you mean 'heads_at_once'?"
    )
    assert refusal(study_of(parameters={"zero_ablation": {"heads_at_once": -1}}, also=["zero_ablation"])) == (
        "[scoring] parameters.zero_ablation: heads_at_once is -1. Give a whole number from 0."
    )


def test_bad_rows_are_refused_before_anything_is_written(study_of: Make, tmp_path: Path) -> None:
    checkpoints, file = tmp_path / "checkpoints", tmp_path / "tasks.jsonl"
    long = {**ROWS[0], "prompt": "one " * 40}
    assert refusal(study_of(rows=[ROWS[1], long]), checkpoints) == (
        f"{file}, line 2 (id 'c0'): prompt and answer take 42 tokens but the model's context is 32. "
        "Shorten the prompt, remove the row, or use a model with a longer context."
    )
    no_foil = {k: v for k, v in ROWS[0].items() if k != "foil"}
    assert refusal(study_of(rows=[no_foil], metric="logit_difference"), checkpoints) == (
        f"{file}, line 1 (id 'c0'), column foil: the metric logit_difference needs a foil. "
        'Add a foil (a wrong answer) to every row, or choose metric = "log_odds".'
    )


def broken(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def test_model_folders_that_cannot_be_used(study_of: Make, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    assert refusal(study_of(model={"path": none})) == (
        f"{none}: no such model folder. Check [model] path in the study file."
    )
    (tmp_path / "empty").mkdir()
    assert refusal(study_of(model={"path": str(tmp_path / "empty")})) == (
        f"{tmp_path}/empty: the model folder holds no config.json. "
        "Save the model there with model.save_pretrained and tokenizer.save_pretrained."
    )
    folder = broken(folder_of("llama"), tmp_path / "broken")
    weights = folder / "model.safetensors"
    tensors = load(weights.read_bytes())
    weights.write_bytes(weights.read_bytes()[:500])
    assert "its weights cannot be loaded" in refusal(study_of(model={"path": str(folder)}))
    save_file({k: v for k, v in tensors.items() if "layers.1.mlp.up" not in k}, weights, metadata={"format": "pt"})
    assert refusal(study_of(model={"path": str(folder)})) == (
        f"{folder}: its weights lack model.layers.1.mlp.up_proj.weight. "
        "Save the model again with model.save_pretrained."
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 2, "num_key_value_heads": 4}))
    save_file(tensors, weights, metadata={"format": "pt"})
    assert refusal(study_of(model={"path": str(folder)})) == (
        f"{folder}: model.layers.0.self_attn.o_proj.weight is 16 × 16 in the weights and 16 × 8 by config.json. "
        "Put back the config.json that the weights were saved with."
    )
    weights.unlink()
    assert refusal(study_of(model={"path": str(folder)})) == (
        f"{folder}: the model folder holds no weights. Put model.safetensors there."
    )
    torch.save(tensors, folder / "pytorch_model.bin")
    assert refusal(study_of(model={"path": str(folder)})) == (
        f"{folder}: pytorch_model.bin is a pickle, which can run code when it is read. "
        "Load them where you trust them and save again with model.save_pretrained, which writes safetensors."
    )
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')
    save_file(tensors, weights, metadata={"format": "pt"})
    assert "its config.json cannot be used" in refusal(study_of(model={"path": str(folder)}))


def test_what_a_model_and_a_metric_cannot_do_is_told(study_of: Make) -> None:
    assert refusal(study_of("bert", metric="exact_match", method="zero_ablation")) == (
        "[scoring] metric: the metric exact_match does not fit a masked language model. "
        "Choose one of log_odds, log_probability, logit_difference."
    )
    assert refusal(study_of(metric="exact_match")) == (
        "[scoring] metric: gate_gradient needs the logits of the answer, and exact_match generates it. "
        "Choose an ablation, or a metric such as log_odds."
    )
    assert refusal(study_of(metric="class_logit")) == (
        "[scoring] metric: the metric class_logit does not fit a causal language model. "
        "Choose one of log_odds, log_probability, logit_difference, exact_match."
    )
    assert refusal(study_of("t5", positions="last")) == (
        "[scoring] positions: 'last' has no meaning for an encoder-decoder. Choose \"all\"."
    )


def test_signed_importance_on_request(study_of: Make) -> None:
    plain, signed = scored(study_of()), scored(study_of(parameters={"gate_gradient": {"signed": True}}))
    assert (plain.reduction, signed.reduction, signed.method.signed) == ("mean_abs", "mean", True)
    assert (plain.method.unit, signed.method.unit) == ("|∂ log-odds / ∂ gate|", "∂ log-odds / ∂ gate")
    assert plain.examples[0] is not None
    expected = plain.examples[0].values.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(signed.importance[0], expected, rtol=1e-6)
    assert refusal(study_of(parameters={"gate_gradient": {"signed": 1}})) == (
        "[scoring] parameters.gate_gradient: signed is 1. Give true or false."
    )


def test_encoder_decoders_give_three_blocks(study_of: Make) -> None:
    results = score(study_of("t5", also=["zero_ablation"], batch_size=4))
    for blocks in results.values():
        assert [(s.block, s.importance.shape) for s in blocks] == [
            ("enc", (2, 3, 4)),
            ("dec", (2, 2, 4)),
            ("cross", (2, 2, 4)),
        ]
        assert blocks[0].tasks == blocks[2].tasks
    assert not np.allclose(results["zero_ablation"][1].importance, results["zero_ablation"][2].importance)


def test_memory_that_runs_out_halves_the_batches_and_is_told_once(
    study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, told, checkpoints = study_of(batch_size=4), list[str](), tmp_path / "checkpoints"
    whole, real = scored(study), model_module.LoadedModel.answer_logits

    def small(self: Any, batch: Any) -> Any:
        if batch.size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(self, batch)

    monkeypatch.setattr(model_module.LoadedModel, "answer_logits", small)
    shrunk = scored(study, checkpoints=checkpoints, notify=told.append)
    np.testing.assert_allclose(shrunk.importance, whole.importance, rtol=0, atol=1e-5)
    assert [line for line in told if "memory" in line] == ["memory ran out in task count: going on with batches of 2"]
    calls = forwards(monkeypatch)
    np.testing.assert_array_equal(scored(study, checkpoints=checkpoints).importance, shrunk.importance)
    assert calls == []

    def none(self: Any, batch: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried …")

    monkeypatch.setattr(model_module.LoadedModel, "answer_logits", none)
    with pytest.raises(InputError) as caught:
        score(study)
    assert str(caught.value) == (
        "task count: out of memory with batches of one example. "
        "Use a smaller model or shorter prompts, a narrower dtype, or a machine with more memory."
    )


def test_nan_names_task_example_and_layer(study_of: Make, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = broken(folder_of("llama"), tmp_path / "nan")
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["model.embed_tokens.weight"][word_tokenizer().convert_tokens_to_ids("d")] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert refusal(study_of(model={"path": str(folder)}), tmp_path / "checkpoints") == (
        f"task count, example 'c3' ({tmp_path}/tasks.jsonl, line 4): "
        "the model's logits hold NaN, first in the embeddings. "
        'Check the weights, or compute in dtype = "float32".'
    )


def test_a_layer_that_always_puts_out_nan_is_named(
    study_of: Make, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = broken(folder_of("llama"), tmp_path / "nan")
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for method in ("gate_gradient", "zero_ablation"):
        assert refusal(study_of(model={"path": str(folder)}, method=method), tmp_path / "checkpoints") == (
            f"task count, example 'c2' ({tmp_path}/tasks.jsonl, line 3): "
            "the model's logits hold NaN, first in model.layers.1. "
            'Check the weights, or compute in dtype = "float32".'
        )


def test_weights_that_are_left_unread_are_told(
    study_of: Make, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = broken(folder_of("llama"), tmp_path / "short")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    notes = scored(study_of(model={"path": str(folder)})).model.notes
    assert notes[0] == (
        "the model's folder holds weights that this architecture has no place for: "
        "model.layers.2.input_layernorm.weight and 8 more"
    )


def test_local_folders_never_ask_the_network(study_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    score(study_of())
