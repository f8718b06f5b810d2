"""Kinds of models that padding, lengths or capacity would change: their scores against a plain loop, one at a time."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from architectures import CHANGED, awake, shrunk
from plain_calls import check_scores, loaded, plain_loop, text
from tiny_models import ROWS, build, setting, word_tokenizer
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from reportgen.core.config import ModelSection, Study
from reportgen.errors import InputError
from reportgen.scoring.data.batches import collate
from reportgen.scoring.data.metrics import METRICS, baseline
from reportgen.scoring.methods import gate_gradient
from reportgen.scoring.methods.common.ablation import side_by_side
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.common.references import means
from reportgen.scoring.model.forward import forward
from reportgen.scoring.model.heads import find
from reportgen.scoring.model.load import LOADERS
from reportgen.scoring.model.loaded import LoadedModel, load, pooled
from reportgen.scoring.model.running import WAYS, Running
from reportgen.scoring.run.agreement import agreeing
from reportgen.scoring.run.prepare import prepare
from reportgen.scoring.score import score
from reportgen.validation.engine import Ground, Intervention, outcomes

pytestmark = pytest.mark.filterwarnings("ignore")  # each family warns of its own odd defaults
Make = Callable[..., Study]
LENGTHS = (5, 7, 7, 9, 12, 20, 26, 33, 33, 40)  # on both sides of every window, block and limit below
LONG_ROPE = {
    "max_position_embeddings": 128,
    "original_max_position_embeddings": 16,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0, 1.2, 1.1, 1.0],
        "long_factor": [3.0, 4.0, 5.0, 6.0],
        "original_max_position_embeddings": 16,
        "factor": 8.0,
    },
}
DYNAMIC = {
    "max_position_embeddings": 16,
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
}
SPARSE = {"block_size": 4, "num_random_blocks": 1, "attention_type": "block_sparse"}
CAUSAL = {"is_decoder": True, "pad_token_id": 1}
SWITCH = {"expert_capacity": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
NLLB = {"encoder_sparse_step": 2, "decoder_sparse_step": 2, "expert_capacity": 5}
PADDED, EQUAL, ALONE = Running(), Running("equal"), Running("single", copies=False)
WHOLE = Running("single", copies=False, shortcuts="none")
KINDS: list[tuple[str, str, dict[str, Any], Running]] = [
    ("causal", "phi3", LONG_ROPE, EQUAL),
    ("causal", "llama", DYNAMIC, EQUAL),
    ("causal", "qwen2", DYNAMIC, EQUAL),
    ("causal", "roberta", CAUSAL, PADDED),
    ("causal", "data2vec-text", CAUSAL, PADDED),
    ("causal", "xlm-roberta-xl", CAUSAL, PADDED),
    ("masked", "big_bird", SPARSE, EQUAL),
    ("seq2seq", "bigbird_pegasus", {"block_size": 4, "num_random_blocks": 1}, EQUAL),
    ("seq2seq", "switch_transformers", {**SWITCH, "num_experts": 8}, Running(shortcuts="none")),
    ("seq2seq", "nllb-moe", {**NLLB, "num_experts": 8, "moe_eval_capacity_token_fraction": -1.0}, ALONE),
    ("seq2seq", "nllb-moe", {**NLLB, "num_experts": 4, "moe_eval_capacity_token_fraction": 0.3}, WHOLE),
    ("causal", "mixtral", {"num_local_experts": 11}, PADDED),
    ("masked", "longformer", {"attention_window": [4, 4]}, PADDED),
    ("seq2seq", "longt5", {"local_radius": 3}, PADDED),
    ("classifier", "gpt2", {"pad_token_id": 3}, PADDED),
    ("classifier", "qwen2", {"pad_token_id": 5}, PADDED),
    ("classifier", "gpt2", {"pad_token_id": None}, EQUAL),
    ("classifier", "llama", {"pad_token_id": None}, EQUAL),
    ("classifier", "llama", {"pad_token_id": -1}, EQUAL),
    ("classifier", "llama", {"pad_token_id": 3, "num_labels": 1}, PADDED),
    ("encoder", "bert", {}, PADDED),
    ("encoder", "big_bird", SPARSE, EQUAL),
]
NAMES = [f"{kind}-{name}-{i}" for i, (kind, name, _, _) in enumerate(KINDS)]


def tiny(kind: str, name: str, changed: dict[str, Any]) -> Any:
    """A random model whose attention is far from uniform, so that what padding changes shows."""
    settings = shrunk(CONFIG_MAPPING[name]()) | CHANGED.get(f"{kind}/{name}", {}) | changed
    torch.manual_seed(0)
    loader: Any = getattr(transformers, LOADERS[kind])  # type: ignore[index]
    model = awake(loader.from_config(AutoConfig.for_model(name, **settings)).eval())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 5
    return model


@pytest.mark.parametrize(("kind", "name", "changed", "way"), KINDS, ids=NAMES)
def test_kind(kind: str, name: str, changed: dict[str, Any], way: Running) -> None:
    model = tiny(kind, name, changed)
    fresh = copy.deepcopy(model)
    if changed.get("pad_token_id", 0) is None:
        assert fresh.config.pad_token_id is None
    one, some = loaded(model, kind), [text(kind, n, i, model.config.num_labels) for i, n in enumerate(LENGTHS)]
    found, notes = agreeing(one, [some], 4, name)
    assert found.running == way
    assert bool(notes) == (way != WAYS[0])
    assert way.said in found.described.notes[-1]
    if kind == "encoder":
        for batch in found.running.planned(some, 4):
            for row, number in enumerate(batch):
                states = pooled(found, found.collated([some[i] for i in batch]))[row]
                np.testing.assert_allclose(states, plain_loop(fresh, kind, some[number]), rtol=0, atol=1e-4)
    else:
        check_scores(fresh, found, some[::3], 4)


@pytest.mark.parametrize("experts", [7, 8, 11, 22])
def test_routers_are_no_attention(experts: int) -> None:
    model = tiny("seq2seq", "switch_transformers", {**SWITCH, "num_experts": experts})
    assert {site.heads for site in find(model).sites} == {4}


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [("masked", "big_bird", SPARSE), ("causal", "llama", DYNAMIC), ("causal", "phi3", LONG_ROPE)],
)
def test_a_trace_leaves_the_model_as_it_was(kind: str, name: str, changed: dict[str, Any]) -> None:
    model = tiny(kind, name, changed)
    fresh, example = copy.deepcopy(model), text(kind, 40, 0)
    loaded(model, kind)
    assert [n for n, _ in model.named_modules()] == [n for n, _ in fresh.named_modules()]
    assert plain_loop(model, kind, example) == plain_loop(fresh, kind, example)


def test_no_run_depends_on_those_before() -> None:
    model = tiny("causal", "llama", DYNAMIC)
    fresh, some = copy.deepcopy(model), [text("causal", n, i) for i, n in enumerate(LENGTHS)]
    found, _ = agreeing(loaded(model, "causal"), [some], 4, "llama")
    for example in (some[-1], some[5], some[0]):  # a long text, one between, a short one
        logits = forward(found.model, "causal", collate([example])).logits[0]
        with torch.no_grad():
            torch.testing.assert_close(logits, copy.deepcopy(fresh)(input_ids=torch.tensor([example.inputs])).logits[0])


def test_gradients_are_those_of_each_example_alone() -> None:
    model = tiny("causal", "phi3", LONG_ROPE)
    some = [text("causal", n, i) for i, n in enumerate(LENGTHS)]
    found, _ = agreeing(loaded(model, "causal"), [some], 4, "phi3")
    for batch in found.running.planned(some, 4):
        together = gate_gradient.gradients(setting(found), found.collated([some[i] for i in batch])).values
        for row, number in enumerate(batch):
            alone = gate_gradient.gradients(setting(found), found.collated([some[number]])).values[0]
            np.testing.assert_allclose(together[row], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "name", "changed"), [KINDS[0][:3], KINDS[6][:3], KINDS[9][:3]])
def test_interventions_of_the_validation_are_those_of_each_example_alone(
    kind: str, name: str, changed: dict[str, Any]
) -> None:
    model = tiny(kind, name, changed)
    fresh, some = copy.deepcopy(model), [text(kind, n, i) for i, n in enumerate(LENGTHS)]
    found, _ = agreeing(loaded(model, kind), [some], 4, name)
    batches = [(b, found.collated([some[i] for i in b])) for b in found.running.planned(some, 4)]
    given = Setting(found, METRICS["log_probability"], "sum")
    mean, cell = means(given, [batch for _, batch in batches]), (1, 2)
    ground = Ground((given,), (mean,), lambda b: baseline(found.answer_logits(b), b), lambda b, draw: b)
    wanted = [Intervention(frozenset({cell}), 0.0), Intervention(frozenset({(0, 0), cell}))]
    for numbers, batch in batches[-2:]:
        together = side_by_side(found, batch)
        seen = outcomes(ground, batch, wanted, together)
        for row, number in enumerate(numbers):
            lost = plain_loop(fresh, kind, some[number], found.heads.sites[cell[0]], cell[1], odds=False)
            assert seen.log_probability[0, row] == pytest.approx(lost[0], abs=1e-4 * max(1, abs(lost[0])))


def test_half_precision_is_compared_in_float32_and_left_as_it_was() -> None:
    model = tiny("causal", "phi3", LONG_ROPE).to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found, _ = agreeing(loaded(model, "causal"), [[text("causal", n, i) for i, n in enumerate(LENGTHS)]], 4, "phi3")
    assert found.running == EQUAL
    for name, weight in found.model.state_dict().items():
        assert weight.dtype == before[name].dtype
        assert torch.equal(weight, before[name])


def test_a_model_of_which_no_way_agrees_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(tiny("causal", "llama", {}), "causal")
    real = LoadedModel.plain
    monkeypatch.setattr(LoadedModel, "plain", lambda self, example: 1.01 * real(self, example))
    with pytest.raises(InputError) as caught:
        agreeing(model, [[text("causal", 5, 0), text("causal", 9, 1)]], 4, "some/folder")
    assert "however examples are run, the model puts out other numbers than its plain call (rows:" in str(caught.value)


def test_the_way_is_part_of_what_makes_scores_the_same(study_of: Make, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny("causal", "llama", {**DYNAMIC, "vocab_size": 28, "max_position_embeddings": 5}).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    study = study_of(model={"path": str(folder)}, batch_size=4, also=["zero_ablation"])
    prepared = prepare(study)
    assert prepared.model.running.batching == "equal"
    assert prepared.identity["how examples are run"] == prepared.model.running.said
    for task in prepared.tasks:
        for batch in task.batches:
            assert len({len(task.encoded[i].inputs) for i in batch}) == 1
    notes: list[str] = []
    checkpoints = tmp_path / "checkpoints"
    scores = score(study, checkpoints=checkpoints, notify=notes.append)["zero_ablation"][0]
    assert any("only examples of one length share a batch" in note for note in notes)
    assert any("only examples of one length share a batch" in note for note in scores.model.notes)
    fresh = load(ModelSection(path=str(folder)))
    task, site = prepared.tasks[0], fresh.heads.sites[0]
    for row, example in enumerate(task.encoded):
        alone = copy.deepcopy(fresh.model)
        lost = plain_loop(alone, "causal", example) - plain_loop(alone, "causal", example, site, 2)
        assert scores.examples[0] is not None
        assert scores.examples[0].values[row, 0, 2] == pytest.approx(lost[0], abs=1e-4)


def test_generated_answers_of_such_a_model_are_written_one_at_a_time(study_of: Make, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny("causal", "llama", {**DYNAMIC, "vocab_size": 28, "max_position_embeddings": 5}).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    rows = [{**row, "prompt": "zero one two three " + row["prompt"]} for row in ROWS[:3]]
    prepared = prepare(
        study_of(rows=rows, model={"path": str(folder)}, method="zero_ablation", metric="exact_match", batch_size=4)
    )
    assert prepared.model.running.batching == "single"


def saved(folder: Path, architecture: str = "llama", kind: str | None = None, **config: Any) -> str:
    build(architecture, kind).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return str(folder)


@pytest.mark.parametrize("kernel", ["flash_attention_2", "flash_attention_3", "flex_attention", "some/kernel"])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_attention_that_shows_no_head_is_replaced_and_said(tmp_path: Path, kernel: str, key: str) -> None:
    model = load(ModelSection(path=saved(tmp_path, **{key: kernel})))
    assert model.described.notes[0] == f"its configuration asks for {kernel}; attention is computed by sdpa"
    assert len(model.heads.sites) == 3


def test_pruned_heads_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"heads were pruned from it \(pruned_heads in its config.json, layers 0, 2\)"):
        load(ModelSection(path=saved(tmp_path, "bert", pruned_heads={"2": [1], "0": [1, 3]})))


def test_audio_language_models_are_decoders(tmp_path: Path) -> None:
    config = AutoConfig.for_model("qwen2_audio", **shrunk(CONFIG_MAPPING["qwen2_audio"]()))
    torch.manual_seed(0)
    built = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    built.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    model, some = load(ModelSection(path=str(tmp_path))), [text("causal", n, i) for i, n in enumerate(LENGTHS[:6])]
    assert model.kind == "causal"
    found, _ = agreeing(model, [some], 4, "qwen2_audio")
    check_scores(built, found, some, 4)


def reward(folder: Path, **changed: Any) -> str:
    tiny("classifier", "llama", {"num_labels": 1, "vocab_size": 28, **changed}).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return str(folder)


def test_reward_models_are_scored_by_their_number(study_of: Make, tmp_path: Path) -> None:
    folder = reward(tmp_path / "model", pad_token_id=None)
    rows = [{**row, "answer": "LABEL_0", "foil": None} for row in ROWS]
    with pytest.raises(InputError) as caught:
        prepare(study_of(rows=rows, model={"path": folder}))
    assert "the classifier puts out one number, as reward models do, and log_odds compares classes" in str(caught.value)
    assert "class_logit" in caught.value.hint
    study = study_of(rows=rows, model={"path": folder}, method="zero_ablation", metric="class_logit", batch_size=4)
    scores, fresh, prepared = score(study)["zero_ablation"][0], load(ModelSection(path=folder)), prepare(study)
    assert "its configuration names no padding token" in scores.model.notes[0]
    assert scores.tasks[0].accuracy is None
    site = fresh.heads.sites[0]
    for row, example in enumerate(prepared.tasks[0].encoded):
        lost = plain_loop(fresh.model, "classifier", example) - plain_loop(fresh.model, "classifier", example, site, 1)
        assert scores.examples[0] is not None
        assert scores.examples[0].values[row, 0, 1] == pytest.approx(lost[0], abs=1e-4)
