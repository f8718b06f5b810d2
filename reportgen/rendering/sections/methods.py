"""Methods: how heads were scored, how findings were tested, how intervals were made, and the references."""

from typing import Any

from reportgen.rendering.view import KINDS, Report, Section, Table

_EFRON = (
    "Efron, B. (1987). Better bootstrap confidence intervals. Journal of the American Statistical Association 82, "
    "171–185."
)
_BH = (
    "Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal Statistical "
    "Society B 57, 289–300."
)
_PHIPSON = (
    "Phipson, B. & Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical Applications in "
    "Genetics and Molecular Biology 9, 39."
)
_WILSON = "Wilson, E. B. (1927). Probable inference. Journal of the American Statistical Association 22, 209–212."


def view(report: Report) -> dict[str, Any]:
    """The scoring formula, the tests in use with their nulls, families, and references."""
    scores = report.scores
    examples = [e for e in scores.examples if e is not None]
    return {
        "method": scores.method, "reduction": scores.reduction,
        "from_file": report.study.scores is not None, "synthetic": scores.synthetic, "seed": scores.seed,
        "parameters": [f"{k} = {v}" for k, v in sorted(scores.method.parameters.items())],
        "others": sorted(report.others), "tests": _tests(report), "rules": _rules(report),
        "families": _families(report), "alpha": f"{report.findings.alpha:g}",
        "analysis_seed": report.findings.seed, "examples": bool(examples),
        "ordered": any(e.ordered for e in examples), "halves": any(e.discovery.any() for e in examples),
        "references": _references(report),
    }  # fmt: skip


def _kind(kind: str) -> str:
    return KINDS.get(kind, kind.replace("_", " "))


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
    rows = tuple((_kind(f.id), f"{f.size:,}", f"{f.alpha:g}", f.correction) for f in report.findings.families)
    columns = (("Family", False), ("Tests", True), ("α", True), ("Correction", False))
    return Table("", "Families of tests corrected together", columns, rows) if rows else None


def _references(report: Report) -> list[str]:
    tests = [f.test for f in report.findings.findings if f.test is not None]
    wanted = {
        _BH: any("Benjamini" in f.correction for f in report.findings.families),
        _EFRON: any(e is not None and not e.ordered for e in report.scores.examples),
        _PHIPSON: any(t.draws for t in tests),
        _WILSON: any(t.accuracy is not None for t in report.scores.tasks),
    }
    return sorted([*report.scores.method.references, *(text for text, used in wanted.items() if used)])


SECTION = Section("methods", "Methods", view)
