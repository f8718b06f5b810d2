"""What a scoring run would cost and which heads it would score, before it is run."""

import time
from dataclasses import dataclass

import torch

from reportgen.core.config import Study
from reportgen.scoring.data.batches import Batch, collate
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.model.trace import embedding_table
from reportgen.scoring.run.prepare import Prepared, PreparedTask, prepare

AT_MOST = " at most: heads leave a race early"
MORE = ", and what is trained on all tasks, which is not timed here"


@dataclass(frozen=True)
class MethodCost:
    """What one method will cost: work in plain forwards of one batch each, a rough time of these in seconds, and what
    comes on top (``more``, in words).
    """

    method: str
    forwards: float
    seconds: float
    more: str = ""


@dataclass(frozen=True)
class FoundLayer:
    """One layer as the resolver found it: its module, its heads and their size; 0 heads with the ``reason``."""

    block: str | None
    layer: int | None
    module: str
    heads: int
    size: int
    kv_heads: int | None
    order: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a run will cost, before it is run: ``examples`` per task, batches, work per method, memory in bytes."""

    examples: dict[str, int]
    batches: int
    layers: int
    heads: int
    methods: tuple[MethodCost, ...]
    memory_bytes: int
    notes: tuple[str, ...]
    found: tuple[FoundLayer, ...]

    @property
    def seconds(self) -> float:
        """Rough time of all methods together."""
        return sum(method.seconds for method in self.methods)


def plan(study: Study) -> Plan:
    """What ``score(study)`` would cost: reads and checks all inputs and times one plain forward of a middling batch."""
    prepared = prepare(study)
    heads, batches = prepared.model.heads, [(task, members) for task in prepared.tasks for members in task.batches]
    tokens = sorted(batches, key=lambda b: max(len(b[0].encoded[i].inputs) for i in b[1]) * len(b[1]))
    each = _seconds_per_forward(prepared.model, _batch(prepared, *tokens[len(tokens) // 2]))
    raced = {c.method.name for c in prepared.methods if prepared.races(c)}
    works = [(c.method, c.method.forwards(heads, c.parameters) * len(batches)) for c in prepared.methods]
    costs = tuple(
        MethodCost(m.name, work, work * each, AT_MOST if m.name in raced else "" if m.together is None else MORE)
        for m, work in works
    )
    at_once = [n for chosen in prepared.methods for n in chosen.copies]
    memory = _memory(prepared.model, _batch(prepared, *tokens[-1]), max([len(heads.sites), *at_once]))
    examples = {t.name: len(t.rows) for t in prepared.tasks}
    notes = prepared.notes
    if study.scoring.batch_size == "auto":
        notes = (*notes, f"batches of {prepared.batch_size} examples")
    return Plan(examples, len(batches), sum(heads.depth.values()), heads.widest, costs, memory, notes, found(heads))


def found(heads: Heads) -> tuple[FoundLayer, ...]:
    """All that the resolver found, block by block and layer by layer."""
    layers = [
        *(FoundLayer(s.block, s.layer, s.name, s.heads, s.size, s.kv_heads, s.order, "") for s in heads.sites),
        *(FoundLayer(s.block, s.layer, s.name, 0, 0, None, "", s.reason) for s in heads.skipped),
    ]
    order = {block: i for i, block in enumerate(heads.blocks)}
    return tuple(sorted(layers, key=lambda f: (order.get(f.block, len(order)), -1 if f.layer is None else f.layer)))


def _batch(prepared: Prepared, task: PreparedTask, members: tuple[int, ...]) -> Batch:
    model = prepared.model
    return collate([task.encoded[i] for i in members], model.tokenizer.pad_token_id or 0, model.device)


@torch.no_grad()
def _seconds_per_forward(model: LoadedModel, batch: Batch) -> float:
    def run() -> None:
        if model.kind == "encoder":
            model.run(batch)
        else:
            model.answer_logits(batch).sum().item()  # .item() waits for an accelerator

    run()  # the first run allocates
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _memory(model: LoadedModel, batch: Batch, copies: int) -> int:
    """Bytes, roughly: the weights, some 16 activations per token and layer (or copy), three copies of the logits."""
    weights = sum(p.numel() * p.element_size() for p in model.model.parameters())
    size, width = embedding_table(model.model).shape
    activations = batch.input_ids.numel() * width * 16 * copies * model.model.dtype.itemsize
    return int(weights + activations + 3 * 4 * len(batch.target) * copies * size)
