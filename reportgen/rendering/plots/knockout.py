"""Knock-out curves: what is left of each task as heads are taken out in the order of a score."""

import math

from reportgen.core.trials import Curve, Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, labelled, printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.plots.grid import even
from reportgen.rendering.plots.lines import BAND, Style, legend, legend_lines, style_of_line
from reportgen.rendering.plots.medium import PAGE, Medium

COLUMNS, MOST = 4, 16  # panels in a row, and in the figure
Box = tuple[float, float, float, float]


def knockout(validation: Validation | None, medium: Medium = PAGE) -> Drawing | None:
    """Accuracy against the number of heads out, a panel a task, a line with its band an order; None where nothing was
    run.
    """
    if validation is None or not validation.curves:
        return None
    orders = dict.fromkeys(curve.order for curve in validation.curves)
    styles = {_name(order): style_of_line(i) for i, order in enumerate(orders)}
    every = list(dict.fromkeys(curve.task for curve in validation.curves))
    tasks, size = every[:MOST], medium.pt(5.5)
    rows = even(len(tasks), -(-len(tasks) // (COLUMNS if medium.width > 4 else 2)))
    left, gap, foot = 0.55, 0.18, 0.36
    width = (medium.width - left - 0.1 - (rows[0] - 1) * gap) / rows[0]
    if not medium.paper:
        width = min(width, 1.9)
    height = width * 0.8
    names = labelled(every, width, 7, bold=True)
    title = 0.12 + 0.115 * max(len(names[task]) for task in tasks)
    whole = medium.width if medium.paper else max(left + rows[0] * (width + gap) - gap + 0.1, 3.4)
    key = legend_lines(styles, whole - left, 6.5)
    canvas = Canvas(whole, len(rows) * (height + title) + foot + 0.1 + 0.16 * len(key))
    heads, i = validation.curves[0].knocked[-1], 0
    for row, length in enumerate(rows):
        for column in range(length):
            x, y = left + column * (width + gap), title + row * (height + title)
            for k, line in enumerate(reversed(names[tasks[i]])):
                canvas.text(x, y - 0.07 - 0.115 * k, line, 7, bold=True)
            last = row + 1 == len(rows) or column >= rows[row + 1]
            _axes(canvas, (x, y, width, height), heads, column == 0, last, size)
            for curve in (c for c in validation.curves if c.task == tasks[i]):
                _line(canvas, curve, styles[_name(curve.order)], (x, y, width, height))
            i += 1
    legend(canvas, styles, key, left, canvas.height - 0.16 * len(key) + 0.06, 6.5)
    return _record(validation, canvas, len(every), len(tasks))


def _name(order: str) -> str:
    return printable(order.replace("_", " "))


def _axes(canvas: Canvas, box: Box, heads: int, named: bool, last: bool, size: float) -> None:
    x, y, width, height = box
    for share in (0, 0.5, 1):
        at = y + height * (1 - share)
        canvas.lines([[(x, at), (x + width, at)]], HAIR, 0.3, 1)
        if named:
            canvas.text(x - 0.05, at + 0.03, f"{100 * share:.0f} %", size, "right")
    if named:
        canvas.text_up(0.1, y + height / 2, "Right answers", size + 0.5)
    for k in (0, *(4**i for i in range(12) if 4**i <= heads)):
        at = x + width * _along(k, heads)
        canvas.lines([[(at, y + height), (at, y + height + 0.03)]], INK, 0.4)
        if last:
            canvas.text(at, y + height + 0.12, f"{k}", size, "center")
    if last:
        canvas.text(x + width / 2, y + height + 0.25, "Heads knocked out", size + 0.5, "center", color=MUTED)


def _along(k: int, heads: int) -> float:
    """Where a number of heads stands, none at the left and all at the right."""
    return math.log2(1 + k) / math.log2(1 + heads)


def _line(canvas: Canvas, curve: Curve, style: Style, box: Box) -> None:
    x, y, width, height = box
    colour, dash = style
    across = [x + width * _along(k, curve.knocked[-1]) for k in curve.knocked]

    def points(shares: list[float]) -> list[tuple[float, float]]:
        return [(at, y + height * (1 - share)) for at, share in zip(across, shares, strict=True)]

    if curve.low:
        canvas.polygon([*points(curve.high), *reversed(points(curve.low))], colour + BAND, order=2)
    canvas.lines([points(curve.accuracy)], colour, 1.0, 4, dash)


def _record(validation: Validation, canvas: Canvas, every: int, shown: int) -> Drawing:
    more = f" The first {shown} of {every} tasks." if every > shown else ""
    caption = (
        "Accuracy on held-out examples as heads are knocked out (mean ablation), first those that each scored method "
        "puts first; for comparison by activation norm, from the first layer up (layer order), and at random (mean). "
        f"Bands: 95 % intervals over groups of examples. Logarithmic in one more than the number of heads.{more}"
    )
    alt = f"Knock-out curves of {fmt.count(shown, 'task')}, a line with its band for each order of the heads."
    said = tuple(
        f"{_name(r.order)}: {fmt.number(r.area.estimate)} of the answer’s probability is lost on average."
        for r in validation.rankings
    )
    svg = canvas.svg("knockout", alt)
    return Drawing("knockout", "validation", svg, caption, alt, canvas, wide=True, said=said)
