"""What a scoring run would cost and which heads it would score, before it is run."""

import time
from dataclasses import dataclass

import torch

from reportgen.core.config import Study
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.model.trace import embedding_table
from reportgen.scoring.run.prepare import prepare

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
    """Estimate what ``score(study)`` costs: read and check all inputs, time one forward of a middling batch."""
    prepared = prepare(study)
    model, heads = prepared.model, prepared.model.heads
    batches = [[task.encoded[i] for i in members] for task in prepared.tasks for members in task.batches]
    tokens = sorted(batches, key=lambda batch: max(len(e.inputs) for e in batch) * len(batch))
    each = seconds_per_forward(model, model.collated(tokens[len(tokens) // 2]))
    raced = {c.method.name for c in prepared.methods if prepared.races(c)}
    works = [(c.method, c.method.forwards(heads, c.parameters) * len(batches)) for c in prepared.methods]
    costs = tuple(
        MethodCost(m.name, work, work * each, AT_MOST if m.name in raced else "" if m.together is None else MORE)
        for m, work in works
    )
    at_once = [n for chosen in prepared.methods for n in chosen.copies]
    memory = _memory(model, model.collated(tokens[-1]), max([len(heads.sites), *at_once]))
    examples = {t.name: len(t.rows) for t in prepared.tasks}
    found_size = (f"batches of {prepared.batch_size} examples",) if study.scoring.batch_size == "auto" else ()
    notes = (*prepared.notes, *found_size)
    return Plan(examples, len(batches), sum(heads.depth.values()), heads.widest, costs, memory, notes, found(heads))


def found(heads: Heads) -> tuple[FoundLayer, ...]:
    """List all that the resolver found, block by block and layer by layer."""
    layers = [
        *(FoundLayer(s.block, s.layer, s.name, s.heads, s.size, s.kv_heads, s.order, "") for s in heads.sites),
        *(FoundLayer(s.block, s.layer, s.name, 0, 0, None, "", s.reason) for s in heads.skipped),
    ]
    order = {block: i for i, block in enumerate(heads.blocks)}
    return tuple(sorted(layers, key=lambda f: (order.get(f.block, len(order)), -1 if f.layer is None else f.layer)))


@torch.no_grad()
def seconds_per_forward(model: LoadedModel, batch: Batch) -> float:
    """Time one plain forward of a batch, in seconds."""

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
    """Add up bytes, roughly: weights, some 16 activations per token and layer (or copy), three copies of the logits."""
    weights = sum(p.numel() * p.element_size() for p in model.model.parameters())
    size, width = embedding_table(model.model).shape
    # a guide before a run, good to a factor: ``batch_size = "auto"`` measures instead
    activations = batch.input_ids.numel() * width * 16 * copies * model.model.dtype.itemsize
    return int(weights + activations + 3 * 4 * len(batch.target) * copies * size)
