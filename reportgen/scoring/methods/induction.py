"""Induction: how much of a head's attention goes to what followed the same token earlier.

Formula: s(e, l, h) = mean over positions t of Σ A(e, l, h, t, k) over the positions k < t behind an earlier occurrence
of the token at t, where A is the head's attention pattern. With ``source = "repeated"`` the text is not the row's: it
is ``tokens`` different random tokens, drawn with the study's seed for each example, written twice behind the token that
starts a text (where the tokenizer has one), and t runs over the second writing, where there is one such k. With
``source = "prompt"`` the text is the row's own, and t runs over the scored positions whose token occurred before.
Unit: attention weight, from 0 to 1. Never negative. Cost: one forward, of 2 · ``tokens`` tokens or of the row's.
Source: Olsson et al. 2022, "In-context Learning and Induction Heads" (arXiv 2209.11895): their prefix-matching score,
which writes 25 random tokens four times. On random tokens a score is the model's, and tasks differ by the draw alone:
maps of several tasks then show how far the draw matters. In prompts, frequent words have many earlier occurrences, so
that attention spread over the text counts too.
"""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.attention_patterns import (
    LIMIT,
    OLSSON,
    Rows,
    Weights,
    refuse_empty,
    scores,
    seen,
)
from reportgen.scoring.methods.common.method import BatchScores, MethodParameters, MethodSetting, ScoringMethod, Setting
from reportgen.scoring.model.trace import embedding_table

LOCATION = "[scoring] parameters.induction"


class Parameters(MethodParameters):
    """The settings of the method."""

    source: Literal["repeated", "prompt"] = Field(
        "repeated", description="random tokens written twice, or the row's own text"
    )
    # as many as Olsson et al. (2022) write, who repeat them four times
    tokens: int = Field(25, ge=2, description="random tokens that are written twice")


def _check(setting: MethodSetting[Parameters, None]) -> None:
    seen(setting)
    if setting.parameters.source == "repeated":
        _refuse_unfit(setting)


def _score(setting: MethodSetting[Parameters, None], batch: Batch) -> BatchScores:
    prompts = setting.parameters.source == "prompt"
    text = batch if prompts else _repeated(setting, batch)
    rows = Rows.of(_occurred(text) & (batch.gated(None, setting.positions) if prompts else True))
    if prompts:
        hint = f'Set {LOCATION[10:]} source = "repeated", or leave the row out'
        refuse_empty(rows, batch.rows, "no scored token of the row occurred before", hint)

    def behind(weights: Weights, part: Rows) -> Float[Tensor, "example head row"]:
        # few keys stand behind an occurrence: their weights alone are added up
        e, row, key = after_repeats(text.input_ids, part.at).nonzero(as_tuple=True)
        examples, heads, rows, _ = weights.shape
        total = torch.zeros(examples * rows, heads, dtype=torch.float64, device=weights.device)
        total.index_add_(0, e * rows + row, weights[e, :, row, key].double())
        return total.reshape(examples, rows, heads).transpose(1, 2)

    return scores(setting, text, rows, behind, answer=prompts)


def after_repeats(
    ids: Int[Tensor, "example token"], at: Int[Tensor, "example row"]
) -> Bool[Tensor, "example row token"]:
    """Return, of the tokens ``at``, the positions right behind the same token's earlier occurrences, but its own."""
    behind = torch.zeros(*at.shape, ids.shape[1], dtype=torch.bool, device=ids.device)
    behind[:, :, 1:] = ids[:, None, :-1] == ids.gather(1, at)[:, :, None]
    return behind & (torch.arange(ids.shape[1], device=ids.device) < at[:, :, None])


def _occurred(batch: Batch) -> Bool[Tensor, "example token"]:
    """Say which tokens have such a position: those that occurred two or more tokens before."""
    numbers: Tensor = torch.unique(batch.input_ids, return_inverse=True)[1]
    position = torch.arange(numbers.shape[1], device=numbers.device).expand_as(numbers)
    first = numbers.new_full((batch.size, int(numbers.max()) + 1), numbers.shape[1])
    first.scatter_reduce_(1, numbers, position, "amin")
    again: Tensor = first.gather(1, numbers) <= position - 2
    return batch.attention_mask.bool() & again


def _repeated(setting: MethodSetting[Parameters, None], batch: Batch) -> Batch:
    """Write texts of random tokens twice, one for each example."""
    known, start, count = _ordinary(setting), _start(setting), setting.parameters.tokens
    drawn = [setting.generator(row, "induction").choice(known, count, replace=False).tolist() for row in batch.rows]
    ids = torch.tensor([[*start, *one, *one] for one in drawn], device=batch.input_ids.device)
    return replace(
        batch,
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        corrupted_ids=None,
    )


def _refuse_unfit(setting: MethodSetting[Parameters, None]) -> None:
    """Raise InputError where such texts cannot be written, or positions of the row's text are asked for."""
    if setting.positions != "all":
        raise InputError(
            f"{setting.positions!r} has no meaning for random tokens",
            "[scoring] positions",
            f'Choose "all", or set {LOCATION[10:]} source = "prompt"',
        )
    known, start, count = _ordinary(setting), _start(setting), setting.parameters.tokens
    length, context = len(start) + 2 * count, setting.model.context
    if count > len(known) or (context is not None and length > context):
        limit = f"the vocabulary has {len(known)} ordinary ones" if count > len(known) else f"the context is {context}"
        raise InputError(
            f"{count} different tokens cannot be written twice: {limit}", f"{LOCATION} tokens", "Give fewer tokens"
        )


def _ordinary(setting: Setting) -> list[int]:
    """Return all tokens that are not special."""
    tokenizer, rows = setting.model.tokenizer, len(embedding_table(setting.model.model))
    marked = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = marked | set(tokenizer.all_special_ids)
    return [i for i in range(min(len(tokenizer), rows)) if i not in special]


def _start(setting: Setting) -> list[int]:
    start = setting.model.tokenizer.bos_token_id
    return [] if start is None else [start]


METHOD = ScoringMethod(
    name="induction",
    order=130,
    family="attention pattern",
    summary="attention to what followed the same token earlier",
    unit="attention weight",
    sign="never negative; 1: the head looks behind the token's earlier occurrence at every position",
    cost="one forward",
    formula="s(e, l, h) = mean over t of Σ A(e, l, h, t, k) over k < t with x(k − 1) = x(t)",
    meaning="A(e, l, h, t, k) is the attention of head h of layer l from position t to position k, and x are the "
    "tokens. With source “repeated” the text is random tokens written twice, drawn anew for each example, and t runs "
    "over the second writing: the score is then the model’s, and tasks differ by the draw alone. With source “prompt” "
    "it is the row’s own text, and t runs over the scored positions whose token occurred before. A pattern says where "
    "a head looks, not what its output does to the answer.",
    limit=LIMIT,
    references=(OLSSON,),
    score=_score,
    check=_check,
    forwards=lambda *_: 1.0,
    parameters=Parameters,
    kinds=frozenset({"causal"}),
    needs=frozenset({"attention"}),
    reduction="mean",
)
