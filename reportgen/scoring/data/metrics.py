"""What an answer is worth: metrics of its logits, greedy generation, and the model's baseline performance."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reportgen.scoring.data.batches import Batch, Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AnswerReduction = Literal["sum", "mean"]
Logits = Float[Tensor, "answer_token vocabulary"]
LANGUAGE = frozenset({"causal", "masked", "seq2seq"})  # the kinds of model that put out words
ANSWERING = LANGUAGE | {"classifier"}


@dataclass(frozen=True)
class Metric:
    """A number per answer token, in natural-log units; ``label`` is its name in units and captions.

    ``kinds`` are the kinds of model that it fits; ``choice``: it holds the answer against others. ``of_tokens`` is None
    where the answer is not scored token by token but generated: such a metric has no gradient, and no run of it can
    start from a recorded one.
    """

    name: str
    label: str
    of_tokens: Callable[[Logits, Batch], Float[Tensor, answer_token]] | None
    needs_foil: bool = False
    kinds: frozenset[str] = ANSWERING
    choice: bool = True

    @property
    def generated(self) -> bool:
        """Whether the answer is generated rather than scored as it stands."""
        return self.of_tokens is None


@dataclass(frozen=True)
class Baseline:
    """A model's answers per example: ``correct``, and ``log_probability`` of the whole answer (natural log).

    Where an answer is chosen among ``choices``, or against a ``foil``, it is right where its log-probability is above
    each of theirs; else where every answer token is the argmax (teacher-forced). ``argmax`` says which are right by
    the latter rule alone (None: no example of these is judged by another).
    """

    correct: Bool[np.ndarray, example]
    log_probability: Float[np.ndarray, example]
    argmax: Bool[np.ndarray, example] | None = None

    @property
    def by_argmax(self) -> Bool[np.ndarray, example]:
        """Which examples' every answer token is the argmax."""
        return self.correct if self.argmax is None else self.argmax

    @classmethod
    def joined(cls, parts: Sequence[Baseline]) -> Baseline:
        """Return the parts' examples in one, part after part."""
        correct, log_probability, argmax = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("correct", "log_probability", "by_argmax")
        )
        return cls(correct, log_probability, argmax if any(part.argmax is not None for part in parts) else None)

    def taken(self, indices: Sequence[int] | Int[np.ndarray, some]) -> Baseline:
        """Return the examples of these indices, in their order."""
        argmax = None if self.argmax is None else self.argmax[indices]
        return Baseline(self.correct[indices], self.log_probability[indices], argmax)

    @property
    def miss(self) -> Float[np.ndarray, example]:
        """1 − p(answer), exact also where p is close to 1."""
        result: np.ndarray = -np.expm1(self.log_probability)
        return result


def _log_odds(logits: Logits, batch: Batch) -> Float[Tensor, answer_token]:
    # log p − log(1 − p) is the logit less the logsumexp of the others: no cancellation where p rounds to 1
    target = batch.target[:, None]
    others = logits.scatter(1, target, float("-inf")).logsumexp(dim=1)
    return logits.gather(1, target)[:, 0] - others


def _log_probability(logits: Logits, batch: Batch) -> Float[Tensor, answer_token]:
    return logits.gather(1, batch.target[:, None])[:, 0] - logits.logsumexp(dim=1)


def _logit_difference(logits: Logits, batch: Batch) -> Float[Tensor, answer_token]:
    assert batch.foil is not None, "foils are checked when the rows are tokenised"
    return logits.gather(1, batch.target[:, None])[:, 0] - logits.gather(1, batch.foil[:, None])[:, 0]


def _logit(logits: Logits, batch: Batch) -> Float[Tensor, answer_token]:
    return logits.gather(1, batch.target[:, None])[:, 0]


METRICS = {
    metric.name: metric
    for metric in (
        Metric("log_odds", "log-odds", _log_odds),
        Metric("log_probability", "log-probability", _log_probability),
        Metric("logit_difference", "logit difference", _logit_difference, needs_foil=True),
        Metric("exact_match", "exact match", None, kinds=frozenset({"causal", "seq2seq"})),
        Metric("class_logit", "class logit", _logit, kinds=frozenset({"classifier"}), choice=False),
    )
}


