"""Studies whose truth is known: hand-written models whose causal heads are known, with scores written by hand, and
random models whose scores are noise.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from designed_models import Does, copying, dead, designed, designed_encoder, induction, previous_token, unheard
from tiny_models import WORDS, build, word_tokenizer

from reportgen.analysis.analyze import analyze
from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.config_file import parse_study
from reportgen.core.findings import Findings
from reportgen.core.scores import Examples, Head
from reportgen.core.trials import RawValidation, Trial, Validation
from reportgen.scoring.score import score
from reportgen.validation.derive import derive
from reportgen.validation.validate import validate

LAYERS, HEADS, ROWS = 4, 12, 32


@dataclass(frozen=True)
class Case:
    """A study, the heads that its scores raise by hand, and whether these are the causal ones."""

    study: Study
    planted: tuple[Head, ...]
    causal: bool


def copying_case(folder: Path, seed: int, truth: bool) -> Case:
    """One head, somewhere, puts out the answer; the scores name it, or another."""
    rng = np.random.default_rng([seed, 1])
    heads = _idle(rng)
    at, other = _places(rng, 2)
    heads[at.layer][at.head] = copying(2)
    return Case(_study(folder, heads, _copying_rows(rng)), (at if truth else other,), truth)


def induction_case(folder: Path, seed: int, truth: bool) -> Case:
    """A previous-token head and, above it, an induction head; the scores name both, or two others."""
    rng = np.random.default_rng([seed, 2])
    heads = _idle(rng)
    low, high = sorted(rng.choice(LAYERS, 2, replace=False).tolist())
    first, second = Head(low, int(rng.integers(HEADS))), Head(high, int(rng.integers(HEADS)))
    heads[first.layer][first.head], heads[second.layer][second.head] = previous_token(), induction()
    others = [place for place in _places(rng, 6) if place not in (first, second)][:2]
    return Case(_study(folder, heads, _induction_rows(rng)), (first, second) if truth else tuple(others), truth)


def encoder_case(folder: Path, seed: int, truth: bool) -> Case:
    """An encoder in which two heads, somewhere, tell what stands at two places; the scores name both, or two others.

    All rows hold the same words: their tasks are told by which of two words stand there, and by nothing else.
    """
    rng = np.random.default_rng([seed, 5])
    heads = _idle(rng)
    first, second, *others = _places(rng, 4)
    heads[first.layer][first.head], heads[second.layer][second.head] = copying(2), copying(4)
    rows = []
    for i in range(5 * ROWS):  # some are alike, and count once
        pair = ("one", "two")[i % 2], ("red", "green")[i // 2 % 2]
        rest = list(rng.permutation([w for w in ("one", "two", "red", "green", "a", "b", "c", "d") if w not in pair]))
        prompt = " ".join([rest[0], pair[0], rest[1], pair[1], *rest[2:]])
        rows.append({"task": " ".join(pair), "id": str(i), "prompt": prompt, "answer": "a"})
    study = _saved(folder, designed_encoder(heads).float(), rows, "float32")
    return Case(study, (first, second) if truth else tuple(others), truth)


def null_study(folder: Path, seed: int, also: Sequence[str] = ()) -> Study:
    """A random model asked for what it says anyway: its heads matter, but scores of noise know nothing of it.

    ``also`` are further choices.
    """
    model = build("llama", num_attention_heads=8, hidden_size=32, num_hidden_layers=4)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    rng, rows, tokenizer = np.random.default_rng([seed, 3]), list[dict[str, Any]](), word_tokenizer()
    for i in range(ROWS):
        prompt = " ".join(rng.choice(WORDS, 6))
        with torch.no_grad():
            said = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1, 4 : 4 + len(WORDS)]
        rows.append(
            {
                "task": "t",
                "id": str(i),
                "prompt": prompt,
                "answer": WORDS[int(said.argmax())],
                "choices": [*WORDS, *also],
            }
        )
    return _saved(folder, model, rows, "float32")


def scored_by_hand(study: Study, planted: Sequence[Head] = (), seed: int = 0) -> dict[str, Blocks]:
    """Scores of noise, as if a method had made them of the study's model, with the planted heads raised."""
    method, (block, *_) = next(iter(score(study).items()))
    rng, made = np.random.default_rng([seed, 4]), list[Examples]()
    for examples in block.examples:
        assert examples is not None
        values = np.abs(rng.normal(size=examples.values.shape)).astype(np.float32)
        for head in planted:
            values[:, head.layer, head.head] += 5
        made.append(replace(examples, values=values))
    importance = np.stack([examples.values.mean(axis=0) for examples in made])
    return {method: (replace(block, importance=importance, examples=tuple(made)),)}


def validated(case: Case, seed: int = 0) -> tuple[Findings, Validation]:
    """The findings on the case's scores, and their validation."""
    findings, raw = tried(case, seed)
    return findings, derive(raw)


def tried(case: Case, seed: int = 0) -> tuple[Findings, RawValidation]:
    """The findings on the case's scores, and the outcomes of interventions on their heads."""
    methods = scored_by_hand(case.study, case.planted, seed)
    findings = analyze(next(iter(methods.values()))[0])
    return findings, validate(case.study, findings, methods)


def verdict_on(case: Case, validation: Validation) -> Trial:
    """The trial of the smallest found set that holds the planted heads: by chance their neighbours join a region."""
    names = set(map(str, case.planted))
    return min((trial for trial in validation.trials if names <= set(trial.heads)), key=lambda trial: trial.size)


def _idle(rng: np.random.Generator) -> list[list[Does]]:
    return [[unheard() if rng.random() < 0.7 else dead() for _ in range(HEADS)] for _ in range(LAYERS)]


def _places(rng: np.random.Generator, count: int) -> list[Head]:
    chosen = rng.choice(LAYERS * HEADS, count, replace=False)
    return [Head(int(place) // HEADS, int(place) % HEADS) for place in chosen]


def _copying_rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for i in range(ROWS):
        words = list(rng.choice(WORDS, 6, replace=False))
        rows.append({"task": "copy", "id": str(i), "prompt": " ".join(words), "answer": words[1], "choices": WORDS})
    return rows


def _induction_rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for i in range(ROWS):
        words = list(rng.choice(WORDS, 7, replace=False))
        at = int(rng.integers(1, 5))
        rows.append(
            {
                "task": "repeat",
                "id": str(i),
                "prompt": " ".join([*words, words[at]]),
                "answer": words[at + 1],
                "choices": WORDS,
            }
        )
    return rows


def _study(folder: Path, heads: list[list[Does]], rows: list[dict[str, Any]]) -> Study:
    return _saved(folder, designed(heads).model.float(), rows, "float32")


def _saved(folder: Path, model: Any, rows: list[dict[str, Any]], dtype: str) -> Study:
    model.save_pretrained(folder / "model")
    word_tokenizer().save_pretrained(folder / "model")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = {
        "model": {"path": "model", "dtype": dtype},
        "tasks": {"path": "tasks.jsonl"},
        "scoring": {"method": "activation_norm"},
        "validation": {"budget": 60},
    }
    return parse_study(raw, "study.toml", folder)
