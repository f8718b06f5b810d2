"""Provenance: the hashes, versions, seeds and commands from which the report can be made again."""

from reportgen.rendering.context import Report
from reportgen.rendering.paper.citation import citation
from reportgen.rendering.sections.common import Section
from reportgen.rendering.tables import Table
from reportgen.storage.scores_file import SCORES


def view(report: Report) -> dict[str, object]:
    """Everything recorded, as pairs of name and value; in the PDF, which carries the manifest, what came before the
    report.
    """
    rows = [(name, value) for name, value in _known(report) if value]
    if not report.printed:
        rows += [*_versions(report), *(row for row in flatten(report.provenance) if row not in rows)]
    columns = (("Record", False), ("Value", False))
    return {"records": Table("", "What was recorded", columns, tuple(rows))}


def _known(report: Report) -> list[tuple[str, str]]:
    model, scores = report.scores.model, report.scores
    seed = "" if report.study.scores is not None else str(scores.seed)
    hashes = [(f"sha256 of {name}", digest) for name, digest in sorted(report.findings.scores.items())]
    return [
        ("model", model.path or ""),
        ("model revision", model.revision or ""),
        ("sha256 of the model’s weights", model.weights_sha256 or ""),
        *((f"sha256 of the model’s {part}", digest) for part, digest in sorted(model.parts_sha256.items())),
        ("adapter merged into the weights", model.adapter or ""),
        ("weights stored as", model.quantization or ""),
        ("target language", model.target_language or ""),
        *hashes,
        *(("plug-in", str(plugin)) for plugin in report.plugins if not plugin.error),
        ("seed of the scores", seed),
        ("seed of the analysis", str(report.findings.seed)),
        ("rendered on", report.date),
        *(
            ("too large to be attached to the PDF", f"{name} ({size / 1e6:,.1f} MB), which lies in the report’s folder")
            for name, size in report.unattached.items()
        ),
    ]


def _versions(report: Report) -> list[tuple[str, str]]:
    return [(f"scored with {name}", version) for name, version in sorted(report.scores.versions.items())]


def flatten(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested mappings and lists as (dotted name, text) pairs."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in flatten(inner, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list | tuple):
        if all(isinstance(v, str | int | float) for v in value):
            return [(name, " ".join(str(v) for v in value))] if value else []
        return [row for i, inner in enumerate(value) for row in flatten(inner, f"{name}.{i}")]
    return [] if value is None else [(name, str(value))]


def brief(report: Report) -> dict[str, object]:
    """Return how to cite the report, and the hashes of scores and weights."""
    digest = report.findings.scores.get(SCORES, "")
    return {"citation": citation(report), "scores": digest, "weights": report.scores.model.weights_sha256}


SECTION = Section("provenance", "Provenance", view, order=140, brief=brief)
