"""Data tables: leading heads and layers, means of layers, and all findings with their statistics."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from reportgen.core.blocks import parsed, title, written
from reportgen.core.kinds import Leading, kind_of
from reportgen.core.scores import Head
from reportgen.rendering import format as fmt
from reportgen.rendering.context import FindingView, MapView, Report, TaskView, slug
from reportgen.rendering.named_heads import head_matrix
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import layer_means
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table

SIGNS = {1: "positive", -1: "negative", 0: "not clear"}
WIDE, LONG = 8, 260  # tasks side by side in a table; rows of all layer tables together, beyond which a summary stands
MOST, PRINTED = 100, 24  # rows of a table on the page, heads in the PDF


def view(report: Report) -> dict[str, object]:
    """Return the tables; long ones shortened, saying so."""
    if report.printed:
        return {"heads": head_matrix(report, PRINTED), "depths": depth_tables(report)}
    return {
        "leading": leading_tables(report),
        "depths": depth_tables(report),
        "layers": layer_tables(report),
        "findings": finding_table(report),
        "heads": named_heads(report),
    }


def listings(report: Report) -> dict[str, list[FindingView]]:
    """Return the findings that list leading heads or layers by what they are called, in the order of the analysis."""
    listed: dict[str, list[FindingView]] = {}
    for view in report.at(SECTION.name):
        if kind_of(view.finding.kind).shown == "listed":
            listed.setdefault(view.kind, []).append(view)
    return listed


def leading_tables(report: Report, most: int | None = None) -> list[Table]:
    """Return each listing as a table: the first ``most`` of every task, the first row of a finding being its anchor."""
    return [_leading_table(report, label, views, most) for label, views in listings(report).items()]


def _leading_table(report: Report, label: str, views: list[FindingView], most: int | None) -> Table:
    unit = report.scores.method.unit
    every = [row for view in views for row in leading_rows(view, most)]
    signed, ranked = any(r.sign for r in every), any(r.ranks for r in every)
    columns = [
        ("Task", False),
        ("Layer" if every[0].member.isdigit() else "Head", False),
        (unit[:1].upper() + unit[1:], True),
        ("Rank", True),
    ]
    columns += [("Possible ranks", True)] if ranked else []
    columns += [("Effect", False)] if signed else []
    rows = []
    for row in every:
        more = ((row.ranks or fmt.NONE,) if ranked else ()) + ((row.sign or fmt.NONE,) if signed else ())
        rows.append((row.task, row.member, fmt.estimate(row.value, row.low, row.high), f"{row.rank:,}", *more))
    note = (
        "In brackets 95 % intervals; possible ranks hold together with 95 % probability on each task." if ranked else ""
    )
    caption = f"{label[:1].upper()}{label[1:]} of each task"
    return Table(slug(label), caption, tuple(columns), tuple(rows), note, ids=tuple(row.anchor for row in every))


@dataclass(frozen=True)
class LeadingRow:
    """A leading head or layer of a task, ready to print or to write; ``anchor`` is empty but for a finding's first."""

    anchor: str
    task: str
    block: str | None
    member: str
    value: float
    low: float | None
    high: float | None
    rank: int
    first: int | None
    last: int | None
    signed: float | None
    sign: str
    tied: int | None
    total: int

    @property
    def ranks(self) -> str:
        """The ranks that it may have."""
        return "" if self.first is None or self.last is None else fmt.span(self.first, self.last)


def leading_rows(view: FindingView, most: int | None = None) -> Iterator[LeadingRow]:
    """Yield the rows of a listing, at most so many."""
    finding, data = view.finding, cast(Leading, view.finding.data)
    for i, member in enumerate((finding.members or ())[:most]):
        ranked, signed = bool(data["first_ranks"]), bool(data["signs"])
        yield LeadingRow(
            anchor="" if i else view.anchor,
            task=printable(finding.task or ""),
            block=finding.block,
            member=str(member),
            value=data["values"][i],
            low=data["lows"][i],
            high=data["highs"][i],
            rank=data["ranks"][i],
            first=data["first_ranks"][i] if ranked else None,
            last=data["last_ranks"][i] if ranked else None,
            signed=data["signed"][i] if signed else None,
            sign=SIGNS[data["signs"][i]] if signed else "",
            tied=data["tied"],
            total=data["total"],
        )


