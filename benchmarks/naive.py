"""The detectors that a reader might write in an afternoon, as a comparison for the calibration."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage, stats

LEAST = 6  # cells of a connected component that counts


def bright_components(importance: np.ndarray) -> np.ndarray:
    """The top 5 % of each task's heads, in connected components of at least six."""
    cut = np.nanquantile(importance, 0.95, axis=(1, 2), keepdims=True)
    return np.stack([_large(cells) for cells in importance >= cut])


def _large(bright: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(bright)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: np.ndarray = sizes[labels] >= LEAST
    return kept


def far_from_median(importance: np.ndarray) -> np.ndarray:
    """Heads more than 3.5 robust standard deviations above their task's median."""
    median = np.nanmedian(importance, axis=(1, 2), keepdims=True)
    deviation = np.nanmedian(np.abs(importance - median), axis=(1, 2), keepdims=True)
    far: np.ndarray = importance - median > 3.5 * 1.4826 * deviation
    return far


def beyond_fences(importance: np.ndarray) -> np.ndarray:
    """Heads above the third quartile by more than three interquartile ranges (Tukey's outer fence)."""
    first, third = np.nanquantile(importance, [0.25, 0.75], axis=(1, 2), keepdims=True)
    far: np.ndarray = importance > third + 3 * (third - first)
    return far


def often_on_top(importance: np.ndarray) -> np.ndarray:
    """Heads in the top 10 % of at least half of the tasks (of four or more)."""
    tasks = len(importance)
    cut = np.nanquantile(importance, 0.9, axis=(1, 2), keepdims=True)
    often = (importance >= cut).sum(axis=0) >= max(4, tasks / 2)
    return np.broadcast_to(often, importance.shape)


def rising_means(importance: np.ndarray) -> np.ndarray:
    """Tasks whose layer means correlate with the layer number (Kendall, p ≤ .05, Benjamini–Hochberg over tasks)."""
    means = np.nanmean(importance, axis=2)
    p = [stats.kendalltau(np.arange(len(m)), m).pvalue for m in means]
    passing = stats.false_discovery_control(p) <= 0.05
    return np.broadcast_to(passing[:, None, None], importance.shape)


NAIVE: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "top 5 %, connected": ("cluster", bright_components),
    "median + 3.5 MAD": ("anomaly", far_from_median),
    "Tukey's outer fence": ("anomaly", beyond_fences),
    "top 10 % in half of the tasks": ("cross_task_head", often_on_top),
    "Kendall of layer means": ("layer_gradient", rising_means),
}