def measure(metric: Metric, logits: Logits, batch: Batch, reduction: AnswerReduction) -> Float[Tensor, example]:
    """Return the metric of each example: summed or averaged over the answer's tokens, in natural-log units."""
    assert metric.of_tokens is not None, "a generated answer has no teacher-forced logits to measure"
    values = metric.of_tokens(logits, batch)
    total = _per_example(values, batch)
    return total / _per_example(torch.ones_like(values), batch) if reduction == "mean" else total


def baseline(logits: Logits, batch: Batch) -> Baseline:
    """Judge the answers and measure their log-probability (natural log), per example.

    Of an answer's rivals, those are looked at whose logits are at hand; ``beat`` holds it against the others.
    """
    wide = logits.double()
    argmax = _per_example((wide.argmax(dim=1) != batch.target).double(), batch) == 0
    whole = _per_example(_log_probability(wide, batch), batch)
    # a log-probability may round to a hair above 0, which would make 1 − p negative
    log_probability, freely = whole.clamp(max=0.0).cpu().numpy(), argmax.cpu().numpy()
    if batch.choices is None:
        return Baseline(freely, log_probability)
    # as many tokens as the answer's, so that sums and means are of one order
    best, chosen = _best_alike(wide, batch, batch.choices)
    return Baseline(torch.where(chosen, whole > best, argmax).cpu().numpy(), log_probability, freely)


def beat(
    correct: Bool[np.ndarray, "*run example"],
    log_probability: Float[np.ndarray, "*run example_and_rival"],
    examples: Sequence[Encoded],
    reduction: AnswerReduction,
) -> Bool[np.ndarray, "*run example"]:
    """Return which answers are right once those rivals are looked at that the model read by themselves.

    Behind the examples' log-probabilities stand these rivals', example after example; all are sums over tokens, and are
    compared as such or as means, as ``reduction`` says.
    """
    result, at = correct.copy(), len(examples)
    for k, example in enumerate(examples):
        if example.unlike:
            rows = [k, *range(at, at := at + len(example.unlike))]
            tokens = [len(each.answer) if reduction == "mean" else 1 for each in (example, *example.unlike)]
            value = log_probability[..., rows] / np.array(tokens)
            right = value[..., 0] > value[..., 1:].max(axis=-1)
            result[..., k] = right & correct[..., k] if example.alike else right
    return result


def _best_alike(
    wide: Logits, batch: Batch, choices: Int[Tensor, "answer_token choice"]
) -> tuple[Float[Tensor, example], Bool[Tensor, example]]:
    """Return each example's greatest log-probability of a rival beside the answer, and whether it has one."""
    there = choices >= 0
    values = wide.gather(1, choices.clamp(min=0)) - wide.logsumexp(dim=1, keepdim=True)
    held = torch.zeros((batch.size, choices.shape[1]), device=wide.device, dtype=wide.dtype)
    exists = held.index_add(0, batch.owner, there.double()) > 0
    best = held.index_add(0, batch.owner, values).masked_fill(~exists, float("-inf")).amax(dim=1)
    return best, exists.any(dim=1)


def matches(tokenizer: PreTrainedTokenizerBase, generated: list[list[int]], batch: Batch) -> Float[Tensor, example]:
    """Return 1 where the generated text begins with the answer or an accepted alternative, as a whole word or number.

    What the model would go on to write after it does not count against it; "12" is not found in "123" or "12.5".
    """
    found = []
    for row, ids in zip(batch.rows, generated, strict=True):
        text = str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
        accepted = "|".join(re.escape(answer.strip()) for answer in (row.answer, *row.answers))
        found.append(float(re.match(rf"(?:{accepted})(?!\w|[.,]\d)", text) is not None))
    return torch.tensor(found, device=batch.input_ids.device)


def longest_answer(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> int:
    """Count the tokens of the batch's longest accepted answer, and two to see whether a word ends there."""
    texts = [text for row in batch.rows for text in (row.answer, *row.answers)]
    return 2 + max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)


def _per_example(values: Float[Tensor, answer_token], batch: Batch) -> Float[Tensor, example]:
    return values.new_zeros(batch.size).index_add(0, batch.owner, values)
