"""What a scoring run would cost and which heads it would score, before it is run."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from reportgen.core.config import Study
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.shown import ShownRow, shown
from reportgen.scoring.methods.common.attention_patterns import observed
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.model.forward import short_batch
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
    """What a run will cost, before it is run: ``examples`` per task, batches, work per method, memory in bytes.

    ``rows`` is the first row of each task in tokens; ``texts``, by task, how many texts a reading of all choices takes:
    the examples, and rivals of their answers that the model must read by themselves.
    """

    examples: dict[str, int]
    batches: int
    layers: int
    heads: int
    methods: tuple[MethodCost, ...]
    memory_bytes: int
    notes: tuple[str, ...]
    found: tuple[FoundLayer, ...]
    rows: tuple[ShownRow, ...] = ()
    texts: Mapping[str, int] = field(default_factory=dict)

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
    largest = model.collated(tokens[-1])
    memory = _memory(model, largest, max([len(heads.sites), *at_once]))
    examples = {t.name: len(t.rows) for t in prepared.tasks}
    notes = [*prepared.notes]
    if study.scoring.batch_size == "auto":
        notes.append(f"batches of {prepared.batch_size} examples")
    if any("attention" in c.method.needs for c in prepared.methods):
        layers, whole = _whole_patterns(prepared.setting(prepared.methods[0]), largest)
        memory += whole
        if layers:
            notes.append(
                f"{layers} of {len(heads.sites)} layers compute their attention pattern as a whole, one layer after "
                f"the other, which takes about {whole / 2**20:.0f} MiB more"
            )
    rows = tuple(shown(model.tokenizer, task.encoded[0], model.kind) for task in prepared.tasks)
    depth = sum(heads.depth.values())
    texts = {task.name: sum(1 + len(e.unlike) for e in task.encoded) for task in prepared.tasks}
    return Plan(examples, len(batches), depth, heads.widest, costs, memory, tuple(notes), found(heads), rows, texts)


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


def _whole_patterns(setting: Setting, batch: Batch) -> tuple[int, int]:
    """Count the layers whose own code makes a pattern of all tokens over each other, and the bytes of the greatest."""
    plain = observed(
        setting,
        short_batch(setting.model.model, setting.model.kind, 1),
        lambda _, call: call.softmax is not None,
        answer=False,
    )[0]
    heads = [site.heads for index, site in enumerate(setting.heads.sites) if plain[index]]
    examples, tokens = batch.input_ids.shape
    # its logits, those with the mask, and the softmax, which is taken in float32
    return len(heads), 3 * 4 * examples * max(heads, default=0) * tokens**2
