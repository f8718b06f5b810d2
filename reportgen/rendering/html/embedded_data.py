"""The numbers that the page's script reads, embedded as JSON: scores, intervals, panels, findings, colour maps."""

import base64
import json
import zlib
from collections.abc import Iterable

import matplotlib
import numpy as np

from reportgen.core.blocks import parsed
from reportgen.core.findings import Finding
from reportgen.rendering.context import FindingView, Report
from reportgen.rendering.first_screen import SmallMap, listed_heads, said_of_heads, screen_maps, verdict_words
from reportgen.rendering.plots import signs
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.trial_tables import set_name, wanted

MAPS = ("viridis", "cividis", "gray", "RdBu_r")
LARGEST = 60_000  # of a half-precision number; half widths of intervals are scaled up to it
WIDE = 0.5  # share of a map beyond which a finding is about the whole map, not about its cells


def embedded(report: Report) -> str:
    """Return the JSON text, safe inside a script element."""
    figures = [_figure(report, d) for d in report.drawings if d.panels and d.section in report.sections]
    if "key_observations" in report.sections:
        figures = [*map(_small, screen_maps(report)), *figures]
    content = {
        "unit": report.styles[0].unit,
        "order": report.styles[0].order,
        "tasks": [t.name for t in report.tasks],
        "anchors": [t.anchor for t in report.tasks],
        "blocks": [_block(report, i) for i in range(len(report.blocks))],
        "sign": signs.parameters(),
        "maps": {name: _colours(name) for name in MAPS},
        "figures": figures,
        "heads": _heads(report),
        "alone": _alone(report),
        "sets": _sets(report),
        "findings": [f for v in report.views.values() if (f := _finding(report, v)) is not None],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def packed(array: np.ndarray) -> str:
    """Little-endian numbers as base64 of deflated byte planes: all first bytes, all second ones, and so on."""
    size = array.dtype.itemsize
    planes = np.frombuffer(array.astype(array.dtype.newbyteorder("<")).tobytes(), np.uint8).reshape(-1, size).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()


def _block(report: Report, i: int) -> dict[str, object]:
    block, style = report.blocks[i], report.styles[i]
    maps = [t.maps[i] for t in report.tasks]
    plain: dict[str, object] = {
        "name": block.block,
        "title": maps[0].title,
        "layers": block.n_layers,
        "heads": block.n_heads,
        "scale": [style.scale.low, style.scale.high],
        "map": style.scale.colormap,
        "sequential": style.sequential,
        "values": packed(block.importance),
    }
    if any(m.low is not None for m in maps):
        absent = np.full(maps[0].values.shape, np.nan)
        below = np.stack([absent if m.low is None else m.values - m.low for m in maps])
        above = np.stack([absent if m.high is None else m.high - m.values for m in maps])
        step = max(float(np.nanmax(np.abs([below, above]), initial=0.0)) / LARGEST, 1e-300)
        sides = {"below": below, "above": above}
        plain |= {"step": step} | {k: packed(np.maximum(v / step, 0).astype(np.float16)) for k, v in sides.items()}
    return plain


def _colours(name: str) -> str:
    rgb = np.round(matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return base64.b64encode(rgb.tobytes()).decode()


def _figure(report: Report, drawing: Drawing) -> dict[str, object]:
    def rounded(box: Iterable[float]) -> list[float]:
        return [round(x, 6) for x in box]

    return {
        "id": f"figure-{drawing.name}",
        "shows": drawing.shows,
        "block": [b.block for b in report.blocks].index(drawing.block),
        "bar": rounded(drawing.bar or ()),
        "panels": [
            {"task": p.task, "box": rounded(p.box)} | ({"scale": p.scale} if p.scale else {}) for p in drawing.panels
        ],
    }


def _small(shown: SmallMap) -> dict[str, object]:
    """Return a map of the first screen as a figure of one panel, with a scale of its own and no colour bar."""
    panels = [{"task": shown.task, "box": [0, 0, 1, 1], "scale": shown.scale}]
    return {
        "id": f"figure-{shown.figure}",
        "small": True,
        "shows": "own",
        "block": shown.block,
        "bar": [],
        "panels": panels,
    }


def _heads(report: Report) -> list[dict[str, object]]:
    """Return by task what is known of single heads beyond their scores: ranks and signs, and words of findings."""
    made: list[dict[str, object]] = []
    for task in report.tasks:
        rows = [r for m in task.maps for r in listed_heads(report, task, m.block)]
        ranks, signs = {r.member: r.ranks for r in rows if r.ranks}, {r.member: r.sign for r in rows if r.sign}
        made.append({"ranks": ranks, "signs": signs, "said": said_of_heads(report, task)})
    return made


def _alone(report: Report) -> dict[str, object] | None:
    """Return what each head costs each task when it alone is knocked out; None where none was."""
    found = report.validation
    if found is None or not found.losses:
        return None
    lost = [found.losses.get(t.task.name, {}).get("mean", {}) for t in report.tasks]
    names = list(dict.fromkeys(head for each in lost for head in each))
    margins = {t.name: t.margin for t in found.tasks}
    return {
        "names": names,
        "loss": packed(np.array([[each.get(n, np.nan) for n in names] for each in lost], np.float32)),
        "margins": [margins.get(t.task.name) for t in report.tasks],
        "of": wanted(found),
    }


def _sets(report: Report) -> list[dict[str, object]]:
    """Return the sets of heads that were knocked out, with the verdict and where the page tells of each."""
    found = report.validation
    if found is None:
        return []
    anchors = {t.task.name: t.anchor for t in report.tasks if "tasks" in report.sections}
    made: list[dict[str, object]] = []
    for trial in found.trials:
        view = report.views.get(trial.id)
        link = report.link(view) if view is not None else None
        anchor = link.removeprefix("#") if link else anchors.get(trial.tasks[0])
        words = ", ".join(verdict_words(trial))
        heads = {"heads": list(trial.heads), "core": list(trial.core)}
        made.append({"text": set_name(trial, found), **heads, "verdict": words, "anchor": anchor})
    return made


def _finding(report: Report, view: FindingView) -> dict[str, object] | None:
    """Return a finding with its cells in runs ``[layer, first head, last head]``; None where it is about no cells."""
    f, names = view.finding, [b.block for b in report.blocks]
    if f.block not in names or report.link(view) is None:
        return None
    block = names.index(f.block)
    cells = _cells(f, report.blocks[block].present)
    if not cells.any() or cells.mean() > WIDE:
        return None
    of = [f.task] if f.task is not None else f.tasks
    tasks = None if of is None else [i for i, t in enumerate(report.tasks) if t.task.name in of]
    kind = f"{view.kind[:1].upper()}{view.kind[1:]}"
    text = f"{kind}, {printable(f.task)}" if f.task is not None else kind
    return {"anchor": view.anchor, "text": text, "block": block, "tasks": tasks, "cells": _runs(cells)}


def _cells(finding: Finding, present: np.ndarray) -> np.ndarray:
    cells = finding.mask((present.shape[0], present.shape[1]))
    for member in finding.members or ():
        cells[parsed(member) if isinstance(member, str) else member] = True
    if finding.heads is None and finding.cells is None and finding.layers is not None and not finding.members:
        cells[finding.layers[0] : finding.layers[1] + 1] = True
    result: np.ndarray = cells & present
    return result


def _runs(cells: np.ndarray) -> list[list[int]]:
    edges = np.diff(np.pad(cells, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1).tolist(), np.argwhere(edges == -1).tolist()
    return [[layer, first, last - 1] for (layer, first), (_, last) in zip(starts, ends, strict=True)]
