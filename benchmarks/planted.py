"""What is planted in a synthetic tensor, and whether the findings give it back."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from worlds import World

from reportgen.core.findings import Finding

Kinds = Sequence[str]


@dataclass(frozen=True)
class Plant:
    """``put`` raises cells of a log tensor and returns their mask (task, layer, head); ``kind`` should find them.

    Beside recall and precision, ``f1`` asks for the mean F1 of the cells of all findings of the kind.
    """

    name: str
    kind: str
    put: Callable[[np.random.Generator, World, np.ndarray], np.ndarray]
    registers: Kinds = ("tested",)
    f1: bool = False


def rectangle(layers: tuple[int, int], heads: tuple[int, int], sds: float) -> Callable[..., np.ndarray]:
    """A rectangle of random size within those bounds, at a random place of a random task."""

    def put(rng: np.random.Generator, world: World, log: np.ndarray) -> np.ndarray:
        height, width = rng.integers(layers[0], layers[1] + 1), rng.integers(heads[0], heads[1] + 1)
        t, top, left = (int(rng.integers(n)) for n in (len(log), world.layers - height + 1, world.heads - width + 1))
        mask = np.zeros(log.shape, dtype=bool)
        mask[t, top : top + height, left : left + width] = True
        log[mask] += sds * world.sd
        return mask

    return put


def overlapping(sds: float) -> Callable[..., np.ndarray]:
    """Two 8 × 8 rectangles that share a corner of 3 × 3."""

    def put(rng: np.random.Generator, world: World, log: np.ndarray) -> np.ndarray:
        t, top, left = int(rng.integers(len(log))), int(rng.integers(world.layers - 13)), int(rng.integers(19))
        mask = np.zeros(log.shape, dtype=bool)
        mask[t, top : top + 8, left : left + 8] = True
        mask[t, top + 5 : top + 13, left + 5 : left + 13] = True
        log[mask] += sds * world.sd
        return mask

    return put


def single(sds: float, tasks: int | None = 1) -> Callable[..., np.ndarray]:
    """A head that lies so many SDs above (or below) its layer's median, on one task; with None, raised so on all."""

    def put(rng: np.random.Generator, world: World, log: np.ndarray) -> np.ndarray:
        layer, head = int(rng.integers(world.layers)), int(rng.integers(world.heads))
        mask = np.zeros(log.shape, dtype=bool)
        if tasks is None:
            mask[:, layer, head] = True
            log[mask] += sds * world.sd
        else:
            t = int(rng.integers(len(log)))
            mask[t, layer, head] = True
            log[mask] = np.median(log[t, layer]) + sds * world.sd
        return mask

    return put


def slope(layers: float, heads: float) -> Callable[..., np.ndarray]:
    """A steady change by so many SDs from the first layer (head) to the last, on a random task."""

    def put(rng: np.random.Generator, world: World, log: np.ndarray) -> np.ndarray:
        mask = np.zeros(log.shape, dtype=bool)
        mask[int(rng.integers(len(log)))] = True
        down, along = np.linspace(0, layers, world.layers), np.linspace(0, heads, world.heads)
        log += mask * (down[:, None] + along[None, :]) * world.sd
        return mask

    return put


def lines(layers: int | None, heads: int | None, sds: float, tasks: int | None = None) -> Callable[..., np.ndarray]:
    """So many whole adjacent layers, or heads of all layers, raised on the first ``tasks``, on all, or (0) on one."""

    def put(rng: np.random.Generator, world: World, log: np.ndarray) -> np.ndarray:
        mask = np.zeros(log.shape, dtype=bool)
        those = slice(tasks) if tasks != 0 else int(rng.integers(len(log)))
        if layers is not None:
            first = int(rng.integers(world.layers - layers + 1))
            mask[those, first : first + layers] = True
        if heads is not None:
            first = int(rng.integers(world.heads - heads + 1))
            mask[those, :, first : first + heads] = True
        log[mask] += sds * world.sd
        return mask

    return put


def unequal(times: float) -> Callable[..., np.ndarray]:
    """A task whose heads differ by so many times the others' standard deviations of the logarithm."""

    def put(rng: np.random.Generator, world: World, log: np.ndarray) -> np.ndarray:
        mask = np.zeros(log.shape, dtype=bool)
        mask[int(rng.integers(len(log)))] = True
        log[mask] *= times
        return mask

    return put


def judged(plant: Plant, mask: np.ndarray, findings: Sequence[Finding], names: Sequence[str]) -> Counter[str]:
    """``hit`` (the planted is found), ``found`` and ``right`` findings of the kind, and the sum of ``f1``."""
    mine = [f for f in findings if f.kind == plant.kind and f.register in plant.registers]
    grids = [_grid(f, mask, names) for f in mine]
    if plant.f1:
        union = np.any(grids, axis=0) if grids else np.zeros(mask.shape, dtype=bool)
        overlap = 2 * (union & mask).sum() / (union.sum() + mask.sum())
        return Counter({"hit": bool(overlap >= 0.5), "found": len(mine), "f1": float(overlap), "one": len(mine) == 1})
    right = [bool((g & mask).sum() >= 0.5 * min(g.sum(), mask.sum())) and bool((g & mask).any()) for g in grids]
    return Counter({"hit": any(right), "found": len(mine), "right": sum(right)})


def _grid(finding: Finding, mask: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The cells of a finding; all of its layers where it names no heads, all of its tasks where it names neither."""
    grid = np.zeros(mask.shape, dtype=bool)
    tasks = [names.index(finding.task)] if finding.task else list(range(len(names)))
    if finding.heads is not None:
        grid[tasks] = finding.mask(mask.shape[1:])
    elif finding.layers is not None:
        grid[tasks, finding.layers[0] : finding.layers[1] + 1] = True
    else:
        grid[tasks] = True
    return grid
