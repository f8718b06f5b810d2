"""The page of a comparison: what became of the claims, then tables, and the figures of what differs."""

from reportgen.archive.compare.claims import FATES, bearing, claim_moves, counts
from reportgen.archive.compare.figures import difference_maps, trajectory_figure
from reportgen.archive.compare.model import ALIKE, Comparison, Versus, profile, settings_apart, trajectories
from reportgen.archive.compare.statistics import Difference
from reportgen.archive.pages import rendered
from reportgen.core.blocks import title, written
from reportgen.core.provenance import created
from reportgen.rendering.format import NONE, accuracy, count, estimate, fixed, number, probability, share
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.tables import Table

STATUSES = {s: s for s in ("kept", "changed", "moved", "gained", "lost")} | {"untested": "not tested in both"}
SHOWN = 40  # heads and findings of one table; compare.json holds all


def page(made: Comparison) -> str:
    """Return compare.html."""
    many = len(made.runs) > 2
    sections = [
        {
            "run": v.run.name,
            "id": f"run-{i}",
            "refused": v.refused,
            "bearing": bearing(made.reference, v),
            "told": counts(fates),
            "fates": [
                (words, found) for fate, words in FATES.items() if (found := [c for c in fates if c.fate == fate])
            ],
            "figures": [] if v.same else difference_maps(v),
            "agreement": _agreement(v),
            "heads": _heads(v),
            "findings": _findings(v),
            "counts": _counts(v),
            "silent": _silent(v),
        }
        for i, v in enumerate(made.others, 1)
        for fates in [claim_moves(made.reference, v)]
    ]
    return rendered(
        "compare.html.j2",
        title=f"{count(len(made.runs), 'run')} compared" if many else _headline(made),
        date=created()[:10],
        made=made,
        reference=made.reference.name,
        sections=sections,
        runs=_runs(made),
        settings=_settings(made),
        profiles=_profiles(made),
        trajectories=_trajectories(made) if many else [],
        moving=[f for b in made.reference.scores if (f := trajectory_figure(made, b.block)) is not None]
        if many
        else [],
        alpha=made.alpha,
        searches=made.searches,
        synthetic=any(run.scores[0].synthetic for run in made.runs),
        same_model=_same_model(made),
    )


def _headline(made: Comparison) -> str:
    """Return what two runs' comparison comes to."""
    v = made.others[0]
    return f"{printable(v.run.name)} against {printable(made.reference.name)}: {counts(claim_moves(made.reference, v))}"


def _settings(made: Comparison) -> Table | None:
    columns = (("Setting", False), *((printable(run.name), False) for run in made.runs))
    rows = [(name, *map(printable, values)) for name, values in settings_apart(made.runs).items()]
    note = "All other settings are the same. Wording and layout, which change no result, are left out."
    return Table("settings", "Settings that differ", columns, tuple(rows), note) if rows else None


def _same_model(made: Comparison) -> bool:
    """Return whether all runs are known to score the very same weights."""
    hashes = {run.scores[0].model.weights_sha256 for run in made.runs}
    return len(hashes) == 1 and None not in hashes


def _runs(made: Comparison) -> Table:
    columns = (
        ("Run", False),
        ("Title", False),
        ("Model", False),
        ("Method", False),
        ("Shape", False),
        ("Findings", True),
    )
    rows = [
        (
            printable(run.name),
            printable(run.study),
            printable(run.scores[0].model.path or "not recorded"),
            run.scores[0].method.name,
            ", ".join(f"{title(b.block)} {b.n_layers} × {b.n_heads}".strip() for b in run.scores),
            str(len(run.findings.findings)),
        )
        for run in made.runs
    ]
    return Table("runs", "The runs, the reference first", columns, tuple(rows), "Shape: layers × heads.")


def _profiles(made: Comparison) -> Table:
    columns = (("Task", False), ("Run", False), ("Accuracy", True), ("Mean depth", True), ("Top tenth holds", True))
    rows = []
    for task in made.tasks:
        for run in made.runs:
            for block in run.scores:
                numbers = profile(block, task)
                name = f"{run.name} ({title(block.block)})" if block.block else run.name
                depth = numbers["depth"]
                own = block.tasks[block.task_names.index(task)]
                freely = "" if own.argmax is None else f" ({share(own.argmax)} by argmax)"
                rows.append(
                    (
                        printable(task),
                        printable(name),
                        accuracy(numbers["accuracy"], own.n) + freely,
                        NONE if depth is None else fixed(depth, 2),
                        share(numbers["top_share"]),
                    )
                )
    note = (
        "These numbers are exact and need no matching of heads. Mean depth: of the layers, weighted by absolute "
        "importance; 0 is the first layer, 1 the last. Top tenth holds: the share of absolute importance in the most "
        "important tenth of the heads."
    )
    if any(task.argmax is not None for run in made.runs for task in run.scores[0].tasks):
        note += " Accuracy: among choices, or against a foil, where rows have them; by argmax: over all words."
    return Table("profiles", "Task by task", columns, tuple(rows), note)