@dataclass(frozen=True)
class DepthRow:
    """The largest head of a third of the layers; of ``tied`` ones none is named. ``times`` compares it to the next."""

    task: str
    block: str | None
    first: int
    last: int
    head: str
    value: float
    times: float | None
    tied: int

    @property
    def cell(self) -> str:
        """What a table says of it."""
        value = fmt.number(self.value)
        if self.tied > 1:
            return f"{self.tied:,} tie at {value}"
        return f"{self.head} {value}" + ("" if self.times is None else f" ({fmt.number(self.times, 2)} ×)")


def depth_rows(task: TaskView, view: MapView) -> list[DepthRow | None]:
    """Return the largest head of a task's lower, middle and higher layers; None where a third has none above zero.

    No test: a head far above its part of the depth may still be small beside the whole map, and then no list of leading
    heads names it.
    """
    return [_depth_row(task, view, part) for part in _thirds(len(view.values))]


def _thirds(layers: int) -> list[np.ndarray]:
    return [part for part in np.array_split(np.arange(layers), 3) if len(part)]


def _depth_row(task: TaskView, view: MapView, layers: np.ndarray) -> DepthRow | None:
    ranks, values = view.ranks[layers], view.values[layers]
    of_heads = np.sort(ranks[ranks > 0])
    if not len(of_heads):
        return None
    # equal heads share a rank, so that no order of heads decides which one is named
    layer, head = (int(i) for i in np.argwhere(ranks == of_heads[0])[0])
    value, tied = float(values[ranks == of_heads[0]].max()), int((of_heads == of_heads[0]).sum())
    if not value:
        return None
    following = np.abs(values[ranks == of_heads[1]][0]) if tied == 1 and len(of_heads) > 1 else 0.0
    return DepthRow(
        task=printable(task.task.name),
        block=view.block,
        first=int(layers[0]),
        last=int(layers[-1]),
        head=written(view.block, Head(int(layers[layer]), head)) if tied == 1 else "",
        value=value,
        times=abs(value) / float(following) if following else None,
        tied=tied,
    )


def depth_tables(report: Report) -> list[Table]:
    """Return of each block of heads a table of every task's largest heads in lower, middle and higher layers."""
    made = []
    for i, block in enumerate(report.blocks):
        spans = [fmt.span(int(part[0]), int(part[-1])) for part in _thirds(block.n_layers)]
        columns = [("Task", False), *((f"Layer{'s' if '–' in span else ''} {span}", False) for span in spans)]
        rows = [(t.name, *(row.cell if row else fmt.NONE for row in depth_rows(t, t.maps[i]))) for t in report.tasks]
        name = f"{title(block.block)} " if block.block else ""
        caption = f"Largest head of each task’s lower, middle and higher {name}layers"
        note = "In brackets how many times the next largest there it is; that is a list, not a test."
        stem = f"largest-by-depth-{block.block}" if block.block else "largest-by-depth"
        made.append(Table(stem, caption, tuple(columns), tuple(rows), note))
    return made


def named_heads(report: Report, most: int = MOST) -> Table | None:
    """Every head that a finding names, where it ranks highest, and what names it; a row is the head's own anchor."""
    named: dict[str, list[FindingView]] = {}
    for view in report.views.values():
        for member in view.finding.members or ():
            if isinstance(member, str):
                named.setdefault(member, []).append(view)
    shown = sorted(named, key=lambda head: (head.rpartition(".")[0], parsed(head)))[:most]
    rows = tuple(_head_row(report, head, named[head]) for head in shown)
    columns = (("Head", False), ("Ranks highest on", False), ("Rank", True), ("Value", True), ("Named by", False))
    note = f"{len(named) - most:,} more are in findings.json." if len(named) > most else ""
    return (
        Table("named", "Heads that findings name, in order of layers", columns, rows, note, ids=tuple(shown))
        if (rows)
        else None
    )


