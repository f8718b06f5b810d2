"""Turn one row into token ids, as each kind of model reads it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, Kind
from reportgen.scoring.data.joining import joined, together
from reportgen.scoring.data.offsets import read, tokenized
from reportgen.scoring.data.tasks import Row, rivals

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# what may be changed where prompt and answer meet, as ``Encoded.joined`` names it
WHITE_SPACE = "white space"
DOUBLED = "special tokens"


@dataclass(frozen=True)
class Options:
    """How rows are read by one model in one study.

    ``delimiter`` stands between prompt and answer. ``templated``: the prompt holds its special tokens already, as a
    chat template writes them, so none are added. ``context`` is the model's greatest length in tokens (None: any);
    ``truncate`` cuts longer prompts instead of refusing them (see ``encode``). ``labels`` are a classifier's names,
    ``decoder_start`` and ``forced_bos`` the first tokens of an encoder-decoder's decoder. ``prefix`` begins every
    answer, but is not scored. ``types`` is the number of texts of a pair that the model tells apart by embeddings
    (0: it does not).
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
    prefix: str = ""
    types: int = 0

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
            prefix=section.answer_prefix or "",
            types=getattr(config, "type_vocab_size", None) or 0,
        )


@dataclass(frozen=True)
class _Text:
    """Token ids of which those from ``start`` to before ``stop`` cover the answer, ``own`` of them it alone.

    ``texts`` is each token's text in a pair (None: a special token), ``types`` the tokenizer's number for it;
    ``joined`` as in ``Encoded``.
    """

    ids: tuple[int, ...]
    start: int
    stop: int
    own: int = 0
    texts: tuple[int | None, ...] = ()
    types: tuple[int, ...] = ()
    joined: tuple[str, ...] = ()

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
    of a label, or its number. *encoder*: the prompt alone. All but causal models may read a pair of texts, as their
    tokenizer joins them.

    Where prompt, delimiter and answer meet, one run of white space stands (``joining``); a special token that the
    prompt begins or ends with and that the tokenizer puts there itself stands once. What is changed so, and changes
    tokens, is in ``Encoded.joined``. The row's other choices, or without any its foil, are tokenised like the answer.

    A text longer than the context is refused, or cut as ``options.truncate`` says: "left" leaves out the prompt's first
    tokens, "middle" those halfway between its ends. The answer and all special tokens stay (a chat template's own
    words count as prompt), and of the corrupted prompt the tokens at the same positions do.

    Raises InputError naming the row where the answer has no token of its own or is no label, where nothing stands
    before it, where the tokens exceed the context, where the foil does not stand against the answer token by token, or
    the corrupted prompt against the prompt.
    """
    location = _location(row)
    _refuse_unread(row, options, location)
    text = _whole(tokenizer, row, options, location)
    against = () if options.kind == "encoder" else rivals(row)
    others = [_rival(tokenizer, row, *each, text, options) for each in against]
    # all are cut to the room that the longest leaves, so that they stand behind the same prompt
    longest = max(len(t.answer) for t in (text, *(other for _, other, _ in others)))
    encoded = _encoded(tokenizer, row, text, options, longest)
    found = tuple(_against(tokenizer, encoded, other, options, longest) for other in others)
    return replace(encoded, rivals=found)


def _whole(tokenizer: PreTrainedTokenizerBase, row: Row, options: Options, location: str) -> _Text:
    """Tokenise a row's prompt with its answer, where the model reads both, and check that the answer has tokens."""
    text = _read(tokenizer, row, row.prompt, row.answer, options, location)
    if options.kind in ("causal", "masked"):
        _check_answer(tokenizer, text, row, options, location)
    return text


def _rival(
    tokenizer: PreTrainedTokenizerBase, row: Row, rival: str, column: str, own: _Text, options: Options
) -> tuple[Row, _Text, str]:
    """Tokenise the row with a rival in the answer's place, where the answer stands in what is read."""
    other = replace(row, answer=rival, choices=(), foil=None, corrupted=None)
    location = f"{_location(row)}, column {column}"
    text = _whole(tokenizer, other, options, location) if options.kind in ("causal", "masked") else own
    return other, text, location


