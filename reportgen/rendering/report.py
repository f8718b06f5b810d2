"""Compute once what all sections of a report draw on."""

from collections.abc import Mapping

from reportgen.core.blocks import Blocks
from reportgen.core.claims import ClaimsFile
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.patterns import Patterns
from reportgen.core.plugins import Plugin
from reportgen.core.trials import Validation
from reportgen.rendering.context import Report, finding_views, task_views
from reportgen.rendering.figures import drawn, with_patterns
from reportgen.rendering.pdf.document import moment
from reportgen.rendering.plots.drawing import style_of
from reportgen.rendering.sections.common import SECTIONS


def build_report(
    blocks: Blocks,
    findings: Findings,
    study: Study,
    others: Mapping[str, Blocks],
    provenance: Mapping[str, object],
    validation: Validation | None = None,
    patterns: Patterns | None = None,
    claims: ClaimsFile | None = None,
) -> Report:
    """Return everything that sections draw on."""
    names = tuple(section.name for section in SECTIONS.chosen(study.report.sections, "[report] sections"))
    views = finding_views(findings)
    tasks = task_views(blocks, findings, views, study.tasks.control)
    styles = [style_of(b, study.report.colormap, study.report.layer_order) for b in blocks]
    figures = [[m.figure for m in t.maps] for t in tasks]
    made = drawn(blocks, findings, styles, figures, others, validation)
    drawings = tuple(with_patterns(made, tasks, patterns, styles[0].unit))
    shown = sorted((d for d in drawings if d.section in names), key=lambda d: names.index(d.section))
    return Report(
        blocks=blocks,
        findings=findings,
        study=study,
        others=dict(others),
        provenance=dict(provenance),
        tasks=tasks,
        views=views,
        styles=tuple(styles),
        drawings=drawings,
        numbers={d.name: i for i, d in enumerate(shown, 1)},
        sections=names,
        validation=validation,
        patterns=patterns,
        claims=claims or ClaimsFile(),
        date=moment().strftime("%Y-%m-%d"),
        plugins=_plugins(blocks, findings, study),
    )


def _plugins(blocks: Blocks, findings: Findings, study: Study) -> tuple[Plugin, ...]:
    """Other packages' methods, detectors and sections of the report."""
    return (*blocks[0].plugins, *findings.plugins, *SECTIONS.used(study.report.sections))
