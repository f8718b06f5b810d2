"""The published layout: the heatmaps of many tasks in one figure, four in a row, each with its maximum printed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from reportgen.core.blocks import parsed
from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import kind_of
from reportgen.core.scores import Head, HeadScores
from reportgen.rendering.format import count, number
from reportgen.rendering.plots import alt_text as describe
from reportgen.rendering.plots.canvas import MUTED, Canvas, fitted, labelled, printable
from reportgen.rendering.plots.drawing import BlockStyle, Box, Drawing, Panel, Shows, box_of, panel_of
from reportgen.rendering.plots.grid import Grid, even
from reportgen.rendering.plots.heatmap import Marks, draw_axes, draw_cells, draw_colour_bar, draw_marks, single
from reportgen.rendering.plots.medium import Medium
from reportgen.rendering.plots.scale import Scale, own_scale
from reportgen.rendering.plots.signs import sign_note

# Four panels in a row, as in the published figure that sample_data/figure follows; more tasks make more figures.
COLUMNS, ROWS = 4, 4
TOP = 3  # heads framed on each map
SMALL = 8  # maps on a report's first screen
# Share of a shared scale that every task's largest head has to reach: below it a map is dark blue throughout, viridis
# being bluish green from two fifths up, and its pattern does not show.
LEGIBLE = 0.4


@dataclass(frozen=True)
class Maps:
    """What the panels of a figure show: values by task, each task's colour scale, and the figure's bar (None: none)."""

    values: Float[np.ndarray, "task layer head"]
    scales: Sequence[Scale]
    bar: Scale | None
    unit: str
    shows: Shows


def overview(scores: HeadScores, findings: Findings, style: BlockStyle) -> list[Drawing]:
    """Draw all tasks' heatmaps, a figure per sixteen: on one scale where every task's pattern shows on it, else each on
    its own.
    """
    if serves(scores, style.scale):
        shared = Maps(scores.importance, [style.scale] * len(scores.tasks), style.scale, style.unit, "value")
        return _figures(scores, findings, style, shared)
    return _figures(scores, findings, style, _own(scores, style))


def serves(scores: HeadScores, scale: Scale) -> bool:
    """Return whether every task's largest head comes near enough to the end of the scale that all share."""
    largest = [float(np.nanmax(np.abs(values))) for values in scores.importance]
    return all(value >= LEGIBLE * scale.high for value in largest if value > 0)


def _own(scores: HeadScores, style: BlockStyle) -> Maps:
    scales = [own_scale(values, style.scale) for values in scores.importance]
    low = -100 if style.scale.signed else 0
    clipped = max(s.clipped for s in scales)
    bar = Scale(low, 100, style.scale.colormap, clipped, style.scale.total, 100)
    return Maps(scores.importance, scales, bar, f"% of each map’s {'end of scale' if clipped else 'maximum'}", "own")


def percentiles(scores: HeadScores, findings: Findings, style: BlockStyle) -> list[Drawing]:
    """Draw the same layout in percentiles within each task, so that every task's pattern shows whatever its scale."""
    cells = int(scores.present.sum())
    scale = Scale(0, 100, style.sequential, 0, cells, 100)
    # Steps of 2 % look the same and spare half of the image.
    ranked = np.stack([np.round(percentile_of(values) / 2) * 2 for values in scores.importance])
    maps = Maps(ranked, [scale] * len(ranked), scale, "percentile within the task", "percentile")
    return _figures(scores, findings, replace(style, scale=scale), maps)


def percentile_of(values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "layer head"]:
    """Return each head's rank by absolute value in per cent of the number of heads; ties share the middle of their
    ranks.
    """
    result, present = np.full(values.shape, np.nan), ~np.isnan(values)
    result[present] = 100 * rankdata(np.abs(values[present].astype(float))) / present.sum()
    return result


def small_maps(
    scores: HeadScores, style: BlockStyle, tasks: Sequence[int] | None = None, columns: int = COLUMNS
) -> Drawing:
    """Draw at most eight tasks' maps for a first screen, each on its own scale, with its maximum and its top heads.

    ``tasks`` are zero-based; without them the first ones are shown. Two ``columns`` suit a phone.
    """
    shown = list(range(len(scores.tasks)))[:SMALL] if tasks is None else list(tasks)[:SMALL]
    maps = replace(_own(scores, style), bar=None)
    medium = replace(style.medium, width=min(1.15 * columns, style.medium.width), paper=False)
    canvas, panels, _ = _drawn(scores, maps, [Marks(top=top_heads(v)) for v in scores.importance], shown, medium, style)
    left_out = len(scores.tasks) - len(shown)
    some = f" {len(shown)} of {len(scores.tasks)} tasks." if left_out else ""
    caption = style.of(
        f"{_quantity(style)}, {style.layers}; every map on its own scale, from 0 in dark purple to the number above it "
        f"in bright yellow. Framed: up to {TOP} largest heads.{some}"
        if not style.scale.signed
        else f"{_quantity(style)}, {style.layers}; every map on its own scale around 0. Framed: up to {TOP} largest "
        f"heads.{some}"
    )
    alt = style.of(f"Small heatmaps of {count(len(shown), 'task')}, layer by head, each on its own scale.")
    said = tuple(f"{printable(scores.tasks[t].name)}: {describe.largest(scores, t)} is the largest." for t in shown)
    name = style.file("maps" if columns == COLUMNS else f"maps-{columns}")
    svg = canvas.svg(name, alt)
    return Drawing(name, "", svg, caption, alt, canvas, True, style.block, "own", panels, None, said)


