"""Turn one row into token ids, as each kind of model reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, Kind
from reportgen.scoring.data.offsets import tokenized
from reportgen.scoring.data.tasks import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Options:
    """How rows are read by one model in one study.

    ``delimiter`` stands between prompt and answer. ``templated``: the prompt holds its special tokens already, as a
    chat template writes them, so none are added. ``context`` is the model's greatest length in tokens (None: any);
    ``truncate`` cuts longer prompts instead of refusing them (see ``encode``). ``labels`` are a classifier's names,
    ``decoder_start`` and ``forced_bos`` the first tokens of an encoder-decoder's decoder.
    """

    kind: Kind = "causal"
    delimiter: str = " "
    templated: bool = False
    context: int | None = None
    truncate: Literal["left", "middle"] | None = None
    with_foil: bool = False
    with_corrupted: bool = False
    labels: Mapping[str, int] = field(default_factory=dict)
    decoder_start: int | None = None
    forced_bos: int | None = None

    @classmethod
    def of(
        cls,
        kind: Kind,
        model: PreTrainedModel,
        section: TasksSection,
        *,
        context: int | None = None,
        with_foil: bool = False,
        with_corrupted: bool = False,
    ) -> Options:
        """Return the options of a transformers model under a study's [tasks].

        A decoder begins as in the model's ``generate``: with the start token, else the beginning-of-sequence one, then
        with what the generation settings force.
        """
        config, settings = model.config, getattr(model, "generation_config", None)
        starts = [
            getattr(owner, name, None)
            for name in ("decoder_start_token_id", "bos_token_id")
            for owner in (settings, config)
        ]
        return cls(
            kind,
            section.between,
            section.chat_template,
            context,
            section.truncate,
            with_foil,
            with_corrupted,
            labels=dict(getattr(config, "label2id", None) or {}),
            decoder_start=next((start for start in starts if isinstance(start, int)), None),
            forced_bos=getattr(settings, "forced_bos_token_id", None),
        )


@dataclass(frozen=True)
class _Text:
    """Token ids of which those from ``start`` to before ``stop`` cover the answer, ``own`` of them it alone."""

    ids: tuple[int, ...]
    start: int
    stop: int
    own: int = 0

    @property
    def answer(self) -> tuple[int, ...]:
        return self.ids[self.start : self.stop]


def encode(tokenizer: PreTrainedTokenizerBase, row: Row, options: Options) -> Encoded:
    """Tokenise a row as a model of ``options.kind`` reads it.

    *causal*: ``prompt + delimiter + answer`` in one piece. The answer runs from the first to the last token that covers
    one of its characters other than white space. A token that also covers the end of the prompt is scored with the
    answer (as context it would give part of the answer away), but at least one token must be the answer's own.
    *masked*: the same, the answer's tokens replaced by the mask; where the prompt holds the mask token, the answer
    stands there. *seq2seq*: the prompt is what the encoder reads; the decoder reads its start token, a first token that
    generation forces or else the tokenizer puts before a target, and the answer. *classifier*: the answer is the name
    of a label, or its number. *encoder*: the prompt alone.

    A text longer than the context is refused, or cut as ``options.truncate`` says: "left" leaves out the prompt's first
    tokens, "middle" those halfway between its ends. The answer and all special tokens stay (a chat template's own
    words count as prompt), and of the corrupted prompt the tokens at the same positions do.

    Raises InputError naming the row where the answer has no token of its own or is no label, where nothing stands
    before it, where the tokens exceed the context, where the foil does not stand against the answer token by token, or
    the corrupted prompt against the prompt.
    """
    location = _location(row)
    text = _read(tokenizer, row.prompt, row.answer, options, location)
    if options.kind in ("causal", "masked"):
        _check_answer(tokenizer, text, row, options, location)
    left = _fitting(tokenizer, text, options, location)
    inputs = _inputs(tokenizer, text, left, options)
    corrupted = _corrupted(tokenizer, row, text, left, options) if options.with_corrupted else None
    if corrupted == inputs:
        raise InputError(
            "the corrupted prompt has the prompt's tokens" + (" once cut" if len(left) < len(text.ids) else ""),
            f"{location}, column corrupted",
            "Give a prompt that differs",
        )
    prompt, made = len(inputs), _answered(tokenizer, row, text, options)
    if options.kind in ("causal", "masked"):
        first = left.index(text.start) - (options.kind == "causal")
        made["positions"] = tuple(range(first, first + len(text.answer)))
        prompt = first + 1 if options.kind == "causal" else prompt
    return Encoded(row=row, inputs=inputs, prompt=prompt, corrupted=corrupted, cut=len(text.ids) - len(left), **made)


def _location(row: Row) -> str:
    return f"{row.location} (id {row.id!r})"


def _read(tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, options: Options, location: str) -> _Text:
    if options.kind == "causal":
        text = _joint(tokenizer, prompt + options.delimiter, answer, "", options)
        return _Text(text.ids[: text.stop], text.start, text.stop, text.own)
    if options.kind == "masked":
        before, after = _around_mask(tokenizer, prompt, options, location)
        return _joint(tokenizer, before, answer, after, options)
    ids = tokenizer(prompt, add_special_tokens=not options.templated, verbose=False)["input_ids"]
    return _Text(tuple(ids), len(ids), len(ids))


def _around_mask(tokenizer: PreTrainedTokenizerBase, prompt: str, options: Options, location: str) -> tuple[str, str]:
    if tokenizer.mask_token is None:
        raise InputError(
            "the tokenizer has no mask token", location, "Choose another model, or save its tokenizer again"
        )
    before, *after = prompt.split(tokenizer.mask_token)
    if len(after) > 1:
        raise InputError(
            f"the prompt holds the mask token {tokenizer.mask_token} {len(after)} times",
            location,
            "Write it once, where the answer stands, or not at all",
        )
    return (before, after[0]) if after else (prompt + options.delimiter, "")


def _joint(tokenizer: PreTrainedTokenizerBase, before: str, answer: str, after: str, options: Options) -> _Text:
    made = tokenized(tokenizer, (before, answer, after), special=not options.templated)
    return _covering(made, before, answer, after)


def _covering(made: Mapping[str, Any], before: str, answer: str, after: str = "") -> _Text:
    first = len(before) + len(answer) - len(answer.lstrip())
    end = len(before) + len(answer.rstrip())
    offsets = made["offset_mapping"]
    covering = [i for i, (a, b) in enumerate(offsets) if max(a, first) < min(b, end)]
    if not covering:
        return _Text((), 0, 0)
    written = len(before.rstrip())  # a token may begin with the space before the answer, not with the prompt's letters
    follows = len(before) + len(answer) + len(after) - len(after.lstrip())
    own = sum(written <= offsets[i][0] and offsets[i][1] <= follows for i in covering)
    return _Text(tuple(made["input_ids"]), covering[0], covering[-1] + 1, own)


def _check_answer(tokenizer: PreTrainedTokenizerBase, text: _Text, row: Row, options: Options, location: str) -> None:
    if options.kind == "masked" and tokenizer.mask_token in row.prompt and text.own < len(text.answer):
        raise InputError(
            f"the answer {row.answer!r} shares a token with what stands beside the mask token",
            location,
            "Put white space around the mask token, or reword the row",
        )
    if text.own == 0:
        raise InputError(
            f"the answer {row.answer!r} leaves no tokens of its own",
            location,
            "Put a white-space delimiter between them ([tasks] delimiter), or reword the row",
        )
    if options.kind == "causal" and text.start == 0:
        raise InputError("no token stands before the answer, so nothing predicts it", location, "Lengthen the prompt")


def _fitting(tokenizer: PreTrainedTokenizerBase, text: _Text, options: Options, location: str) -> list[int]:
    """Return the indices of the ids that stay: all, or as many as the context holds."""
    ids, context = text.ids, options.context
    if context is None or len(ids) <= context:
        return list(range(len(ids)))
    if options.truncate is None:
        limit = getattr(tokenizer, "model_max_length", None)
        what = "prompt and answer take" if options.kind in ("causal", "masked") else "the prompt takes"
        raise InputError(
            f"{what} {len(ids)} tokens but the model's context is {context}",
            location,
            "Shorten the prompt, remove the row, or use a model with a longer context"
            + (", or give [tasks] max_length: this limit is the tokenizer's" if limit == context else ""),
        )
    special = _special_ids(tokenizer)
    free = [i for i, token in enumerate(ids) if not text.start <= i < text.stop and token not in special]
    room = context - (len(ids) - len(free))
    if room < 1:
        raise InputError(
            f"answer and special tokens alone take {context - room} tokens but the model's context is {context}",
            location,
            "Remove the row, or use a model with a longer context",
        )
    tail = room if options.truncate == "left" else room - room // 2
    dropped = set(free[room - tail : len(free) - tail])
    return [i for i in range(len(ids)) if i not in dropped]


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return all special tokens; the unknown word's only where it serves as another one too."""
    marked = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    others = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id}
    return (marked | set(tokenizer.all_special_ids)) - ({tokenizer.unk_token_id} - others)