def _agreement(v: Versus) -> Table | None:
    columns = (
        ("Task", False),
        ("Rank correlation", True),
        ("Reference with itself", True),
        ("Top tenth in both", True),
        ("By chance", True),
        ("Rows in both", True),
    )
    rows = [
        (
            _subject(d),
            estimate(d.rank, d.rank_low, d.rank_high),
            number(d.within),
            f"{d.shared} of {d.top}",
            number(d.expected, 2),
            str(d.rows),
        )
        for d in v.differences
    ]
    note = (
        "Spearman’s correlation of the two maps of absolute importance, with a 95 % jackknife interval over groups of "
        "rows in both runs. Noise lowers it: the reference with itself is the correlation of its maps on two halves of "
        "its rows, each half being noisier than the whole."
    )
    return Table("agreement", "How far the runs rank heads alike", columns, tuple(rows), note) if rows else None


def _subject(d: Difference) -> str:
    return ", ".join(part for part in (printable(d.task), title(d.block)) if part)


def _heads(v: Versus) -> Table | None:
    columns = (
        ("Head", False),
        ("Task", False),
        ("Reference", True),
        ("Run", True),
        ("Difference [95 %]", True),
        ("q", True),
    )
    found = sorted(((d, c) for d in v.differences for c in d.changes), key=lambda pair: -abs(pair[1].estimate))
    rows = [
        (
            written(d.block, str(c.head)),
            _subject(d),
            number(c.before),
            number(c.after),
            estimate(c.estimate, c.low, c.high),
            probability(c.q),
        )
        for d, c in found[:SHOWN]
    ]
    more = f" The {SHOWN} largest of {len(found)} are shown; compare.json lists all." if len(found) > SHOWN else ""
    note = (
        "Found on one half of the rows in both runs; the difference and its interval are of the other half, reference "
        f"and run of all rows.{more}"
    )
    return Table("heads", "Heads whose importance differs", columns, tuple(rows), note) if rows else None


def _silent(v: Versus) -> list[str]:
    """Return why tasks were not tested, each reason once with its tasks."""
    reasons: dict[str, list[str]] = {}
    for d in v.differences:
        if d.silent:
            reasons.setdefault(d.silent, []).append(_subject(d))
    return [f"{', '.join(tasks)}: {reason}" for reason, tasks in reasons.items()]


def _counts(v: Versus) -> dict[str, int]:
    return {words: sum(m.status == status for m in v.moves) for status, words in STATUSES.items()}


def _findings(v: Versus) -> Table | None:
    columns = (("What became of it", False), ("In the reference", False), ("In the run", False))
    changed = [m for m in v.moves if m.status not in ALIKE]
    rows = [
        (m.status, m.before.sentence if m.before else NONE, m.after.sentence if m.after else NONE)
        for m in changed[:SHOWN]
    ]
    more = f"The first {SHOWN} of {len(changed)} are shown; compare.json lists all. " if len(changed) > SHOWN else ""
    note = (
        f"{more}A finding that only one run has is no evidence that the runs differ: it may have passed its threshold "
        "by little here and missed it by little there. What was tested for a difference is heads, one by one."
    )
    return Table("findings", "Findings that are not where they were", columns, tuple(rows), note) if rows else None


def _trajectories(made: Comparison) -> list[Table]:
    tables = []
    for block in made.reference.scores:
        for task in made.tasks:
            moved = trajectories(made, block.block, task)
            columns = (("Head", False), *((printable(run.name), True) for run in made.runs))
            rows = tuple((written(block.block, str(head)), *(number(v) for v in values)) for head, values in moved)
            if rows:
                name = ", ".join(part for part in (printable(task), title(block.block)) if part)
                tables.append(Table("trajectories", f"Heads that move most over the runs: {name}", columns, rows))
    return tables
