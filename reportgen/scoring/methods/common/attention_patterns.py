"""Attention patterns of a model's own tokens over each other, for scores that are read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.common.method import BatchScores, Setting, absent
from reportgen.scoring.model.attention import HINT, AttentionCall, observed_attention
from reportgen.scoring.model.forward import short_batch

T = TypeVar("T")
Weights = Float[Tensor, "example head row key"]

LIMIT = "The scores say where heads look; no answer of the model was measured with and without them."
OLSSON = (
    "Olsson, C., Elhage, N., Nanda, N. et al. (2022). In-context learning and induction heads. Transformer Circuits "
    "Thread. arXiv:2209.11895."
)


@dataclass(frozen=True)
class Rows:
    """Rows of patterns, by the tokens that look: ``at`` are their positions, as many in each example as in the one of
    which most are ``asked`` for; what is not asked for fills up.
    """

    at: Int[Tensor, "example row"]
    asked: Bool[Tensor, "example row"]

    @classmethod
    def of(cls, wanted: Bool[Tensor, "example token"]) -> Rows:
        """Return the rows of the wanted tokens, in their order."""
        at = (~wanted).byte().argsort(dim=1, stable=True)[:, : int(wanted.sum(dim=1).max())]
        return cls(at, wanted.gather(1, at))

    def parts(self, size: int) -> Iterator[Rows]:
        """Yield the rows, ``size`` of each example at a time."""
        for first in range(0, self.at.shape[1], size):
            yield Rows(self.at[:, first : first + size], self.asked[:, first : first + size])


def observed(
    setting: Setting, batch: Batch, read: Callable[[int, AttentionCall], T], answer: bool
) -> tuple[dict[int, T], Float[Tensor, "answer_token vocabulary"] | None]:
    """Run the batch: what ``read`` makes of each site's attention, by the site's index, and the answer's logits where
    ``answer`` asks for them.

    Raises InputError naming a site whose pattern cannot be seen, or is none of the text's tokens over themselves.
    """
    model, logits, tokens = setting.model, None, batch.input_ids.shape[1]
    refuse_other_texts(setting)

    def checked(index: int, call: AttentionCall) -> T:
        if call.shape[2:] != (tokens, tokens):
            shape = " by ".join(map(str, call.shape[2:]))
            raise InputError(
                f"its pattern is {shape} for a text of {tokens} tokens", setting.heads.sites[index].name, HINT
            )
        return read(index, call)

    with torch.no_grad(), observed_attention(model.model, model.heads, checked) as seen:
        if answer:
            logits = model.answer_logits(batch)
        else:
            model.run(batch)
    return seen, logits


def seen(setting: Setting) -> None:
    """See the patterns of a short text; raises InputError as ``observed`` does."""
    observed(setting, short_batch(setting.model.model, setting.model.kind, 1), lambda *_: None, answer=False)


def refuse_other_texts(setting: Setting) -> None:
    """Raise InputError for heads that attend to another text than their own: positions do not compare there."""
    for site in setting.heads.sites:
        if site.block is not None:
            raise InputError(
                f"the model is an encoder-decoder, and its {site.block} heads are not scored by positions",
                site.name,
                HINT,
            )


def scores(
    setting: Setting,
    batch: Batch,
    rows: Rows,
    read: Callable[[Weights, Rows], Float[Tensor, "example head row"]],
    answer: bool = True,
) -> BatchScores:
    """Score a batch by the mean over rows of what ``read`` makes of each row of a site's pattern; it gets some rows at
    a time.
    """
    values, count = absent(setting.heads, batch.size), rows.asked.sum(dim=1, keepdim=True)

    def mean(_: int, call: AttentionCall) -> Float[Tensor, "example head"]:
        total = torch.zeros(call.shape[:2], dtype=torch.float64, device=count.device)
        for part in rows.parts(call.at_once):
            made = read(call.rows(part.at).to(count.device), part).double()
            total += made.masked_fill(~part.asked[:, None], 0).sum(dim=2)
        return total / count

    found, logits = observed(setting, batch, mean, answer)
    for index, means in found.items():
        values[:, index, : means.shape[1]] = means.cpu().numpy()
    return BatchScores(values, logits)


def refuse_empty(rows: Rows, of: tuple[Row, ...], problem: str, hint: str) -> None:
    """Raise InputError naming the first example of which no row is asked for."""
    for row, found in zip(of, rows.asked.any(dim=1).tolist(), strict=True):
        if not found:
            raise InputError(problem, f"{row.location} (id {row.id!r})", hint)
