"""Methods: how heads were scored, how findings were tested, how intervals were made, and the references."""

import numpy as np

from reportgen.core.blocks import title
from reportgen.core.kinds import kind_of
from reportgen.core.scores import READ
from reportgen.core.stats import effective_examples, group_numbers
from reportgen.core.trials import Validation
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.paper.citation import bibtex
from reportgen.rendering.paper.references import references
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table


def view(report: Report) -> dict[str, object]:
    """Return the scoring formula, the tests in use with their nulls, families, and references."""
    scores = report.scores
    examples = [e for e in scores.examples if e is not None]
    notes = [f"{n.rstrip('.')}." for n in scores.model.notes]
    return {
        "method": scores.method,
        "reduction": scores.reduction,
        "from_file": report.study.scores is not None,
        "synthetic": scores.synthetic,
        "seed": scores.seed,
        "parameters": [f"{k} = {v}" for k, v in sorted(scores.method.parameters.items())],
        "others": sorted(report.others),
        "notes": [note for note in notes if not note.startswith(READ)],
        "read": [note for note in notes if note.startswith(READ)],
        "diagnostics": _diagnostics(report),
        "tests": _tests(report),
        "rules": _rules(report),
        "families": _families(report),
        "alpha": f"{report.findings.alpha:g}",
        "apart": report.validation_alpha,
        "percent": f"{100 * report.findings.alpha:g}",
        "analysis_seed": report.findings.seed,
        "examples": bool(examples),
        "ordered": any(e.ordered for e in examples),
        "fewer": _fewer(report),
        "halves": any(e.discovery.any() for e in examples),
        "references": references(report),
        "bibtex": "" if report.printed else bibtex(report),
    }


def brief(report: Report) -> dict[str, object]:
    """Return the methods in a line each: scores, findings, knock-outs, intervals."""
    return {"lines": [(name, text) for name, text in _lines(report).items() if text]}


def _lines(report: Report) -> dict[str, str]:
    scores, alpha, validation = report.scores, f"{report.findings.alpha:g}", report.validation
    mean = "|s|" if scores.reduction == "mean_abs" else "s"
    made_up = "made up, not measured, and " * scores.synthetic
    how = f"{made_up}read from a file, in units of {printable(scores.method.unit)}"
    if scores.method.formula:
        how = f"a head’s importance is the mean of {mean} over examples, {scores.method.formula}"
    halves = any(e is not None and e.discovery.any() and not e.discovery.all() for e in scores.examples)
    tried = validation is not None and not validation.problem and bool(validation.trials)
    return {
        "Scores": f"{how}.",
        "Findings": f"tests share α = {alpha}, corrected within families"
        f"{'; found on one half of the examples, valued on the other' * halves}; observed: exact, without a test.",
        "Knock-outs": _knocked(validation) if validation is not None and tried else "",
        "Intervals": "95 %, over groups of examples; those of ranks hold together for all heads of a task."
        if any(e is not None for e in scores.examples)
        else "none, for want of single examples.",
    }


def _knocked(validation: Validation) -> str:
    """Return how verdicts are reached."""
    most = max(trial.controls for trial in validation.trials)
    others = f"up to {most} other sets of their layers" if most else "other sets of their layers"
    return (
        "on held-out examples heads put out their mean, their outputs on other rows, or zero. Needed: each that counts "
        f"costs over {fmt.share(validation.share)} of the answers’ worth; specific: more than 95 % of {others} do."
    )


def _fewer(report: Report) -> list[tuple[str, int, int, int | None]]:
    """Return task, number of examples and of groups where these are fewer, and how many independent examples a sequence
    is worth.
    """
    rows = []
    for task, e in zip(report.scores.tasks, report.scores.examples, strict=True):
        if e is not None and (groups := len(set(group_numbers(e.groups, e.ordered).tolist()))) < len(e.ids):
            worth = round(effective_examples(e.values, e.groups)) if e.ordered else None
            rows.append((task.name, len(e.ids), groups, worth))
    return rows


def _kind(kind: str) -> str:
    """Return the kind of finding in words; of a family, with the block that it is about."""
    name, _, block = kind.partition("/")
    return ", ".join(part for part in (kind_of(name).label, title(block or None)) if part)


def _diagnostics(report: Report) -> list[Table]:
    """Return what each method says of itself: a row a task, a column a check; and of all tasks together, the least
    first.
    """
    methods = [blocks[0].method for blocks in (report.blocks, *report.others.values())]
    tables = []
    for method in methods:
        named = printable(method.name).replace("_", " ")
        if method.overall:
            tables.append(_overall(method.overall, f"{named[:1].upper() + named[1:]}, over all tasks"))
        if not method.diagnostics:
            continue
        rows = tuple(
            (t.name, *(_check(by_task.get(t.task.name)) for by_task in method.diagnostics.values()))
            for t in report.tasks
        )
        columns = (("Task", False), *((name[:1].upper() + name[1:], True) for name in method.diagnostics))
        tables.append(Table("", f"Diagnostics of {named}", columns, rows))
    return tables


def _overall(overall: dict[str, dict[str, float | None]], caption: str) -> Table:
    """Return a column a check, a row for each thing that it is of, in the order of the first check."""
    first = next(iter(overall.values()))
    names = sorted(first, key=lambda name: (-np.inf if (value := first[name]) is None else value, name))
    rows = tuple((name, *(_check(of[name]) if name in of else "" for of in overall.values())) for name in names)
    return Table("", caption, (("", False), *((check[:1].upper() + check[1:], True) for check in overall)), rows)


def _check(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and abs(value) < 1e7 and value == round(value) else fmt.number(value)


def _tests(report: Report) -> Table | None:
    used = {(f.kind, f.test.name, f.test.null): f.test for f in report.findings.findings if f.test is not None}
    rows = [
        (_kind(k), name, null, f"{t.draws:,}" if t.draws else "none") for (k, name, null), t in sorted(used.items())
    ]
    columns = (("Finding", False), ("Test", False), ("Null hypothesis", False), ("Draws", True))
    return Table("", "Tests behind the tested findings", columns, tuple(rows)) if rows else None


def _rules(report: Report) -> Table | None:
    pairs = {(f.kind, f.rule) for f in report.findings.findings if f.register == "observed" and f.rule}
    rows = tuple((_kind(kind), rule or "") for kind, rule in sorted(pairs))
    columns = (("Observation", False), ("Stated where this holds", False))
    return Table("", "Rules behind the observations", columns, rows) if rows else None


def _families(report: Report) -> Table | None:
    rows = tuple((_kind(f.id), f"{f.size:,}", f"{f.alpha:.3g}", f.correction) for f in report.findings.families)
    columns = (("Family", False), ("Tests", True), ("α", True), ("Correction", False))
    return Table("", "Families of tests corrected together", columns, rows) if rows else None


SECTION = Section("methods", "Methods", view, order=120, brief=brief)
