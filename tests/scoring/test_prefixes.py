"""Tokens that all examples of a batch begin with are run once for each ablated head, and no score changes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, KINDS, build
from transformers import AutoConfig, AutoModelForCausalLM

from reportgen.core.config import Study
from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.fast_forward.capabilities import shortcuts
from reportgen.scoring.fast_forward.prefix_cache import pays, shared_tokens
from reportgen.scoring.methods import mean_ablation, zero_ablation
from reportgen.scoring.methods.common import ablation
from reportgen.scoring.methods.common.method import ScoringMethod, Setting
from reportgen.scoring.model.heads import find
from reportgen.scoring.run.prepare import prepare

Make = Callable[..., Study]
HEADER = "a b c d one two three four five"
ENDS = [("six", "seven"), ("a b c", "d a"), ("nine eight", "one"), ("red", "blue b")]
ROWS = [
    {"task": "t", "id": f"{i}", "prompt": f"{HEADER} {rest}", "answer": answer} for i, (rest, answer) in enumerate(ENDS)
]
SHARING = ("llama", "llama-gqa", "gpt2", "gpt_neox", "mixtral", "falcon")


def scored(given: Setting, batch: Batch, method: ScoringMethod) -> np.ndarray:
    assert method.score is not None
    return method.score(given, batch).values


def both(study_of: Make, architecture: str, name: str, **scoring: Any) -> tuple[Setting, Setting, Batch]:
    """A study's setting as it is, the same without shared tokens, and all its rows as one batch."""
    prepared = prepare(study_of(architecture, rows=ROWS, method=name, **scoring))
    chosen, batch = prepared.methods[0], collate(prepared.tasks[0].encoded)
    bare = prepared.setting(chosen)
    reference = None if chosen.method.prepare is None else chosen.method.prepare(bare, [batch])
    given = prepared.setting(chosen, reference)
    plain = replace(given.model, shortcuts=replace(given.model.shortcuts, prefixes=False))
    return given, replace(given, model=plain), batch


@pytest.mark.parametrize("method", [zero_ablation.METHOD, mean_ablation.METHOD], ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", SHARING)
def test_scores_are_those_of_whole_runs(
    study_of: Make, architecture: str, method: ScoringMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, plain, batch = both(study_of, architecture, method.name)
    assert given.model.shortcuts.prefixes
    assert pays(batch, shared_tokens(batch))
    whole, real, tokens = scored(plain, batch, method), ablation.following, list[int]()

    def following(*rest: Any) -> Batch:
        made = real(*rest)
        tokens.append(made.input_ids.shape[1])
        return made

    monkeypatch.setattr(ablation, "following", following)
    shared = scored(given, batch, method)
    assert set(tokens) == {batch.input_ids.shape[1] - shared_tokens(batch)}  # that many were run
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(shared, whole, rtol=0, atol=1e-5)


def test_how_many_tokens_are_shared_and_whether_it_pays(study_of: Make) -> None:
    *_, batch = both(study_of, "llama", "zero_ablation")
    header = 1 + len(HEADER.split())  # and the token that begins every text
    assert shared_tokens(batch) == header
    assert shared_tokens(batch.taken([0, 0])) == int(batch.position[0])  # the answer's own are not among them
    assert not pays(batch.taken([0]), header)
    assert not pays(batch, 1)


@pytest.mark.parametrize("positions", ["prompt", "answer", "last"])
def test_heads_touched_at_some_positions_alone_are_run_whole(study_of: Make, positions: str) -> None:
    given, plain, batch = both(study_of, "llama", "zero_ablation", positions=positions)
    np.testing.assert_array_equal(*(scored(each, batch, zero_ablation.METHOD) for each in (given, plain)))


def test_models_that_cannot_are_run_whole() -> None:
    for name in ARCHITECTURES:
        kind, model = KINDS.get(name, "causal"), build(name)
        found = shortcuts(model, kind, find(model))  # type: ignore[arg-type]
        assert found.prefixes == (name in SHARING), name


def test_keys_that_are_turned_by_the_length_of_the_text_are_not_shared() -> None:
    torch.manual_seed(0)
    turned = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    config = AutoConfig.for_model(**{**ARCHITECTURES["llama"], "vocab_size": 28}, rope_parameters=turned)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    assert not shortcuts(model, "causal", find(model)).prefixes


def test_a_model_in_which_it_changes_the_numbers_is_run_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama")
    attention = type(model.model.layers[0].self_attn)
    real = attention.forward

    def odd(self: Any, hidden_states: torch.Tensor, **named: Any) -> Any:
        """Attention that forgets what its cache holds."""
        return real(self, hidden_states * (1 + 0.01 * (named.get("past_key_values") is not None)), **named)

    monkeypatch.setattr(attention, "forward", odd)
    assert not shortcuts(model, "causal", find(model)).prefixes
