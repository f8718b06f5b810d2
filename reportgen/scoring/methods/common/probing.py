"""A probe of all heads' outputs that separates the tasks, trained and read on different groups of rows.

The architecture is that of "Cognitive Mirrors" (arXiv 2512.10978): a projection shared by all heads, one hidden layer.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.methods.common.method import Setting, TaskExamples
from reportgen.scoring.model.heads import Heads
from reportgen.scoring.model.interventions import captured

# As published (arXiv 2512.10978), but for the batch: there examples come one at a time and in the order of the file
PROJECTED, HIDDEN, DROPOUT = 64, 512, 0.3
LEARNING_RATE, BATCH = 1e-4, 32


@dataclass(frozen=True)
class Bundle:
    """All heads of one size: their mean ``outputs``, and ``means`` of those over the heads of a layer.

    ``layer`` is each head's row of ``means``, ``heads_of`` its (site, head) in the order of ``Heads.sites``.
    """

    outputs: Float[Tensor, "example head size"]
    means: Float[Tensor, "example layer size"]
    layer: Int[Tensor, "head"]
    heads_of: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Width of one head's output."""
        return int(self.outputs.shape[2])


@dataclass(frozen=True)
class Features:
    """What probes read of all examples: heads by size, and the mean input embedding at the same positions."""

    bundles: tuple[Bundle, ...]
    embedded: Float[np.ndarray, "example width"]


@torch.no_grad()
def collect(setting: Setting, tasks: Sequence[TaskExamples], progress: Callable[[int], None]) -> Features:
    """Run the model once over all examples, task after task; raises InputError where its outputs are not finite."""
    n, model = sum(len(task.encoded) for task in tasks), setting.model
    bundles = _empty(setting.heads, n)
    embedded = np.empty((n, 0), dtype=np.float32)
    done, first = 0, 0
    for task in tasks:
        for members in task.batches:
            batch = model.collated([task.encoded[i] for i in members])
            with captured(model.model, setting.heads) as seen:
                model.run(batch)
            rows = torch.as_tensor(members) + first
            _store(setting, batch, seen, bundles, rows)
            vectors = _mean_embedding(setting, batch)
            embedded = embedded if embedded.shape[1] else np.empty((n, vectors.shape[1]), dtype=np.float32)
            embedded[rows.numpy()] = vectors
            done += 1
            progress(done)
        _refuse_nonfinite(bundles, task, first)
        first += len(task.encoded)
    return Features(bundles, embedded)


def gigabytes(heads: Heads, examples: int) -> float:
    """Return the memory that the features of so many examples take: 1.4 GB for 2,700 and 32 × 32 heads of 128."""
    return 4e-9 * examples * sum((site.heads + 1) * site.size for site in heads.sites)


def half_of_memory() -> float:
    """Return half of the machine's memory in gigabytes (infinite where the system does not tell)."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
        return math.inf
    # half: the model, the probes and all else on the machine need the rest
    return 0.5e-9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_too_large(heads: Heads, examples: int, allowed: float | None = None) -> None:
    """Raise InputError, before anything runs, where the features take more than ``allowed`` (half of the memory)."""
    needed, allowed = gigabytes(heads, examples), half_of_memory() if allowed is None else allowed
    if needed > allowed:
        raise InputError(
            f"the probe's features of {examples} rows take {needed:.2g} GB, more than half of this machine's memory",
            "[tasks]",
            "Set a limit of rows per task, or use a machine with more memory",
        )


def _empty(heads: Heads, examples: int) -> tuple[Bundle, ...]:
    made = []
    for size in sorted({site.size for site in heads.sites}):
        sites = [(index, site.heads) for index, site in enumerate(heads.sites) if site.size == size]
        layer = torch.tensor([row for row, (_, count) in enumerate(sites) for _ in range(count)])
        heads_of = tuple((index, head) for index, count in sites for head in range(count))
        outputs, means = torch.empty(examples, len(heads_of), size), torch.empty(examples, len(sites), size)
        made.append(Bundle(outputs, means, layer, heads_of))
    return tuple(made)


def _store(
    setting: Setting, batch: Batch, seen: dict[int, Tensor], bundles: tuple[Bundle, ...], rows: Int[Tensor, "row"]
) -> None:
    for bundle in bundles:
        sites = dict.fromkeys(index for index, _ in bundle.heads_of)
        averages = [_average(seen[index], batch, setting, index) for index in sites]
        bundle.outputs[rows] = torch.cat(averages, dim=1)
        bundle.means[rows] = torch.stack([average.mean(dim=1) for average in averages], dim=1)


def _average(z: Tensor, batch: Batch, setting: Setting, index: int) -> Float[Tensor, "example head size"]:
    """Average over the scored positions; padding, whatever stands there, never counts."""
    where = batch.gated(setting.heads.sites[index].block, setting.positions)[:, :, None, None].to(z.device)
    total = torch.where(where, z.float(), 0.0).sum(dim=1)
    return (total / where.sum(dim=1)).cpu()


def _mean_embedding(setting: Setting, batch: Batch) -> Float[np.ndarray, "example width"]:
    """Average the input embeddings at the scored positions, an encoder-decoder's encoder's beside the decoder's."""
    embed = setting.model.model.get_input_embeddings()
    read = [(batch.input_ids, "enc" if batch.decoder_ids is not None else None)]
    if batch.decoder_ids is not None:
        read.append((batch.decoder_ids, "dec"))
    parts = []
    for ids, block in read:
        where = batch.gated(block, setting.positions)[:, :, None]
        parts.append(torch.where(where, embed(ids).float(), 0.0).sum(dim=1) / where.sum(dim=1))
    return torch.cat(parts, dim=1).cpu().numpy()


