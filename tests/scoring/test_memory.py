"""What scoring holds in memory at once, against plain runs of the same batch: torch's profiler counts all that the
allocator gives and takes.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import ROWS, build, word_tokenizer
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM

from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.methods import gate_gradient, zero_ablation
from reportgen.scoring.methods.common.ablation import at_once
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.run.memory import halved, peak_bytes
from reportgen.scoring.run.prepare import Prepared, prepare

pytestmark = pytest.mark.slow

Make = Callable[..., Study]
LAYERS, WIDTH = 6, 64


@pytest.fixture
def prepared(study_of: Make, tmp_path: Path) -> Prepared:
    """A model whose layers hold most of what a run holds, and sixteen examples of one length."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=64,
            pad_token_id=0,
        )
    ).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{**ROWS[0], "id": str(i)} for i in range(16)]
    return prepare(study_of(rows=rows, model={"path": str(tmp_path / "model")}, also=["zero_ablation"], batch_size=16))


def batch_of(prepared: Prepared) -> Batch:
    return collate(prepared.tasks[0].encoded)


def counted(work: Callable[[], object]) -> int:
    """The greatest number of bytes that the allocator had given out at once."""
    work()  # what is made once and kept
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    assert most
    return most


def backward(setting: Setting, batch: Batch) -> None:
    """A plain forward and backward, to the embedded tokens, with frozen parameters."""
    embedded: list[torch.Tensor] = []

    def hook(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[0]

    handle = setting.model.model.get_input_embeddings().register_forward_hook(hook)
    try:
        torch.autograd.grad(setting.value(batch)[0].sum(), embedded)
    finally:
        handle.remove()


def layer_inputs(batch: Batch) -> int:
    """Bytes of one copy of what all layers read."""
    return LAYERS * WIDTH * batch.input_ids.numel() * 4


def test_gradients_hold_no_more_than_a_plain_backward_and_one_copy_of_the_layers_inputs(prepared: Prepared) -> None:
    setting, batch = prepared.setting(prepared.methods[0]), batch_of(prepared)
    plain = counted(lambda: backward(setting, batch))
    assert gate_gradient.METHOD.score is not None
    score = gate_gradient.METHOD.score
    ours = counted(lambda: score(setting, batch))
    assert ours <= plain + layer_inputs(batch)


def test_exact_ablation_holds_no_more_either(prepared: Prepared) -> None:
    """Four heads side by side, the outputs of all layers and what their projections read among it."""
    setting, batch = prepared.setting(prepared.methods[1]), batch_of(prepared)
    assert at_once(batch) >= 4
    plain = counted(lambda: backward(setting, batch))
    assert zero_ablation.METHOD.score is not None
    score = zero_ablation.METHOD.score
    assert counted(lambda: score(setting, batch)) <= plain + layer_inputs(batch)


def test_the_count_that_batch_sizes_are_found_by_is_the_allocators(prepared: Prepared) -> None:
    batch = batch_of(prepared)
    for chosen in prepared.methods[:2]:
        assert chosen.method.score is not None
        score, setting = chosen.method.score, prepared.setting(chosen)
        assert peak_bytes(lambda: score(setting, batch)) == pytest.approx(counted(lambda: score(setting, batch)), 0.02)  # noqa: B023


def test_a_model_that_does_not_fit_is_said_to_be_too_large_and_not_damaged(study_of: Make, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    build("llama").save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 10**13}))  # more than can be addressed
    told = f"{folder}: out of memory while the model is loaded. Use a smaller model"
    with pytest.raises(InputError, match=re.escape(told)):
        prepare(study_of(model={"path": str(folder)}))


def test_memory_that_the_language_or_a_library_misses_halves_batches_too() -> None:
    for error in (MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")):
        assert halved(8, error, "") == 4
    with pytest.raises(RuntimeError, match="shape"):
        halved(8, RuntimeError("shape"), "")
