"""The batch size that ``batch_size = "auto"`` stands for: found by trying, before the first shard.

It is the largest power of two
- at which a batch of examples of middling length fills the processor and no more: as many tokens as ablation puts side
  by side, beyond which a larger batch takes memory and saves no time;
- with which the longest example, run as the study's methods run it, fits into half of the memory that is free.

What a run takes is measured on the longest example, once and three times over, and then tried with the size found. From
then on the size is part of the plan: a run that is gone on with and all workers of a cluster use the same.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from reportgen.scoring.data.batches import Batch, Encoded
from reportgen.scoring.methods.common.ablation import most_tokens, side_by_side, without_each
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.methods.gate_gradient import gradients
from reportgen.scoring.run.memory import free_bytes, halved, peak_bytes

LONGEST = "the longest example"
# Of the free memory: what operations take while they run, and what allocators hold back, is counted nowhere
SHARE = 0.5


def found_size(
    setting: Setting, tasks: Sequence[Sequence[Encoded]], gradients: bool, copies: int, sharing: int = 1
) -> int:
    """Find the batch size for these tasks.

    ``gradients``: one of the study's methods takes them; ``copies`` of a batch are run side by side where a parameter
    asks for that many (0: none does); so many processes are ``sharing`` the memory.

    Raises InputError where not even one example fits.
    """
    examples = sorted((e for task in tasks for e in task), key=_length)
    fills = most_tokens(setting.model.device) // int(median(map(_length, examples)))
    # 2n − 1 rounds down to the power of two that holds n: beyond the largest task a batch grows no more
    size = _power(min(fills, 2 * max(map(len, tasks)) - 1))
    trial, devices = Trial(setting, examples[-1], gradients), {p.device for p in setting.model.model.parameters()}
    while size > 1:
        free = free_bytes(devices)
        if free is None or trial.needs(size, copies) <= SHARE * free / sharing:
            break
        size //= 2
    while True:
        try:
            trial.run(size)
            return size
        except (RuntimeError, MemoryError) as error:
            size = halved(size, error, LONGEST)


def _length(example: Encoded) -> int:
    return len(example.inputs) + len(example.decoder or ())


def _power(number: int) -> int:
    """Return the greatest power of two that is no greater, and 1 at least."""
    return 1 << max(0, number.bit_length() - 1) if number > 0 else 1


class Trial:
    """A study's longest example in batches of any size, run as its methods run batches."""

    def __init__(self, setting: Setting, longest: Encoded, backward: bool) -> None:
        wanted = np.zeros((len(setting.heads.sites), setting.heads.widest), dtype=bool)
        wanted[0, 0] = True  # a head of the lowest layer: nearly all of the model runs again
        self.setting = replace(setting, wanted=wanted)
        self.longest, self.with_gradients = longest, backward
        # one row and three: what does not grow with the batch (masks, gathered weights) must not count for each row
        self.forward = Line(*(_peak(self._forward, rows) for rows in (1, 3)))
        self.backward = Line(*(_peak(self._backward, rows) if backward else 0 for rows in (1, 3)))

    def needs(self, size: int, copies: int) -> float:
        """Return the most bytes that so many examples take, ``copies`` or as many as ablation does at once."""
        many = copies or min(self.setting.heads.widest, side_by_side(self.setting.model, self._batch(size)))
        return max(self.forward.at(size * many), self.backward.at(size))

    def run(self, size: int) -> None:
        """Run what takes the most of memory in one batch."""
        self._forward(size)
        if self.with_gradients:
            self._backward(size)

    def _forward(self, rows: int) -> None:
        """Run once with layers' outputs recorded, and once resumed from them."""
        model, batch = self.setting.model, self._batch(rows)
        if model.kind == "encoder":
            model.run(batch)
        else:
            without_each(self.setting, batch, lambda _: 0.0, heads_at_once=1, together=False)

    def _backward(self, rows: int) -> None:
        """Run once, with gradients."""
        gradients(self.setting, self._batch(rows))

    def _batch(self, rows: int) -> Batch:
        return self.setting.model.collated([self.longest] * rows)


def _peak(run: Callable[[int], object], rows: int) -> float:
    """Measure the bytes that a run of so many rows takes; infinite where they are not there. One row must fit."""
    try:
        return peak_bytes(lambda: run(rows))
    except (RuntimeError, MemoryError) as error:
        halved(rows, error, LONGEST)
        return math.inf


@dataclass(frozen=True)
class Line:
    """Bytes that ``one`` row takes, and ``three``; of more rows as the straight line through them says."""

    one: float
    three: float

    def at(self, rows: int) -> float:
        """Return the bytes of so many rows."""
        return self.one + max(0.0, self.three - self.one) * (rows - 1) / 2 if rows > 1 else self.one