def _inputs(tokenizer: PreTrainedTokenizerBase, text: _Text, left: list[int], options: Options) -> tuple[int, ...]:
    if options.kind == "masked":
        mask = tokenizer.mask_token_id
        return tuple(mask if text.start <= i < text.stop else text.ids[i] for i in left)
    ids = tuple(text.ids[i] for i in left)
    return ids[:-1] if options.kind == "causal" else ids


def _corrupted(
    tokenizer: PreTrainedTokenizerBase, row: Row, text: _Text, left: list[int], options: Options
) -> tuple[int, ...]:
    location = f"{_location(row)}, column corrupted"
    if row.corrupted is None:
        raise InputError(
            "the row has no corrupted prompt",
            location,
            "Add a corrupted prompt (a counterfactual) to every row, or choose a method that needs none",
        )
    other = _read(tokenizer, row.corrupted, row.answer, options, location)
    hint = "Give a corrupted prompt of as many tokens, or choose a method that needs none"
    count, wanted = (len(t.ids) - len(t.answer) for t in (other, text))
    if count != wanted:
        raise InputError(f"the corrupted prompt takes {count} tokens and the prompt {wanted}", location, hint)
    if (other.start, other.answer) != (text.start, text.answer):
        raise InputError(
            "behind the corrupted prompt the answer stands in another place, or splits into other tokens",
            location,
            hint,
        )
    return _inputs(tokenizer, other, left, options)


