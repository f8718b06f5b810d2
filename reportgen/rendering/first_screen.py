"""What a reader looks for first: where importance lies, which heads lead a task, and whether it needs them."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from reportgen.core.blocks import parsed, title, written
from reportgen.core.display_names import told_apart
from reportgen.core.kinds import kind_of
from reportgen.core.scores import Head
from reportgen.core.sentences import VERDICTS
from reportgen.core.trials import TOP, Trial
from reportgen.rendering import format as fmt
from reportgen.rendering.context import MapView, Report, TaskView
from reportgen.rendering.plots.canvas import png, printable
from reportgen.rendering.plots.dumbbell import Row, rows
from reportgen.rendering.plots.overview import top_heads
from reportgen.rendering.plots.scale import own_scale
from reportgen.rendering.sections.tables import LeadingRow, leading_rows
from reportgen.rendering.tables import Table, tie_note
from reportgen.rendering.task_table import first_tasks
from reportgen.rendering.trial_tables import REASONS, wanted

SHORT = 34  # letters of a task's name that the first screen has room for
MAPS, HEADS = 8, 5  # small maps, heads of a short table
WIDE, NARROW = 100.0, 6.5  # of a small map, and of a frame at least, in the map's own units
LITTLE = 1e-4  # a value below which numbers are written with powers of ten
FLAT, TALL = 0.35, 1.1  # of its width that its height is at least and at most: one layer stays visible, 126 fit


@dataclass(frozen=True)
class SmallMap:
    """A task's map on a scale of its own for the place beside the claims, with its ``largest`` value.

    ``name`` is the task's and ``of`` the block's (empty: heads are in none), ``title`` both.
    """

    figure: str
    name: str
    of: str
    title: str
    anchor: str
    task: int
    block: int
    svg: str
    largest: str
    scale: tuple[float, float]


@dataclass(frozen=True)
class KnockOut:
    """What knocking out a task's first heads left of its right answers, with the verdict on them as badges."""

    task: TaskView
    row: Row
    chance: float | None
    badges: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The same in a sentence."""
        left, others, whole = self.counts
        beside = (
            "" if self.row.controls is None else f", and without other heads of the same layers {others} on average"
        )
        heads = fmt.ordinal_list(list(self.row.heads))
        return f"Without {heads} {left} of {self.row.examples:,} are right; with all heads {whole}{beside}."

    @property
    def counts(self) -> tuple[str, str, str]:
        """How many are right without the found heads, without others (a mean), and with all."""
        n = self.row.examples
        others = fmt.NONE if self.row.controls is None else _right(self.row.controls, n)
        return _right(self.row.found, n), others, _right(self.row.intact, n)


def _right(accuracy: float, n: int) -> str:
    # A mean over sets of heads is no whole number.
    count = accuracy * n
    return f"{round(count):,}" if abs(count - round(count)) < 1e-6 * max(n, 1) else fmt.number(count)


def short_names(report: Report) -> dict[str, str]:
    """Return the tasks' names by their own, short where they are long, and never alike."""
    return told_apart([t.name for t in report.tasks], lambda name: len(name) <= SHORT)


