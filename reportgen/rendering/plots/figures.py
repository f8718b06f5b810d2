"""The report's figures. Each is drawn once; page, PDF and paper share it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import Blocks, parsed, title, written
from reportgen.core.findings import Findings
from reportgen.core.kinds import kind_of
from reportgen.core.scores import HeadScores
from reportgen.core.stats import among_top
from reportgen.rendering.format import count, number
from reportgen.rendering.plots import alt_text as describe
from reportgen.rendering.plots.canvas import Canvas, fitted, printable
from reportgen.rendering.plots.curves import concentration, profiles
from reportgen.rendering.plots.drawing import BlockStyle, Drawing, box_of, layer_means, panel_of
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.heatmap import (
    Marks,
    draw_axes,
    draw_bars,
    draw_cells,
    draw_colour_bar,
    draw_marks,
    draw_names,
    single,
)
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.medium import Medium
from reportgen.rendering.plots.overview import marks_for, marks_note, overview, percentiles
from reportgen.rendering.plots.relations import shared, similarity
from reportgen.rendering.plots.scale import Scale, own_scale
from reportgen.rendering.plots.signs import sign_note

NAMED = 8  # heads named beside a map


def _panel_widths(medium: Medium, names: float) -> tuple[float, float]:
    """Of a task's heatmap and of the bars beside it, where heads' names take their room between them."""
    if not medium.paper:
        return 2.25, 0.85
    room = medium.width - 0.45 - names - 0.86
    side = min(0.68 * room, 3.2)
    return side, min(room - side, 1.6)


def panel(scores: HeadScores, findings: Findings, style: BlockStyle, t: int, name: str) -> Drawing:
    """Draw one task's heatmap on its own scale with the mean of each layer beside it, on the same layer axis."""
    task, values = scores.tasks[t], scores.importance[t]
    found = findings.by_task(task.name)
    marks = marks_for(found, values)
    named = list(dict.fromkeys([*marks.named, *marks.top]))[:NAMED]
    size = style.medium.pt(5.5)
    names = 0.2 + max((text_width(written(scores.block, head), size) for head in named), default=0.0)
    left, top, side, profile = 0.45, 0.3, *_panel_widths(style.medium, names)
    height = side * min(1.2, max(0.15, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + side + names + profile + 0.86, top + max(height, 0.6) + 0.42)
    grid = Grid(left, top, side, height, scores.n_layers, scores.n_heads, style.order)
    scale = own_scale(values, style.scale)
    draw_cells(canvas, grid, values, scale)
    draw_marks(canvas, grid, marks)
    draw_names(canvas, grid, named, scores.block, size)
    draw_axes(canvas, grid)
    if scores.whole:  # the mean of some heads is no layer's
        draw_bars(canvas, grid, layer_means(values).tolist(), left + side + names, profile, "layer mean")
    beside = (", and, right, the mean of each layer", ", with bars of the layer means")
    right, bars = beside if scores.whole else ("", "")
    heading = ", ".join(part for part in (printable(task.name), title(style.block)) if part)
    canvas.text(left, top - 0.1, fitted(heading, side + names + profile, 8, bold=True), 8, bold=True)
    bar = draw_colour_bar(canvas, scale, canvas.width - 0.5, top, max(height, 0.6), style.unit)
    ends = f" Colour ends at {number(scale.high)}; the largest is {number(scale.largest)}." if scale.clipped else ""
    caption = (
        f"{heading}: {style.unit} of each head ({style.layers}), on the task’s own scale{right}."
        f"{ends}{sign_note(grid, scale)}{marks_note([marks])}"
    )
    alt = style.of(f"Heatmap of {describe.axes(scores, style)} on {printable(task.name)}{bars}.")
    said = (describe.scale(scale, style.unit), describe.statistics(scores, t), *describe.found_each(found))
    shown = replace(panel_of(canvas, grid, t), scale=(scale.low, scale.high))
    svg, where = canvas.svg(name, alt), box_of(canvas, *bar)
    return Drawing(name, "tasks", svg, caption, alt, canvas, False, style.block, "own", (shown,), where, said)


def top_counts(scores: HeadScores) -> Float[np.ndarray, "layer head"]:
    """Return in how many tasks each head is among the top 10 % of its layer (at least one head); absent heads NaN."""
    keep = np.maximum(1, np.round(0.1 * scores.present.sum(axis=1)))
    counts: np.ndarray = among_top(np.abs(scores.importance), keep[:, None]).sum(axis=0).astype(float)
    counts[~scores.present] = np.nan
    return counts


def cross_task(scores: HeadScores, findings: Findings, style: BlockStyle) -> Drawing | None:
    """Draw a map of how many tasks have each head in the top 10 % of its layer; None for a single task."""
    if len(scores.tasks) < 2:
        return None
    counts = top_counts(scores)
    shared_heads = [f for f in findings.ranked() if kind_of(f.kind).shown == "counted"]
    found = [str(m) for f in shared_heads for m in f.members or []]
    named = [parsed(m) for m in dict.fromkeys(found)]
    top = max(1, int(np.nanmax(counts)))
    scale = Scale(0, top, "cividis", 0, int(scores.present.sum()), top)
    size = style.medium.pt(5.5)
    names = max((0.2 + text_width(written(scores.block, head), size) for head in named), default=0.0)
    left, side = 0.45, min(2.6, style.medium.width - 0.45 - names - 0.86)
    height = side * min(1.2, max(0.15, scores.n_layers / scores.n_heads))
    canvas = Canvas(left + side + names + 0.86, 0.1 + max(height, 0.6) + 0.42)
    grid = Grid(left, 0.1, side, height, scores.n_layers, scores.n_heads, style.order)
    draw_cells(canvas, grid, counts, scale)
    masks: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for f in shared_heads:
        masks[f.register == "tested"] += [single(counts.shape, parsed(str(m))) for m in f.members or []]
    marks = Marks(tuple(masks[True]), tuple(masks[False]))
    draw_marks(canvas, grid, marks)
    draw_names(canvas, grid, named, scores.block, size)
    draw_axes(canvas, grid)
    bar = draw_colour_bar(canvas, scale, canvas.width - 0.5, 0.1, max(height, 0.6), "number of tasks")
    heads = int((counts == top).sum())
    caption = style.of(
        f"Number of tasks (of {len(scores.tasks)}) on which a head is among the top 10 % of its layer by absolute "
        f"{style.unit} ({style.layers}). {'Named: heads found to be shared by tasks.' if found else ''}"
    )
    alt = style.of(f"Heatmap of {describe.axes(scores, style)}: on how many tasks each head leads its layer.")
    said = (
        f"Colour is the number of tasks, from 0 to {top}.",
        f"The highest count, {top} of {len(scores.tasks)} tasks, is reached by {count(heads, 'head')} in "
        f"{describe.layers_of(counts, top)}.",
        *describe.found_each(shared_heads),
    )
    name, panels, where = style.file("cross-task"), (panel_of(canvas, grid, None),), box_of(canvas, *bar)
    svg, caption = canvas.svg(name, alt), caption.strip() + marks_note([marks])
    return Drawing(name, "across_tasks", svg, caption, alt, canvas, False, style.block, "count", panels, where, said)


def all_figures(
    blocks: Blocks, findings: Findings, styles: Sequence[BlockStyle], names: Sequence[Sequence[str]]
) -> list[Drawing]:
    """Draw every figure of the report in reading order; ``names[task][block]`` are the per-task figures' file names."""
    each = [(scores, findings.of_block(scores.block), style) for scores, style in zip(blocks, styles, strict=True)]
    overviews = [drawing for block in each for drawing in (*overview(*block), *percentiles(*block))]
    panels = [panel(*block, t, row[i]) for t, row in enumerate(names) for i, block in enumerate(each)]
    rest = [d for block in each for d in _across(*block) if d is not None]
    return [*overviews, *panels, *rest]


def _across(scores: HeadScores, findings: Findings, style: BlockStyle) -> list[Drawing | None]:
    """Draw a block's figures that compare tasks: they speak of layers and of sums over all heads."""
    if not scores.whole:
        return []
    counts = cross_task(scores, findings, style)
    return [
        profiles(scores, style),
        counts,
        shared(scores, style),
        similarity(findings, style),
        concentration(scores, style),
    ]
