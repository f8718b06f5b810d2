"""The heads of every task ranked by importance: rows for tables, and heads.json for other tools."""

import numpy as np

from reportgen.core.blocks import written
from reportgen.core.scores import Head
from reportgen.rendering.context import MapView, Report, TaskView
from reportgen.storage.json_files import canonical_json, pretty_json

HeadRow = tuple[int, int, float, float | None, float | None, int]  # layer, head, value, low, high, rank


def head_rows(view: MapView, most: int | None = None) -> list[HeadRow]:
    """Return ``(layer, head, value, low, high, rank)`` of a map's heads (the first ``most``), most important first."""
    order, layers, heads, values = _ordered(view, most)
    low, high = _bounds(view.low, order), _bounds(view.high, order)
    columns = (layers, heads, list(map(float, values)), low, high, view.ranks.ravel()[order].tolist())
    return list(zip(*columns, strict=True))


def _ordered(view: MapView, most: int | None = None) -> tuple[np.ndarray, list[int], list[int], list[str]]:
    """Return the cells of a map's heads, most important first, their layers, heads, and values as text.

    The text is the shortest that gives back the float32, not its 17 digits as a double.
    """
    n = int((view.ranks > 0).sum())
    order = np.argsort(np.where(view.ranks > 0, view.ranks, n + 1), axis=None, kind="stable")[: min(n, most or n)]
    layers, heads = np.unravel_index(order, view.ranks.shape)
    values = view.values.astype(np.float32).ravel()[order].astype(str)
    return order, layers.tolist(), heads.tolist(), values.tolist()


def _bounds(array: np.ndarray | None, order: np.ndarray) -> list[float | None]:
    if array is None:
        return [None] * len(order)
    return [None if np.isnan(x) else float(f"{x:.6g}") for x in array.ravel()[order].tolist()]


def heads_json(report: Report) -> str:
    """Return the scores for other tools: every task's heads, the found sets by finding id, and what was scored.

    Where heads are in named blocks, a task holds the rows of each block under the block's name.
    """
    scores, model = report.scores, report.scores.model
    head = {
        "schema": "reportgen/heads/1",
        "model": {
            "path": model.path,
            "revision": model.revision,
            "weights_sha256": model.weights_sha256,
            **{f"{part}_sha256": digest for part, digest in sorted(model.parts_sha256.items())},
        },
        "method": scores.method.name,
        "unit": scores.method.unit,
        "synthetic": scores.synthetic,
        **({"blocks": [b.block for b in report.blocks]} if report.named else {}),
        "claims": [
            {"id": c.id, "headline": c.headline, "body": c.body, "register": c.register, "verdict": c.verdict}
            for c in report.claims.claims
        ],
        "columns": ["layer", "head", "value", "low", "high", "rank"],
        "found": _found(report),
    }
    # One line a task: indented, a large model's file would be mostly line breaks.
    tasks = (f"{canonical_json(t.task.name)}:{_task_rows(t)}" for t in report.tasks)
    return pretty_json(head).rstrip("}\n ") + '},\n "tasks": {\n' + ",\n".join(tasks) + "\n }\n}\n"


def _task_rows(task: TaskView) -> str:
    rows = {m.block: _json_rows(m) for m in task.maps}
    return rows[None] if None in rows else f"{{{','.join(f'{canonical_json(b)}:{r}' for b, r in rows.items())}}}"


def _json_rows(view: MapView) -> str:
    """Return all of a map's rows; written by hand, as json takes three times as long over a million of them."""
    order, layers, heads, values = _ordered(view)
    low, high = (["null" if x is None else repr(x) for x in _bounds(b, order)] for b in (view.low, view.high))
    rows = zip(layers, heads, values, low, high, view.ranks.ravel()[order].tolist(), strict=True)
    return f"[{','.join([f'[{la},{h},{v},{lo},{hi},{rank}]' for la, h, v, lo, hi, rank in rows])}]"


def _found(report: Report) -> dict[str, list[str]]:
    present, found = {b.block: b.present for b in report.blocks}, dict[str, list[str]]()
    for f in report.findings.findings:
        there = present.get(f.block)
        marked = np.argwhere(f.mask((there.shape[0], there.shape[1])) & there).tolist() if there is not None else []
        cells = [written(f.block, Head(*cell)) for cell in marked]
        named = [m for m in f.members or [] if isinstance(m, str)]
        if named or cells:
            found[f.id] = named or cells
    return found
