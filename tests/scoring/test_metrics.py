"""Metrics by their definitions, and the logits that they are made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference_loop import scores_of
from tiny_models import examples, loaded

from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.data.metrics import METRICS, baseline, matches, measure
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.fast_forward.capabilities import Shortcuts
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.model.loaded import forward

ABLATION = zero_ablation.METHOD


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
