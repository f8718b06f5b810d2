from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, ROWS, build, word_tokenizer

from reportgen.scores import Model
from reportgen.scoring import methods
from reportgen.scoring.decoder import Decoder, _checked_heads, _logits_way, _resumes
from reportgen.scoring.methods import METHODS, gate_gradient, zero_ablation
from reportgen.scoring.metrics import METRICS, baseline, measure
from reportgen.scoring.tasks import Row
from reportgen.scoring.tokens import Batch, Encoded, collate, encode

GRADIENT, ABLATION = gate_gradient.METHOD, zero_ablation.METHOD


def decoder_of(architecture: str, dtype: torch.dtype = torch.float32) -> Decoder:
    model = build(architecture).to(dtype).requires_grad_(False)
    heads = _checked_heads(model)
    return Decoder(model, word_tokenizer(), heads, _logits_way(model), _resumes(model, heads), 32, Model())


def examples(with_foil: bool = False) -> list[Encoded]:
    rows = [Row(r["task"], r["prompt"], r["answer"], r["id"], r["id"], "", foil=r["foil"]) for r in ROWS]
    return [encode(word_tokenizer(), row, " ", None, with_foil) for row in rows]


def log_odds(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return measure(METRICS["log_odds"], logits, batch, "sum")


def plain_log_odds(model: Any, example: Encoded) -> float:
    """The definition, one unpadded example at a time, in the model's own forward: sum of log p − log(1 − p)."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([example.ids])).logits[0]
    p = logits.double().softmax(-1)
    chosen = [p[example.start + j - 1, token] for j, token in enumerate(example.answer)]
    return sum(float(c.log() - (1 - c).log()) for c in chosen)


def without_head(decoder: Decoder, layer: int, head: int, example: Encoded) -> float:
    """The metric with the head's columns of the projection set to zero in the weights themselves."""
    found = decoder.heads.layers[layer]
    weight: Any = found.projection.weight  # type: ignore[union-attr]
    before, part = weight.clone(), slice(head * found.size, (head + 1) * found.size)
    weight[(part, slice(None)) if type(found.projection).__name__ == "Conv1D" else (slice(None), part)] = 0
    value = plain_log_odds(decoder.model, example)
    weight.copy_(before)
    return value


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "lfm2"])
def test_zero_ablation_is_what_zeroed_weights_give(architecture: str) -> None:
    decoder, some = decoder_of(architecture), examples()
    assert decoder.resumes
    found = ABLATION.score(decoder, collate(some), log_odds, {"heads_at_once": 3}).values
    for e, example in enumerate(some[:3]):
        clean = plain_log_odds(decoder.model, example)
        naive = [[clean - without_head(decoder, layer, head, example) for head in range(4)] for layer in range(3)]
        np.testing.assert_allclose(found[e], naive, rtol=0, atol=1e-5)


def test_zero_ablation_without_resuming_is_the_same() -> None:
    decoder, batch = decoder_of("llama"), collate(examples())
    whole = Decoder(**{**vars(decoder), "resumes": False})
    one, other = (ABLATION.score(d, batch, log_odds, {"heads_at_once": 4}).values for d in (decoder, whole))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


# Llama's norms compute in float32 whatever the weights: its differences need a wide step and are coarser
@pytest.mark.parametrize(
    ("architecture", "step", "bound"),
    [("gpt2", 1e-4, 1e-7), ("gpt_neox", 1e-4, 1e-7), ("falcon", 1e-4, 1e-7), ("llama-gqa", 3e-3, 2e-4)],
)
@pytest.mark.parametrize("metric", METRICS)
def test_gate_gradient_agrees_with_finite_differences(
    architecture: str, step: float, bound: float, metric: str
) -> None:
    decoder = decoder_of(architecture, torch.float64)
    batch = collate(examples(with_foil=True))

    def value(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return measure(METRICS[metric], logits, batch, "sum")

    found = GRADIENT.score(decoder, batch, value, {}).values
    for layer, head in [(0, 1), (1, 3), (2, 0)]:
        part, sides = slice(head * 4, head * 4 + 4), []
        for gate in (1 + step, 1 - step):
            # the gate stands in the weights, so that no hook of ours takes part
            weight: Any = decoder.heads.layers[layer].projection.weight  # type: ignore[union-attr]
            before = weight.clone()
            weight[(part, slice(None)) if architecture == "gpt2" else (slice(None), part)] *= gate
            sides.append(value(decoder.answer_logits(batch), batch))
            weight.copy_(before)
        slope = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found[:, layer, head], slope.numpy(), rtol=1e-6, atol=bound)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "mixtral"])