def _answered(tokenizer: PreTrainedTokenizerBase, row: Row, text: _Text, options: Options) -> dict[str, Any]:
    """Return the fields of Encoded that say what the answer is."""
    if options.kind == "encoder":
        return {"answer": (), "positions": ()}
    if options.kind == "classifier":
        return _classified(row, options)
    if options.kind == "seq2seq":
        return _decoded(tokenizer, row, options)
    foil = None
    if options.with_foil:
        foil = _foil(row, text, _read(tokenizer, row.prompt, _foil_of(row), options, _location(row)))
    return {"answer": text.answer, "foil": foil}


def _foil_of(row: Row) -> str:
    if row.foil is None:
        raise InputError(
            "the metric logit_difference needs a foil",
            f"{_location(row)}, column foil",
            'Add a foil (a wrong answer) to every row, or choose metric = "log_odds"',
        )
    return row.foil


def _foil(row: Row, text: _Text, other: _Text) -> tuple[int, ...]:
    location, count, wanted = f"{_location(row)}, column foil", len(other.answer), len(text.answer)
    around = [(t.ids[: t.start], t.ids[t.stop :]) for t in (other, text)]
    if around[0] != around[1] or count != wanted:
        hint = "Give a foil of as many tokens, which leaves the prompt's tokens as they are"
        problem = f"the foil takes {count} tokens and the answer {wanted}"
        raise InputError(
            problem + (", or they split the prompt differently" if count == wanted else ""), location, hint
        )
    if other.answer == text.answer:
        raise InputError("the foil has the answer's tokens", location, "Give a wrong answer")
    return other.answer


def _decoded(tokenizer: PreTrainedTokenizerBase, row: Row, options: Options) -> dict[str, Any]:
    location = _location(row)
    if options.decoder_start is None:
        raise InputError(
            "the model names no token for its decoder to start with",
            location,
            "Set decoder_start_token_id in the model's generation_config.json",
        )
    text = _target(tokenizer, row.answer)
    if text.own == 0:
        raise InputError(f"the answer {row.answer!r} leaves no tokens of its own", location, "Reword the row")
    lead = text.ids[: text.start] if options.forced_bos is None else (options.forced_bos,)
    start = (options.decoder_start, *(lead if lead != (options.decoder_start,) else ()))
    decoder = (*start, *text.answer[:-1])
    if options.context is not None and len(decoder) > options.context:
        raise InputError(
            f"the answer takes {len(decoder)} tokens but the model's context is {options.context}",
            location,
            "Shorten the answer, or remove the row",
        )
    foil = _foil(row, text, _target(tokenizer, _foil_of(row))) if options.with_foil else None
    return {
        "answer": text.answer,
        "positions": tuple(range(len(start) - 1, len(decoder))),
        "decoder": decoder,
        "foil": foil,
    }


def _target(tokenizer: PreTrainedTokenizerBase, answer: str) -> _Text:
    """Return the answer as a target; before ``start`` stand only special tokens, the same for every answer."""
    text = _covering(tokenized(tokenizer, ("", answer, ""), target=True), "", answer)
    special = _special_ids(tokenizer)
    start = next((i for i, token in enumerate(text.ids) if token not in special), text.start)
    return _Text(text.ids, min(start, text.start), text.stop, text.own)


def _classified(row: Row, options: Options) -> dict[str, Any]:
    answer, foil = _class(row, "answer", row.answer, options), None
    if options.with_foil:
        foil = _class(row, "foil", _foil_of(row), options)
        if foil == answer:
            raise InputError("the foil is the answer's class", f"{_location(row)}, column foil", "Give a wrong label")
    return {"answer": (answer,), "positions": (0,), "foil": None if foil is None else (foil,)}


def _class(row: Row, column: str, text: str, options: Options) -> int:
    name, numbers = text.strip(), {str(i): i for i in options.labels.values()}
    known = {**{f"LABEL_{i}": i for i in numbers.values()}, **numbers, **options.labels}
    if name not in known:
        raise InputError(
            f"the classifier has no label {name!r}",
            f"{_location(row)}, column {column}",
            f"Its labels are {', '.join(options.labels)}",
        )
    return known[name]