def _head_row(report: Report, head: str, views: list[FindingView]) -> tuple[str, ...]:
    block = next(i for i, b in enumerate(report.blocks) if written(b.block, parsed(head)) == head)
    best = min(report.tasks, key=lambda t: int(t.maps[block].ranks[parsed(head)]))
    value, rank = float(best.maps[block].values[parsed(head)]), int(best.maps[block].ranks[parsed(head)])
    names = dict.fromkeys(f"{v.kind}, {printable(v.finding.task)}" if v.finding.task else v.kind for v in views)
    return head, best.name, f"{rank:,}", fmt.number(value), "; ".join(names)


def layer_tables(report: Report) -> list[Table]:
    """Mean importance of each layer, eight tasks a table; one line per task where that would be too long."""
    starts = range(0, len(report.tasks), WIDE)
    long = len(starts) * sum(b.n_layers for b in report.blocks) > LONG
    made = []
    for i, block in enumerate(report.blocks):
        if not block.whole:
            continue
        stem = f"layers-{block.block}" if block.block else "layers"
        tables = [_summary(report, i)] if long else [_layer_table(report, i, start) for start in starts]
        made += [replace(t, name=stem if n == 1 else f"{stem}-{n}") for n, t in enumerate(tables, 1)]
    return made


def _layer_table(report: Report, block: int, start: int) -> Table:
    tasks = report.tasks[start : start + WIDE]
    means = [layer_means(t.maps[block].values) for t in tasks]
    digits = fmt.decimals(float(np.nanmax(np.abs(means))))
    small = digits > 9
    rows = tuple(
        (str(layer), *(fmt.number(float(m[layer])) if small else fmt.fixed(float(m[layer]), digits) for m in means))
        for layer in range(report.blocks[block].n_layers)
    )
    columns = (("Layer", True), *((t.name, True) for t in tasks))
    name = title(report.blocks[block].block)
    return Table(
        "layers", f"Mean {report.scores.method.unit} of each {f'{name} ' if name else ''}layer’s heads", columns, rows
    )


def _summary(report: Report, block: int) -> Table:
    rows = []
    for t in report.tasks:
        means = layer_means(t.maps[block].values)
        most, least = int(np.nanargmax(means)), int(np.nanargmin(means))
        rows.append((t.name, str(most), fmt.number(float(means[most])), str(least), fmt.number(float(means[least]))))
    columns = (("Task", False), ("Highest layer", True), ("its mean", True), ("Lowest layer", True), ("its mean", True))
    name = title(report.blocks[block].block)
    caption = f"{name} layers of highest and lowest mean {report.scores.method.unit}".strip()
    return Table(
        "layers",
        f"{caption[:1].upper()}{caption[1:]}",
        columns,
        tuple(rows),
        "Every layer’s mean is in tables/layers.csv.",
    )


def finding_table(report: Report, most: int = MOST) -> Table:
    """All findings with register, p, q and effect."""
    found = report.findings.ranked()
    rows = []
    for f in found[:most]:
        p, q = (fmt.probability(f.test.p), fmt.probability(f.test.q)) if f.test else (fmt.NONE, fmt.NONE)
        effect = fmt.estimate(f.effect.estimate, f.effect.low, f.effect.high) if f.effect else fmt.NONE
        rows.append((f.id, kind_of(f.kind).label, f.register, p, q, effect))
    columns = (("Finding", False), ("Kind", False), ("Register", False), ("p", True), ("q", True), ("Effect", True))
    left = len(found) - len(rows)
    links = tuple(report.link(report.views[f.id]) for f in found[:most])
    return Table(
        "findings",
        "All findings, most important first",
        columns,
        tuple(rows),
        f"{left:,} more are in findings.json." if left > 0 else "",
        links,
    )


SECTION = Section("tables", "Data tables", view, order=150)