def _refuse_nonfinite(bundles: tuple[Bundle, ...], task: TaskExamples, first: int) -> None:
    for bundle in bundles:
        finite = bundle.outputs[first : first + len(task.encoded)].isfinite().all(dim=2).all(dim=1)
        for bad in torch.nonzero(~finite)[:1, 0].tolist():
            row, hint = task.encoded[bad].row, 'Check the weights, or compute in dtype = "float32"'
            raise InputError(
                "the heads' outputs are not finite", f"task {task.name}, example {row.id!r} ({row.location})", hint
            )


def folds_of(
    labels: Int[np.ndarray, "example"], groups: Sequence[str], folds: int, seed: int
) -> Int[np.ndarray, "example"]:
    """Return each example's fold: a group stands in one, and every task is spread over them as evenly as can be.

    Groups come in an order drawn by ``seed``, the largest first; each goes where the tasks of its rows are rarest.
    """
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    member = np.array([number[group] for group in groups])
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (member, labels), 1)
    drawn = np.random.default_rng([seed, len(names)]).permutation(len(names))
    held = np.zeros((folds, counts.shape[1]))
    fold = np.zeros(len(names), dtype=np.int64)
    for group in drawn[np.argsort(-counts[drawn].sum(axis=1), kind="stable")]:
        # the share of each task, so that a rare one counts as much as a common one; then the size of the fold
        crowd = (held / counts.sum(axis=0)) @ counts[group] + 1e-9 * held.sum(axis=1)
        fold[group] = int(np.argmin(crowd))
        held[fold[group]] += counts[group]
    result: np.ndarray = fold[member]
    return result