def test_padding_and_company_change_nothing(architecture: str, method: Any) -> None:
    decoder, some = decoder_of(architecture), examples()
    together = method.score(decoder, collate(some, pad=3), log_odds, method.defaults)
    alone = [method.score(decoder, collate([e]), log_odds, method.defaults) for e in some]
    np.testing.assert_allclose(together.values, np.concatenate([a.values for a in alone]), rtol=0, atol=1e-5)
    torch.testing.assert_close(together.logits, torch.cat([a.logits for a in alone]), rtol=0, atol=1e-5)


def test_log_probability_weights_each_example_by_its_miss() -> None:
    decoder = decoder_of("llama", torch.float64)
    batch = collate([e for e in examples() if len(e.answer) == 1])
    odds = GRADIENT.score(decoder, batch, log_odds, {})
    of_log = GRADIENT.score(decoder, batch, lambda z, b: measure(METRICS["log_probability"], z, b, "sum"), {})
    miss = baseline(odds.logits, batch).miss
    np.testing.assert_allclose(of_log.values, odds.values * miss[:, None, None], rtol=1e-5, atol=1e-8)


def test_metrics_by_their_definitions() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    some = [
        Encoded(Row("", "", "", "", "", ""), (0, 2, 0), 1, (1, 1)),
        Encoded(Row("", "", "", "", "", ""), (0, 1), 1, (2,)),
    ]
    batch, p = collate(some), logits.softmax(1)
    chosen = torch.stack([p[0, 2], p[1, 0], p[2, 1]])
    odds, logs = (chosen / (1 - chosen)).log(), chosen.log()
    for name, tokens in [
        ("log_odds", odds),
        ("log_probability", logs),
        ("logit_difference", torch.tensor([1.0, 3, -1])),
    ]:
        tokens = tokens.double()
        summed = measure(METRICS[name], logits, batch, "sum")
        torch.testing.assert_close(summed, torch.stack([tokens[0] + tokens[1], tokens[2]]))
        torch.testing.assert_close(measure(METRICS[name], logits, batch, "mean"), summed / torch.tensor([2.0, 1.0]))
    plain = baseline(logits, batch)
    assert plain.correct.tolist() == [True, False]
    np.testing.assert_allclose(plain.miss, [1 - float(chosen[0] * chosen[1]), 1 - float(chosen[2])])


def test_log_odds_stay_exact_where_p_rounds_to_one() -> None:
    logits, example = torch.tensor([[60.0, 0.0, 0.0]]), Encoded(Row("", "", "", "", "", ""), (0, 0), 1)
    value = measure(METRICS["log_odds"], logits, collate([example]), "sum")
    assert float(value) == pytest.approx(60 - np.log(2))


@pytest.mark.parametrize(
    ("architecture", "way"), [("llama", "head"), ("gpt2", "head"), ("falcon", "head"), ("gemma2", "keep")]
)
def test_logits_at_answer_positions_are_the_models_own(architecture: str, way: str) -> None:
    decoder, batch = decoder_of(architecture), collate(examples())
    assert decoder.logits == way
    whole = decoder.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    expected = whole[batch.owner, batch.position]
    for each in {way, "keep", "whole"} - ({"keep"} if architecture == "falcon" else set()):
        got = Decoder(**{**vars(decoder), "logits": each}).answer_logits(batch)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_parameters_get_no_gradient_and_each_method_describes_itself() -> None:
    decoder = decoder_of("llama")
    GRADIENT.score(decoder, collate(examples()), log_odds, {})
    assert all(p.grad is None and not p.requires_grad for p in decoder.model.parameters())
    assert [m.name for m in METHODS] == ["gate_gradient", "zero_ablation"]
    assert [m.unit.format(label="log-odds") for m in METHODS] == ["|∂ log-odds / ∂ gate|", "|Δ log-odds|"]
    assert ABLATION.forwards(decoder.heads) == 1 + 4 * (3 + 2 + 1) / 3
    assert all(m.summary and m.sign and m.cost and all("arXiv" in r for r in m.references) for m in METHODS)


def test_every_method_file_is_listed() -> None:
    files = {path.stem for path in Path(methods.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {method.name for method in METHODS}
