"""Write scores.csv: synthetic importance laid out after the published description of eight heatmaps.

``python sample_data/figure/make_scores.py`` writes the file beside it. ``importance`` takes another seed and another
background, for trying the same layout on other noise.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LAYERS = HEADS = 32
Background = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

# task: blocks and segments as (first layer, last layer, first head, last head, low, high), in importance
REGIONS = {
    "Knowledge Recall": [(12, 18, 6, 12, 0.0025, 0.0030), (24, 24, 18, 24, 0.0025, 0.0030)],
    "Retrieval": [(15, 20, 9, 15, 0.0020, 0.0025), (25, 25, 12, 18, 0.0020, 0.0025)],
    "Logical Reasoning": [(10, 15, 3, 9, 0.0020, 0.0025), (22, 22, 15, 21, 0.0020, 0.0025)],
    "Decision-making": [(18, 25, 10, 20, 0.0015, 0.0020), (6, 6, 24, 24, 0.0028, 0.0028)],
    "Semantic Understanding": [(8, 20, 5, 15, 0.0010, 0.0015)],
    "Syntactic Understanding": [(12, 18, 7, 13, 0.0018, 0.0022), (24, 24, 16, 22, 0.0018, 0.0022)],
    "Inference": [(15, 20, 10, 16, 0.0025, 0.0030), (27, 27, 18, 24, 0.0025, 0.0030), (5, 5, 10, 10, 0.0018, 0.0018)],
    "Math Calculation": [(10, 15, 4, 10, 0.0020, 0.0025), (22, 22, 14, 20, 0.0020, 0.0025)],
}
QUIET = ("Semantic Understanding", "Math Calculation")  # layer 30 all below 0.0005
SPORADIC = {"Syntactic Understanding": (2, 7, 11, 16, 21, 27, 30)}  # layer 30, 0.0010 to 0.0015


def lognormal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A low, heavy-tailed background: median 0.0002, log-scale spread 0.6."""
    return np.exp(rng.normal(np.log(2e-4), 0.6, shape))


def importance(seed: int, background: Background = lognormal) -> np.ndarray:
    """Importance (task, layer, head) laid out after the description."""
    rng = np.random.default_rng(seed)
    return np.stack([_panel(task, rng, background(rng, (LAYERS, HEADS))) for task in REGIONS])


def _panel(task: str, rng: np.random.Generator, cells: np.ndarray) -> np.ndarray:
    layer, head = np.mgrid[:LAYERS, :HEADS]
    if task == "Knowledge Recall":  # darkening toward layer 30
        cells = cells * np.exp(-1.2 * layer / (LAYERS - 1)) * 1.8
    if task == "Retrieval":  # a faint diagonal gradient from top left to bottom right
        cells = cells * np.exp(0.6 * (layer + head) / (LAYERS + HEADS - 2) * 2 - 0.6)
    if task == "Logical Reasoning":  # sparse below layer 5
        cells[:5] *= 0.25
    if task in QUIET:
        cells[30] = np.minimum(cells[30] * 0.6, rng.uniform(1e-4, 4.8e-4, HEADS))
    for first, last, left, right, low, high in REGIONS[task]:
        block = slice(first, last + 1), slice(left, right + 1)
        cells[block] = rng.uniform(low, high, cells[block].shape)
    for column in SPORADIC.get(task, ()):
        cells[30, column] = rng.uniform(0.0010, 0.0015)
    return cells


def main() -> None:
    """Write scores.csv with six decimals."""
    lines = ["task,layer,head,importance"]
    for task, panel in zip(REGIONS, importance(20251210), strict=True):
        lines += [f"{task},{i},{j},{panel[i, j]:.6f}" for i in range(LAYERS) for j in range(HEADS)]
    (HERE / "scores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
