"""How alike the study's methods rank the heads: a row a task, a mark a method."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import stats

from reportgen.core.scores import HeadScores
from reportgen.rendering.format import count
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, labels, printable
from reportgen.rendering.plots.drawing import BlockStyle, Drawing
from reportgen.rendering.plots.lines import LINES
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.shapes import shape

MOST = 32  # tasks
AXIS = "Rank correlation with the first method"


def rank_correlation(a: Float[np.ndarray, "layer head"], b: Float[np.ndarray, "layer head"]) -> float:
    """Spearman's rank correlation of two absolute importances over the heads of both; NaN where one is constant."""
    both = ~np.isnan(a) & ~np.isnan(b)
    x, y = (stats.rankdata(np.abs(values[both].astype(float))) for values in (a, b))
    if not both.any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))


def method_ranks(scores: HeadScores, others: Mapping[str, HeadScores], style: BlockStyle) -> Drawing | None:
    """Draw each task's rank correlation between the first method and each other one; None for a single method."""
    names = sorted(others, key=lambda name: (others[name].method.family != "control", name))
    n = min(len(scores.tasks), MOST)
    table = np.array(
        [[rank_correlation(scores.importance[t], others[m].importance[t]) for m in names] for t in range(n)]
    )
    if not names or np.isnan(table).all():
        return None
    low = min(0.0, math.floor(float(np.nanmin(table)) * 2) / 2)
    left, top, step = 1.45, 0.1, 0.17
    width = min(style.medium.width, 4.6) - left - 0.2
    legend, at = [(0.0, 0)], 0.0  # of each method: where in the legend, and on which line
    for name in names[:-1]:
        at += 0.3 + text_width(_label(name), 6.5)
        following = 0.2 + text_width(_label(names[len(legend)]), 6.5)
        line = legend[-1][1] + (at + following > left + width)
        at = at if line == legend[-1][1] else 0.0
        legend.append((at, line))
    canvas = Canvas(left + width + 0.2, top + step * n + 0.4 + 0.16 * (1 + legend[-1][1]))
    base = top + step * n

    def across(value: float) -> float:
        return left + width * (value - low) / (1 - low)

    for i in range(int((1 - low) * 4) + 1):
        value = low + i / 4
        canvas.lines([[(across(value), top), (across(value), base)]], HAIR, 0.8 if value == 0 else 0.3, 1)
        if (i * 2) % 2 == 0:
            canvas.text(across(value), base + 0.13, f"{value:g}".replace("-", "−"), 6, "center")
    middle = min(left + width / 2, canvas.width - 0.05 - text_width(AXIS, 6.5) / 2)
    canvas.text(middle, base + 0.27, AXIS, 6.5, "center", color=MUTED)
    tasks = labels(scores.task_names, left - 0.2, 6.5)
    for t in range(n):
        y = top + step * (t + 0.5)
        canvas.text(left - 0.1, y + 0.03, tasks[scores.tasks[t].name], 6.5, "right")
        for k in range(len(names)):
            if not np.isnan(table[t, k]):
                canvas.polygon(shape(k, across(table[t, k]), y, 0.045), LINES[k % 7], "#ffffff", 0.3, 4)
    for k, (name, (x, line)) in enumerate(zip(names, legend, strict=True)):
        y = base + 0.4 + 0.16 * line
        canvas.polygon(shape(k, 0.15 + x, y, 0.045), LINES[k % 7], order=4)
        canvas.text(0.25 + x, y + 0.03, _label(name), 6.5, color=INK)
    return _record(scores, names, table, canvas, style)


def _label(name: str) -> str:
    return printable(name.replace("_", " "))


def _record(scores: HeadScores, names: list[str], table: np.ndarray, canvas: Canvas, style: BlockStyle) -> Drawing:
    first, shown = _label(scores.method.name), len(table)
    shown_of = f" The first {shown} of {len(scores.tasks)} tasks." if shown < len(scores.tasks) else ""
    caption = style.of(
        f"Spearman’s rank correlation of absolute importance over heads between {first} and each other method, task by "
        f"task.{shown_of}"
    )
    said = tuple(
        f"{_label(name)}: {np.nanmedian(table[:, k]):.2f}, the median over tasks."
        for k, name in enumerate(names)
        if not np.isnan(table[:, k]).all()
    )
    alt = style.of(
        f"Rank correlations with {first}: dots for {count(shown, 'task')} and {count(len(names), 'method')}."
    )
    name = style.file("method-agreement")
    return Drawing(name, "agreement", canvas.svg(name, alt), caption, alt, canvas, block=style.block, said=said)
