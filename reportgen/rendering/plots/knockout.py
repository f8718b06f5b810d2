"""Knock-out curves: what is left of each task as heads are taken out in the order of a score."""

import math
from collections.abc import Sequence

from reportgen.core.trials import Curve, Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, printable, wrapped
from reportgen.rendering.plots.curves import LINES
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.medium import PAGE, Medium
from reportgen.rendering.plots.renderer import Dash

COLUMNS, MOST = 4, 16  # panels in a row, and in the figure
# Controls are dashed, each in its own way, so that they are told apart without colours
DASHES: tuple[Dash, ...] = ((0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
Styles = dict[str, tuple[str, Dash]]  # by order: the colour and the dashes of its line


def knockout(validation: Validation | None, medium: Medium = PAGE) -> Drawing | None:
    """Accuracy against the number of heads out, a panel a task, a line an order; None where nothing was run."""
    if validation is None or not validation.curves:
        return None
    styles = _styles(validation.curves)
    names = list(styles)
    tasks = list(dict.fromkeys(curve.task for curve in validation.curves))[:MOST]
    columns = min(COLUMNS if medium.width > 4 else 2, len(tasks))
    rows = -(-len(tasks) // columns)
    left, gap, title, foot, legend = 0.42, 0.16, 0.3, 0.36, 0.18 * (1 + len(names) // 5)
    width = min((medium.width - left - 0.1 - (COLUMNS - 1) * gap) / COLUMNS * (1.35 if columns < 3 else 1), 1.9)
    if medium.paper:
        title = 0.38
        width = (medium.width - left - 0.1 - (columns - 1) * gap) / columns
        lines = _legend_lines(names, medium.width - left)
        legend = 0.18 * (1 + lines)
    canvas = Canvas(max(left + columns * (width + gap), 3.4), rows * (width * 0.8 + title) + foot + legend)
    if medium.paper:
        canvas = Canvas(medium.width, canvas.height)
    for i, task in enumerate(tasks):
        row, column = divmod(i, columns)
        x, y = left + column * (width + gap), title + row * (width * 0.8 + title)
        for k, line in enumerate(reversed(wrapped(task, width, 7, bold=True, lines=2 if medium.paper else 1))):
            canvas.text(x, y - 0.07 - 0.115 * k, line, 7, bold=True)
        _axes(
            canvas,
            x,
            y,
            width,
            width * 0.8,
            validation.curves[0].knocked[-1],
            column == 0,
            i + columns >= len(tasks),
            medium.pt(5.5),
        )
        for curve in (c for c in validation.curves if c.task == task):
            _line(canvas, curve, styles[curve.order], x, y, width, width * 0.8)
    _legend(canvas, styles, left, canvas.height - legend + 0.08)
    return _record(validation, canvas, names, tasks)


def _axes(
    canvas: Canvas, x: float, y: float, width: float, height: float, heads: int, named: bool, last: bool, size: float
) -> None:
    for share in (0, 0.5, 1):
        at = y + height * (1 - share)
        canvas.lines([[(x, at), (x + width, at)]], HAIR, 0.3, 1)
        if named:
            canvas.text(x - 0.05, at + 0.03, f"{100 * share:.0f} %", 6, "right")
    for k in (0, *(4**i for i in range(12) if 4**i <= heads)):
        at = x + width * _along(k, heads)
        canvas.lines([[(at, y + height), (at, y + height + 0.03)]], INK, 0.4)
        if last:
            canvas.text(at, y + height + 0.12, f"{k}", size, "center")
    if last:
        canvas.text(x + width / 2, y + height + 0.25, "Heads out", 6.5, "center", color=MUTED)


def _along(k: int, heads: int) -> float:
    """Where a number of heads stands, none at the left and all at the right."""
    return math.log2(1 + k) / math.log2(1 + heads)


def _styles(curves: Sequence[Curve]) -> Styles:
    names = dict.fromkeys(curve.order for curve in curves)
    controls = list(dict.fromkeys(curve.order for curve in curves if curve.control))
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(controls)}
    return {name: (LINES[i % 7], dashes.get(name)) for i, name in enumerate(names)}


def _line(
    canvas: Canvas, curve: Curve, style: tuple[str, Dash], x: float, y: float, width: float, height: float
) -> None:
    colour, dash = style
    points = [
        (x + width * _along(k, curve.knocked[-1]), y + height * (1 - accuracy))
        for k, accuracy in zip(curve.knocked, curve.accuracy, strict=True)
    ]
    canvas.lines([points], colour, 1.0, 4, dash)


def _legend_lines(names: Sequence[str], room: float) -> int:
    """How many lines the legend takes, the first one less."""
    lines, at = 0, 0.0
    for name in names:
        width = 0.4 + text_width(printable(name.replace("_", " ")), 6.5)
        if at + width > room:
            at, lines = 0.0, lines + 1
        at += width + 0.05
    return lines


def _legend(canvas: Canvas, styles: Styles, x: float, y: float) -> None:
    at = x
    for name, (colour, dash) in styles.items():
        label = printable(name.replace("_", " "))
        if at + 0.4 + text_width(label, 6.5) > canvas.width:
            at, y = x, y + 0.16
        canvas.lines([[(at, y), (at + 0.25, y)]], colour, 1.2, 4, dash)
        canvas.text(at + 0.3, y + 0.03, label, 6.5)
        at += 0.45 + text_width(label, 6.5)


def _record(validation: Validation, canvas: Canvas, names: Sequence[str], tasks: Sequence[str]) -> Drawing:
    more = len(validation.tasks) - len(tasks)
    shown = f" The first {len(tasks)} of {len(validation.tasks)} tasks." if more else ""
    caption = (
        "Accuracy on held-out examples as heads are knocked out (mean ablation) in the order of each scored method, "
        "and, dashed, of the activation norm, of the layers from the first up, and of random orders (their mean). "
        f"Logarithmic in one more than the number of heads.{shown}"
    )
    areas = "; ".join(
        f"{printable(r.order.replace('_', ' '))} {fmt.number(r.area.estimate)}" for r in validation.rankings
    )
    alt = f"Knock-out curves of {fmt.count(len(tasks), 'task')}. Mean share of the probability lost: {areas}."
    return Drawing("knockout", "validation", canvas.svg("knockout", alt), caption, alt, canvas, wide=True)
