"""What knocking out each task's first heads leaves, beside other heads of the same layers: a row a task."""

from collections.abc import Sequence
from dataclasses import dataclass

from reportgen.core.findings import Verdict
from reportgen.core.trials import TOP, Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, labels, printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.medium import PAGE, Medium
from reportgen.rendering.plots.shapes import circle

MOST = 32  # tasks in the figure
FOUND = "#b5470f"  # Okabe and Ito's vermilion, darkened to 5 : 1 on white; shape tells the marks apart without it
NAMED = 4  # heads of a row that are written out


@dataclass(frozen=True)
class Row:
    """A task's share of right answers on held-out examples: with the whole model, with the mean in place of as many
    other heads of the same layers (None: no such sets), and in place of its first ``heads``.
    """

    task: str
    heads: tuple[str, ...]
    intact: float
    controls: float | None
    found: float
    verdict: Verdict
    examples: int


def rows(validation: Validation | None) -> list[Row]:
    """Return every task's row, the one that loses most beside its controls first; none where nothing was tried."""
    made = [
        Row(
            trial.tasks[0],
            tuple(trial.heads),
            trial.intact.accuracy,
            None if trial.after_controls is None else trial.after_controls.accuracy,
            trial.knocked_out.accuracy,
            trial.verdict,
            trial.examples,
        )
        for trial in (validation.trials if validation is not None else [])
        if trial.kind == TOP
    ]
    return sorted(made, key=lambda row: row.found - (row.intact if row.controls is None else row.controls))


def dumbbell(validation: Validation | None, medium: Medium = PAGE, section: str = "") -> Drawing | None:
    """Draw the rows; None where nothing was tried."""
    every = rows(validation)
    shown = every[:MOST]
    if not shown:
        return None
    heads = [_heads(row) for row in shown]
    size = medium.pt(6.5)
    right = max(text_width(text, size - 0.5) for text in heads) + 0.18
    width = medium.width if medium.paper else min(medium.width, 5.4)
    left = min(1.7, 0.34 * width)
    names = labels([row.task for row in shown], left - 0.12, size)
    step, top, body = 0.185, 0.3, width - left - right
    canvas = Canvas(width, top + step * len(shown) + 0.34)
    base = top + step * len(shown)

    def across(share: float) -> float:
        return left + body * share

    for share in (0, 0.25, 0.5, 0.75, 1):
        canvas.lines([[(across(share), top), (across(share), base)]], HAIR, 0.3, 1)
        canvas.text(across(share), base + 0.13, f"{100 * share:g} %", size - 0.5, "center")
    canvas.text(left + body / 2, base + 0.28, "Right answers on held-out examples", size, "center", color=MUTED)
    canvas.text(left + body + 0.14, top - 0.06, "Heads", size, color=MUTED)
    for i, row in enumerate(shown):
        y = top + step * (i + 0.5)
        canvas.text(left - 0.1, y + 0.03, names[row.task], size, "right")
        canvas.text(left + body + 0.14, y + 0.03, heads[i], size - 0.5, color=MUTED)
        _marks(canvas, across(row.found), None if row.controls is None else across(row.controls), across(row.intact), y)
    _legend(canvas, size, left, any(row.controls is not None for row in shown))
    return _record(shown, len(every), canvas, section)


def _heads(row: Row) -> str:
    more = len(row.heads) - NAMED
    return " ".join(row.heads[:NAMED]) + (f" +{more}" if more > 0 else "")


def _marks(canvas: Canvas, found: float, controls: float | None, intact: float, y: float) -> None:
    """Draw a dot for the found heads, a ring for other ones, a stroke for the whole model."""
    canvas.lines([[(found, y), (intact if controls is None else controls, y)]], "#9aa3ad", 1.2, 2)
    canvas.lines([[(intact, y - 0.075), (intact, y + 0.075)]], INK, 1.1, 3)
    if controls is not None:
        canvas.polygon(circle(controls, y, 0.042), "#ffffff", MUTED, 1.1, 4)
    canvas.polygon(circle(found, y, 0.048), FOUND, order=5)


def _legend(canvas: Canvas, size: float, x: float, compared: bool) -> None:
    y = 0.1
    parts = [("found", "without its heads"), ("ring", "without others of their layers"), ("stroke", "whole model")]
    total = sum(0.24 + text_width(text, size - 0.5) for _, text in parts)
    x = min(x, canvas.width - total)
    for kind, text in parts:
        if kind == "found":
            canvas.polygon(circle(x + 0.05, y, 0.048), FOUND, order=5)
        elif kind == "stroke":
            canvas.lines([[(x + 0.05, y - 0.075), (x + 0.05, y + 0.075)]], INK, 1.1, 3)
        elif compared:
            canvas.polygon(circle(x + 0.05, y, 0.042), "#ffffff", MUTED, 1.1, 4)
        else:
            continue
        canvas.text(x + 0.13, y + 0.03, text, size - 0.5)
        x += 0.24 + text_width(text, size - 0.5)


def _record(shown: Sequence[Row], total: int, canvas: Canvas, section: str) -> Drawing:
    numbers = sorted({row.examples for row in shown})
    n = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
    more = f" The {len(shown)} of {total} tasks that lose most." if total > len(shown) else ""
    caption = (
        f"Right answers with the mean in place of each task’s first heads (dot), of as many other heads of the same "
        f"layers (ring, mean over sets), and with the whole model (stroke); {n} held-out examples a task.{more}"
    )
    alt = f"Dumbbell chart: accuracy on {fmt.count(len(shown), 'task')} without found heads, and without others."
    said = tuple(_said(row) for row in shown)
    return Drawing("dumbbell", section, canvas.svg("dumbbell", alt), caption, alt, canvas, said=said)


def _said(row: Row) -> str:
    others = "" if row.controls is None else f", {fmt.share(row.controls)} without others of their layers"
    return (
        f"{printable(row.task)}: {fmt.share(row.found)} without {fmt.ordinal_list(list(row.heads))}{others}, "
        f"{fmt.share(row.intact)} with all."
    )