def _against(
    tokenizer: PreTrainedTokenizerBase, own: Encoded, other: tuple[Row, _Text, str], options: Options, longest: int
) -> Encoded:
    """Encode a rival of an answer, its tuples shared with the answer's where they are the same."""
    row, text, location = other
    try:
        made = _encoded(tokenizer, row, text, replace(options, with_foil=False, with_corrupted=False), longest)
    except InputError as error:
        raise InputError(error.problem, location, error.hint) from error
    if (made.inputs, made.answer, made.decoder) == (own.inputs, own.answer, own.decoder):
        raise InputError(
            f"{row.answer!r} has the answer's tokens, so that the model cannot choose between them",
            location,
            "Remove it, or give it another text",
        )
    # long prompts with many choices would else be held once for each
    inputs = own.inputs if own.inputs == made.inputs else made.inputs
    return replace(made, row=own.row, inputs=inputs, joined=())


def _encoded(tokenizer: PreTrainedTokenizerBase, row: Row, text: _Text, options: Options, longest: int) -> Encoded:
    location = _location(row)
    left = _fitting(tokenizer, text, options, location, longest - len(text.answer))
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
    return Encoded(
        row=row,
        inputs=inputs,
        prompt=prompt,
        corrupted=corrupted,
        cut=len(text.ids) - len(left),
        types=_types(text, left, options),
        **{"joined": text.joined, **made},
    )


def _types(text: _Text, left: list[int], options: Options) -> tuple[int, ...] | None:
    """Return which text each id is of, where the model embeds so many and the tokenizer tells more than one."""
    types = tuple(text.types[i] for i in left) if text.types else ()
    return types if any(types) and max(types) < options.types else None


def _refuse_unread(row: Row, options: Options, location: str) -> None:
    """Raise InputError for what a model of this kind does not read."""
    for column in ("image", "audio"):
        if getattr(row, column) is not None:
            raise InputError(
                f"the row has an {column}, and only texts are read",
                f"{location}, column {column}",
                "Remove the column, and score what the model does with the texts alone",
            )
    if options.kind == "causal" and row.prompt_pair is not None:
        raise InputError(
            "a causal language model reads one text, no pair",
            f"{location}, column prompt_pair",
            "Write both texts into the prompt, or choose a model of pairs, such as a classifier",
        )
    if options.prefix and options.kind in ("classifier", "encoder"):
        raise InputError(
            "a classifier's or an encoder's answer has no beginning", "[tasks] answer_prefix", "Remove the key"
        )


def _location(row: Row) -> str:
    return f"{row.location} (id {row.id!r})"


def _read(
    tokenizer: PreTrainedTokenizerBase, row: Row, prompt: str, answer: str, options: Options, location: str
) -> _Text:
    if options.kind == "causal":
        text = _joint(tokenizer, (_before(prompt, options), answer, ""), _as_written(prompt, answer, options), options)
        return replace(text, ids=text.ids[: text.stop])
    if options.kind == "masked":
        return _around_mask(tokenizer, row, prompt, answer, options, location)
    return _tokens(tokenizer, (prompt, "", ""), options, 0, row.prompt_pair)[0]


def _before(prompt: str, options: Options) -> str:
    """Return what stands before an answer: the prompt, the delimiter, and what every answer begins with."""
    parts = [prompt, options.delimiter, *([options.prefix, " "] if options.prefix else [])]
    return together(*parts, kept=options.templated)


def _as_written(prompt: str, answer: str, options: Options) -> str:
    """Return prompt and answer with all white space that the study writes between them."""
    return prompt + options.delimiter + (options.prefix + " " if options.prefix else "") + answer


def _marked(tokenizer: PreTrainedTokenizerBase, text: _Text, place: int, written: str) -> _Text:
    """Say that white space was left out, where that changes the tokens."""
    ids = _bare(tokenizer, written)
    own = [token for token, of in zip(text.ids, text.texts, strict=True) if of == place]
    return text if ids == own else replace(text, joined=(*text.joined, WHITE_SPACE))


def _around_mask(
    tokenizer: PreTrainedTokenizerBase, row: Row, prompt: str, answer: str, options: Options, location: str
) -> _Text:
    """Tokenise a text, or a pair, with the answer where its mask token stands, else at its end."""
    if tokenizer.mask_token is None:
        raise InputError(
            "the tokenizer has no mask token", location, "Choose another model, or save its tokenizer again"
        )
    texts = [prompt, *([] if row.prompt_pair is None else [row.prompt_pair])]
    held = [text.count(tokenizer.mask_token) for text in texts]
    if sum(held) > 1:
        raise InputError(
            f"the prompt holds the mask token {tokenizer.mask_token} {sum(held)} times",
            location,
            "Write it once, where the answer stands, or not at all",
        )
    if sum(held) and options.prefix:
        raise InputError(
            "the answer stands at the mask token, so that nothing can be put before it",
            f"{location}, [tasks] answer_prefix",
            "Remove the key, and write it into the prompt",
        )
    place = held.index(1) if sum(held) else len(texts) - 1
    other = texts[1 - place] if len(texts) > 1 else None
    if not sum(held):
        written = _as_written(texts[place], answer, options)
        return _joint(tokenizer, (_before(texts[place], options), answer, ""), written, options, place, other)
    before, after = texts[place].split(tokenizer.mask_token)
    return _joint(tokenizer, (before, answer, after), before + answer + after, options, place, other)