def screen_maps(report: Report) -> list[SmallMap]:
    """Return the maps of the tasks that claims name first, of every block in turn, each on its own scale with its first
    heads framed.
    """
    shown = [report.tasks.index(task) for task in first_tasks(report, max(1, MAPS // len(report.blocks)))]
    return [_small(report, t, b) for t in shown for b in range(len(report.blocks))]


def _small(report: Report, t: int, b: int) -> SmallMap:
    task, style = report.tasks[t], report.styles[b]
    view = task.maps[b]
    layers, heads = view.values.shape
    largest = float(np.nanmax(np.abs(view.values), initial=0.0))
    scale = own_scale(view.values, style.scale)
    pixels = scale.colours(view.values)[:: -1 if style.order == "up" else 1]
    height = WIDE * min(TALL, max(FLAT, layers / heads))
    framed = framed_heads(report, t, b)
    named = [written(view.block, head) for head in framed]
    name = f"{task.name}, {title(view.block)}" if view.block else task.name
    said = f"Importance of {fmt.count(int((view.ranks > 0).sum()), 'head')} on {name}, {style.layers}: at most "
    said += f"{fmt.number(largest)}{f', framed {fmt.ordinal_list(named)}' if named else ''}."
    outlines = [_outline(head, (layers, heads), height, style.order == "up") for head in framed]
    # Dark beneath white, so that a frame is seen on the darkest and on the brightest cell.
    frames = "".join(
        f'<path d="{"".join(outlines)}" fill="none" stroke="{stroke}" stroke-width="{width}" '
        'vector-effect="non-scaling-stroke"/>'
        for stroke, width in (("#101418", 3.4), ("#ffffff", 1.6))
    )
    svg = (
        f'<svg role="img" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {WIDE:g} {height:.3f}"><title>{escape(said)}</title>'
        f'<image class="cells" width="{WIDE:g}" height="{height:.3f}" preserveAspectRatio="none" '
        f'image-rendering="pixelated" xlink:href="data:image/png;base64,{b64encode(png(pixels)).decode()}"/>'
        f'<g class="marks">{frames}</g></svg>'
    )
    return SmallMap(
        f"glance-{view.figure}",
        task.name,
        title(view.block),
        name,
        task.anchor,
        t,
        b,
        svg,
        fmt.number(largest),
        (scale.low, scale.high),
    )


def _outline(head: Head, shape: tuple[int, int], height: float, up: bool) -> str:
    """Return the path around a head's cell; around a cell that a frame would hide, at a distance."""
    wide, high = WIDE / shape[1], height / shape[0]
    row = shape[0] - 1 - head.layer if up else head.layer
    off = max(0.0, (NARROW - wide) / 2), max(0.0, (NARROW - high) / 2)
    x, y = head.head * wide - off[0], row * high - off[1]
    wide, high = wide + 2 * off[0], high + 2 * off[1]
    return f"M{x:.2f} {y:.2f}h{wide:.2f}v{high:.2f}h{-wide:.2f}z"


def framed_heads(report: Report, t: int, b: int) -> list[Head]:
    """Return the heads of a task's map that a reader should look at: those knocked out, else the largest."""
    task, view = report.tasks[t], report.tasks[t].maps[b]
    tried = next((k.row.heads for k in knock_outs(report) if k.task is task), ())
    here = [parsed(h) for h in tried if written(view.block, parsed(h)) == h]
    return here or list(top_heads(view.values))


def knock_outs(report: Report) -> list[KnockOut]:
    """Return what knocking out each task's first heads did, what cost most beside its controls first."""
    if report.validation is None:
        return []
    tasks, chances = {t.task.name: t for t in report.tasks}, {t.name: t.chance for t in report.validation.tasks}
    trials = {t.tasks[0]: t for t in report.validation.trials if t.kind == TOP}
    return [
        KnockOut(tasks[row.task], row, chances.get(row.task), verdict_words(trials[row.task]))
        for row in rows(report.validation)
        if row.task in tasks
    ]


def verdict_words(trial: Trial) -> tuple[str, ...]:
    """Return a trial's verdict as badges say it, with why it is undecided."""
    why = f": {REASONS[trial.reason]}" if trial.reason else ""
    return (f"{VERDICTS[trial.verdict]}{why}", *(["specific"] if trial.specific else []))


def listed_heads(report: Report, task: TaskView, block: str | None) -> list[LeadingRow]:
    """Return the heads that a listing of this task's map names, in order; empty where there is none."""
    for view in report.views.values():
        f = view.finding
        if f.task == task.task.name and f.block == block and kind_of(f.kind).shown == "listed":
            rows = list(leading_rows(view))
            if rows and not rows[0].member.isdigit():
                return rows
    return []


def said_of_heads(report: Report, task: TaskView) -> dict[str, dict[str, str]]:
    """Return what findings on the task, or on all of them, say of single heads: by column's title, by head."""
    said: dict[str, dict[str, list[str]]] = {}
    for f in report.findings.ranked():
        if f.task in (None, task.task.name) and (f.tasks is None or task.task.name in f.tasks):
            for column, heads in kind_of(f.kind).by_head(f).items():
                for head, text in heads.items():
                    said.setdefault(column, {}).setdefault(head, []).append(printable(text))
    return {c: {h: "; ".join(dict.fromkeys(texts)) for h, texts in heads.items()} for c, heads in said.items()}


def first_table(report: Report, t: int, b: int) -> Table:
    """Return a task's first heads with all that is known of each: score, possible ranks, sign, knock-out alone."""
    task = report.tasks[t]
    view = task.maps[b]
    listed = listed_heads(report, task, view.block)
    every = listed or list(_by_size(task, view))
    shown, more = every[:HEADS], len(every) - HEADS
    unit = report.scores.method.unit
    bounded, ranked = any(r.low is not None for r in shown), any(r.ranks for r in shown)
    columns = [("Head", False), (f"{unit[:1].upper()}{unit[1:]}{' [95 %]' if bounded else ''}", True)]
    cells = [[r.member, text] for r, text in zip(shown, _estimates(shown), strict=True)]

    def add(heading: str, values: Sequence[str], numeric: bool = False) -> None:
        columns.append((heading, numeric))
        for row, value in zip(cells, values, strict=True):
            row.append(value or fmt.NONE)

    add("Possible ranks" if ranked else "Rank", [r.ranks if ranked else f"{r.rank:,}" for r in shown], True)
    if any(r.sign for r in shown):
        add("Sign", [r.sign for r in shown])
    alone = _alone(report, task, [r.member for r in shown])
    if alone:
        add("Out alone", alone, True)
    for column, said in said_of_heads(report, task).items():
        if any(r.member in said for r in shown):
            add(column, [said.get(r.member, "") for r in shown])
    note = _note(report, task, shown, more, bool(alone))
    if not listed:
        note = f"{note} {tie_note(view, view.top(HEADS))}".strip()
    name = f"{task.name}, {title(view.block)}" if view.block else task.name
    return Table("first-heads", f"First heads on {name}", tuple(columns), tuple(map(tuple, cells)), note)


def _estimates(shown: Sequence[LeadingRow]) -> list[str]:
    """Return the values with their intervals, all with the decimals that the widest interval allows."""
    sides = [(r.high - r.low) / 2 for r in shown if r.low is not None and r.high is not None]
    most = max((abs(r.value) for r in shown), default=0.0)
    if not sides or most < LITTLE:
        return [fmt.estimate(r.value, r.low, r.high) for r in shown]
    digits = fmt.decimals(most, 3, max(sides))
    return [
        fmt.number(r.value)
        if r.low is None or r.high is None
        else f"{fmt.fixed(r.value, digits)} [{fmt.fixed(r.low, digits)}, {fmt.fixed(r.high, digits)}]"
        for r in shown
    ]


def _by_size(task: TaskView, view: MapView) -> Iterator[LeadingRow]:
    """Yield the largest heads of a map, where no finding lists them."""
    for head in view.top(HEADS):
        low, high = (
            None if side is None or np.isnan(side[head]) else float(side[head]) for side in (view.low, view.high)
        )
        signed = None if view.signed is None else float(view.signed[head])
        yield LeadingRow(
            anchor="",
            task=task.name,
            block=view.block,
            member=written(view.block, head),
            value=float(view.values[head]),
            low=low,
            high=high,
            rank=int(view.ranks[head]),
            first=None,
            last=None,
            signed=signed,
            sign="",
            tied=None,
            total=int((view.ranks > 0).sum()),
        )


def _alone(report: Report, task: TaskView, heads: Sequence[str]) -> list[str]:
    """Return what each head costs the task when it alone is knocked out, and the verdict where it was judged alone."""
    if report.validation is None:
        return []
    lost = report.validation.losses.get(task.task.name, {}).get("mean", {})
    judged = {t.heads[0]: t for t in report.validation.trials if len(t.heads) == 1 and task.task.name in t.tasks}
    said = []
    for head in heads:
        parts = [fmt.number(lost[head], 2)] if head in lost else []
        parts += [", ".join(verdict_words(judged[head]))] if head in judged else []
        said.append(", ".join(parts))
    return said if any(said) else []


def _note(report: Report, task: TaskView, rows: Sequence[LeadingRow], more: int, alone: bool) -> str:
    parts = []
    if more > 0 and rows[0].tied:
        parts.append(f"{rows[0].tied:,} heads cannot be told from the first.")
    if any(r.ranks for r in rows):
        parts.append("Possible ranks hold together with 95 % probability.")
    if all(r.low is None for r in rows):
        parts.append("No intervals: there are no per-example scores, or too few.")
    if alone and report.validation is not None:
        margin = next((t.margin for t in report.validation.tasks if t.name == task.task.name), None)
        what = (
            f"Out alone: loss of the {wanted(report.validation)}’s log-probability (nats), its mean in the head’s place"
        )
        parts.append(f"{what}; the margin is {fmt.number(margin, 2)}." if margin is not None else f"{what}.")
    return " ".join(parts)


def lede(report: Report) -> list[str]:
    """Return what one line under the title says: model, size, examples, method, test, the limit that matters most."""
    scores, validation = report.scores, report.validation
    heads = sum(int(b.present.sum()) for b in report.blocks)
    # The last two parts of a path, as in owner/name on a hub, tell a model from others.
    model = "/".join(printable(scores.model.path or "").rstrip("/").split("/")[-2:]) or "model not recorded"
    parts = ["synthetic scores" if scores.synthetic else model]
    parts.append(f"{fmt.count(len(report.tasks), 'task')} × {fmt.count(heads, 'head')}")
    n = sorted({len(e.values) for e in scores.examples if e is not None})
    parts += [f"{fmt.span(n[0], n[-1])} examples a task"] if n else []
    method = printable(scores.method.name).replace("_", " ")
    parts.append("method not recorded" if method == "unknown" else method)
    tried = sorted({t.examples for t in validation.tasks}) if validation is not None and validation.trials else []
    parts += [f"knocked out on {fmt.span(tried[0], tried[-1])} held-out examples"] if tried else []
    return [*parts, _limit(report, bool(n), bool(tried))]


def _limit(report: Report, examples: bool, tried: bool) -> str:
    """Return the limit that a reader has to know first."""
    weak = [t.name for t in report.tasks if t.at_chance]
    if report.scores.synthetic:
        return "says nothing about any model"
    if weak:
        return f"not above chance on {weak[0] if len(weak) == 1 else fmt.count(len(weak), 'task')}"
    if not tried:
        return f"no head was knocked out: nothing here is causal{'' if examples else ', and nothing has an interval'}"
    return "about these tasks, not the abilities they are named after"