def top_heads(values: Float[np.ndarray, "layer head"], most: int = TOP) -> tuple[Head, ...]:
    """Return the heads of largest absolute value, no more than ``most`` and none of them tied with one left out."""
    size = np.nan_to_num(np.abs(values.astype(float)), nan=-1.0)
    order = np.argsort(-size, axis=None, kind="stable")[: most + 1]
    least = size.ravel()[order[-1]] if size.size > most else -1.0
    found = [Head(*map(int, np.unravel_index(i, values.shape))) for i in order if size.ravel()[i] > max(least, 0.0)]
    return tuple(found[:most])


def marks_for(findings: Iterable[Finding], values: Float[np.ndarray, "layer head"]) -> Marks:
    """Return what is marked on a task's map: the regions and single heads of its findings, and its top heads."""
    masks: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for f in findings:
        shown, tested = kind_of(f.kind).shown, f.register == "tested"
        if shown == "outlined":
            masks[tested].append(f.mask((values.shape[0], values.shape[1])))
        elif shown == "framed":
            masks[tested] += [single(values.shape, parsed(str(m))) for m in dict.fromkeys(f.members or [])]
    return Marks(tuple(masks[True]), tuple(masks[False]), top_heads(values))


def marks_note(marks: Sequence[Marks]) -> str:
    """Return what a caption says of the marks."""
    notes = {
        "full lines, tested findings": any(m.tested for m in marks),
        "dashed lines, observed ones": any(m.observed for m in marks),
        f"thin frames, up to {TOP} largest heads of each task": any(m.top for m in marks),
    }
    said = [note for note, used in notes.items() if used]
    return f" Marks: {'; '.join(said)}." if said else ""


