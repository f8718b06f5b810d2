"""What is checked of a model as it is loaded, and reported of it: cheap runs on a short text, none of the study's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from reportgen.core.blocks import title
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Kind
from reportgen.scoring.fast_forward.capabilities import first_output
from reportgen.scoring.model.forward import forward, short_batch
from reportgen.scoring.model.heads import Heads, Site
from reportgen.scoring.model.interventions import captured, edited, only, replaced
from reportgen.scoring.model.trace import embedding_table

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from reportgen.scoring.model.load import Folder

NO_TOKEN = -100  # an id that no vocabulary has


def notes(heads: Heads) -> list[str]:
    """Write sentences on how the heads were found, for the report."""
    lines = []
    for block in heads.blocks:
        name = f"{title(block)}: " if block else ""
        sites = [site for site in heads.sites if site.block == block]
        open_ones = [site.layer for site in sites if site.order != "verified"]
        order = (
            "every slice of the output projection's input was seen to depend on the attention of one head alone"
            if not open_ones
            else f"the order of the heads in layers {_listed(open_ones)} could not be tested"
        )
        lines.append(f"{name}{len(sites)} of {heads.depth[block]} layers have heads; {order}")
    reasons: dict[tuple[str | None, str], list[int]] = {}
    for skipped in heads.skipped:
        if skipped.layer is not None:
            reasons.setdefault((skipped.block, skipped.reason), []).append(skipped.layer)
    for (block, reason), layers in reasons.items():
        which = f"layers {_listed(layers)} are" if layers[1:] else f"layer {_listed(layers)} is"
        lines.append(f"{f'{title(block)}: ' if block else ''}{which} left out: {reason}")
    return lines + [f"{s.name}: {s.reason}" for s in heads.skipped if s.layer is None]


def _listed(layers: list[int]) -> str:
    """Write numbers as ``0–3, 5``: consecutive ones drawn together."""
    parts: list[list[int]] = []
    for layer in sorted(set(layers)):
        if parts and layer == parts[-1][1] + 1:
            parts[-1][1] = layer
        else:
            parts.append([layer, layer])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in parts)


@torch.no_grad()
def unmoved(model: PreTrainedModel, kind: Kind, heads: Heads) -> list[Site]:
    """Find the sites whose largest head can be set to zero without a change of the output, as dead heads alone can.

    One run: the same text once for each site, each with another head set to zero.
    Raises InputError where no head moves the output, so that there is nothing to score.
    """
    batch = short_batch(model, kind, 1)
    with captured(model, heads) as seen:
        forward(model, kind, batch)
    many, edits = batch.repeated(1 + len(heads.sites)), {}
    for index, site in enumerate(heads.sites):
        lost = torch.zeros(many.size, site.heads, dtype=torch.bool, device=seen[index].device)
        lost[1 + index] = only(seen[index].float().norm(dim=-1).sum(dim=(0, 1)).argmax(), site.heads)
        edits[index] = replaced(lost, 0.0, None)
    with edited(model, heads, edits):
        output = first_output(model, kind, many)
    wide = output.double().flatten(1)
    # rows of one batch may differ in their last bits; narrow formats lose small changes, and any is taken for one
    rounding = 8 * torch.finfo(output.dtype).eps * float(wide[0].abs().max()) if output.dtype.itemsize >= 4 else 0.0
    still = [
        site for site, row in zip(heads.sites, wide[1:], strict=True) if float((row - wide[0]).abs().max()) <= rounding
    ]
    if len(still) == len(heads.sites):
        raise InputError(
            "setting heads to zero does not change what the model puts out",
            type(model).__name__,
            "Check the weights: there is nothing to score",
        )
    return still


def last_token_read(model: PreTrainedModel) -> list[str]:
    """Let a classifier whose configuration names no padding token read batches too, each text's last token, as it reads
    one text: for the token that it is told to look past, name one that no text has. Write a sentence on it.
    """
    config = model.config.get_text_config()
    if getattr(config, "pad_token_id", None) is not None:
        return []
    model.config.pad_token_id = config.pad_token_id = NO_TOKEN
    return ["its configuration names no padding token: its class is read at the last token of each text"]


def made_of(folder: Folder) -> list[str]:
    """Write sentences for the report on what the model's weights were made of, and on what it does not read."""
    weights, dtype = folder.weights, str(folder.model.dtype).removeprefix("torch.")
    lines = []
    if weights.quantization:
        lines.append(f"its weights were stored as {weights.quantization} and are read as {dtype} numbers")
    if weights.apart is not None:
        lines.append(
            "packed and as plain numbers, its weights put out logits for a short text that differ by at most "
            f"{100 * weights.apart:.2g} % of the greatest"
        )
    if weights.adapter:
        lines.append(
            f"its weights are a base model's (sha256 {weights.parts['base'][:12]}…) with an adapter, {weights.adapter} "
            f"(sha256 {weights.parts['adapter'][:12]}…), merged into them"
        )
    if folder.left_over:
        lines.append("an adapter lies beside the weights and is not applied: the study says that they hold it already")
    if folder.beside:
        lines.append(f"the model reads {folder.beside} too; it is scored on text alone")
    return lines


def unplaced(names: Sequence[str]) -> list[str]:
    """Write a sentence for the report on weights that were saved and not loaded."""
    if not names:
        return []
    rest = f" and {len(names) - 1} more" if names[1:] else ""
    return [f"the model's folder holds weights that this architecture has no place for: {names[0]}{rest}"]


def still(sites: Sequence[Site]) -> list[str]:
    """Write a sentence for the report on sites that do not move the output."""
    if not sites:
        return []
    names = ", ".join(site.name for site in sites)
    return [f"setting the largest head of {names} to zero does not change what the model puts out for a short text"]


@torch.no_grad()
def refuse_looking_ahead(model: PreTrainedModel) -> None:
    """Raise InputError for a causal model in which a later token moves an earlier one's logits.

    It would be scored on what it should predict.
    """
    batch = short_batch(model, "causal", 2)
    batch.input_ids[1, -1] = (batch.input_ids[1, -1] + 1) % len(embedding_table(model))
    first, second = forward(model, "causal", batch).logits[:, :-1].float()
    # rows of one batch differ by rounding alone where no token looks ahead: a thousandth is far above that of float32,
    # and a model that reads the next token moves its logits by far more
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-3, equal_nan=True):  # NaN is an error later, by example
        raise InputError(
            "a later token changes an earlier one's logits, so this is no causal language model",
            type(model).__name__,
            "Choose a causal language model such as Llama or GPT-2",
        )
