"""Colour scales: their ends, their colours, round numbers along them."""

import math
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float

# Percentile at which colour is clipped: heads' scores have heavy tails, and a scale up to the largest would leave all
# others dark. At 99.8 two heads of 32 × 32 lie beyond it, and the colour bar's open end says that they do.
CLIP = 99.8
ABSENT = (0.93, 0.93, 0.93)


@dataclass(frozen=True)
class Scale:
    """A colour scale shared by panels: its ends, and how many of ``total`` cells lie beyond an end (``clipped``)."""

    low: float
    high: float
    colormap: str
    clipped: int
    total: int
    largest: float

    @property
    def signed(self) -> bool:
        """Whether the scale is a diverging one, centred at zero."""
        return self.low < 0

    def colours(self, values: Float[np.ndarray, "*cell"]) -> np.ndarray:
        """RGB bytes, absent cells light grey."""
        share = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        rgb: np.ndarray = matplotlib.colormaps[self.colormap](np.nan_to_num(share))[..., :3]
        rgb[np.isnan(values)] = ABSENT
        return np.round(rgb * 255).astype(np.uint8)

    def ticks(self) -> list[float]:
        """Round values along the scale, at least its ends' neighbours."""
        step = nice_step((self.high - self.low) / 6)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


NARROW = 0.05  # of the largest score: scores closer together than that would all have one colour from zero on


def nice_step(rough: float) -> float:
    """Return the largest of 1, 2, 2.5, 5 × a power of ten that is not above ``rough`` by more than rounding."""
    power = 10.0 ** math.floor(math.log10(rough))
    return power * max(s for s in (1, 2, 2.5, 5, 10) if s * power <= rough * 1.35)


def round_up(value: float) -> float:
    """Return the next round number: two significant digits."""
    power = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(round(value / power, 6)) * power


def scale_of(values: Float[np.ndarray, "*cell"], colormap: str, signed: bool = False) -> Scale:
    """Return a scale from zero to a rounded high percentile; diverging around zero where values are signed."""
    present = values[~np.isnan(values)].astype(float)
    diverging = signed or bool((present < 0).any())
    size = np.abs(present)
    largest = float(size.max())
    top = round_up(float(np.percentile(size, CLIP))) if np.percentile(size, CLIP) > 0 else 0.0
    # A scale is not worth clipping for a maximum close to its end: then every cell keeps its colour.
    high = round_up(largest) if largest > 0 and (top == 0 or largest <= 1.1 * top) else (top or 1.0)
    clipped = int((size > high).sum())
    if not diverging and 0 < size.max() - size.min() < NARROW * size.max():
        step = nice_step(float(size.max() - size.min()) / 6)
        low, high = math.floor(size.min() / step) * step, math.ceil(size.max() / step) * step
        return Scale(low, high, colormap, 0, size.size, largest)
    # Scores are float32: a value that is the scale's end in decimals must not count as beyond it.
    clipped -= int(np.isclose(size[size > high], high, rtol=1e-6).sum())
    return Scale(-high if diverging else 0.0, high, "RdBu_r" if diverging else colormap, clipped, size.size, largest)


def own_scale(values: Float[np.ndarray, "layer head"], shared: Scale) -> Scale:
    """Return a map's own scale in the colours of the shared one: up to its largest value, or to the clipping percentile
    where the largest is more than twice that and would leave all others dark.
    """
    size = np.abs(values[~np.isnan(values)]).astype(float)
    largest, end = float(size.max()), float(np.percentile(size, CLIP))
    high = largest if largest <= 2 * end or end == 0 else end
    low = -(high or 1.0) if shared.signed else 0.0
    return Scale(low, high or 1.0, shared.colormap, int((size > high).sum()), size.size, largest)


def tick_step(n: int) -> int:
    """Return every 6, as in the published figure; closer on small models, wider on large ones."""
    return next((s for s in (1, 2, 6, 12, 24, 48) if n <= 6 * s), 2 ** math.ceil(math.log2(n / 6)))


def tick_label(value: float, step: float) -> str:
    """Return a tick's number with the decimals that the step needs."""
    if step < 1e-6 or step >= 1e7:
        return f"{value:.3g}".replace("-", "−")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += not math.isclose(round(step, digits), step, rel_tol=1e-6)
    return f"{value:.{digits}f}".replace("-", "−")