def _figures(scores: HeadScores, findings: Findings, style: BlockStyle, maps: Maps) -> list[Drawing]:
    """Draw figures of at most sixteen panels, the tasks evenly over them."""
    n = len(scores.tasks)
    sizes = even(n, -(-n // (COLUMNS * ROWS)))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    marks = [marks_for(findings.by_task(task.name), scores.importance[t]) for t, task in enumerate(scores.tasks)]
    return [
        _page(scores, findings, style, maps, marks, range(start, start + size), i if len(sizes) > 1 else None)
        for i, (start, size) in enumerate(zip(starts, sizes, strict=True), 1)
    ]


def _page(
    scores: HeadScores,
    findings: Findings,
    style: BlockStyle,
    maps: Maps,
    marks: Sequence[Marks],
    tasks: range,
    number: int | None,
) -> Drawing:
    canvas, panels, bar = _drawn(scores, maps, marks, tasks, style.medium, style)
    part = "" if number is None else f" (tasks {tasks[0] + 1}–{tasks[-1] + 1} of {len(scores.tasks)})"
    name = style.file("percentiles" if maps.shows == "percentile" else "overview")
    name += "" if number is None else f"-{number}"
    words = {"value": _of_values, "own": _of_own, "percentile": _of_percentiles}[maps.shows]
    caption = words(style, maps, part)
    caption += sign_note(_grid_of(panels[0], canvas, scores, style), style.scale)
    caption += marks_note([marks[t] for t in tasks])
    kind = f"Heatmaps of {count(len(tasks), 'task')}, each of {describe.axes(scores, style)}"
    alt = style.of(f"{kind}{', in percentiles' if maps.shows == 'percentile' else ''}.")
    said = [describe.scale(maps.bar or style.scale, maps.unit)]
    for t in tasks:
        task = printable(scores.tasks[t].name)
        if maps.shows == "percentile":
            said.append(f"{task}: {describe.largest(scores, t)} is the largest.")
        else:
            here = findings.by_task(scores.tasks[t].name)
            said.append(f"{task}: {describe.statistics(scores, t)} {describe.found(here, 2)}")
    svg = canvas.svg(name, alt)
    return Drawing(name, "overview", svg, caption, alt, canvas, True, style.block, maps.shows, panels, bar, tuple(said))


def _grid_of(panel: Panel, canvas: Canvas, scores: HeadScores, style: BlockStyle) -> Grid:
    x, y, width, height = panel.box
    place = (x * canvas.width, y * canvas.height, width * canvas.width, height * canvas.height)
    return Grid(*place, scores.n_layers, scores.n_heads, style.order)


def _drawn(
    scores: HeadScores, maps: Maps, marks: Sequence[Marks], tasks: Sequence[int], medium: Medium, style: BlockStyle
) -> tuple[Canvas, tuple[Panel, ...], Box | None]:
    """Draw the panels of these tasks: rows of four at most, as even as can be."""
    most = min(COLUMNS if medium.width > 4 else 2, len(tasks))
    rows = even(len(tasks), -(-len(tasks) // most))
    columns = rows[0]
    left, right, gap, foot = 0.42, 0.86 if maps.bar else 0.05, 0.16, 0.34
    width = (medium.width - left - right - (columns - 1) * gap) / columns
    if not medium.paper:
        width = min(width, 1.667)
    height = width * min(1.5, max(0.3, scores.n_layers / scores.n_heads))
    size = medium.pt(5.5)
    names = labelled(scores.task_names, width, 7, bold=True)
    lines = max(len(names[scores.tasks[t].name]) for t in tasks)
    title = 0.1 + 0.115 * lines + size / 72 + 0.08
    canvas = Canvas(left + columns * (width + gap) - gap + right, len(rows) * (height + title) + foot + 0.05)
    panels, i = list[Panel](), 0
    for row, length in enumerate(rows):
        for column in range(length):
            t = tasks[i]
            y = title + row * (height + title)
            grid = Grid(left + column * (width + gap), y, width, height, scores.n_layers, scores.n_heads, style.order)
            for k, line in enumerate(reversed(names[scores.tasks[t].name])):
                canvas.text(grid.x, y - 0.09 - size / 72 - 0.115 * k, line, 7, bold=True)
            maximum = fitted(_maximum(scores, t, maps.scales[t], maps.shows), width, size)
            canvas.text(grid.x, y - 0.05, maximum, size, color=MUTED)
            draw_cells(canvas, grid, maps.values[t], maps.scales[t])
            draw_marks(canvas, grid, marks[t], line=0.75)
            below = row + 1 == len(rows) or column >= rows[row + 1]
            draw_axes(canvas, grid, left=column == 0, bottom=below, size=size)
            own = (maps.scales[t].low, maps.scales[t].high) if maps.shows == "own" else None
            panels.append(replace(panel_of(canvas, grid, t), scale=own))
            i += 1
    bar = _bar(canvas, maps, title, canvas.height - foot - 0.05, right)
    return canvas, tuple(panels), bar


def _maximum(scores: HeadScores, t: int, scale: Scale, shows: Shows) -> str:
    """Return what is printed above a map: its largest value and whose it is, and where colour ends before it."""
    values = scores.importance[t]
    size = np.abs(values)
    layer, head = np.unravel_index(np.nanargmax(size), size.shape)
    value, tied = float(values[layer, head]), int((size == size[layer, head]).sum())
    whose = str(Head(int(layer), int(head))) if tied == 1 else f"{tied:,} heads"
    end = f", scale to {number(scale.high, 2)}" if shows == "own" and scale.clipped else ""
    return f"{'largest' if scale.signed else 'max'} {number(value)}, {whose}{end}"


def _bar(canvas: Canvas, maps: Maps, top: float, bottom: float, room: float) -> Box | None:
    if maps.bar is None:
        return None
    height = max(0.3, min(bottom - top, 2.6))
    x, y = canvas.width - room + 0.28, (top + bottom - height) / 2
    return box_of(canvas, *draw_colour_bar(canvas, maps.bar, x, y, height, maps.unit))


def _of_values(style: BlockStyle, maps: Maps, part: str) -> str:
    """Caption of the overview on the shared scale."""
    return style.of(
        f"{_quantity(style)} of every head on every task{part}: layer by head, {style.layers}; above each map its "
        f"largest value. {scale_note(style, 'all tasks')} Brightness is not comparable between tasks: each task’s "
        "scores have a size of their own."
    )


def _of_own(style: BlockStyle, maps: Maps, part: str) -> str:
    """Caption of the overview with a scale for each task."""
    ends = (
        " Where the largest head is more than twice the 99.8th percentile, the scale ends there, as is printed."
        if any(scale.clipped for scale in maps.scales)
        else ""
    )
    return style.of(
        f"{_quantity(style)} of every head on every task{part}: layer by head, {style.layers}. The tasks’ scores "
        f"differ too much in size for one scale: each map has its own, whose end is the value printed above it.{ends}"
    )


def _of_percentiles(style: BlockStyle, maps: Maps, part: str) -> str:
    """Caption of the overview in percentiles."""
    return style.of(
        f"The same heads{part} ranked within each task: colour is the percentile of a head’s absolute importance among "
        "all heads of its task, 100 being the largest. It shows each task’s pattern and nothing of its size."
    )


def _quantity(style: BlockStyle) -> str:
    return style.unit[:1].upper() + style.unit[1:]


def scale_note(style: BlockStyle, shared_by: str) -> str:
    """Return what a caption says of the colour scale: shared by whom, and how many cells lie beyond its end."""
    scale = style.scale
    note = f"The colour scale is shared by {shared_by}{' of this block' if style.block else ''}"
    if scale.clipped:
        size = "in absolute value " if scale.signed else ""
        cells = f"{count(scale.clipped, 'cell')} of {scale.total:,}"
        verb = "lies" if scale.clipped == 1 else "lie"
        return (
            f"{note} and clipped at {number(scale.high)}: {cells} {verb} {size}above it "
            f"(largest {number(scale.largest)})."
        )
    return f"{note}; no cell lies beyond its end."
