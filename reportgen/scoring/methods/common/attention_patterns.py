"""Attention patterns of a model's own tokens over each other, for scores that are read from them."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.common.method import BatchScores, Setting, absent
from reportgen.scoring.model.attention import HINT, observed_attention
from reportgen.scoring.model.forward import short_batch

Pattern = Float[Tensor, "example head query key"]
Pairs = Bool[Tensor, "example query key"]

LIMIT = "The scores say where heads look; no answer of the model was measured with and without them."
OLSSON = (
    "Olsson, C., Elhage, N., Nanda, N. et al. (2022). In-context learning and induction heads. Transformer Circuits "
    "Thread. arXiv:2209.11895."
)


def observed(
    setting: Setting, batch: Batch, answer: bool
) -> tuple[Iterator[tuple[int, Pattern]], Float[Tensor, "answer_token vocabulary"] | None]:
    """Run the batch: each site's index and pattern, and the answer's logits where ``answer`` asks for them.

    Raises InputError naming a site whose pattern cannot be seen, or is none of the text's tokens over themselves.
    """
    model, logits = setting.model, None
    refuse_other_texts(setting)
    with torch.no_grad(), observed_attention(model.model, model.heads) as seen:
        if answer:
            logits = model.answer_logits(batch)
        else:
            model.run(batch)
    wanted = (batch.input_ids.shape[1],) * 2
    for index, call in seen.items():
        if tuple(call.pattern.shape[-2:]) != wanted:
            shape = " by ".join(map(str, call.pattern.shape[-2:]))
            raise InputError(
                f"its pattern is {shape} for a text of {wanted[0]} tokens", setting.heads.sites[index].name, HINT
            )
    return ((index, seen[index].pattern) for index in sorted(seen)), logits


def seen(setting: Setting) -> None:
    """See the patterns of a short text; raises InputError as ``observed`` does."""
    observed(setting, short_batch(setting.model.model, setting.model.kind, 1), answer=False)


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
    setting: Setting, batch: Batch, read: Callable[[Pattern], Float[Tensor, "example head"]], answer: bool = True
) -> BatchScores:
    """Score a batch by what ``read`` makes of each site's pattern."""
    values = absent(setting.heads, batch.size)
    patterns, logits = observed(setting, batch, answer)
    for index, pattern in patterns:
        values[:, index, : pattern.shape[1]] = read(pattern.double().to(batch.input_ids.device)).cpu().numpy()
    return BatchScores(values, logits)


def mean_weight(pattern: Pattern, pairs: Pairs) -> Float[Tensor, "example head"]:
    """Return the attention on the paired keys, summed over them, mean over the queries that have any."""
    asked = pairs.any(dim=2).sum(dim=1)
    return (pattern * pairs[:, None]).sum(dim=(2, 3)) / asked[:, None]


def after_repeats(ids: Int[Tensor, "example token"], real: Bool[Tensor, "example token"]) -> Pairs:
    """Return, of each token, the positions right behind the same token's earlier occurrences, itself left out."""
    same = (ids[:, :, None] == ids[:, None, :]) & real[:, :, None] & real[:, None, :]
    behind = torch.zeros_like(same)
    behind[:, :, 1:] = same[:, :, :-1]  # key j stands behind an occurrence at j − 1
    return behind & torch.ones_like(behind[0]).tril(-1)


def refuse_empty(pairs: Pairs, rows: tuple[Row, ...], problem: str, hint: str) -> None:
    """Raise InputError naming the first row without a pair."""
    for row, found in zip(rows, pairs.any(dim=2).any(dim=1).tolist(), strict=True):
        if not found:
            raise InputError(problem, f"{row.location} (id {row.id!r})", hint)