def _joint(
    tokenizer: PreTrainedTokenizerBase,
    parts: tuple[str, str, str],
    written: str,
    options: Options,
    place: int = 0,
    other: str | None = None,
) -> _Text:
    """Tokenise what stands before an answer, the answer and what follows it in one piece.

    ``written`` is the same as the study writes it; ``other`` the text beside it in a pair, in which it is number
    ``place``.
    """
    (before, answer), after = joined(parts[0], parts[1], kept=options.templated), parts[2]
    if after[:1].isspace():
        answer = answer.rstrip()
    whole = before + answer + after
    text, offsets = _tokens(tokenizer, (before, answer, after), options, place, other)
    if written != whole:
        text = _marked(tokenizer, text, place, written)
    offsets = [offset if of == place else (0, 0) for offset, of in zip(offsets, text.texts, strict=True)]
    return _covering(text, offsets, before, answer, after)


def _tokens(
    tokenizer: PreTrainedTokenizerBase, parts: tuple[str, str, str], options: Options, place: int, other: str | None
) -> tuple[_Text, list[tuple[int, int]]]:
    """Tokenise a text, or a pair of which it is number ``place``, all of it prompt.

    It is returned with the characters that each of the text's tokens covers. Special tokens that a text itself begins
    or ends with are not put there again.
    """
    text, special = "".join(parts), not options.templated
    texts = [text] if other is None else [text, other] if place == 0 else [other, text]
    more: dict[str, Any] = {} if other is None else {"text_pair": texts[1]}
    more |= {"return_offsets_mapping": True, "return_special_tokens_mask": True} if tokenizer.is_fast else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This sequence already has")  # of T5's: that is looked at below
        made = read(tokenizer, texts[0], special, **more)
    ids = made["input_ids"]
    if tokenizer.is_fast:
        # a pair's texts are told apart by the tokenizer alone; of one text, all but what was added is it
        marked = zip(made["special_tokens_mask"], made.sequence_ids(), strict=True)
        owners, offsets = [None if added else of or 0 for added, of in marked], made["offset_mapping"]
    else:
        owners = _owners(tokenizer, ids, texts)
        alone = iter(tokenized(tokenizer, parts, special=False)["offset_mapping"])
        offsets = [next(alone, (0, 0)) if of == place else (0, 0) for of in owners]
    own = [i for i, of in enumerate(owners) if of is not None]
    lead, tail = (own[0], len(ids) - 1 - own[-1]) if own else (0, 0)
    first = lead if lead and ids[lead : 2 * lead] == ids[:lead] else 0
    last = tail if tail and ids[-2 * tail : -tail] == ids[-tail:] else 0
    kept = slice(first, len(ids) - last)
    types = made.get("token_type_ids") or [0] * len(ids)
    whole = _Text(
        tuple(ids[kept]),
        len(ids[kept]),
        len(ids[kept]),
        texts=tuple(owners[kept]),
        types=tuple(types[kept]),
        joined=(DOUBLED,) if first or last else (),
    )
    return whole, offsets[kept]


