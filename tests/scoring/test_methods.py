"""The core methods against independent forwards, finite differences and definitions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, examples, loaded, setting

from reportgen.scoring import methods
from reportgen.scoring.data.batches import Batch, Encoded, collate
from reportgen.scoring.data.metrics import METRICS, baseline, matches, measure
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.fast_forward.capabilities import Shortcuts
from reportgen.scoring.methods import activation_norm, gate_gradient, zero_ablation
from reportgen.scoring.methods.common.method import METHODS, read_parameters
from reportgen.scoring.model.heads import Site
from reportgen.scoring.model.loaded import LoadedModel, forward

GRADIENT, ABLATION, NORM = gate_gradient.METHOD, zero_ablation.METHOD, activation_norm.METHOD
UNUSUAL = {"lfm2", "albert"}  # layers without heads; layers that share their weights


def plain_log_odds(model: LoadedModel, example: Encoded) -> float:
    """The definition, one unpadded example at a time, in the model's own forward: sum of log p − log(1 − p)."""
    with torch.no_grad():
        logits = forward(model.model, model.kind, collate([example])).logits[0]
    p = logits.double().softmax(-1)
    chosen = [p[place, token] for place, token in zip(example.positions, example.answer, strict=True)]
    return sum(float(c.log() - (1 - c).log()) for c in chosen)


@contextmanager
def weights_scaled(site: Site, head: int, factor: float) -> Iterator[None]:
    """The head's columns of the projection multiplied in the weights themselves, so that no hook of ours takes part."""
    weight: Any = site.projection.weight
    before, part = weight.clone(), slice(head * site.size, (head + 1) * site.size)
    weight[(part, slice(None)) if type(site.projection).__name__ == "Conv1D" else (slice(None), part)] *= factor
    yield
    weight.copy_(before)


def scores_of(method: Any, model: LoadedModel, batch: Batch, metric: str = "log_odds", **parameters: Any) -> Any:
    return method.score(setting(model, metric, **{**method.parameters().model_dump(), **parameters}), batch)


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a not in UNUSUAL])
def test_zero_ablation_is_what_zeroed_weights_give(architecture: str) -> None:
    model = loaded(architecture)
    some = examples(model)
    assert model.shortcuts.resumes
    found = scores_of(ABLATION, model, collate(some), heads_at_once=3).values
    for e, example in enumerate(some[:3]):
        clean = plain_log_odds(model, example)
        for index, site in enumerate(model.heads.sites):
            for head in range(site.heads):
                with weights_scaled(site, head, 0):
                    without = plain_log_odds(model, example)
                np.testing.assert_allclose(found[e, index, head], clean - without, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["albert", "t5", "lfm2", "gpt2"])
def test_ablation_without_resuming_is_the_same(architecture: str) -> None:
    model = loaded(architecture)
    batch, whole = collate(examples(model)), replace(model, shortcuts=Shortcuts(model.shortcuts.logits))
    one, other = (scores_of(ABLATION, m, batch).values for m in (model, whole))
    assert model.shortcuts.resumes
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_layers_that_share_weights_are_ablated_one_call_at_a_time() -> None:
    model = loaded("albert")
    some = examples(model)
    found = scores_of(ABLATION, model, collate(some)).values
    (projection,) = {site.projection for site in model.heads.sites}
    assert [site.call for site in model.heads.sites] == [0, 1, 2]
    for index, head in [(0, 1), (1, 0), (2, 3)]:
        calls: list[int] = []

        def cut(_: Any, inputs: Any, index: int = index, head: int = head, calls: list[int] = calls) -> Any:
            calls.append(1)
            z = inputs[0].clone()
            if len(calls) == index + 1:
                z[..., 4 * head : 4 * head + 4] = 0
            return (z,)

        handle = projection.register_forward_pre_hook(cut)
        without = plain_log_odds(model, some[0])
        handle.remove()
        assert found[0, index, head] == pytest.approx(plain_log_odds(model, some[0]) - without, abs=1e-5)


