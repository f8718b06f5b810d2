"""Read rows of every site's attention pattern while a model runs, without changing how it attends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 (the name under which everyone knows it)
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.model.heads import Heads, Site
from reportgen.scoring.model.interventions import Edit, edited
from reportgen.scoring.model.trace import SOFTMAX, FunctionWatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HINT = "Choose a method that does not read attention patterns"
# Bytes of a pattern's rows that are computed at once, of which there are a few copies: as many as a processor's caches
# hold. Four times as many take three times as long, and fewer spend more on each call
AT_ONCE = 2**23
T = TypeVar("T")
Queries = Int[Tensor, "example row"]


@dataclass(frozen=True)
class AttentionCall:
    """One site's attention in one forward, to read rows of its pattern from.

    ``softmax`` is the one over keys where the model runs a plain one, the very tensor that it goes on with. Where it
    attends by scaled_dot_product_attention there is none: rows are computed again in float32 from ``query``, ``key``,
    ``mask`` (added, or booleans: True to attend), ``is_causal`` and ``scale``. Keys and ``value`` are repeated for the
    query heads that share them. ``shape`` is (examples, heads, queries, keys).
    """

    shape: tuple[int, ...]
    softmax: Float[Tensor, "example head query key"] | None = None
    query: Float[Tensor, "example head query size"] | None = None
    key: Float[Tensor, "example head key size"] | None = None
    value: Float[Tensor, "example head key size"] | None = None
    mask: Float[Tensor, "example head query key"] | Bool[Tensor, "example head query key"] | None = None
    is_causal: bool = False
    scale: float = 1.0

    @property
    def at_once(self) -> int:
        """The number of rows of each example to read at once, so that memory does not grow with that of all."""
        examples, heads, _, keys = self.shape
        return max(1, AT_ONCE // (examples * heads * keys * torch.float32.itemsize))

    @property
    def pattern(self) -> Float[Tensor, "example head query key"]:
        """All rows, whose memory grows with the square of the text's length."""
        return self.rows(torch.arange(self.shape[2]).repeat(self.shape[0], 1)) if self.softmax is None else self.softmax

    def taken(self, example: int) -> AttentionCall:
        """Return one example's attention."""
        changed: dict[str, Any] = {
            f.name: x[example : example + 1] if len(x) > 1 else x
            for f in fields(self)
            if isinstance(x := getattr(self, f.name), Tensor)
        }
        return replace(self, shape=(1, *self.shape[1:]), **changed)

    def rows(self, queries: Queries) -> Float[Tensor, "example head row key"]:
        """Return the rows of these queries, as many in each example."""
        if self.softmax is not None:
            return _taken(self.softmax, queries)
        assert self.query is not None
        assert self.key is not None
        queries = queries.to(self.query.device)
        scores = (_taken(self.query, queries).float() @ self.key.float().transpose(-1, -2)).mul_(self.scale)
        mask = self.added(queries)
        return (scores if mask is None else scores.add_(mask)).softmax(dim=-1)

    def added(self, queries: Queries) -> Float[Tensor, "example head row key"] | None:
        """Return what is added to the scores of these queries: a bias, or the least number where a key is left out."""
        examples, _, asked, keys = self.shape
        if self.is_causal:
            mask = (torch.arange(keys, device=queries.device) <= queries[:, :, None])[:, None]
        elif self.mask is None:
            return None
        else:
            mask = _taken(self.mask.expand(examples, -1, asked, keys), queries)
        if mask.dtype == torch.bool:
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
        return mask.float()


def _taken(x: Float[Tensor, "example head query entry"], queries: Queries) -> Float[Tensor, "example head row entry"]:
    return x.gather(2, queries.to(x.device)[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))


@contextmanager
def observed_attention(
    model: PreTrainedModel, heads: Heads, read: Callable[[int, AttentionCall], T], hint: str = HINT
) -> Iterator[dict[int, T]]:
    """Fill, within the context, the dictionary in each forward: index of ``heads.sites`` → what ``read`` makes of it.

    ``read`` gets a site's index and its attention as it runs, of which nothing else is kept: where it keeps no pattern
    memory grows with one site's, and where that is a scaled_dot_product_attention with the rows that are read.
    Raises InputError with ``hint``, while the model runs, for a site whose pattern cannot be found.
    """
    watch = _Watch(heads, read, hint)
    edits: dict[int, Edit] = {index: partial(watch.at_projection, index) for index in range(len(heads.sites))}
    with edited(model, heads, edits), watch:
        yield watch.seen


class _Watch(FunctionWatch, Generic[T]):
    """Sees every softmax of three axes or more, and every scaled_dot_product_attention (``since`` the last projection),
    and tells at each site's projection which of them is the site's; ``seen`` is what was read of them.
    """

    def __init__(self, heads: Heads, read: Callable[[int, AttentionCall], T], hint: str) -> None:
        super().__init__()
        self.heads, self.read, self.hint = heads, read, hint
        self.seen, self.since, self.reading = dict[int, T](), list[AttentionCall | Tensor](), False

    def at_projection(self, index: int, z: Tensor) -> Tensor:
        """Find the site's attention among what ran since the last projection; the heads' outputs stay as they are."""
        call = _of_site(self.heads.sites[index], self.since, len(z), self.hint)
        self.since.clear()
        self.reading = True  # rows are softmaxes too, which would be held until the next projection
        self.seen[index] = self.read(index, call)
        self.reading = False
        return z

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        named = kwargs or {}
        if self.reading:
            return func(*args, **named)
        if func is F.scaled_dot_product_attention and (args[0] if args else named["query"]).ndim == 4:
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
    mask = None if attn_mask is None else attn_mask.reshape((1,) * (4 - attn_mask.ndim) + attn_mask.shape)
    shape = (*query.shape[:3], key.shape[2])
    return AttentionCall(shape, None, query, key, value, mask, is_causal, factor)


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
        return entry if entry.shape[1] == site.heads else None
    if entry.ndim == 3 and entry.shape[0] == examples * site.heads:
        entry = entry.reshape(examples, site.heads, *entry.shape[1:])
    fits = entry.ndim == 4 and entry.shape[:2] == (examples, site.heads)
    return AttentionCall(tuple(entry.shape), entry) if fits else None
