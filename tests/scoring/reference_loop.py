"""Single examples run in a model's own forward, read and changed by hooks of the tests' own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tiny_models import ROWS, examples, setting

from reportgen.scoring.data.batches import Batch, Encoded, collate
from reportgen.scoring.methods.common.method import BatchScores, ScoringMethod
from reportgen.scoring.model.heads import Site
from reportgen.scoring.model.loaded import LoadedModel, forward

PAIRS: list[dict[str, Any]] = [
    {"task": "t", "id": "0", "prompt": "one two", "answer": "three", "corrupted": "nine two"},
    {"task": "t", "id": "1", "prompt": "a b c one two three", "answer": "four five", "corrupted": "a b c d two nine"},
    {
        "task": "t",
        "id": "2",
        "prompt": "the a is red the b is",
        "answer": "green",
        "corrupted": "the c is red the d is",
    },
    {"task": "t", "id": "3", "prompt": "b is", "answer": "blue blue blue", "corrupted": "c is"},
]
FAMILIES = ["llama-gqa", "gpt2", "bert", "albert", "t5", "bart"]


def pairs(model: LoadedModel) -> list[Encoded]:
    return examples(model, PAIRS, with_corrupted=True)


def run(
    method: ScoringMethod, model: LoadedModel, some: list[Encoded], positions: str = "all", **given: Any
) -> BatchScores:
    assert method.score is not None
    return method.score(
        setting(model, positions=positions, **{**method.parameters().model_dump(), **given}), collate(some)
    )


def log_odds(model: LoadedModel, example: Encoded, corrupted: bool = False) -> torch.Tensor:
    """Of one unpadded example, in the model's own whole forward: the sum over its tokens of log p − log(1 − p)."""
    batch = collate([example])
    logits = forward(model.model, model.kind, batch.corrupted() if corrupted else batch).logits[0]
    p = logits.softmax(-1)[list(example.positions), list(example.answer)]
    return (p.log() - (1 - p).log()).sum()


def part(site: Site, head: int) -> slice:
    return slice(head * site.size, (head + 1) * site.size)


@contextmanager
def hooked(model: LoadedModel, edits: dict[int, Callable[[torch.Tensor], torch.Tensor]]) -> Iterator[None]:
    """Change the projections' inputs (1, token, width) of the sites, by hooks of the test's own."""
    wanted = {(model.heads.sites[i].projection, model.heads.sites[i].call): edit for i, edit in edits.items()}
    calls: dict[Any, int] = {}

    def hook(module: Any, inputs: Any) -> Any:
        call = calls.get(module, 0)
        calls[module] = call + 1
        return (wanted[module, call](inputs[0]),) if (module, call) in wanted else None

    handles = [module.register_forward_pre_hook(hook) for module in {module for module, _ in wanted}]
    yield
    for handle in handles:
        handle.remove()


@contextmanager
def embedded(model: LoadedModel, edit: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Change what the word embeddings put out, by name."""
    names = {
        "bert": "bert.embeddings.word_embeddings",
        "albert": "albert.embeddings.word_embeddings",
        "gpt2": "transformer.wte",
        "llama": "model.embed_tokens",
        "t5": "encoder.embed_tokens",
        "bart": "model.encoder.embed_tokens",
    }
    calls: list[int] = []

    def hook(_: Any, __: Any, output: Any) -> Any:
        calls.append(1)
        return edit(output) if len(calls) == 1 else None  # T5's decoder embeds its own tokens in the same module

    module = model.model.get_submodule(names[model.model.config.model_type])
    handle = module.register_forward_hook(hook)
    yield
    handle.remove()
    assert calls


def seen(model: LoadedModel, example: Encoded, corrupted: bool = False) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The projections' inputs of every site, and the word embeddings."""
    found: dict[int, torch.Tensor] = {}
    words: list[torch.Tensor] = []

    def keep(index: int) -> Any:
        return lambda z: found.setdefault(index, z)

    edits = {i: keep(i) for i in range(len(model.heads.sites))}
    with torch.no_grad(), hooked(model, edits), embedded(model, lambda x: words.append(x) or x):
        log_odds(model, example, corrupted)
    return [found[i] for i in range(len(found))], words[0]


def plain_log_odds(model: LoadedModel, example: Encoded) -> float:
    """The definition, one unpadded example at a time, in the model's own forward: sum of log p − log(1 − p)."""
    with torch.no_grad():
        logits = forward(model.model, model.kind, collate([example])).logits[0]
    p = logits.double().softmax(-1)
    chosen = [p[place, token] for place, token in zip(example.positions, example.answer, strict=True)]
    return sum(float(c.log() - (1 - c).log()) for c in chosen)


def scores_of(method: Any, model: LoadedModel, batch: Batch, metric: str = "log_odds", **parameters: Any) -> Any:
    return method.score(setting(model, metric, **{**method.parameters().model_dump(), **parameters}), batch)


HEADS = [(0, 1), (-1, 0), (-1, 3)]  # some of the first site and of the last
# Mean and other examples' outputs replace a head over tokens alike, so these rows come in two tasks of unlike lengths
TWO = [
    {**row, "task": task, "id": f"{task}{row['id']}"}
    for task, rows in [("a", ROWS[:2]), ("b", ROWS[2:])]
    for row in rows
]


def lost(
    model: LoadedModel, example: Encoded, site: int, head: int, by: torch.Tensor, corrupted: bool = False
) -> float:
    """The metric with (token, size) in place of a head's outputs."""
    cut = part(model.heads.sites[site], head)

    def edit(z: torch.Tensor) -> torch.Tensor:
        changed = z.clone()
        changed.view(-1, z.shape[-1])[:, cut] = by
        return changed

    with torch.no_grad(), hooked(model, {site % len(model.heads.sites): edit}):
        return float(log_odds(model, example, corrupted))


def metric(model: LoadedModel, example: Encoded, corrupted: bool = False) -> float:
    with torch.no_grad():
        return float(log_odds(model, example, corrupted))


@contextmanager
def weights_scaled(site: Site, head: int, factor: float) -> Iterator[None]:
    """The head's columns of the projection multiplied in the weights themselves, so that no hook of ours takes part."""
    weight: Any = site.projection.weight
    before, part = weight.clone(), slice(head * site.size, (head + 1) * site.size)
    weight[(part, slice(None)) if type(site.projection).__name__ == "Conv1D" else (slice(None), part)] *= factor
    yield
    weight.copy_(before)