# Norms in float32 whatever the weights, as Llama's: differences need a wide step and are coarser
@pytest.mark.parametrize(
    ("architecture", "step", "bound"),
    [
        ("gpt2", 1e-4, 1e-7),
        ("gpt_neox", 1e-4, 1e-7),
        ("falcon", 1e-4, 1e-7),
        ("bert", 1e-4, 1e-7),
        ("bart", 1e-4, 1e-7),
        ("llama-gqa", 3e-3, 2e-4),
    ],
)
@pytest.mark.parametrize("metric", ["log_odds", "log_probability", "logit_difference"])
def test_gate_gradient_agrees_with_finite_differences(
    architecture: str, step: float, bound: float, metric: str
) -> None:
    model = loaded(architecture, torch.float64)
    batch = collate(examples(model, with_foil=True))
    found = scores_of(GRADIENT, model, batch, metric).values
    for index, head in [(0, 1), (1, 3), (len(model.heads.sites) - 1, 0)]:
        sides = []
        for gate in (1 + step, 1 - step):
            with weights_scaled(model.heads.sites[index], head, gate):
                sides.append(setting(model, metric).value(batch)[0])
        slope = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found[:, index, head], slope.numpy(), rtol=1e-6, atol=bound)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_have_gates_and_sums_in_float32(dtype: torch.dtype) -> None:
    model, outputs = loaded("llama-gqa", dtype), list[torch.Tensor]()
    batch = collate(examples(model))

    def keep(_: Any, inputs: Any) -> Any:
        outputs.append(inputs[0].detach().requires_grad_())
        return (outputs[-1],)

    found = scores_of(GRADIENT, model, batch)
    for index, site in enumerate(model.heads.sites):
        handle, before = site.projection.register_forward_pre_hook(keep), len(outputs)
        with torch.enable_grad(), model.narrowed(batch):
            (gradient,) = torch.autograd.grad(setting(model).value(batch)[0].sum(), outputs[before:])
        handle.remove()
        product = (gradient.float() * outputs[-1].detach().float()).unflatten(-1, (site.heads, site.size))
        expected = product.sum(dim=(1, 3)).numpy()
        assert found.values.dtype == np.float32
        # to a twentieth of what one rounding to half precision would cost
        bound = float(np.abs(expected).max()) * torch.finfo(dtype).eps / 20
        np.testing.assert_allclose(found.values[:, index, : site.heads], expected, rtol=0, atol=bound)


