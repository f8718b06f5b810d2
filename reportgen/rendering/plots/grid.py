"""Where the cells of a heatmap of layer × head lie, the outlines of regions in it, and panels in rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

from reportgen.rendering.plots.canvas import Point

Order = Literal["up", "down"]
Segment = tuple[Point, Point]


@dataclass(frozen=True)
class Grid:
    """Where the cells of layers × heads lie on a canvas, in inches; ``order`` down puts layer 0 on top."""

    x: float
    y: float
    width: float
    height: float
    layers: int
    heads: int
    order: Order

    @property
    def cell(self) -> Point:
        """Width and height of a cell."""
        return self.width / self.heads, self.height / self.layers

    def edge(self, layer: int) -> float:
        """Return the y of the edge before a layer (``layer == layers``: after the last)."""
        step = self.height / self.layers
        return self.y + layer * step if self.order == "down" else self.y + self.height - layer * step

    def centre(self, layer: int, head: int) -> Point:
        """Return the middle of a cell."""
        return self.x + (head + 0.5) * self.cell[0], (self.edge(layer) + self.edge(layer + 1)) / 2

    def outline(self, mask: Bool[np.ndarray, "layer head"], away: float = 0.008) -> Iterator[Segment]:
        """Yield the boundary of the marked cells in runs as long as they go, drawn a little outside of the cells.

        ``away`` keeps the line off the cells, which in small panels are hardly wider than the line.
        """
        padded = np.pad(mask, 1)
        for side in (-1, 1):
            sign = side if self.order == "down" else -side
            open_rows = padded & ~np.roll(padded, -side, axis=0)
            for r, first, last in _all_runs(open_rows):
                a, b = (away * (1 - 2 * padded[r + side, c]) for c in (first - 1, last))
                y, w = self.edge(r - 1 + (side > 0)) + sign * away, self.cell[0]
                yield (self.x + (first - 1) * w - a, y), (self.x + (last - 1) * w + b, y)
            open_columns = (padded & ~np.roll(padded, -side, axis=1)).T
            for c, first, last in _all_runs(open_columns):
                a, b = (away * (1 - 2 * padded[r, c + side]) for r in (first - 1, last))
                x, down = self.x + (c - 1 + (side > 0)) * self.cell[0] + side * away, 1 if self.order == "down" else -1
                yield (x, self.edge(first - 1) - down * a), (x, self.edge(last - 1) + down * b)


def even(n: int, parts: int) -> list[int]:
    """Return ``n`` in ``parts`` that differ by one at most, larger ones first: nine panels make no row of one."""
    least, more = divmod(n, parts)
    return [least + (i < more) for i in range(parts)]


def _all_runs(flags: Bool[np.ndarray, "row column"]) -> Iterator[tuple[int, int, int]]:
    for row in np.flatnonzero(flags.any(axis=1)):
        for first, last in _runs(flags[row]):
            yield int(row), first, last


def _runs(flags: Bool[np.ndarray, "cell"]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
