"""compare(): two or more reports, each against the first, and the files that say how they differ."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from reportgen import __version__
from reportgen.archive.compare.claims import FATES, ClaimMove, bearing, claim_moves, counts
from reportgen.archive.compare.model import Comparison, Versus, comparison, profile, settings_apart, sides
from reportgen.archive.compare.page import page
from reportgen.core.blocks import written
from reportgen.core.provenance import created
from reportgen.errors import InputError
from reportgen.storage.files import sha256_file, write_atomic
from reportgen.storage.json_files import pretty_json

SCHEMA = "reportgen/compare/1"


def compare(
    reports: Sequence[Path | str],
    folder: Path | str | None = None,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Comparison:
    """Compare reports with the first of them; write compare.html, compare.json and differences.csv into ``folder``.

    ``alpha`` bounds the chance of any false head among all searches (run, block, task). Raises InputError for fewer
    than two reports, for runs without a common task, and for a folder that holds anything but a comparison.
    """
    if len(reports) < 2:
        raise InputError("there is nothing to compare it with", "reportgen compare", "Give two reports or more")
    target = None if folder is None else Path(folder)
    if target is not None:
        _refuse_strange(target)
    made = comparison(reports, alpha, seed, progress)
    if target is not None:
        _write(made, target)
    return made


def _refuse_strange(folder: Path) -> None:
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not (folder / "compare.json").is_file():
        raise InputError("this holds something else than a comparison", str(folder), "Choose another folder with -o")


def _write(made: Comparison, folder: Path) -> None:
    write_atomic(folder / "differences.csv", differences_csv(made))
    write_atomic(folder / "compare.html", page(made))
    files = {name: sha256_file(folder / name) for name in ("compare.html", "differences.csv")}
    write_atomic(folder / "compare.json", pretty_json({**as_json(made), "files": files}))


def as_json(made: Comparison) -> dict[str, object]:
    """Return the comparison as plain JSON values."""
    return {
        "schema": SCHEMA,
        "reportgen": __version__,
        "created": created(),
        "alpha": made.alpha,
        "searches": made.searches,
        "differs": made.differs,
        "tasks": list(made.tasks),
        "runs": [
            {
                "name": run.name,
                "title": run.study,
                "model": run.scores[0].model.path,
                "weights_sha256": run.scores[0].model.weights_sha256,
                "method": run.scores[0].method.name,
                "scores": run.findings.scores,
                "profiles": {
                    task: {str(b.block or "heads"): profile(b, task) for b in run.scores} for task in made.tasks
                },
            }
            for run in made.runs
        ],
        "settings": {name: list(values) for name, values in settings_apart(made.runs).items()},
        "comparisons": [
            {**_versus_json(v), "claims": _claims_json(claim_moves(made.reference, v))} for v in made.others
        ],
    }


def _versus_json(versus: Versus) -> dict[str, object]:
    return {
        "run": versus.run.name,
        "not_compared": list(versus.refused),
        "tasks": [
            {
                "task": d.task,
                "block": d.block,
                "rank_correlation": d.rank,
                "low": d.rank_low,
                "high": d.rank_high,
                "reference_with_itself": d.within,
                "top": d.top,
                "shared": d.shared,
                "expected": d.expected,
                "matched_rows": d.rows,
                "not_tested": d.silent or None,
                "heads": [{**asdict(c), "head": written(d.block, c.head)} for c in d.changes],
            }
            for d in versus.differences
        ],
        "findings": [
            {
                "status": m.status,
                "kind": m.finding.kind,
                "task": m.finding.task,
                "why": m.why,
                "before": m.before and {"id": m.before.id, "sentence": m.before.sentence},
                "after": m.after and {"id": m.after.id, "sentence": m.after.sentence},
            }
            for m in versus.moves
        ],
    }


def _claims_json(fates: Sequence[ClaimMove]) -> list[dict[str, object]]:
    return [
        {
            "fate": c.fate,
            "id": c.claim.id,
            "before": c.before and c.before.headline,
            "after": c.after and c.after.headline,
            "why": list(c.why),
        }
        for c in fates
    ]


def lines(made: Comparison) -> list[str]:
    """Return the outcome for a terminal: the settings that differ, and of each run what became of the claims."""
    shown = [f"{name}: {' | '.join(values)}" for name, values in settings_apart(made.runs).items()]
    for v in made.others:
        heads, fates = sum(len(d.changes) for d in v.differences), claim_moves(made.reference, v)
        moved = [f"{sum(m.status == s for m in v.moves)} {s}" for s in ("changed", "moved", "gained", "lost")]
        shown.append(f"{v.run.name}: {counts(fates)}. {bearing(made.reference, v)}")
        for c in fates:
            said = [each.headline for each in (c.before, c.after) if each is not None]
            why = f" ({'; '.join(c.why)})" if c.why else ""
            shown += [f"  {FATES[c.fate]}: {' → '.join(dict.fromkeys(said))}{why}"] if c.fate != "holds" else []
        shown.append(f"  {heads} heads found to differ; findings: {', '.join(moved)}")
        shown += [f"  not compared: {each}" for each in v.refused]
    return shown


def differences_csv(made: Comparison) -> str:
    """Return every head's importance in the reference and in each run whose heads can be matched with it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "block", "task", "layer", "head", "reference", "run_value", "difference"])
    for versus in made.others:
        for d in versus.differences:
            before, after, t, u = sides(made.reference, versus.run, d.block, d.task)
            for layer, head in np.ndindex(*before.present.shape):
                a, b = before.importance[t, layer, head], after.importance[u, layer, head]
                change = "" if d.values is None else f"{d.values[layer, head]:.6g}"
                writer.writerow([versus.run.name, d.block or "", d.task, layer, head, str(a), str(b), change])
    return out.getvalue()
