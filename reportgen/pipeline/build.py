"""build(): from a study, a model's scores or a report's PDF to a report, doing again only what has changed."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from reportgen.core.claims import Claims
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.plugins import Plugin, as_recorded, recorded_in
from reportgen.core.provenance import at
from reportgen.core.sentences import rough_time
from reportgen.core.study_scores import Scores
from reportgen.importers import report_pdf
from reportgen.pipeline.artifacts import (
    FindingsArtifact,
    ReportArtifact,
    Run,
    ScoresArtifact,
    carry_trials,
    obtain_trials,
    write_claims,
)
from reportgen.pipeline.options import PLAIN, Options
from reportgen.pipeline.reading import open_folder
from reportgen.pipeline.run_directory import (
    alone,
    claim,
    forms_of,
    manifest_in,
    scores_hashes,
    taken_from,
)
from reportgen.pipeline.source import check, open_source
from reportgen.storage.files import write_atomic
from reportgen.storage.scores_file import SCORES, stored_key
from reportgen.summary.summarize import summarize


@dataclass(frozen=True)
class Built:
    """A finished report: its folder, the claims with all that they rest on, and templates that were left out."""

    folder: Path
    claims: Claims
    left_out: tuple[str, ...] = ()

    @property
    def findings(self) -> Findings:
        """The findings, with verdicts where there are any."""
        return self.claims.made_from.findings

    @property
    def scores(self) -> Scores:
        """The scores by all methods."""
        return self.findings.made_from

    @property
    def html(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def pdf(self) -> Path:
        """The archival PDF."""
        return self.folder / "report.pdf"

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Other packages' methods, detectors and sections, those that failed among them."""
        return recorded_in(manifest_in(self.folder))

    @property
    def lacking(self) -> str:
        """The report's characters that no font of this machine had, which stand as boxes in PDF and PNG."""
        return manifest_in(self.folder).get("lacking", "")

    def _repr_html_(self) -> str:
        """Return what a notebook shows: each task's map on its own scale, the claims, and where the report lies."""
        from reportgen.rendering.plots.drawing import style_of
        from reportgen.rendering.plots.overview import small_maps

        told = self.scores.study.report
        drawn = [small_maps(b, style_of(b, told.colormap, told.layer_order)) for b in self.scores.blocks]
        # on white in the dark, too: the figures' ink is dark
        wide = '<figure style="margin:0;max-width:46rem;padding:.5rem;background:#fff;color:#24292f">'
        maps = "".join(f"{wide}{d.svg}<figcaption>{escape(d.caption)}</figcaption></figure>" for d in drawn)
        failed = "".join(f"<p>{escape(p.failure)}</p>" for p in self.plugins if p.error)
        files = " · ".join(f'<a href="{escape(str(p))}">{p.name}</a>' for p in (self.html, self.pdf) if p.is_file())
        title = escape(self.claims.title or self.scores.study.study.title)
        return f"<p><b>{title}</b></p>{self.claims._repr_html_()}{maps}{failed}<p>{files}</p>"


def build(
    source: Path | str,
    folder: Path | str,
    *,
    overrides: Mapping[str, object] | None = None,
    force: bool = False,
    options: Options = PLAIN,
) -> Built:
    """Score, analyze, validate, summarize and render.

    ``source`` is a study.toml, a folder holding one, a model's folder, GGUF file or hub id (then the usual suites are
    its tasks), a file of scores, or a report's PDF; ``overrides`` sets single values over the study, ``{"tasks.limit":
    8}``. A stage whose inputs have not changed since the folder was written is not run again; ``force`` overwrites a
    folder that holds another study's report. Raises InputError for input that cannot be used, before anything is
    written.
    """
    source, folder = Path(source), Path(folder)
    if source.suffix.lower() == ".pdf":
        with tempfile.TemporaryDirectory() as held:
            report_pdf.unpack(source, Path(held))
            with taken_from(source):
                return remake(Path(held), folder, overrides=overrides, force=force, options=options)
    opened = open_source(source, dict(overrides or {}), trust_templates=options.trust_templates)
    check(opened.study)
    run = Run(folder, opened, options, force)
    if opened.of_model and not (folder / SCORES).is_file():
        options.listener.notify(estimate(opened.study))
    scores = ScoresArtifact(run).obtain()
    with alone(folder):
        findings = FindingsArtifact(run, scores).obtain()
        trials = obtain_trials(run, findings)
        claims = write_claims(run, summarize(trials))
        ReportArtifact(run, claims).obtain()
    return Built(folder, claims, opened.left_out)


def estimate(study: Study) -> str:
    """Say in a sentence what scoring a study's model and knocking its heads out will take."""
    from reportgen.scoring.run.cost import plan
    from reportgen.validation.plan import foreseen

    cost = plan(study)
    heads, examples = sum(layer.heads for layer in cost.found), sum(cost.examples.values())
    what = f"{len(cost.examples)} tasks, {examples} examples, {heads} heads: scoring takes {rough_time(cost.seconds)}"
    if not study.validation.enabled:
        return what
    later = foreseen(cost, study)
    bound = f"[validation] budget = {later.budget:g}"
    if later.smallest > later.budget:
        return f"{what}; knocking heads out takes more than is allowed ({bound}): about {later.smallest:.2g} would do"
    return f"{what}, and knocking heads out {rough_time(later.seconds)} at most ({bound})"


def remake(
    archive: Path,
    folder: Path,
    *,
    overrides: Mapping[str, object] | None = None,
    force: bool = False,
    carry: Path | None = None,
    options: Options = PLAIN,
) -> Built:
    """Make a report again in ``folder`` from the study, the scores and the raw outcomes that ``archive`` holds.

    It is dated as its manifest says, so that the same versions make the same bytes. Templates that it carries are used
    only where ``options`` trusts them; else the report is made with ours and says so. The PDF carries the files of
    ``carry`` in place of the new ones. Raises InputError for an archive that lacks a part, before anything is written.
    """
    manifest = manifest_in(archive)
    scores, source = open_folder(archive, dict(overrides or {}), trust_templates=options.trust_templates)
    with as_recorded(recorded_in(manifest)):
        check(source.study)
    claim(folder, stored_key(archive / SCORES), force)
    for name in scores_hashes(archive):
        write_atomic(folder / name, (archive / name).read_bytes())
    as_made = replace(options, command=manifest.get("command", ""), figures=tuple(forms_of(manifest)))
    run = Run(folder, source, as_made, force, carry)
    with alone(folder), at(manifest.get("created")), as_recorded(recorded_in(manifest)):
        trials = carry_trials(run, FindingsArtifact(run, scores).obtain(), archive)
        claims = write_claims(run, summarize(trials))
        ReportArtifact(run, claims).obtain()
    return Built(folder, claims, source.left_out)
