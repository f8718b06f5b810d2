"""See the attention patterns of every site while a model runs, without changing how it attends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name under which everyone knows it)
from jaxtyping import Float
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.model.heads import Heads, Site
from reportgen.scoring.model.interventions import Edit, edited
from reportgen.scoring.model.trace import SOFTMAX, FunctionWatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HINT = "Choose a method that does not read attention patterns"


@dataclass(frozen=True)
class AttentionCall:
    """One site's attention in one forward.

    ``pattern`` is the softmax over keys: the very tensor that the model goes on with, or, where it attends by
    scaled_dot_product_attention, computed again in float32 from ``query``, ``key``, ``mask`` and ``scale`` (key and
    value heads repeated for the query heads that share them). Those and ``value`` are None where a plain softmax runs.
    """

    pattern: Float[Tensor, "example head query key"]
    query: Float[Tensor, "example head query size"] | None = None
    key: Float[Tensor, "example head key size"] | None = None
    value: Float[Tensor, "example head key size"] | None = None
    mask: Float[Tensor, "#example #head query key"] | None = None
    scale: float | None = None


@contextmanager
def observed_attention(model: PreTrainedModel, heads: Heads, hint: str = HINT) -> Iterator[dict[int, AttentionCall]]:
    """Fill, within the context, the dictionary in each forward: index of ``heads.sites`` → its AttentionCall.

    Raises InputError with ``hint``, while the model runs, for a site whose pattern cannot be found.
    """
    watch = _Watch(heads, hint)
    edits: dict[int, Edit] = {index: partial(watch.at_projection, index) for index in range(len(heads.sites))}
    with edited(model, heads, edits), watch:
        yield watch.seen


class _Watch(FunctionWatch):
    """Sees every softmax of three axes or more, and every scaled_dot_product_attention (``since`` the last projection),
    and tells at each site's projection which of them is the site's (``seen``).
    """

    def __init__(self, heads: Heads, hint: str) -> None:
        super().__init__()
        self.heads, self.hint = heads, hint
        self.seen, self.since = dict[int, AttentionCall](), list[AttentionCall | Tensor]()

    def at_projection(self, index: int, z: Tensor) -> Tensor:
        """Find the site's attention among what ran since the last projection; the heads' outputs stay as they are."""
        self.seen[index] = _of_site(self.heads.sites[index], self.since, len(z), self.hint)
        self.since.clear()
        return z

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        named = kwargs or {}
        if func is F.scaled_dot_product_attention:
            self.since.append(_fused(*args, **named))
        result = func(*args, **named)
        if func in SOFTMAX and isinstance(result, Tensor) and result.ndim in (3, 4):
            self.since.append(result)
        return result


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> AttentionCall:
    repeats = query.shape[1] // key.shape[1] if enable_gqa else 1
    key, value = (x.repeat_interleave(repeats, dim=1) if repeats > 1 else x for x in (key, value))
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    mask = _additive(attn_mask, query.shape[-2], key.shape[-2], is_causal, query.device)
    scores = query.float() @ key.float().transpose(-1, -2) * factor
    pattern = (scores if mask is None else scores + mask).softmax(dim=-1)
    return AttentionCall(pattern, query, key, value, mask, factor)


def _additive(
    mask: Tensor | None, queries: int, keys: int, is_causal: bool, device: torch.device
) -> Float[Tensor, "#example #head query key"] | None:
    """Return a mask to add to the scores, from one of booleans (True: attend), one to add already, or none."""
    if is_causal:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=device).tril()
    if mask is None:
        return None
    shaped = mask if mask.ndim == 4 else mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    if shaped.dtype == torch.bool:
        return torch.zeros(shaped.shape, device=device).masked_fill(~shaped, torch.finfo(torch.float32).min)
    return shaped.float()


def _of_site(site: Site, since: list[AttentionCall | Tensor], examples: int, hint: str) -> AttentionCall:
    """Find, in what ran since the last site, the one attention with this site's heads."""
    found = [call for call in (_as_call(entry, site, examples) for entry in since) if call is not None]
    if len(found) != 1:
        raise InputError(
            "the attention pattern of its heads is not seen" if not found else "its heads attend more than once",
            f"{site.name} (layer {site.layer})",
            hint,
        )
    return found[0]


def _as_call(entry: AttentionCall | Tensor, site: Site, examples: int) -> AttentionCall | None:
    if isinstance(entry, AttentionCall):
        return entry if entry.pattern.shape[1] == site.heads else None
    if entry.ndim == 3 and entry.shape[0] == examples * site.heads:
        entry = entry.reshape(examples, site.heads, *entry.shape[1:])
    return AttentionCall(entry) if entry.ndim == 4 and entry.shape[:2] == (examples, site.heads) else None
