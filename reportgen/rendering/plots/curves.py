"""How concentrated importance is: a curve per task."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from reportgen.core.scores import HeadScores
from reportgen.rendering.format import count, share
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, fitted, printable
from reportgen.rendering.plots.drawing import BlockStyle, Drawing
from reportgen.rendering.plots.renderer import Dash
from reportgen.rendering.plots.scale import nice_step, tick_step

# Okabe and Ito's palette without its yellow, which is too light for lines
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK)
DASHES: tuple[Dash, ...] = (None, (0, (4, 1.5)))


def shares(panel_values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "head"]:
    """Cumulative share of the absolute importance held by the k most important heads, k = 0 … all."""
    size = np.sort(np.abs(panel_values[~np.isnan(panel_values)]).astype(float))[::-1]
    total = size.sum()
    held = np.cumsum(size) / total if total > 0 else np.arange(1, len(size) + 1) / len(size)
    return np.concatenate([[0.0], held])


def concentration(scores: HeadScores, style: BlockStyle) -> Drawing | None:
    """Share of the importance against share of heads, a line per task, named at its end; None for under 4 heads."""
    curves = [shares(p) for p in scores.importance]
    n = len(curves[0]) - 1
    if n < 4:
        return None
    canvas = Canvas(min(4.1, style.medium.width), 2.75)
    x, y, width, height = 0.5, 0.12, canvas.width - 1.9, 2.1
    half = n // 2 + 1  # beyond the most important half the lines run together
    to_x = [x + width * k / (half - 1) for k in range(half)]
    _curve_axes(canvas, x, y, width, height, (half - 1) / n)
    ends = [y + height * (1 - c[half - 1]) for c in curves]
    order = np.argsort(ends, kind="stable")
    few = len(curves) <= 12
    named = list(order) if few else [order[0], order[-1]]
    keep = np.unique(np.linspace(0, half - 1, min(half, 120)).astype(int))
    for i in reversed(order):
        colour = LINES[i % 7] if few or i in named else HAIR
        points = [(to_x[k], y + height * (1 - curves[i][k])) for k in keep]
        canvas.lines([points], colour, 1.1 if i in named else 0.5, 4 if i in named else 3, DASHES[i // 7 % 2])
    _name_curves(canvas, scores, named, ends, x + width, y, height)
    return _concentration_record(scores, curves, canvas, few, style)


def profiles(scores: HeadScores, style: BlockStyle) -> Drawing | None:
    """Draw each layer's share of a task's importance, a line per task, named at its end; None for one layer, or
    zeros.
    """
    size = np.abs(np.nan_to_num(scores.importance.astype(float))).sum(axis=2)
    totals = size.sum(axis=1, keepdims=True)
    shares_of = np.divide(size, totals, out=np.zeros_like(size), where=totals > 0)
    n = scores.n_layers
    if n < 2 or not shares_of.any():
        return None
    canvas = Canvas(min(4.6, style.medium.width), 2.5)
    x, y, width, height = 0.5, 0.12, canvas.width - 1.9, 1.9
    step = nice_step(float(shares_of.max()) / 4)
    high = step * np.ceil(shares_of.max() / step - 1e-9)
    for i in range(round(high / step) + 1):
        at = y + height * (1 - i * step / high)
        canvas.lines([[(x, at), (x + width, at)]], HAIR, 0.3, 1)
        canvas.text(x - 0.05, at + 0.03, f"{i * step * 100:.3g} %", 6, "right")
    to_x = [x + width * layer / (n - 1) for layer in range(n)]
    for layer in range(0, n, tick_step(n)):
        canvas.lines([[(to_x[layer], y + height), (to_x[layer], y + height + 0.03)]], INK, 0.4)
        canvas.text(to_x[layer], y + height + 0.13, f"{layer}", 6, "center")
    canvas.text(x + width / 2, y + height + 0.29, "Layer", 6.5, "center", color=MUTED)
    canvas.text_up(0.1, y + height / 2, "Share of importance", 6.5)
    ends = [y + height * (1 - s[-1] / high) for s in shares_of]
    order = [int(i) for i in np.argsort(ends, kind="stable")]
    few = len(order) <= 12
    peaks = np.argsort(shares_of.max(axis=1), kind="stable")
    named = order if few else [i for i in order if i in (peaks[-1], peaks[0])]
    for i in reversed(order):
        points = [(to_x[k], y + height * (1 - s / high)) for k, s in enumerate(shares_of[i])]
        colour = LINES[i % 7] if i in named else HAIR
        canvas.lines([points], colour, 1.1 if i in named else 0.5, 4 if i in named else 3, DASHES[i // 7 % 2])
    _name_curves(canvas, scores, named, ends, x + width, y, height)
    return _profiles_record(scores, shares_of, canvas, few, style)


def _profiles_record(
    scores: HeadScores, shares_of: Float[np.ndarray, "task layer"], canvas: Canvas, few: bool, style: BlockStyle
) -> Drawing:
    lines = "One line per task" if few else "One line per task; named: the most and the least peaked"
    caption = style.of(
        "Share of each task’s summed absolute importance that the heads of a layer hold. "
        f"{lines}; in an even spread every layer holds {share(1 / scores.n_layers)}."
    )
    tops = "; ".join(
        f"{printable(t.name)}: layer {int(np.argmax(s))}, {share(float(s.max()))}"
        for t, s in zip(scores.tasks, shares_of, strict=True)
    )
    kind = f"Curves over {count(scores.n_layers, 'layer')} for {count(len(shares_of), 'task')}."
    alt = style.of(f"{kind} Layer of the largest share: {tops}.")
    name = style.file("layer-profiles")
    return Drawing(name, "across_tasks", canvas.svg(name, alt), caption, alt, canvas, block=style.block)


def _curve_axes(canvas: Canvas, x: float, y: float, width: float, height: float, reach: float) -> None:
    for v in (0, 0.25, 0.5, 0.75, 1):
        at = y + height * (1 - v)
        canvas.lines([[(x, at), (x + width, at)]], HAIR, 0.3, 1)
        canvas.text(x - 0.05, at + 0.03, f"{v:.0%}".replace("%", " %"), 6, "right")
    step = nice_step(reach / 4)
    for i in range(int(reach / step + 1e-9) + 1):
        at = x + width * i * step / reach
        canvas.lines([[(at, y + height), (at, y + height + 0.03)]], INK, 0.4)
        canvas.text(at, y + height + 0.13, f"{i * step * 100:.3g} %", 6, "center")
    canvas.lines([[(x, y + height), (x + width, y + height)]], INK, 0.4)
    canvas.lines([[(x, y + height), (x + width, y + height * (1 - reach))]], MUTED, 0.5, 2, (0, (1, 2)))
    canvas.text(x + width / 2, y + height + 0.29, "Share of heads, most important first", 6.5, "center", color=MUTED)
    canvas.text_up(0.1, y + height / 2, "Share of importance", 6.5)


def _name_curves(
    canvas: Canvas, scores: HeadScores, named: Sequence[int], ends: Sequence[float], x: float, top: float, height: float
) -> None:
    gap = min(0.13, height / max(1, len(named)))
    positions: list[float] = []
    for i in named:
        positions.append(max(ends[i], positions[-1] + gap) if positions else ends[i])
    excess = max(0.0, positions[-1] - (top + height)) if positions else 0.0
    positions = [p - excess for p in positions]
    for k in range(len(positions) - 2, -1, -1):
        positions[k] = min(positions[k], positions[k + 1] - gap)
    for i, at in zip(named, positions, strict=True):
        colour = LINES[i % 7]
        canvas.lines([[(x + 0.02, ends[i]), (x + 0.14, at)]], colour, 0.5, 3)
        canvas.text(x + 0.17, at + 0.03, fitted(scores.tasks[i].name, canvas.width - x - 0.2, 6.5), 6.5)


def _concentration_record(
    scores: HeadScores, curves: list[np.ndarray], canvas: Canvas, few: bool, style: BlockStyle
) -> Drawing:
    n = len(curves[0]) - 1
    k = max(1, n // 10)
    held = [float(c[k]) for c in curves]
    most, least = int(np.argmax(held)), int(np.argmin(held))
    lines = "One line per task" if few else "One line per task; named: the two at the ends"
    caption = style.of(
        "Share of the summed absolute importance held by the most important heads, up to half of them. "
        f"{lines}. Dotted: all heads equal."
    )
    alt = style.of(
        f"Curves of cumulative share of importance against share of heads for {count(len(curves), 'task')}. The top "
        f"{count(k, 'head')} of {n} hold from {share(held[least])} ({printable(scores.tasks[least].name)}) to "
        f"{share(held[most])} ({printable(scores.tasks[most].name)})."
    )
    name = style.file("concentration")
    return Drawing(name, "across_tasks", canvas.svg(name, alt), caption, alt, canvas, block=style.block)
