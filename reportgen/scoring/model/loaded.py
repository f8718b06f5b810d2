"""A loaded model: what it puts out for a batch, where its heads are, and how its runs can be shortened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reportgen.core.config import ModelSection
from reportgen.core.scores import Model
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch, Encoded, Kind, collate
from reportgen.scoring.data.generation import after_prompt, in_decoder
from reportgen.scoring.data.metrics import longest_answer, matches
from reportgen.scoring.fast_forward.capabilities import Shortcuts, shortcuts
from reportgen.scoring.fast_forward.partial_forward import Record, Recorder, narrowed, resumed_at
from reportgen.scoring.model.checks import (
    last_token_read,
    made_of,
    notes,
    refuse_looking_ahead,
    still,
    unmoved,
    unplaced,
)
from reportgen.scoring.model.compiled import compile_beside
from reportgen.scoring.model.forward import forward
from reportgen.scoring.model.heads import Heads, find
from reportgen.scoring.model.hooks import hooked
from reportgen.scoring.model.interventions import Edit
from reportgen.scoring.model.load import quiet, read_folder
from reportgen.scoring.model.running import WAYS, Running
from reportgen.scoring.model.state import left_as_it_was
from reportgen.scoring.model.trace import embedding_table, input_device
from reportgen.scoring.run.memory import enough

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedModel:
    """A transformer in eval mode with frozen parameters, its tokenizer and its heads.

    ``kind`` says what it puts out: an encoder nothing but hidden states, a classifier logits of classes. ``shortcuts``
    says what of its runs need not be run; ``context`` is the greatest length in tokens (None: unlimited); ``running``
    is how the study's examples are put together.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    kind: Kind
    heads: Heads
    shortcuts: Shortcuts
    context: int | None
    described: Model
    running: Running = WAYS[0]

    @property
    def device(self) -> torch.device:
        """Where the model's inputs go."""
        return input_device(self.model)

    @property
    def one_number(self) -> bool:
        """Whether it is a classifier of one label, such as a reward model: there are no classes to choose from."""
        return self.kind == "classifier" and self.model.config.num_labels == 1

    @property
    def gate_dtype(self) -> torch.dtype:
        """The precision of gates and reference values: float32, or float64 for a float64 model."""
        return torch.float64 if self.model.dtype == torch.float64 else torch.float32

    def answer_logits(self, batch: Batch) -> Float[Tensor, "answer_token vocabulary"]:
        """Run the batch: logits that predict each answer token (a classifier's: of its classes).

        Half-precision ones are widened to float32. Of an encoder, which predicts nothing, it is an error to ask for
        them.
        """
        chosen = self.read(batch)
        wide = chosen if chosen.dtype in (torch.float32, torch.float64) else chosen.float()
        return wide.to(batch.owner.device)  # the last layer's device may be another than the inputs'

    def read(self, batch: Batch) -> Float[Tensor, "answer_token vocabulary"]:
        """Return the same as the model puts it out, in its own precision and where its last layer lies."""
        assert self.kind != "encoder", "an encoder predicts nothing"
        chosen: Tensor
        if self.kind == "classifier":
            chosen = forward(self.model, self.kind, batch).logits[batch.owner]
        elif self.shortcuts.logits == "head":
            hidden = forward(self.model.base_model, self.kind, batch).last_hidden_state
            owner, position = (index.to(hidden.device) for index in (batch.owner, batch.position))
            head = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]  # it has no types
            chosen = head(hidden[owner, position])
        elif self.shortcuts.logits == "keep":
            positions, column = torch.unique(batch.position, return_inverse=True)
            chosen = forward(self.model, self.kind, batch, logits_to_keep=positions.cpu()).logits[batch.owner, column]
        else:
            chosen = forward(self.model, self.kind, batch).logits[batch.owner, batch.position]
        return chosen

    @property
    def pad(self) -> int:
        """The token that texts are padded with: the model's own, by which a classifier finds a text's last token; the
        tokenizer's where the model names none of its vocabulary.
        """
        size = len(embedding_table(self.model))
        named = (getattr(self.model.config.get_text_config(), "pad_token_id", None), self.tokenizer.pad_token_id)
        return next((token for token in named if isinstance(token, int) and 0 <= token < size), 0)

    def context_of(self, asked: int | None) -> int | None:
        """Return the greatest length in tokens: the study's ``asked`` one in place of the tokenizer's limit, else
        ``context``. Raises InputError for one that the model itself does not hold.
        """
        own = _own_context(self.model)
        if asked is not None and own is not None and asked > own:
            problem = f"max_length is {asked} tokens and the model reads at most {own}"
            raise InputError(problem, "[tasks] max_length", "Give less, or use a model with a longer context")
        return self.context if asked is None else asked

    def collated(self, examples: Sequence[Encoded]) -> Batch:
        """Return the examples as a batch on the model's device."""
        return collate(examples, self.pad, self.device)

    def plain(self, example: Encoded) -> Float[Tensor, "answer_token vocabulary"]:
        """Call the model on one example alone as anyone calls it, without any of our own ways; return what
        ``answer_logits`` does (an encoder's: its last hidden states).
        """
        inputs = {"input_ids": torch.tensor([example.inputs], device=self.device)}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if example.types is not None:
            inputs["token_type_ids"] = torch.tensor([example.types], device=self.device)
        if example.decoder is not None:
            inputs["decoder_input_ids"] = torch.tensor([example.decoder], device=self.device)
        output = self.model(**inputs)
        found: Tensor = output[0][0] if self.kind == "encoder" else output.logits[0]
        if self.kind == "classifier":
            found = output.logits
        return found if self.kind in ("encoder", "classifier") else found[list(example.positions)]

    def run(self, batch: Batch) -> None:
        """Run the model for what hooks see of it, without vocabulary logits."""
        forward(self.model.base_model, self.kind, batch)

    @torch.no_grad()
    def generated_match(self, batch: Batch) -> Float[Tensor, example]:
        """Return 1 where the greedily generated text begins with an accepted answer, else 0 (``metrics.matches``)."""
        steps, written = longest_answer(self.tokenizer, batch), in_decoder if self.kind == "seq2seq" else after_prompt
        ids = written(self.answer_logits, batch, steps, self.pad)
        end = self.tokenizer.eos_token_id
        return matches(self.tokenizer, [row[: row.index(end)] if end in row else row for row in ids], batch)

    @torch.no_grad()
    def first_nan(self, batch: Batch) -> str:
        """Find where NaN first appears while the batch runs: the embeddings, a layer's path, or the output."""
        embedded = list[Tensor]()
        watched = self.model.get_input_embeddings().register_forward_hook
        with (
            hooked([(watched, lambda _, __, output: embedded.append(output))]),
            Recorder(self.model, self.heads).watching() as recorder,
        ):
            self.run(batch)
        first = [output[0] if isinstance(output, tuple) else output for output in recorder.outputs]
        for path, output in zip(["the embeddings", *recorder.layers], [*embedded[:1], *first], strict=True):
            if isinstance(output, Tensor) and torch.isnan(output).any():
                return path
        return "the output"

    def resumed(
        self, record: Record | None, site: int, copies: int, edits: Mapping[int, Edit]
    ) -> AbstractContextManager[None]:
        """Resume, within the context, as ``partial_forward.resumed_at`` does."""
        return resumed_at(self.model, self.heads, record, site, copies, edits)

    def recording(self, run: Callable[[], T], examples: int) -> tuple[T, Record | None]:
        """Return a run's result, and its layers' outputs to resume from (None where the model cannot be resumed)."""
        if not self.shortcuts.resumes:
            return run(), None
        with Recorder(self.model, self.heads, sorted(self.shortcuts.enters)).watching() as recorder:
            result = run()
        return result, recorder.record(examples)

    def narrowed(self, batch: Batch) -> AbstractContextManager[None]:
        """Compute nothing, within the context, that the batch's answers' logits do not need, as far as is known.

        What hooks see of the last layer holds then at answer positions alone.
        """
        return narrowed(self.model, self.shortcuts.narrow, batch)


