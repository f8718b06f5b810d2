"""How tasks relate: which sets of tasks share important heads, and how alike the tasks' maps are."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Float

from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import Similarity, kind_of
from reportgen.core.scores import HeadScores
from reportgen.core.stats import among_top
from reportgen.rendering.format import count, ordinal_list
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, Point, labels, printable
from reportgen.rendering.plots.drawing import BlockStyle, Drawing
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.heatmap import draw_colour_bar
from reportgen.rendering.plots.scale import Scale
from reportgen.rendering.plots.shapes import circle
from reportgen.rendering.plots.signs import draw_signs

TOP = 0.1  # of the heads, at least one: those that are a task's; the share that cross-task maps and comparisons use too
SETS, ROWS = 12, 24  # columns and rows of the figure at most
NUMBERED = 12  # tasks up to which the cells of the similarity matrix hold their numbers
Sets = list[tuple[tuple[int, ...], int]]


def top_sets(scores: HeadScores) -> Sets:
    """Return the sets of tasks that have a head in common among their top tenth, and how many heads; the most heads
    first.

    Every head counts once, under the tasks that have it and no others, as in an UpSet plot (Lex et al. 2014).
    """
    size = np.abs(scores.importance[:, scores.present].astype(float))
    keep = max(1, round(TOP * size.shape[1]))
    owners = among_top(size, keep).T.tolist()
    found = Counter(tuple(t for t, has in enumerate(row) if has) for row in owners)
    found.pop((), None)
    return sorted(found.items(), key=lambda item: (-item[1], -len(item[0]), item[0]))


def shared(scores: HeadScores, style: BlockStyle) -> Drawing | None:
    """Draw an UpSet plot of the tasks' most important heads; None for a single task, or too many for one figure."""
    sets = top_sets(scores)[:SETS]
    rows = sorted({t for tasks, _ in sets for t in tasks})
    if len(scores.tasks) < 2 or not 2 <= len(rows) <= ROWS:
        return None
    left, bars, step = 1.3, 0.7, 0.15
    wide = min(0.3, (style.medium.width - left - 0.15) / max(len(sets), 4))
    canvas = Canvas(left + wide * max(len(sets), 4) + 0.15, 0.2 + bars + 0.1 + step * len(rows) + 0.05)
    top, most = 0.2 + bars + 0.1, max(n for _, n in sets)
    names = labels(scores.task_names, left - 0.15, 6.5)
    for i, t in enumerate(rows):
        y = top + step * (i + 0.5)
        if i % 2 == 0:
            canvas.rectangle(0.05, y - step / 2, canvas.width - 0.1, step, "#f2f4f6", order=0.5)
        canvas.text(left - 0.08, y + 0.03, names[scores.tasks[t].name], 6.5, "right")
    for k, (tasks, n) in enumerate(sets):
        x, height = left + wide * (k + 0.5), bars * n / most
        canvas.rectangle(x - wide * 0.32, 0.2 + bars - height, wide * 0.64, height, "#0072b2")
        canvas.text(x, 0.2 + bars - height - 0.03, f"{n}", 6, "center")
        centres = [top + step * (rows.index(t) + 0.5) for t in tasks]
        canvas.lines([[(x, centres[0]), (x, centres[-1])]], INK, 1.0, 3)
        for i, t in enumerate(rows):
            y, size = top + step * (i + 0.5), 0.04
            if t in tasks:
                canvas.polygon(circle(x, y, 0.045), INK, order=4)
            else:
                canvas.rectangle(x - size / 2, y - size / 2, size, size, HAIR, order=4)
    canvas.lines([[(left, 0.2 + bars), (canvas.width - 0.1, 0.2 + bars)]], INK, 0.4)
    canvas.text_up(left - 0.12, 0.2 + bars / 2, "Heads", 6.5)
    return _shared_record(scores, sets, canvas, style)


def _shared_record(scores: HeadScores, sets: Sets, canvas: Canvas, style: BlockStyle) -> Drawing:
    keep = max(1, round(TOP * int(scores.present.sum())))
    left_out = len(top_sets(scores)) - len(sets)
    more = (
        f" {'One smaller set' if left_out == 1 else f'The {left_out:,} smaller sets'} of tasks "
        f"{'is' if left_out == 1 else 'are'} left out."
        if left_out
        else ""
    )
    caption = style.of(
        f"Heads that tasks share. Each task’s {count(keep, 'most important head')} (a tenth of all), counted once "
        f"under exactly those tasks (dots) that have them.{more}"
    )
    said = tuple(
        f"At the top of exactly {ordinal_list([printable(scores.tasks[t].name) for t in tasks])}: {count(n, 'head')}."
        for tasks, n in sets
    )
    alt = style.of(f"UpSet plot: how many of their top heads {count(len(scores.tasks), 'task')} share.")
    name = style.file("shared-heads")
    return Drawing(name, "across_tasks", canvas.svg(name, alt), caption, alt, canvas, block=style.block, said=said)


