"""A loaded model: what it puts out for a batch, where its heads are, and how its runs can be shortened."""

import difflib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scores import Model
from reportgen.scoring.generate import after_prompt, in_decoder
from reportgen.scoring.heads import Heads, find
from reportgen.scoring.interventions import Edit, Record, edited, recorded, resumed
from reportgen.scoring.load import read_folder
from reportgen.scoring.metrics import longest_answer, matches
from reportgen.scoring.tasks import Row
from reportgen.scoring.tokens import Batch, Encoded, collate
from reportgen.study import ModelSection

Kind = Literal["causal", "masked", "seq2seq", "classifier", "encoder"]
LARGE = 1e4  # a factor on the logits that no soft cap or scale survives unseen


@dataclass(frozen=True)
class LoadedModel:
    """A transformer in eval mode with frozen parameters, its tokenizer and its heads.

    ``kind`` says what it puts out: an encoder nothing but hidden states, a classifier logits of classes. ``logits``
    says how logits at answer positions are had: ``head`` (hidden states, then the output embeddings on those positions
    alone), ``keep`` (the model's ``logits_to_keep``) or ``whole`` (every position, then selected). ``resumes`` says
    that a run may start from a layer's recorded output; ``context`` is the greatest length in tokens (None: unlimited).
    """

    model: Any
    tokenizer: Any
    kind: Kind
    heads: Heads
    logits: Literal["head", "keep", "whole"]
    resumes: bool
    context: int | None
    described: Model

    @property
    def device(self) -> torch.device:
        """Where the model's inputs go."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @property
    def gate_dtype(self) -> torch.dtype:
        """The precision of gates and reference values: float32, or float64 for a float64 model."""
        return torch.float64 if self.model.dtype == torch.float64 else torch.float32

    def answer_logits(self, batch: Batch) -> Float[Tensor, "answer_token vocabulary"]:
        """Logits that predict each answer token of the batch (a classifier's: of its classes); half-precision ones are
        widened to float32. Of an encoder, which predicts nothing, it is an error to ask for them.
        """
        assert self.kind != "encoder", "an encoder predicts nothing"
        if self.kind == "classifier":
            chosen = forward(self.model, self.kind, batch).logits[batch.owner]
        elif self.logits == "head":
            hidden = forward(self.model.base_model, self.kind, batch).last_hidden_state
            chosen = self.model.get_output_embeddings()(hidden[batch.owner, batch.position])
        elif self.logits == "keep":
            kept, place = torch.unique(batch.position, return_inverse=True)
            chosen = forward(self.model, self.kind, batch, logits_to_keep=kept).logits[batch.owner, place]
        else:
            chosen = forward(self.model, self.kind, batch).logits[batch.owner, batch.position]
        wide: Tensor = chosen if chosen.dtype in (torch.float32, torch.float64) else chosen.float()
        return wide

    def run(self, batch: Batch) -> None:
        """Run the model for what hooks see of it, without vocabulary logits."""
        forward(self.model.base_model, self.kind, batch)

    @torch.no_grad()
    def generated_match(self, batch: Batch) -> Float[Tensor, "example"]:
        """1 where the greedily generated text begins with an accepted answer, else 0 (``metrics.matches``)."""
        steps, written = longest_answer(self.tokenizer, batch), in_decoder if self.kind == "seq2seq" else after_prompt
        ids = written(self.answer_logits, batch, steps, self.tokenizer.pad_token_id or 0)
        end = self.tokenizer.eos_token_id
        return matches(self.tokenizer, [row[: row.index(end)] if end in row else row for row in ids], batch)

    @torch.no_grad()
    def first_nan(self, batch: Batch) -> str:
        """Where NaN first appears while the batch runs: the embeddings, a layer's path, or the output."""
        layers, outputs, embedded = list[str](), list[Any](), list[Tensor]()
        embeddings = self.model.get_input_embeddings()
        handle = embeddings.register_forward_hook(lambda _, __, output: embedded.append(output))
        try:
            with recorded(self.model, self.heads, layers, outputs):
                self.run(batch)
        finally:
            handle.remove()
        first = [output[0] if isinstance(output, tuple) else output for output in outputs]
        for path, output in zip(["the embeddings", *layers], [*embedded[:1], *first], strict=True):
            if isinstance(output, Tensor) and torch.isnan(output).any():
                return path
        return "the output"

    @contextmanager
    def resumed(self, record: Record | None, site: int, copies: int, edits: Mapping[int, Edit]) -> Iterator[None]:
        """Within the context, runs start at the layer of a site, from ``record`` (None: at the bottom), with ``edits``
        of heads there or above; the batch is the recorded one ``copies`` times over.
        """
        start = 0 if record is None else start_of(self.heads, record, site)
        if record is None or not start:
            with edited(self.model, self.heads, edits):
                yield
            return
        below = [s.projection for i, s in enumerate(self.heads.sites) if start_of(self.heads, record, i) < start]
        with (
            edited(self.model, self.heads, edits, Counter(below)),
            resumed(self.model, self.heads, record, start, copies),
        ):
            yield

    def recording(self, run: Callable[[], Any], examples: int) -> tuple[Any, Record | None]:
        """The result of a run, and its layers' outputs to resume from (None where the model cannot be resumed)."""
        if not self.resumes:
            return run(), None
        layers, outputs = list[str](), list[Any]()
        with recorded(self.model, self.heads, layers, outputs):
            result = run()
        return result, Record(tuple(layers), tuple(outputs), examples)


def start_of(heads: Heads, record: Record, site: int) -> int:
    """The number of layer calls before the one that a site's attention runs in."""
    found = heads.sites[site]
    calls = [i for i, path in enumerate(record.layers) if path == found.within]
    return calls[min(found.call, len(calls) - 1)] if calls else 0


def load(section: ModelSection, as_given: str | None = None) -> LoadedModel:
    """Load the study's model; ``as_given`` is its path as the study file writes it.

    Raises InputError for a folder that cannot be used (``load.read_folder``) and where heads cannot be found.
    """
    folder = read_folder(section)
    model = folder.model
    kind: Any = folder.kind
    heads = find(model)
    if kind == "causal":
        _refuse_looking_ahead(model)
    described = Model(as_given or section.path, folder.revision, folder.weights_sha256, _kv_groups(heads),
                      notes(heads))  # fmt: skip
    return LoadedModel(model, folder.tokenizer, kind, heads, _logits_way(model, kind), _resumes(model, kind, heads),
                       _context(model, folder.tokenizer), described)  # fmt: skip


def _kv_groups(heads: Heads) -> int | None:
    groups = {heads.kv_groups(block) for block in heads.blocks}
    return groups.pop() if len(groups) == 1 else None


def notes(heads: Heads) -> list[str]:
    """Sentences on how the heads were found, for the report."""
    lines = []
    for block in heads.blocks:
        name = f"{block}: " if block else ""
        sites = [site for site in heads.sites if site.block == block]
        open_ones = [site.layer for site in sites if site.order != "verified"]
        said = (
            "every slice of the output projection's input was seen to depend on the attention of one head alone"
            if not open_ones
            else f"the order of the heads in layers {_listed(open_ones)} could not be tested"
        )
        lines.append(f"{name}{len(sites)} of {heads.depth[block]} layers have heads; {said}")
    reasons: dict[tuple[str | None, str], list[int]] = {}
    for skipped in heads.skipped:
        if skipped.layer is not None:
            reasons.setdefault((skipped.block, skipped.reason), []).append(skipped.layer)
    for (block, reason), layers in reasons.items():
        which = f"layers {_listed(layers)} are" if layers[1:] else f"layer {_listed(layers)} is"
        lines.append(f"{f'{block}: ' if block else ''}{which} left out: {reason}")
    return lines + [f"{s.name}: {s.reason}" for s in heads.skipped if s.layer is None]


def _listed(layers: list[int]) -> str:
    """``0–3, 5``: consecutive numbers drawn together."""
    parts: list[list[int]] = []
    for layer in sorted(set(layers)):
        if parts and layer == parts[-1][1] + 1:
            parts[-1][1] = layer
        else:
            parts.append([layer, layer])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in parts)