def _bare(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenise a text without any special token around it."""
    return list(read(tokenizer, text, special=False)["input_ids"])


def _owners(tokenizer: PreTrainedTokenizerBase, ids: list[int], texts: list[str]) -> list[int | None]:
    """Say of each id which of the texts it is of, by finding their own ids among all; special ones are of none."""
    result, at = list[int | None]([None] * len(ids)), 0
    for number, text in enumerate(texts):
        own = _bare(tokenizer, text)
        at = next((i for i in range(at, len(ids)) if ids[i : i + len(own)] == own), at)
        result[at : at + len(own)] = [number] * len(ids[at : at + len(own)])
        at += len(own)
    return result


def _covering(text: _Text, offsets: list[tuple[int, int]], before: str, answer: str, after: str = "") -> _Text:
    first = len(before) + len(answer) - len(answer.lstrip())
    end = len(before) + len(answer.rstrip())
    covering = [i for i, (a, b) in enumerate(offsets) if max(a, first) < min(b, end)]
    if not covering:
        return _Text((), 0, 0)
    written = len(before.rstrip())  # a token may begin with the space before the answer, not with the prompt's letters
    follows = len(before) + len(answer) + len(after) - len(after.lstrip())
    own = sum(written <= offsets[i][0] and offsets[i][1] <= follows for i in covering)
    return replace(text, start=covering[0], stop=covering[-1] + 1, own=own)


def _check_answer(tokenizer: PreTrainedTokenizerBase, text: _Text, row: Row, options: Options, location: str) -> None:
    held = tokenizer.mask_token in row.prompt + (row.prompt_pair or "") if options.kind == "masked" else False
    if held and text.own < len(text.answer):
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


def _fitting(
    tokenizer: PreTrainedTokenizerBase, text: _Text, options: Options, location: str, spare: int = 0
) -> list[int]:
    """Return the indices of the ids that stay: all, or as many as the context holds beside ``spare`` others."""
    ids, context = text.ids, options.context
    if context is None or len(ids) + (spare if options.truncate else 0) <= context:
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
    room = context - spare - (len(ids) - len(free))
    if room < 1:
        raise InputError(
            f"answer and special tokens alone take {context - room} tokens but the model's context is {context}",
            location,
            "Remove the row, or use a model with a longer context",
        )
    parts = [[i for i in free if (text.texts[i] or 0) == of] for of in (0, 1)]
    # of a pair the longer text is cut first, until both are as long
    short, long = sorted(parts, key=len)
    few = min(len(short), room // 2)
    kept = {*_cut(short, few, options), *_cut(long, room - few, options)}
    return [i for i in range(len(ids)) if i in kept or i not in free]


def _cut(free: list[int], room: int, options: Options) -> list[int]:
    tail = room if options.truncate == "left" else room - room // 2
    return [*free[: room - tail], *free[len(free) - tail :]]


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
    other = _read(tokenizer, row, row.corrupted, row.answer, options, location)
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
        return _decoded(tokenizer, row, text, options)
    foil = None
    if options.with_foil:
        foil = _foil(row, text, _read(tokenizer, row, row.prompt, _foil_of(row), options, _location(row)))
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


def _decoded(tokenizer: PreTrainedTokenizerBase, row: Row, whole: _Text, options: Options) -> dict[str, Any]:
    location = _location(row)
    if options.decoder_start is None:
        raise InputError(
            "the model names no token for its decoder to start with",
            location,
            "Set decoder_start_token_id in the model's generation_config.json",
        )
    text, lead = _target(tokenizer, row.answer, options)
    if text.own == 0:
        raise InputError(f"the answer {row.answer!r} leaves no tokens of its own", location, "Reword the row")
    special = lead if options.forced_bos is None else (options.forced_bos,)
    start = (options.decoder_start, *(special if special != (options.decoder_start,) else ()))
    begun = (*start, *text.ids[len(lead) : text.start])
    decoder = (*begun, *text.answer[:-1])
    if options.context is not None and len(decoder) > options.context:
        raise InputError(
            f"the answer takes {len(decoder)} tokens but the model's context is {options.context}",
            location,
            "Shorten the answer, or remove the row",
        )
    foil = _foil(row, text, _target(tokenizer, _foil_of(row), options)[0]) if options.with_foil else None
    return {
        "answer": text.answer,
        "positions": tuple(range(len(begun) - 1, len(decoder))),
        "decoder": decoder,
        "foil": foil,
        "joined": (*whole.joined, *text.joined),
    }


def _target(tokenizer: PreTrainedTokenizerBase, answer: str, options: Options) -> tuple[_Text, tuple[int, ...]]:
    """Return the answer as a target, and the special tokens before every target.

    Nothing stands before a target that its white space could be of, but what every answer begins with.
    """
    before = together(options.prefix, " ") if options.prefix else ""
    own = joined(before, answer)[1] if before else answer.lstrip()
    made = tokenized(tokenizer, (before, own, ""), target=True)
    text = _covering(_Text(tuple(made["input_ids"]), 0, 0), made["offset_mapping"], before, own)
    # not the first token that is no special one: M2M-100 puts a language there that it does not list among them
    plain = tuple(read(tokenizer, before + own, special=False, target=True)["input_ids"])
    start = next((i for i in range(text.start) if text.ids[i : i + len(plain)] == plain), text.start)
    if own != answer and not options.prefix and text.own:
        changed = tuple(read(tokenizer, answer, special=False, target=True)["input_ids"]) != plain
        text = replace(text, joined=(WHITE_SPACE,) if changed else ())
    return (text if options.prefix else replace(text, start=start)), text.ids[:start]


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
