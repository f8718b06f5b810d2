"""Transformers whose weights are written by hand, so that what each head does is known: GPT-2s of two layers.

The residual stream holds a one-hot token, the one-hot position, room for the token before and for the output, room that
nothing reads, and two large constants that all but fix the scale of the norms. MLPs put out nothing. A head is told
what it looks for (queries against keys), what it reads there (values) and where it writes that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tiny_models import WORDS, examples, wrapped
from transformers import AutoModel, AutoModelForCausalLM, BertConfig, GPT2Config

from reportgen.scoring.data.batches import Encoded
from reportgen.scoring.model.loaded import LoadedModel

VOCABULARY, PLACES, SIZE = 28, 24, 28
TOKEN, PLACE, BEFORE, OUTPUT, UNREAD, LEVEL = (
    slice(0, 28),
    slice(28, 52),
    slice(52, 80),
    slice(80, 108),
    slice(108, 110),
    slice(110, 112),
)
WIDTH, CONSTANT, SHARP, LOUD = 112, 10.0, 7.5, 12.0


@dataclass(frozen=True)
class Does:
    """A head: ``asks`` and ``offers`` map the stream to what is matched, ``reads`` it to values, ``writes`` back."""

    asks: np.ndarray
    offers: np.ndarray
    reads: np.ndarray
    writes: np.ndarray


def _part(where: slice, gain: float = 1.0, shift: int = 0) -> np.ndarray:
    """The stream's part as the head's own dimensions, the nth as its number n + shift."""
    matrix = np.zeros((WIDTH, SIZE))
    for i, row in enumerate(range(where.start, where.stop)):
        if 0 <= i + shift < SIZE:
            matrix[row, i + shift] = gain
    return matrix


def _nothing() -> np.ndarray:
    return np.zeros((WIDTH, SIZE))


def previous_token() -> Does:
    """Looks one token back, and notes that token."""
    return Does(_part(PLACE, SHARP, shift=-1), _part(PLACE, SHARP), _part(TOKEN), _part(BEFORE).T)


def induction() -> Does:
    """Looks for places whose token before is the token at hand, and puts out the token there."""
    return Does(_part(TOKEN, SHARP), _part(BEFORE, SHARP), _part(TOKEN, 2.0), _part(OUTPUT).T)


def copying(place: int) -> Does:
    """Looks at one place of the text from everywhere, and puts out its token."""
    asks, offers = _nothing(), _nothing()
    asks[LEVEL.start, 0], offers[PLACE.start + place, 0] = SHARP**2 / CONSTANT, 1.0
    return Does(asks, offers, _part(TOKEN, 2.0), _part(OUTPUT).T)


def dead() -> Does:
    """Looks about evenly and finds nothing."""
    return Does(_nothing(), _nothing(), _nothing(), _part(OUTPUT).T)


def unheard() -> Does:
    """Looks at its own place, and writes its number where nothing reads."""
    writes = np.zeros((SIZE, WIDTH))
    writes[::2, UNREAD.start] = writes[1::2, UNREAD.start + 1] = 0.3
    return Does(_part(PLACE, SHARP), _part(PLACE, SHARP), _part(PLACE), writes)


@torch.no_grad()
def designed(layers: list[list[Does]]) -> LoadedModel:
    """A GPT-2 whose heads do what they are told, as reportgen loads a model, in float64.

    Layers have as many heads as they are given, four or more; with more the stream is wider, and the rest of it empty.
    """
    heads = len(layers[0])
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=PLACES,
        n_embd=heads * SIZE,
        n_layer=len(layers),
        n_head=heads,
        n_inner=4,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model: Any = AutoModelForCausalLM.from_config(config).eval().double().requires_grad_(False)
    for parameter in model.parameters():
        parameter.zero_()
    body = model.transformer
    body.wte.weight[:, TOKEN] = torch.eye(VOCABULARY, dtype=torch.float64)
    body.wte.weight[:, LEVEL] = torch.tensor([CONSTANT, -CONSTANT], dtype=torch.float64)
    body.wpe.weight[:, PLACE] = torch.eye(PLACES, dtype=torch.float64)
    model.lm_head.weight[:, OUTPUT] = LOUD * torch.eye(VOCABULARY, dtype=torch.float64)
    for norm in (body.ln_f, *(n for block in body.h for n in (block.ln_1, block.ln_2))):
        norm.weight.fill_(1)
    for block, told in zip(body.h, layers, strict=True):
        parts = [np.concatenate([getattr(head, part) for head in told], axis=1) for part in ("asks", "offers", "reads")]
        block.attn.c_attn.weight[:WIDTH] = torch.from_numpy(np.concatenate(parts, axis=1))
        block.attn.c_proj.weight[:, :WIDTH] = torch.from_numpy(np.concatenate([head.writes for head in told]))
    return wrapped(model)


@torch.no_grad()
def designed_encoder(layers: list[list[Does]]) -> Any:
    """A BERT without a head that predicts, whose heads do what they are told, in float64; they look both ways."""
    heads = len(layers[0])
    config = BertConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=PLACES,
        hidden_size=heads * SIZE,
        num_hidden_layers=len(layers),
        num_attention_heads=heads,
        intermediate_size=4,
        pad_token_id=0,
    )
    model: Any = AutoModel.from_config(config).eval().double().requires_grad_(False)
    for parameter in model.parameters():
        parameter.zero_()
    read = model.embeddings
    read.word_embeddings.weight[:, TOKEN] = torch.eye(VOCABULARY, dtype=torch.float64)
    read.word_embeddings.weight[:, LEVEL] = torch.tensor([CONSTANT, -CONSTANT], dtype=torch.float64)
    read.position_embeddings.weight[:, PLACE] = torch.eye(PLACES, dtype=torch.float64)
    norms = [part.LayerNorm for block in model.encoder.layer for part in (block.attention.output, block.output)]
    for norm in (read.LayerNorm, *norms):  # behind what they norm: they all but give it back
        norm.weight.fill_(CONSTANT * (2 / (heads * SIZE)) ** 0.5)
    for block, told in zip(model.encoder.layer, layers, strict=True):
        own = block.attention.self
        for linear, part in ((own.query, "asks"), (own.key, "offers"), (own.value, "reads")):
            made = np.concatenate([getattr(head, part) for head in told], axis=1)
            linear.weight[:, :WIDTH] = torch.from_numpy(made).T
        writes = np.concatenate([head.writes for head in told])
        block.attention.output.dense.weight[:WIDTH] = torch.from_numpy(writes).T
    return model


def induction_pair() -> LoadedModel:
    """A previous-token head, L0H1, and the induction head that reads what it notes, L1H2; the others are no help."""
    return designed([[unheard(), previous_token(), dead(), unheard()], [dead(), unheard(), induction(), dead()]])


def copier() -> LoadedModel:
    """One head that puts out the token at place 2, L1H0; the others are no help."""
    return designed([[unheard(), dead(), unheard(), dead()], [copying(2), unheard(), dead(), unheard()]])


def induction_rows(model: LoadedModel, count: int = 12) -> list[Encoded]:
    """Texts of different words whose last came before: what followed it there comes next. Corrupted, it never came."""
    random, rows = np.random.default_rng(0), []
    for i in range(count):
        words = list(random.choice(WORDS, 9, replace=False))
        at = int(random.integers(1, 5))
        text, other = [*words[:7], words[at]], [*words[:7], words[at]]
        other[at] = words[8]
        rows.append(
            {
                "task": "repeat",
                "id": str(i),
                "prompt": " ".join(text),
                "answer": words[at + 1],
                "foil": words[7],
                "corrupted": " ".join(other),
            }
        )
    return examples(model, rows, with_corrupted=True, with_foil=True)


def copying_rows(model: LoadedModel, count: int = 12) -> list[Encoded]:
    """Texts whose answer is the word at place 2 (behind <bos> and one word); corrupted, another word stands there."""
    random, rows = np.random.default_rng(1), []
    for i in range(count):
        words = list(random.choice(WORDS, 7, replace=False))
        rows.append(
            {
                "task": "copy",
                "id": str(i),
                "prompt": " ".join(words[:6]),
                "answer": words[1],
                "foil": words[6],
                "corrupted": " ".join([words[0], words[6], *words[2:6]]),
            }
        )
    return examples(model, rows, with_corrupted=True, with_foil=True)