def _context(model: Any, tokenizer: Any) -> int | None:
    config = model.config.get_text_config(decoder=True)
    greatest = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    for module in model.modules():  # RoBERTa's positions begin behind the padding's own
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings == greatest and module.padding_idx:
            greatest -= module.padding_idx + 1
    said = getattr(tokenizer, "model_max_length", None)
    limits = [limit for limit in (greatest, said) if isinstance(limit, int) and 0 < limit < 10**9]
    return min(limits, default=None)


def forward(module: Any, kind: Kind, batch: Batch, **extra: Any) -> Any:
    """One run of the model or its body over a batch, without a cache."""
    known = inspect.signature(module.forward).parameters
    wanted: dict[str, Any] = {"use_cache": False, "return_dict": True}
    if kind == "causal":  # encoders count their positions as they were trained to, and padding stands on the right
        wanted["position_ids"] = batch.position_ids
    if kind == "seq2seq":
        wanted |= {"decoder_input_ids": batch.decoder_ids, "decoder_attention_mask": batch.decoder_mask}
    passed = {name: value for name, value in wanted.items() if name in known}
    return module(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **passed, **extra)


def short_batch(model: Any, kind: Kind, rows: int, tokens: int = 5, step: int = 7) -> Batch:
    """The same short text ``rows`` times over, for checks."""
    size, device = model.get_input_embeddings().weight.shape[0], model.get_input_embeddings().weight.device
    ids = tuple((step * i + 3) % size for i in range(tokens))
    decoder = ids[1:4] if kind == "seq2seq" else None
    answer, places = ((), ()) if kind == "encoder" else ((1,), (0 if kind == "classifier" else 2,))
    example = Encoded(Row("", "", "", "", "", ""), ids, tokens, answer, places, decoder=decoder)
    return collate([example] * rows, model.config.get_text_config().pad_token_id or 0, device)