class Probe:
    """The published probe: Linear(2 · size → 64) shared by heads, flatten, Linear(→ 512), ReLU, Dropout 0.3, Linear.

    Heads of each size have a projection of their own; without ``layer_mean`` it reads a head's own output alone. Inputs
    are standardised by ``rows``, those it is to be trained on. Weights, dropout and the order of the rows come from
    ``seed`` and are drawn on the CPU, whatever the device.
    """

    def __init__(
        self,
        bundles: tuple[Bundle, ...],
        rows: Int[Tensor, "row"],
        tasks: int,
        seed: int,
        device: torch.device | str = "cpu",
        layer_mean: bool = True,
    ) -> None:
        self.bundles, self.rows, self.device = bundles, rows, torch.device(device)
        self.random, self.layer_mean = torch.Generator().manual_seed(seed), layer_mean
        self.scales = [tuple(_scale(x, rows, self.device) for x in (b.outputs, b.means)) for b in bundles]
        self.projections = [self._linear((1 + layer_mean) * bundle.size, PROJECTED) for bundle in bundles]
        self.hidden = self._linear(PROJECTED * sum(len(bundle.heads_of) for bundle in bundles), HIDDEN)
        self.out = self._linear(HIDDEN, tasks)

    @property
    def parameters(self) -> list[Tensor]:
        """All weights and biases, from the projections up."""
        return [tensor for pair in (*self.projections, self.hidden, self.out) for tensor in pair]

    def _linear(self, wide: int, narrow: int) -> tuple[Tensor, Tensor]:
        """Draw weight and bias, uniform as torch's Linear begins."""
        bound = wide**-0.5
        draw = (torch.rand(shape, generator=self.random) for shape in ((narrow, wide), (narrow,)))
        weight, bias = ((bound * (2 * x - 1)).to(self.device).requires_grad_() for x in draw)
        return weight, bias

    def project(self, rows: Int[Tensor, "row"]) -> Float[Tensor, "row head projected"]:
        """Compute the projected features p of these examples' heads, bundle after bundle."""
        parts = []
        for bundle, (own, mean), (weight, bias) in zip(self.bundles, self.scales, self.projections, strict=True):
            projected = self._standard(bundle.outputs[rows], own) @ weight[:, : bundle.size].T + bias
            if self.layer_mean:
                shared = self._standard(bundle.means[rows], mean) @ weight[:, bundle.size :].T
                projected = projected + shared[:, bundle.layer.to(self.device)]
            parts.append(projected)
        return torch.cat(parts, dim=1)

    def _standard(self, x: Tensor, scale: tuple[Tensor, Tensor]) -> Tensor:
        centre, spread = scale
        return (x.to(self.device) - centre) / spread

    def logits(self, projected: Float[Tensor, "row head projected"], drop: bool = False) -> Float[Tensor, "row task"]:
        """Compute the tasks' logits; ``drop``: with dropout, as in training."""
        hidden = torch.nn.functional.linear(projected.flatten(1), *self.hidden).relu()
        if drop:
            stays = torch.rand(hidden.shape, generator=self.random).to(self.device) >= DROPOUT
            hidden = hidden * stays / (1 - DROPOUT)
        return torch.nn.functional.linear(hidden, *self.out)

    @torch.enable_grad()
    def train(self, labels: Int[Tensor, "example"], epochs: int) -> "Probe":
        """Train on its rows with AdamW and the cross-entropy of their labels, every epoch in a new order."""
        weights = self.parameters
        optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, fused=True)
        for _ in range(epochs):
            order = self.rows[torch.randperm(len(self.rows), generator=self.random)]
            for chosen in torch.split(order, BATCH):
                wanted = labels[chosen].to(self.device)
                loss = torch.nn.functional.cross_entropy(self.logits(self.project(chosen), drop=True), wanted)
                for tensor, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    tensor.grad = gradient
                optimiser.step()
        return self

    @torch.no_grad()
    def predict(self, rows: Int[Tensor, "row"]) -> Int[Tensor, "row"]:
        """Predict the task: that of the largest logit."""
        # 256 rows at once, for memory: no row's result depends on another's
        return torch.cat([self.logits(self.project(some)).argmax(dim=1).cpu() for some in torch.split(rows, 256)])

    @torch.enable_grad()
    def importance(self, rows: Int[Tensor, "row"], labels: Int[Tensor, "example"]) -> Float[Tensor, "row head"]:
        """Average ∂logit / ∂p · p over p's 64 dimensions, the logit being that of the row's own task."""
        parts = []
        for some in torch.split(rows, 256):
            projected = self.project(some).detach().requires_grad_()
            logits = self.logits(projected).gather(1, labels[some].to(self.device)[:, None])
            (gradient,) = torch.autograd.grad(logits.sum(), [projected])
            parts.append((gradient * projected.detach()).mean(dim=2).cpu())
        return torch.cat(parts)


def _scale(
    x: Float[Tensor, "example item size"], rows: Int[Tensor, "row"], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature over ``rows`` (1 where it does not vary)."""
    # item by item: a copy of all the features of large models would not fit
    pairs = [torch.std_mean(x[rows, item], dim=0, correction=0) for item in range(x.shape[1])]
    spread, centre = (torch.stack(parts).to(device) for parts in zip(*pairs, strict=True))
    # less than a millionth of its mean is rounding in float32 (its steps are 1.2e-7), which must not be blown up to 1
    return centre, torch.where(spread > 1e-6 * centre.abs().clamp(min=1e-6), spread, 1.0)


def splits(fold: Int[np.ndarray, "example"]) -> Iterator[tuple[int, Int[Tensor, "row"], Int[Tensor, "row"]]]:
    """Yield for each fold its number, the rows outside it (to train on) and those inside (to read)."""
    for number in range(int(fold.max()) + 1):
        yield number, torch.from_numpy(np.flatnonzero(fold != number)), torch.from_numpy(np.flatnonzero(fold == number))
