"""A model's own plain call on one example at a time, without anything of ours: every way of running must agree."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import setting, word_tokenizer

from reportgen.core.scores import Model
from reportgen.scoring.data.batches import Encoded
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.fast_forward.capabilities import shortcuts
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.model.checks import last_token_read
from reportgen.scoring.model.heads import Heads, Site, find
from reportgen.scoring.model.loaded import LoadedModel


def loaded(model: Any, kind: Any) -> LoadedModel:
    if kind == "classifier":
        last_token_read(model)
    heads = find(model)
    short = shortcuts(model, kind, heads)
    return LoadedModel(model.requires_grad_(False), word_tokenizer(), kind, heads, short, None, Model())


def text(kind: str, tokens: int, number: int, labels: int = 2, end: int | None = None) -> Encoded:
    draw = np.random.default_rng(number)
    ids = tuple(draw.integers(6, 60, tokens).tolist())
    ids = ids if end is None else (*ids[:-1], end)
    decoder = tuple(draw.integers(6, 60, 3).tolist()) if kind == "seq2seq" else None
    answer, places = (7, 9), ((1, 2) if decoder else (tokens - 2, tokens - 1))
    if kind == "classifier":
        answer, places = (labels - 1,), (0,)
    if kind == "encoder":
        answer, places = (), ()
    row = Row("t", "", "", f"{number}", f"{number}", f"rows:{number}")
    return Encoded(row, ids, tokens, answer, places, decoder=decoder)


def plain_loop(
    fresh: Any, kind: str, example: Encoded, site: Site | None = None, head: int = 0, odds: bool = True
) -> np.ndarray:
    """What a model that has read nothing before puts out for one example alone, by its own plain call: the log-odds of
    the answer's tokens, or their log-probability (a lone number itself; an encoder's mean state), without a head on
    request.
    """
    model, calls = copy.deepcopy(fresh), [0]

    def without(_: Any, inputs: Any) -> Any:
        assert site is not None
        calls[0] += 1
        if calls[0] - 1 != site.call:
            return None
        z = inputs[0].clone()
        z[..., head * site.size : (head + 1) * site.size] = 0
        return (z, *inputs[1:])

    if site is not None:
        model.get_submodule(site.name).register_forward_pre_hook(without)
    read = {"input_ids": torch.tensor([example.inputs])}
    if example.decoder is not None:
        read["decoder_input_ids"] = torch.tensor([example.decoder])
    with torch.no_grad():
        output = model(**read)
    if kind == "encoder":
        return np.array(output[0][0].double().mean(dim=0))
    logits = (output.logits if kind == "classifier" else output.logits[0, list(example.positions)]).double()
    if logits.shape[1] == 1:
        return np.array(logits[0])
    log_p = logits.log_softmax(-1)[range(len(example.answer)), list(example.answer)]
    return np.array((log_p - torch.log(-torch.expm1(log_p)) if odds else log_p).sum())[None]


def check_scores(fresh: Any, model: LoadedModel, some: list[Encoded], size: int) -> None:
    """Ablated heads of every example, in the batches that the model's way of running plans, against the plain loop."""
    heads: Heads = model.heads
    cells = [(0, 1), (len(heads.sites) - 1, 0)]
    one = "class_logit" if model.one_number else "log_odds"
    for batch in model.running.planned(some, size):
        scores = zero_ablation.METHOD.score(
            setting(model, one, heads_at_once=0), model.collated([some[i] for i in batch])
        )  # type: ignore[misc]
        for row, number in enumerate(batch):
            whole = plain_loop(fresh, model.kind, some[number])
            for index, head in cells:
                lost = whole - plain_loop(fresh, model.kind, some[number], heads.sites[index], head)
                assert scores.values[row, index, head] == pytest.approx(lost[0], abs=1e-4 * max(1, abs(whole[0])))