@pytest.mark.parametrize("method", [GRADIENT, NORM, ABLATION], ids=lambda m: m.name)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "mixtral", "bert", "albert", "t5", "bart"])
def test_padding_and_company_change_nothing(architecture: str, method: Any) -> None:
    model = loaded(architecture)
    some = examples(model)
    together = scores_of(method, model, collate(some, pad=0))
    alone = [scores_of(method, model, collate([e])) for e in some]
    np.testing.assert_allclose(together.values, np.concatenate([a.values for a in alone]), rtol=0, atol=1e-5)
    torch.testing.assert_close(together.logits, torch.cat([a.logits for a in alone]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("positions", ["prompt", "answer", "last"])
def test_positions_bound_what_is_touched(positions: str) -> None:
    model = loaded("llama", torch.float64)
    (example,) = examples(model)[1:2]
    batch, site = collate([example]), model.heads.sites[1]
    places = {"prompt": range(example.prompt), "answer": example.positions, "last": example.positions[:1]}[positions]

    def cut(_: Any, inputs: Any) -> Any:
        z = inputs[0].clone()
        z[:, list(places), 8:12] = 0
        return (z,)

    handle = site.projection.register_forward_pre_hook(cut)
    without = plain_log_odds(model, example)
    handle.remove()
    found = ABLATION.score(setting(model, positions=positions, heads_at_once=4), batch).values
    assert found[0, 1, 2] == pytest.approx(plain_log_odds(model, example) - without, abs=1e-5)


def test_activation_norm_is_the_mean_norm_over_real_tokens() -> None:
    model = loaded("gpt2")
    some, seen = examples(model), list[torch.Tensor]()
    found = scores_of(NORM, model, collate(some)).values
    handle = model.heads.sites[2].projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for example in some:
        model.answer_logits(collate([example]))
    handle.remove()
    for e, z in enumerate(seen):
        expected = [float(z[0, :, 4 * head : 4 * head + 4].norm(dim=-1).mean()) for head in range(4)]
        np.testing.assert_allclose(found[e, 2], expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "t5", "bart"])
def test_exact_match_is_what_the_model_generates(architecture: str) -> None:
    model = loaded(architecture)
    some, tokenizer = examples(model), model.tokenizer
    outputs = []
    for example in some:
        start, first = torch.tensor([example.inputs[: example.prompt]]), example.prompt
        if example.decoder is not None:
            first = example.positions[0] + 1  # this tokenizer begins a target with <bos>
        begun = {} if example.decoder is None else {"decoder_input_ids": torch.tensor([example.decoder[:first]])}
        made = model.model.generate(
            start,
            attention_mask=torch.ones_like(start),
            do_sample=False,
            num_beams=1,
            max_new_tokens=4,
            pad_token_id=0,
            **begun,
        )[0]
        outputs.append(tokenizer.decode(made[first:], True).split())
    # half of the rows get the words that the model puts out first as an accepted alternative
    rows = [
        replace(e.row, answers=(" ".join(words[:2]),)) if i % 2 and words[1:] else e.row
        for i, (e, words) in enumerate(zip(some, outputs, strict=True))
    ]
    batch = collate([replace(e, row=row) for e, row in zip(some, rows, strict=True)])
    expected = [
        float(" ".join(words).startswith(tuple(f"{t}" for t in (row.answer, *row.answers))))
        for words, row in zip(outputs, rows, strict=True)
    ]
    assert model.generated_match(batch).tolist() == expected
    assert 0 < sum(expected) < len(expected)
    ablated = scores_of(ABLATION, model, batch, "exact_match").values
    assert set(np.unique(ablated[~np.isnan(ablated)])) <= {-1.0, 0.0, 1.0}


def test_a_longer_word_or_number_is_no_match() -> None:
    class Plain:
        def decode(self, ids: list[str], skip_special_tokens: bool) -> str:
            return "".join(ids)

    def row(answer: str, *answers: str) -> Row:
        return Row("t", "p", answer, "", "", "", answers=answers)

    cases = [
        ("12", "123", 0),
        ("12", "12.5", 0),
        ("12", "12.", 1),
        ("12", " 12\n13", 1),
        ("no", "nothing", 0),
        ("no", "No", 0),
        ("Paris", "the city", 0),
        ("(a)", "(a) it", 1),
    ]
    batch = collate([Encoded(row(answer), (1, 2), 2, (3,), (1,)) for answer, _, _ in cases])
    got = matches(Plain(), [[text] for _, text, _ in cases], batch)  # type: ignore[list-item]
    assert got.tolist() == [float(hit) for *_, hit in cases]


def test_log_probability_weights_each_example_by_its_miss() -> None:
    model = loaded("llama", torch.float64)
    batch = collate([e for e in examples(model) if len(e.answer) == 1])
    odds, of_log = (scores_of(GRADIENT, model, batch, metric) for metric in ("log_odds", "log_probability"))
    miss = baseline(odds.logits, batch).miss
    np.testing.assert_allclose(of_log.values, odds.values * miss[:, None, None], rtol=1e-5, atol=1e-8)


def test_metrics_by_their_definitions() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    some = [
        Encoded(Row("", "", "", "", "", ""), (0, 2), 1, (2, 0), (0, 1), foil=(1, 1)),
        Encoded(Row("", "", "", "", "", ""), (0,), 1, (1,), (0,), foil=(2,)),
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
    logits, example = torch.tensor([[60.0, 0.0, 0.0]]), Encoded(Row("", "", "", "", "", ""), (0,), 1, (0,), (0,))
    value = measure(METRICS["log_odds"], logits, collate([example]), "sum")
    assert float(value) == pytest.approx(60 - np.log(2))


@pytest.mark.parametrize(
    ("architecture", "way"),
    [("llama", "head"), ("gpt2", "head"), ("falcon", "head"), ("gemma2", "keep"), ("bert", "whole"), ("bart", "head")],
)
def test_logits_at_answer_positions_are_the_models_own(architecture: str, way: str) -> None:
    model = loaded(architecture)
    batch = collate(examples(model))
    assert model.shortcuts.logits == way
    expected = forward(model.model, model.kind, batch).logits[batch.owner, batch.position]
    for each in {way, "whole"} | ({"keep"} if model.kind == "causal" and architecture != "falcon" else set()):
        torch.testing.assert_close(
            replace(model, shortcuts=Shortcuts(each)).answer_logits(batch), expected, rtol=0, atol=1e-5
        )


def test_parameters_get_no_gradient_and_each_method_describes_itself() -> None:
    model = loaded("llama")
    scores_of(GRADIENT, model, collate(examples(model)))
    assert all(p.grad is None and not p.requires_grad for p in model.model.parameters())
    assert GRADIENT.unit.format(label="log-odds") == "∂ log-odds / ∂ gate"
    assert ABLATION.forwards(model.heads, ABLATION.parameters()) == 2 + 4 * (3 + 2 + 1) / 3
    for method in METHODS.own():
        texts = [method.summary, method.sign, method.cost, method.formula, method.meaning]
        assert all(texts), method.name
        assert method.references, method.name
        assert (method.score is None) != (method.together is None), method.name
        assert method.forwards(model.heads, method.parameters()) > 0, method.name
        defaults = method.parameters().model_dump()
        assert read_parameters(method.parameters, defaults, "") == method.parameters(), method.name
        assert all(of.description for of in method.parameters.model_fields.values()), method.name


def test_every_method_file_is_listed() -> None:
    files = {path.stem for path in Path(methods.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {method.name for method in METHODS.own()}
