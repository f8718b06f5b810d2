"""How importance is spread: over the heads, a curve per task, and over the layers, a panel per task."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from reportgen.core.scores import HeadScores
from reportgen.rendering.format import count, share
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, labelled, labels, printable
from reportgen.rendering.plots.drawing import BlockStyle, Drawing
from reportgen.rendering.plots.grid import even
from reportgen.rendering.plots.heatmap import spread
from reportgen.rendering.plots.lines import LINES, style_of_line
from reportgen.rendering.plots.scale import nice_step, tick_step

FEW = 12  # lines up to which each is named
PANELS, COLUMNS = 24, 6  # of the layers' shares: in the figure, and in a row


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
    canvas = Canvas(min(4.4, style.medium.width), 2.75)
    x, y, width, height = 0.5, 0.12, canvas.width - 2.1, 2.1
    half = n // 2 + 1  # beyond the most important half the lines run together
    to_x = [x + width * k / (half - 1) for k in range(half)]
    _curve_axes(canvas, x, y, width, height, (half - 1) / n)
    ends = [y + height * (1 - c[half - 1]) for c in curves]
    order = np.argsort(ends, kind="stable")
    few = len(curves) <= FEW
    named = [int(i) for i in (order if few else (order[0], order[-1]))]
    keep = np.unique(np.linspace(0, half - 1, min(half, 120)).astype(int))
    for i in map(int, reversed(order)):
        colour, dash = style_of_line(named.index(i)) if i in named else (HAIR, None)
        points = [(to_x[k], y + height * (1 - curves[i][k])) for k in keep]
        canvas.lines([points], colour, 1.1 if i in named else 0.5, 4 if i in named else 3, dash)
    names = labels(scores.task_names, canvas.width - x - width - 0.41, 6.5)
    for k, (i, at) in enumerate(zip(named, spread([ends[i] for i in named], 0.13, y, y + height), strict=True)):
        colour, dash = style_of_line(k)
        canvas.lines([[(x + width + 0.02, ends[i]), (x + width + 0.12, at)]], MUTED, 0.4, 3)
        canvas.lines([[(x + width + 0.12, at), (x + width + 0.35, at)]], colour, 1.1, 4, dash)
        canvas.text(x + width + 0.39, at + 0.03, names[scores.tasks[i].name], 6.5)
    return _concentration_record(scores, curves, canvas, few, style)


def profiles(scores: HeadScores, style: BlockStyle) -> Drawing | None:
    """Draw each layer's share of a task's importance, a panel per task; None for one layer, or zeros."""
    size = np.abs(np.nan_to_num(scores.importance.astype(float))).sum(axis=2)
    totals = size.sum(axis=1, keepdims=True)
    shares_of = np.divide(size, totals, out=np.zeros_like(size), where=totals > 0)
    n = scores.n_layers
    if n < 2 or not shares_of.any():
        return None
    # Many lines in one panel cannot be told apart: each task has its own, the range over all in grey behind it.
    tasks = range(min(len(shares_of), PANELS))
    medium = style.medium
    most = COLUMNS if medium.width > 4 and len(tasks) > 8 else 4 if medium.width > 4 else 2
    rows = even(len(tasks), -(-len(tasks) // most))
    left, gap, foot = 0.55, 0.14, 0.36
    width = (medium.width - left - 0.1 - (rows[0] - 1) * gap) / rows[0]
    if not medium.paper:
        width = min(width, 1.45)
    height, size_of = 0.62 * width, medium.pt(5.5)
    names = labelled(scores.task_names, width, 6.5, bold=True)
    title = 0.1 + 0.108 * max(len(names[scores.tasks[t].name]) for t in tasks)
    canvas = Canvas(left + rows[0] * (width + gap) - gap + 0.1, len(rows) * (height + title) + foot + 0.05)
    step = nice_step(float(shares_of.max()) / 2)
    high = step * float(np.ceil(shares_of.max() / step - 1e-9))

    def points(x: float, y: float, held: np.ndarray) -> list[tuple[float, float]]:
        return [(x + width * layer / (n - 1), y + height * (1 - s / high)) for layer, s in enumerate(held)]

    i = 0
    for row, length in enumerate(rows):
        for column in range(length):
            x, y = left + column * (width + gap), title + row * (height + title)
            for k, line in enumerate(reversed(names[scores.tasks[i].name])):
                canvas.text(x, y - 0.06 - 0.108 * k, line, 6.5, bold=True)
            top, bottom = points(x, y, shares_of.max(axis=0)), points(x, y, shares_of.min(axis=0))
            canvas.polygon([*top, *reversed(bottom)], "#e6e9ed", order=0.5)
            even_y = y + height * (1 - 1 / n / high)
            canvas.lines([[(x, even_y), (x + width, even_y)]], MUTED, 0.5, 2.5, (0, (1, 2)))
            canvas.lines([points(x, y, shares_of[i])], LINES[0], 1.2, 4)
            last = row + 1 == len(rows) or column >= rows[row + 1]
            _profile_axes(canvas, (x, y, width, height), (n, step, high), column == 0, last, size_of)
            i += 1
    return _profiles_record(scores, shares_of, canvas, len(tasks), style)


def _profile_axes(
    canvas: Canvas,
    box: tuple[float, float, float, float],
    scale: tuple[int, float, float],
    named: bool,
    last: bool,
    size: float,
) -> None:
    (x, y, width, height), (n, step, high) = box, scale
    for i in range(round(high / step) + 1):
        at = y + height * (1 - i * step / high)
        canvas.lines([[(x, at), (x + width, at)]], HAIR, 0.3, 1)
        if named:
            canvas.text(x - 0.05, at + 0.03, f"{i * step * 100:.3g} %", size, "right")
    if named:
        canvas.text_up(0.1, y + height / 2, "Share", size + 0.5)
    for layer in range(0, n, tick_step(n)):
        at = x + width * layer / (n - 1)
        canvas.lines([[(at, y + height), (at, y + height + 0.03)]], INK, 0.4)
        if last:
            canvas.text(at, y + height + 0.13, f"{layer}", size, "center")
    if last:
        canvas.text(x + width / 2, y + height + 0.27, "Layer", size + 0.5, "center", color=MUTED)


def _profiles_record(
    scores: HeadScores, shares_of: Float[np.ndarray, "task layer"], canvas: Canvas, shown: int, style: BlockStyle
) -> Drawing:
    more = f" The first {shown} of {len(shares_of)} tasks." if shown < len(shares_of) else ""
    caption = style.of(
        "Share of each task’s summed absolute importance that the heads of a layer hold; grey, the range over tasks. "
        f"Dotted: an even spread, {share(1 / scores.n_layers)}.{more}"
    )
    alt = style.of(f"Curves over {count(scores.n_layers, 'layer')}, a panel for each of {count(shown, 'task')}.")
    said = tuple(
        f"{printable(t.name)}: layer {int(np.argmax(s))} holds the most, {share(float(s.max()))}."
        for t, s in zip(scores.tasks, shares_of, strict=True)
    )
    name = style.file("layer-profiles")
    svg = canvas.svg(name, alt)
    return Drawing(name, "across_tasks", svg, caption, alt, canvas, wide=True, block=style.block, said=said)


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


def _concentration_record(
    scores: HeadScores, curves: Sequence[np.ndarray], canvas: Canvas, few: bool, style: BlockStyle
) -> Drawing:
    n = len(curves[0]) - 1
    k = max(1, n // 10)
    lines = "One line per task" if few else "One line per task; named: the two at the ends"
    caption = style.of(
        "Share of the summed absolute importance held by the most important heads, up to half of them. "
        f"{lines}. Dotted: all heads equal."
    )
    alt = style.of(f"Curves of cumulative share of importance against share of heads for {count(len(curves), 'task')}.")
    said = tuple(
        f"{printable(t.name)}: the top {count(k, 'head')} of {n} hold {share(float(c[k]))}."
        for t, c in zip(scores.tasks, curves, strict=True)
    )
    name = style.file("concentration")
    return Drawing(name, "across_tasks", canvas.svg(name, alt), caption, alt, canvas, block=style.block, said=said)
