"""The sets of heads that are tried: those that findings name, and the first of each task."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import Blocks, parsed, written
from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import kind_of
from reportgen.core.scores import Examples, Head, HeadScores, reduce_examples
from reportgen.core.trials import TOP

# The first twentieth of all heads, one at least: a share asks models of every size the same, and leaves most heads of
# each layer to draw controls from.
TOP_SHARE = 0.05
Heads = frozenset[tuple[int, int]]  # (index of Index.layers, head)


class Layer(NamedTuple):
    """A layer that has heads, and their number."""

    block: str | None
    layer: int
    heads: int

    @property
    def name(self) -> str:
        """As it is written: ``L6``, in a block ``enc.L6``."""
        return f"{self.block}.L{self.layer}" if self.block else f"L{self.layer}"


def layers_of(blocks: Blocks) -> tuple[Layer, ...]:
    """Return the layers block by block: in which order the model runs them, scores do not tell."""
    counted = [(block.block, layer, int(n)) for block in blocks for layer, n in enumerate(block.present.sum(axis=1))]
    return tuple(Layer(*each) for each in counted if each[-1])


@dataclass(frozen=True)
class FoundSet:
    """Heads that were found, the numbers of the tasks that they were found on, and the finding's id and kind.

    ``held_out``: which heads are found does not rest on the examples that the set is tried on.
    """

    id: str
    kind: str
    tasks: tuple[int, ...]
    heads: Heads
    names: tuple[str, ...]
    held_out: bool


@dataclass(frozen=True)
class Index:
    """Heads by place: the layers in the order in which the model runs them, and the blocks of scores."""

    layers: tuple[Layer, ...]
    blocks: Blocks

    @property
    def all(self) -> Heads:
        """Every head."""
        return frozenset((i, head) for i, site in enumerate(self.layers) for head in range(site.heads))

    def site(self, block: str | None, layer: int) -> int:
        """Return the index of a block's layer among all layers."""
        return next(i for i, s in enumerate(self.layers) if (s.block, s.layer) == (block, layer))

    def name(self, cell: tuple[int, int]) -> str:
        """Return the head's name, as ``L6H24`` or ``enc.L6H24``."""
        site = self.layers[cell[0]]
        return written(site.block, Head(site.layer, cell[1]))

    def cells(self, names: Sequence[str]) -> Heads:
        """Return the heads of these names."""
        return frozenset(self._numbers[name] for name in names)

    @cached_property
    def _numbers(self) -> dict[str, tuple[int, int]]:
        return {self.name(cell): cell for cell in self.all}

    def flat(self, maps: Sequence[Float[np.ndarray, "layer head"]]) -> dict[tuple[int, int], float]:
        """Return a number for every head, from one map a block."""
        by_block = {block.block: m for block, m in zip(self.blocks, maps, strict=True)}
        return {(i, h): float(by_block[self.layers[i].block][self.layers[i].layer, h]) for i, h in sorted(self.all)}

    def discovery(self, blocks: Blocks, t: int) -> dict[tuple[int, int], float]:
        """Return a task's |importance| of every head on the discovery half alone."""
        return self.flat([discovery_map(block, t) for block in blocks])


def discovery_map(scores: HeadScores, t: int) -> Float[np.ndarray, "layer head"]:
    """Return a task's |importance| on its discovery half; of all where there are no examples."""
    examples: Examples | None = scores.examples[t]
    if examples is None or not examples.discovery.any():
        whole: np.ndarray = np.abs(scores.importance[t].astype(np.float64))
        return whole
    result: np.ndarray = np.abs(reduce_examples(examples.values[examples.discovery], scores.reduction))
    return result


def found_sets(findings: Findings, index: Index) -> list[FoundSet]:
    """Return the findings' sets, most important first, and each task's first heads; sets that name no head are left
    out.
    """
    importance = [index.discovery(index.blocks, t) for t in range(len(index.blocks[0].tasks))]
    named = [f for f in findings.ranked() if kind_of(f.kind).tried]
    sets = [_of_finding(f, index, importance) for f in named]
    return [*(s for s in sets if s.heads), *(_first(t, index, importance[t]) for t in range(len(importance)))]


def _of_finding(finding: Finding, index: Index, importance: Sequence[dict[tuple[int, int], float]]) -> FoundSet:
    scores = next(b for b in index.blocks if b.block == finding.block)
    cells = [parsed(m) for m in finding.members or () if isinstance(m, str)]
    if not cells:
        cells = [Head(*map(int, cell)) for cell in np.argwhere(finding.mask(scores.present.shape) & scores.present)]
    heads = frozenset((index.site(finding.block, cell.layer), cell.head) for cell in cells)
    tasks = _tasks(finding, scores)
    # Observed findings are made on all examples: they are tried only where the discovery half alone says the same
    # (docs/decisions/0002-observed-on-all-tested-on-halves.md and 0012-verdicts.md).
    clean = finding.task is not None and "in-sample" not in finding.caveats
    clean = clean or (all(e is not None for e in scores.examples) and _lead(heads, [importance[t] for t in tasks]))
    return FoundSet(finding.id, finding.kind, tasks, heads, tuple(index.name(h) for h in sorted(heads)), clean)


def _tasks(finding: Finding, scores: HeadScores) -> tuple[int, ...]:
    """Return the finding's own tasks: of shared heads those that share one of them."""
    sharing = cast(list[list[str]], (finding.data or {}).get("sharing"))
    names = (
        [finding.task] if finding.task else [n for some in sharing for n in some] if sharing else finding.tasks or []
    )
    return tuple(t for t, name in enumerate(scores.task_names) if name in names)


def _lead(heads: Heads, importance: Sequence[dict[tuple[int, int], float]]) -> bool:
    """Whether the discovery half alone puts the set's heads first in each of their layers, by mean rank over tasks."""
    for site in {site for site, _ in heads}:
        layer = [cell for cell in importance[0] if cell[0] == site]
        ranks = np.mean([np.argsort(np.argsort([-one[cell] for cell in layer])) for one in importance], axis=0)
        inside = np.array([cell in heads for cell in layer])
        if not inside.all() and ranks[inside].max() >= ranks[~inside].min():
            return False
    return True


def _first(t: int, index: Index, importance: dict[tuple[int, int], float]) -> FoundSet:
    """Return a task's heads of largest |importance| on the discovery half, largest first."""
    count = max(1, round(TOP_SHARE * len(importance)))
    heads = sorted(importance, key=lambda cell: (-importance[cell], cell))[:count]
    scores = index.blocks[0]
    held_out = scores.examples[t] is not None
    return FoundSet(f"{TOP}/{t}", TOP, (t,), frozenset(heads), tuple(map(index.name, heads)), held_out)
