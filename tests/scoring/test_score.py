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
from tiny_models import ROWS, SIZE, USUAL, build, word_tokenizer
from transformers import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration

from reportgen.errors import InputError
from reportgen.scores import reduce_examples, split_halves
from reportgen.scoring import decoder as decoder_module
from reportgen.scoring.score import plan, score
from reportgen.study import Study, load_study

Make = Callable[..., Study]


def refusal(study: Study, units: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        score(study, units=units)
    assert units is None or not units.exists()
    return str(caught.value)


def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every call of answer_logits from here on, counted in a list."""
    calls, real = list[int](), decoder_module.Decoder.answer_logits

    def counted(self: Any, batch: Any) -> Any:
        calls.append(batch.size)
        return real(self, batch)

    monkeypatch.setattr(decoder_module.Decoder, "answer_logits", counted)
    return calls


def test_scores_describe_tasks_examples_model_and_methods(study_of: Make) -> None:
    study = study_of(also=["zero_ablation"], batch_size=2, seed=5)
    study = study.model_copy(update={"tasks": study.tasks.model_copy(update={"groups": {"easy": ["colour"]}})})
    seen: list[tuple[str, int, int]] = []
    results = score(study, progress=lambda *step: seen.append(step))
    assert list(results) == ["gate_gradient", "zero_ablation"]
    assert [s for s in seen if s[0] == "gate_gradient"] == [("gate_gradient", n, 3) for n in range(4)]
    for name, unit in [("gate_gradient", "|∂ log-odds / ∂ gate|"), ("zero_ablation", "|Δ log-odds|")]:
        got = results[name]
        assert (got.importance.shape, got.importance.dtype) == ((2, 3, 4), np.float32)
        assert (got.method.name, got.method.unit, got.method.metric, got.method.signed) == (
            name,
            unit,
            "log_odds",
            False,
        )
        assert [(t.name, t.group, t.n, t.chance) for t in got.tasks] == [
            ("count", None, 4, 0.25), ("colour", "easy", 2, 0.5)]  # fmt: skip
        examples = got.examples[1]
        assert examples is not None
        assert (examples.ids, examples.groups, examples.ordered) == (("k0", "k1"), ("g", "g"), False)
        assert examples.discovery.tolist() == split_halves(("g", "g"), 5).tolist()
        assert (examples.values < 0).any()
        np.testing.assert_array_equal(
            got.importance[1], reduce_examples(examples.values, "mean_abs").astype(np.float32))  # fmt: skip
        assert set(got.versions) == {"torch", "transformers", "reportgen"}
        assert (got.seed, got.reduction, got.model.kv_groups) == (5, "mean_abs", 4)


def test_baseline_is_the_models_own(study_of: Make, folder_of: Callable[[str], Path]) -> None:
    study, model = study_of("gpt2", batch_size=3), build("gpt2")
    tokenizer, logs, right = word_tokenizer(), [], []
    for row in ROWS[:4]:
        prompt = tokenizer(row["prompt"])["input_ids"]
        answer = tokenizer(row["answer"], add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            p = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)[len(prompt) - 1 : -1]
        logs.append(float(sum(p[j, t] for j, t in enumerate(answer))))
        right.append(p.argmax(-1).tolist() == answer)
    task = score(study)["gate_gradient"].tasks[0]
    assert task.accuracy == np.mean(right)
    assert task.log_probability == pytest.approx(np.mean(logs), abs=1e-5)
    assert task.miss == pytest.approx(np.mean(1 - np.exp(logs)), abs=1e-5)
    digest = hashlib.sha256((folder_of("gpt2") / "model.safetensors").read_bytes()).hexdigest()
    assert score(study)["gate_gradient"].model.weights_sha256 == digest


@pytest.mark.parametrize("metric", ["log_odds", "log_probability", "logit_difference"])
def test_importance_does_not_depend_on_the_batch_size(study_of: Make, metric: str) -> None:
    also = ["zero_ablation"]
    one, four = (score(study_of(batch_size=size, metric=metric, also=also)) for size in (1, 4))
    for name in one:
        np.testing.assert_allclose(one[name].importance, four[name].importance, rtol=0, atol=1e-5)


def test_finished_units_are_used_again_and_broken_ones_are_not(
    study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, units = study_of(batch_size=2), tmp_path / "units"
    calls = forwards(monkeypatch)
    first = score(study, units=units)["gate_gradient"]
    files = sorted(units.iterdir())
    assert (len(calls), len(files)) == (3, 2)
    calls.clear()
    again = score(study, units=units)["gate_gradient"]
    assert (calls, again.tasks) == ([], first.tasks)
    np.testing.assert_array_equal(again.importance, first.importance)
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 1
    files[0].write_bytes(content)
    files[1].write_bytes(b"")
    np.testing.assert_array_equal(score(study, units=units)["gate_gradient"].importance, first.importance)
    assert len(calls) == 3
    calls.clear()
    score(study_of(batch_size=2, metric="log_probability"), units=units)
    assert len(calls) == 3


def test_an_interrupted_run_keeps_its_finished_tasks(
    study_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, units = study_of(batch_size=2), tmp_path / "units"

    def stop(_: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(study, units=units, progress=lambda *s: stop(s[0], s[1] + 1, s[2]))
    calls = forwards(monkeypatch)
    score(study, units=units)
    assert len(calls) == 1


def test_plan_counts_examples_and_forwards(study_of: Make) -> None:
    made = plan(study_of(also=["zero_ablation"], batch_size=2))
    assert (made.examples, made.batches, made.layers, made.heads) == ({"count": 4, "colour": 2}, 3, 3, 4)
    assert [(m.method, m.forwards) for m in made.methods] == [("gate_gradient", 3 * 2.12), ("zero_ablation", 27.0)]
    assert made.seconds > 0
    assert made.memory_bytes > 0


def test_the_models_path_is_kept_as_the_study_writes_it(tmp_path: Path, folder_of: Callable[[str], Path]) -> None:
    shutil.copytree(folder_of("llama"), tmp_path / "model")
    (tmp_path / "tasks.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / "study.toml").write_text('[model]\npath = "model"\n[tasks]\npath = "tasks.jsonl"\n')
    assert score(load_study(tmp_path / "study.toml"))["gate_gradient"].model.path == "model"


def test_layers_without_attention_have_no_heads(study_of: Make) -> None:
    results = score(study_of("lfm2", also=["zero_ablation"], batch_size=2))
    for scores in results.values():
        assert scores.present.tolist() == [[False] * 4, [True] * 4, [False] * 4]
        assert scores.model.kv_groups == 2


def test_shards_are_read_and_a_missing_one_is_named(study_of: Make, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    build("llama").save_pretrained(folder, max_shard_size="6KB")
    word_tokenizer().save_pretrained(folder)
    whole, study = score(study_of())["gate_gradient"], study_of(model={"path": str(folder)})
    np.testing.assert_array_equal(score(study)["gate_gradient"].importance, whole.importance)
    lost = sorted(folder.glob("*.safetensors"))[1]
    lost.unlink()
    assert refusal(study) == (
        f"{folder}: {lost.name} is missing, which model.safetensors.index.json names. "
        "Copy the whole model folder again."
    )


def test_half_precision_scores_are_close(study_of: Make) -> None:
    exact, half = (score(study_of(model={"dtype": d}))["gate_gradient"] for d in ("float32", "bfloat16"))
    np.testing.assert_allclose(half.importance, exact.importance, rtol=0.2, atol=0.05)


def test_unknown_names_are_told_with_the_nearest_known_one(study_of: Make) -> None:
    assert refusal(study_of(method="gate_gradints")) == (
        "[scoring] method: no scoring method is called 'gate_gradints'. The nearest known one is 'gate_gradient'."
    )
    assert refusal(study_of(also=["xyz"])) == (
        "[scoring] also: no scoring method is called 'xyz'. Known here: gate_gradient, zero_ablation."
    )
    assert refusal(study_of(parameters={"zero_ablation": {"heads_at_one": 2}}, also=["zero_ablation"])) == (
        "[scoring] parameters.zero_ablation: unknown parameter 'heads_at_one'. "
        "The nearest known one is 'heads_at_once'."
    )
    assert refusal(study_of(parameters={"zero_ablation": {"heads_at_once": 0}}, also=["zero_ablation"])) == (
        "[scoring] parameters.zero_ablation: heads_at_once is 0. Give a whole number from 1."
    )


def test_bad_rows_are_refused_before_anything_is_written(study_of: Make, tmp_path: Path) -> None:
    units, file = tmp_path / "units", tmp_path / "tasks.jsonl"
    long = {**ROWS[0], "prompt": "one " * 40}
    assert refusal(study_of(rows=[ROWS[1], long]), units) == (
        f"{file}, line 2 (id 'c0'): prompt and answer take 42 tokens but the model's context is 32. "
        "Shorten the prompt, remove the row, or use a model with a longer context."
    )
    no_foil = {k: v for k, v in ROWS[0].items() if k != "foil"}
    assert refusal(study_of(rows=[no_foil], metric="logit_difference"), units) == (
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


def test_encoders_and_encoder_decoders_are_refused(study_of: Make, tmp_path: Path) -> None:
    BertForMaskedLM(BertConfig(**SIZE, **USUAL)).save_pretrained(tmp_path / "bert")
    T5ForConditionalGeneration(
        T5Config(vocab_size=24, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=4, decoder_start_token_id=0)
    ).save_pretrained(tmp_path / "t5")
    for name, what in [("bert", "an encoder"), ("t5", "an encoder-decoder")]:
        assert refusal(study_of(model={"path": str(tmp_path / name)})) == (
            f"{tmp_path}/{name}: {name} is {what}; this version scores decoder-only models. "
            "Choose a causal language model such as Llama or GPT-2."
        )


def test_nan_names_task_and_example(study_of: Make, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = broken(folder_of("llama"), tmp_path / "nan")
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["model.embed_tokens.weight"][word_tokenizer().convert_tokens_to_ids("d")] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert refusal(study_of(model={"path": str(folder)}), tmp_path / "units") == (
        f"task count, example 'c3' ({tmp_path}/tasks.jsonl, line 4): the model's logits hold NaN. "
        'Check the weights, or compute in dtype = "float32".'
    )


def test_local_folders_never_ask_the_network(study_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    score(study_of())