@torch.no_grad()
def _refuse_looking_ahead(model: Any) -> None:
    """A causal model in which a later token moves an earlier one's logits would be scored on what it should predict."""
    batch = short_batch(model, "causal", 2)
    batch.input_ids[1, -1] = (batch.input_ids[1, -1] + 1) % model.get_input_embeddings().weight.shape[0]
    first, second = forward(model, "causal", batch).logits[:, :-1].float()
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-3, equal_nan=True):  # NaN is told of by example, later
        problem = "a later token changes an earlier one's logits, so this is no causal language model"
        raise InputError(problem, type(model).__name__, "Choose a causal language model such as Llama or GPT-2")


def _logits_way(model: Any, kind: Kind) -> Literal["head", "keep", "whole"]:
    """Whether the output embeddings on the base model's hidden states make the model's logits, and nothing else does.

    The output embeddings are made to shout: a soft cap or scale after them, however gentle, then shows.
    """
    if kind in ("classifier", "encoder"):
        return "whole"
    batch, seen, shouted = short_batch(model, kind, 1), list[Tensor](), list[Tensor]()
    fallback: Literal["keep", "whole"] = (
        "keep" if "logits_to_keep" in inspect.signature(model.forward).parameters and kind == "causal" else "whole"
    )
    head = model.get_output_embeddings()
    if head is None or model.base_model is model:
        return fallback

    def hook(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append(inputs[0])
        shouted.append(output * LARGE)
        return shouted[-1]

    handle = head.register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits = forward(model, kind, batch).logits
            hidden = getattr(forward(model.base_model, kind, batch), "last_hidden_state", None)
    finally:
        handle.remove()
    same = len(seen) == 1 and hidden is not None and hidden.shape == seen[0].shape and torch.equal(hidden, seen[0])
    return "head" if same and torch.equal(logits, shouted[0].to(logits.dtype)) else fallback


@torch.no_grad()
def _resumes(model: Any, kind: Kind, heads: Heads) -> bool:
    """Whether runs resumed from recorded outputs agree with a whole run; false for models that re-enter layers."""
    layers, outputs, batch = list[str](), list[Any](), short_batch(model, kind, 2)
    batch.input_ids[1] = batch.input_ids[1].flip(0)
    with recorded(model, heads, layers, outputs):
        whole = _first_output(model, kind, batch)
    record, many = Record(tuple(layers), tuple(outputs), 2), batch.repeated(2)
    if any(site.within not in layers for site in heads.sites):
        return False
    for site in sorted({1 % len(heads.sites), len(heads.sites) // 2, len(heads.sites) - 1}):
        try:
            with resumed(model, heads, record, start_of(heads, record, site), 2):
                again = _first_output(model, kind, many)
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
            return False  # what a layer needs beside the stream was made in a layer below: whole runs then
        # the same arithmetic in a batch of another size: equal but for rounding
        expected = whole.repeat(2, *(1,) * (whole.ndim - 1))
        if not torch.allclose(again, expected, rtol=1e-4, atol=float(whole.abs().max()) * 1e-5):
            return False
    return True


def _first_output(model: Any, kind: Kind, batch: Batch) -> Tensor:
    output: Tensor = forward(model, kind, batch)[0]
    return output


def nearest(name: str, known: list[str]) -> str:
    """How to mend an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"The nearest known one is {near[0]!r}" if near else f"Known here: {', '.join(known)}"