def similarity(findings: Findings, style: BlockStyle) -> Drawing | None:
    """Draw the matrix of rank correlations between tasks in the order of their clustering, and its dendrogram."""
    found = next((f for f in findings.ranked() if kind_of(f.kind).shown == "similarity"), None)
    if found is None or found.data is None or not found.tasks:
        return None
    data = cast(Similarity, found.data)
    names, order = found.tasks, [found.tasks.index(name) for name in data["order"]]
    values = np.array(data["overall"], dtype=float)[np.ix_(order, order)]
    n, tree = len(order), 0.3
    left = min(1.47, max(1.0, style.medium.width - tree - 0.2 - 0.16 * n))  # room for numbers comes before long names
    room = style.medium.width - left - tree - 0.2
    numbered = n <= NUMBERED and room / n >= 0.155
    bar = 0.0 if numbered else 0.55
    side = min(room - bar, 0.3 * n if numbered else 3.0)
    canvas = Canvas(left + side + tree + 0.2 + bar, 0.22 + max(side, 0.6) + 0.08)
    low = min(0.0, float(values.min()))
    scale = Scale(-1 if low < 0 else 0, 1, "RdBu_r" if low < 0 else style.sequential, 0, n * n, 1)
    canvas.image(scale.colours(values), left, 0.22, side, side)
    canvas.rectangle(left, 0.22, side, side, "none", INK, 0.4)
    cell, labelled = side / n, labels(names, left - 0.3, 6.5)
    for i, t in enumerate(order):
        y = 0.22 + cell * (i + 0.5) + 0.03
        if numbered or i % -(-n // 24) == 0:
            label = f"{labelled[names[t]]}  {i + 1}"
            canvas.text(left - 0.06, y, label, 6.5, "right")
            canvas.text(left + cell * (i + 0.5), 0.17, f"{i + 1}", 6, "center", color=MUTED)
        if numbered:
            _numbers(canvas, scale, values[i], left, y, cell)
    _tree(canvas, data["merges"], order, left + side + 0.06, 0.22, cell, tree)
    if bar:
        draw_signs(canvas, Grid(left, 0.22, side, side, n, n, "down"), values, scale)
        draw_colour_bar(canvas, scale, canvas.width - 0.38, 0.22, max(side, 0.6), "correlation")
    return _similarity_record(found, values, [names[t] for t in order], canvas, style)


def _numbers(canvas: Canvas, scale: Scale, row: Float[np.ndarray, "task"], left: float, y: float, cell: float) -> None:
    for j, value in enumerate(row):
        red, green, blue = scale.colours(np.array([value]))[0] / 255
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        text = f"{min(value, 0.99) if value < 1 else value:.2f}".replace("0.", ".", 1).replace("-", "−")
        canvas.text(
            left + cell * (j + 0.5), y, "1" if value == 1 else text, 6, "center", color="#ffffff" if dark else INK
        )


def _tree(
    canvas: Canvas,
    merges: Sequence[Sequence[float]],
    order: Sequence[int],
    x: float,
    top: float,
    cell: float,
    wide: float,
) -> None:
    """Draw the dendrogram, its leaves on the matrix's rows; further right joins what is less alike."""
    n = len(order)
    nodes: dict[int, Point] = {t: (0.0, top + cell * (i + 0.5)) for i, t in enumerate(order)}
    farthest = max(float(row[2]) for row in merges) or 1.0
    for k, (a, b, height, _) in enumerate(merges):
        (x1, y1), (x2, y2), at = nodes[int(a)], nodes[int(b)], float(height) / farthest
        canvas.lines([[(x + wide * x1, y1), (x + wide * at, y1), (x + wide * at, y2), (x + wide * x2, y2)]], MUTED, 0.7)
        nodes[n + k] = (at, (y1 + y2) / 2)


def _similarity_record(
    found: Finding, values: np.ndarray, names: Sequence[str], canvas: Canvas, style: BlockStyle
) -> Drawing:
    caption = style.of(
        "Spearman’s rank correlation of importance between every two tasks, over all heads. Tasks stand in the order "
        "of average-linkage clustering of one minus the correlation; its tree is on the right."
    )
    pairs = [(values[i, j], i, j) for i in range(len(names)) for j in range(i)]
    (most, a, b), (least, c, d) = max(pairs), min(pairs)
    alt = style.of(f"Matrix of rank correlations between {count(len(names), 'task')}, with a dendrogram.")
    said = (
        f"Most alike: {printable(names[b])} and {printable(names[a])}, {most:.2f}.",
        f"Least alike: {printable(names[d])} and {printable(names[c])}, {least:.2f}.",
        f"Order: {', '.join(map(printable, names))}.",
    )
    name = style.file("task-similarity")
    return Drawing(name, "across_tasks", canvas.svg(name, alt), caption, alt, canvas, block=style.block, said=said)