def pooled(model: LoadedModel, batch: Batch) -> Float[Tensor, "example feature"]:
    """Return the mean of an encoder's last hidden states over each row's tokens, in float64; padding does not count."""
    hidden = forward(model.model, model.kind, batch)[0].double()
    where = batch.attention_mask.to(hidden.device)[:, :, None].bool()
    total: Tensor = torch.where(where, hidden, 0.0).sum(dim=1) / where.sum(dim=1)
    return total.to(model.device)


def load(section: ModelSection, as_given: str | None = None) -> LoadedModel:
    """Load the study's model; ``as_given`` is its path as the study file writes it.

    Raises InputError for a folder that cannot be used (``load.read_folder``), where heads cannot be found, and where
    memory runs out.
    """
    with enough(section.path):
        folder = read_folder(section)
        model = folder.model
        kind, told = folder.kind, [*unplaced(folder.unplaced), *folder.told]
        if kind == "classifier":
            told += last_token_read(model)
        heads = find(model)
        with quiet(), left_as_it_was(model):
            if kind == "causal":
                refuse_looking_ahead(model)
            found = [
                *made_of(folder),
                *told,
                *notes(heads),
                *still(unmoved(model, kind, heads)),
            ]
            short = shortcuts(model, kind, heads)
    weights = folder.weights
    described = Model(
        as_given or section.path,
        folder.revision,
        weights.sha256,
        _kv_groups(heads),
        found,
        weights.adapter,
        dict(weights.parts),
        weights.quantization,
    )
    if section.compile:
        compile_beside(model, kind, heads)
    return LoadedModel(model, folder.tokenizer, kind, heads, short, _context(model, folder.tokenizer), described)


def _kv_groups(heads: Heads) -> int | None:
    groups = {heads.kv_groups(block) for block in heads.blocks}
    return groups.pop() if len(groups) == 1 else None


def _context(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    longest = getattr(tokenizer, "model_max_length", None)
    # transformers writes 10^30 where a tokenizer has no limit
    limits = [limit for limit in (_own_context(model), longest) if isinstance(limit, int) and 0 < limit < 10**9]
    return min(limits, default=None)


def _own_context(model: PreTrainedModel) -> int | None:
    config = model.config.get_text_config(decoder=True)
    greatest = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    for module in model.modules():  # RoBERTa's positions begin behind the padding's own
        if isinstance(module, nn.Embedding) and module.num_embeddings == greatest and module.padding_idx:
            greatest -= module.padding_idx + 1
    rotary = getattr(config, "rope_parameters", None) or {}
    if rotary.get("rope_type") == "dynamic" and greatest:  # its positions stretch as far behind what it was trained on
        greatest = int(greatest * rotary.get("factor", 1))
    return greatest if isinstance(greatest, int) and greatest > 0 else None
