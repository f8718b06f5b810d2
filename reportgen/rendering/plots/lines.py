"""Lines that differ in colour and dash, told apart in grey and by the colour-blind too, and their legend."""

from collections.abc import Mapping, Sequence

from reportgen.rendering.plots.canvas import INK, Canvas
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.renderer import Dash

# Okabe and Ito's palette without its yellow, which is too light for lines
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK)
# Of 7 colours and 4 dashes, which have no common divisor, 28 lines in a row are unlike and neighbours differ in both.
DASHES: tuple[Dash, ...] = (None, (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
BAND = "24"  # of 255, how opaque bands are: what lies under several is seen
Style = tuple[str, Dash]


def style_of_line(number: int) -> Style:
    """Return the colour and the dashes of a figure's line of that number, from 0."""
    return LINES[number % len(LINES)], DASHES[number % len(DASHES)]


def legend_lines(styles: Mapping[str, Style], room: float, size: float) -> list[list[str]]:
    """Return the names of a legend by the lines that they take in ``room`` inches."""
    lines, at = list[list[str]]([[]]), 0.0
    for name in styles:
        width = 0.45 + text_width(name, size)
        if lines[-1] and at + width > room:
            lines.append([])
            at = 0.0
        lines[-1].append(name)
        at += width
    return lines


def legend(
    canvas: Canvas, styles: Mapping[str, Style], lines: Sequence[Sequence[str]], x: float, y: float, size: float
) -> None:
    """Draw the legend, its first line's middle at ``y``."""
    for row, names in enumerate(lines):
        at, middle = x, y + 0.16 * row
        for name in names:
            colour, dash = styles[name]
            canvas.lines([[(at, middle), (at + 0.27, middle)]], colour, 1.2, 4, dash)
            canvas.text(at + 0.32, middle + 0.03, name, size)
            at += 0.45 + text_width(name, size)
