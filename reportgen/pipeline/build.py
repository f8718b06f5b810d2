"""build(): from a study, a scores file or a folder to a report, redoing only what changed."""

import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from reportgen import __version__
from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Finding, Findings, from_json, to_json
from reportgen.core.plugins import Plugin, as_recorded, recorded_in
from reportgen.core.provenance import at, created, versions
from reportgen.core.sentences import Prose, own_templates
from reportgen.errors import InputError
from reportgen.importers import report_pdf
from reportgen.pipeline import anonymize as anonymous
from reportgen.pipeline.cache_keys import findings_key, kept_key, report_key, scores_key
from reportgen.pipeline.run_directory import (
    ELSEWHERE,
    TEMPLATES,
    UNITS,
    alone,
    claim,
    clear,
    forms_of,
    found_hash,
    intact,
    manifest_in,
    refuse_elsewhere,
    scores_hashes,
    scores_key_of,
    set_aside,
)
from reportgen.pipeline.source import Source as Source
from reportgen.pipeline.source import open_source as open_source
from reportgen.pipeline.source import open_study as open_study
from reportgen.storage.crate import CRATE, crate_json
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import pretty_json, read_json
from reportgen.storage.scores_file import SCORES, read_methods, read_scores, scores_csv, write_methods
from reportgen.validation.patterns import carry_patterns, obtain_patterns, read_patterns
from reportgen.validation.stage import carry_verdicts, obtain_verdicts, read_validation

Progress = Callable[[str, int, int], None]
Notify = Callable[[str], None]
Others = dict[str, Blocks]  # the scores of further methods, by name


def _silent(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Built:
    """A finished report: its folder, the first method's scores block by block, findings, and templates left out."""

    folder: Path
    scores: Blocks
    findings: Findings
    left_out: tuple[str, ...] = ()

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

    def observations(self, n: int = 3) -> list[Finding]:
        """The most important findings."""
        return self.findings.ranked()[:n]

    def _repr_html_(self) -> str:
        """What a notebook shows: the most important findings, and where the report lies."""
        about = f"{len(self.scores[0].tasks)} task(s), {len(self.findings.findings)} findings"
        told = "".join(f"<li>{escape(f.sentence)} <small>{f.register}</small></li>" for f in self.observations())
        failed = "".join(f"<p>{escape(p.failure)}</p>" for p in self.plugins if p.error)
        files = " · ".join(f'<a href="{escape(str(p))}">{p.name}</a>' for p in (self.html, self.pdf) if p.is_file())
        return f"<p><b>Attention-head report</b>: {about}</p><ol>{told}</ol>{failed}<p>{files}</p>"


def build(
    source: Path | str,
    folder: Path | str,
    *,
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    progress: Progress = _silent,
    notify: Notify = _silent,
    units: Path | str | None = None,
    command: str = "",
    apart: bool = False,
    trust_templates: bool = False,
) -> Built:
    """Score, analyze, validate and render.

    ``source`` is a study.toml, a folder holding one, a scores file, or a report's PDF; ``overrides`` sets single values
    over the study, ``{"scoring.limit": 8}``. A stage whose inputs have not changed since the folder was written is not
    run again. ``units`` is where finished parts of an unfinished scoring are kept, as ``score`` takes it (default: in
    the folder, until the scoring is done). ``apart`` lets a process of its own lay out the PDF of small scores, which
    takes less time. Templates that came with a report, its PDF or its folder, are used only with ``trust_templates``.
    Raises InputError for input that cannot be used, before anything is written.
    """
    source, folder = Path(source), Path(folder)
    if source.suffix.lower() == ".pdf":
        with tempfile.TemporaryDirectory() as held:
            report_pdf.unpack(source, Path(held))
            with taken_from(source):
                return remake(
                    Path(held),
                    folder,
                    overrides=overrides,
                    force=force,
                    progress=progress,
                    trust_templates=trust_templates,
                )
    opened = open_source(source, overrides or {}, trust_templates=trust_templates)
    check(opened.study)
    scores, others = obtain_scores(opened, folder, force=force, progress=progress, notify=notify, units=units)
    with alone(folder):
        findings = obtain_findings(scores, opened, folder, others=others, progress=progress)
        methods = {scores[0].method.name: scores, **others}
        findings = obtain_verdicts(opened.study, findings, methods, folder, progress=progress, notify=notify)
        obtain_patterns(opened.study, findings, scores, folder, progress=progress)
        render_folder(scores, others, findings, opened, folder, progress=progress, command=command, apart=apart)
    return Built(folder, scores, findings, opened.left_out)


def remake(
    archive: Path,
    folder: Path,
    *,
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    progress: Progress = _silent,
    trust_templates: bool = False,
    carry: Path | None = None,
    apart: bool = False,
) -> Built:
    """Make a report again in ``folder`` from the study and scores that ``archive`` holds.

    It is dated as its manifest says, so that the same versions make the same bytes. Templates that it carries are used
    only with ``trust_templates``; without, the report is made with ours and says so. The PDF carries the files of
    ``carry`` in place of the new ones. ``apart`` as in ``build``. Raises InputError for an archive
    that lacks a part, before anything is written.
    """
    manifest = manifest_in(archive)
    scores, others, source = open_folder(archive, overrides, trust_templates=trust_templates)
    with as_recorded(recorded_in(manifest)):
        check(source.study)
    claim(folder, scores_key_of(archive), force)
    for name in scores_hashes(archive):
        write_atomic(folder / name, (archive / name).read_bytes())
    with alone(folder), at(manifest.get("created")), as_recorded(recorded_in(manifest)):
        findings = obtain_findings(scores, source, folder, others=others, progress=progress)
        findings = carry_verdicts(findings, archive, folder, Prose(source.study.report.templates))
        carry_patterns(archive, folder)
        render_folder(
            scores,
            others,
            findings,
            source,
            folder,
            progress=progress,
            command=manifest.get("command", ""),
            figures=forms_of(manifest),
            apart=apart,
            carry=carry,
        )
    return Built(folder, scores, findings, source.left_out)


def check(study: Study) -> None:
    """Refuse detectors, sections and templates that do not exist, before any work is done for them.

    Control characters in what the study says of itself are refused too: no page and no PDF can hold them.
    """
    about = study.study
    for name, text in (("title", about.title), *(("authors", a) for a in about.authors), ("notes", about.notes)):
        for char in text if name != "notes" else text.replace("\n", " ").replace("\r", " ").replace("\t", " "):
            if unicodedata.category(char) == "Cc":
                raise InputError(f"it holds the control character U+{ord(char):04X}", f"[study] {name}", "Remove it")
    templates = study.report.templates
    if templates is not None and not templates.is_dir():
        raise InputError("no such folder", f"[report] templates = {templates}", "Give a folder of templates")
    from reportgen.analysis import analyze
    from reportgen.rendering.sections.common import SECTIONS

    analyze.chosen(study.analysis.detectors)
    SECTIONS.chosen(study.report.sections, "[report] sections")


def obtain_scores(
    source: Source,
    folder: Path,
    *,
    force: bool = False,
    progress: Progress = _silent,
    notify: Notify = _silent,
    units: Path | str | None = None,
) -> tuple[Blocks, Others]:
    """The study's scores, from the folder where they are already there, with those of its further methods by name.

    ``units`` as in ``build``; given, they are left there. Finished scores stand where their model is gone.
    Raises InputError where the folder holds something else and ``force`` is off.
    """
    study, key = source.study, kept_key(source.study, folder) or scores_key(source.study)
    claim(folder, key, force)
    stored = _stored_scores(folder, key)
    if stored is None:
        stored = _fresh_scores(study, folder, progress, notify, force, units or folder / UNITS)
        _grouped(next(iter(stored.values())), study)  # refused before anything is written
        stored = _named(stored, study)
        write_methods(folder, stored, key)
        shutil.rmtree(folder / UNITS, ignore_errors=True)
    elif (told := _named(stored, study)) is not stored:  # kept from a report that was not anonymous
        write_methods(folder, told, key)
        stored = told
    scores, *others = (_grouped(blocks, study) for blocks in stored.values())
    return scores, {blocks[0].method.name: blocks for blocks in others}


def _named(stored: Others, study: Study) -> Others:
    """The scores as the report may name their model."""
    if not study.report.anonymous or all(anonymous.unplaced(b)[0].model == b[0].model for b in stored.values()):
        return stored
    return {name: anonymous.unplaced(blocks) for name, blocks in stored.items()}


def _grouped(blocks: Blocks, study: Study) -> Blocks:
    return tuple(block.with_groups(study.tasks.groups) for block in blocks)


def _stored_scores(folder: Path, key: str) -> Others | None:
    """The folder's scores by method; None where one is missing, damaged or of another key: then all are made again."""
    try:
        stored, made_under = read_methods(folder)
    except InputError:
        return None
    return stored if made_under == key else None


def _fresh_scores(
    study: Study, folder: Path, progress: Progress, notify: Notify, force: bool, units: Path | str
) -> Others:
    if study.scores is not None:
        if (folder / UNITS).exists() and not force:
            raise InputError("this folder holds an unfinished scoring of another study", str(folder), ELSEWHERE)
        from reportgen.importers import load_blocks

        blocks = load_blocks(study.scores.path, study.scores)
        return {blocks[0].method.name: blocks}
    from reportgen.scoring.score import score

    return score(study, progress=progress, checkpoints=units, notify=notify, restart=force)


def obtain_findings(
    scores: Blocks, source: Source, folder: Path, *, others: Others | None = None, progress: Progress = _silent
) -> Findings:
    """The findings on the scores, from the folder where neither scores, settings nor templates have changed."""
    from reportgen.analysis.analyze import analyze
    from reportgen.analysis.view import Settings

    hashes, path = scores_hashes(folder), folder / "findings.json"
    key = findings_key(source.study, hashes)
    if path.exists() and manifest_in(folder).get("keys", {}).get("findings") == key:
        try:
            stored = from_json(read_json(path), str(path))
        except InputError:
            stored = None  # damaged: made again
        if stored is not None and stored.scores == hashes:
            return stored
    progress("analysis", 0, 1)
    findings = analyze(scores, Settings.of(source.study), Prose(source.study.report.templates), others or {})
    findings = findings.with_scores(hashes)
    write_atomic(path, pretty_json(to_json(findings)))
    progress("analysis", 1, 1)
    return findings


def render_folder(
    scores: Blocks,
    others: Others,
    findings: Findings,
    source: Source,
    folder: Path,
    *,
    progress: Progress = _silent,
    command: str = "",
    figures: Sequence[str] = ("svg",),
    apart: bool = False,
    carry: Path | None = None,
) -> None:
    """Write the report's files, unless the folder holds the very same report already; ``carry`` as in ``remake``."""
    study, hashes = source.study, scores_hashes(folder)
    if study.report.anonymous and anonymous.unplaced(scores)[0].model != scores[0].model:
        hint = "Run `reportgen build` with --anonymous on its source"
        raise InputError("its scores say where their model lay", str(folder), hint)
    keys = {
        "scores": scores_key_of(folder),
        "findings": findings_key(study, hashes),
        "report": report_key(study, found_hash(folder), figures),
    }
    old = manifest_in(folder)
    if old.get("keys") == keys and intact(folder, old, study):
        if not (folder / CRATE).is_file():  # killed just before its end
            write_atomic(folder / CRATE, crate_json(folder))
        return
    refuse_elsewhere(folder, study.report.assets)
    own = own_templates(study.report.templates)  # read before clearing: they may lie in the folder itself
    if source.left_out:
        set_aside(folder)
    clear(folder, old)
    for name, content in own.items():
        write_atomic(folder / TEMPLATES / name, content)
    moment = created()  # one for manifest, page and PDF, however long they take: the report is made again under it
    from reportgen.rendering.render import render

    provenance = {
        "reportgen": __version__,
        "created": moment,
        "command": "reportgen build --anonymous" if study.report.anonymous else command,
        "overrides": source.overrides,
        **({"templates_left_out": list(source.left_out)} if source.left_out else {}),
        "keys": keys,
        "seeds": {"scoring": scores[0].seed, "analysis": findings.seed},
        "versions": dict(sorted({**versions(), **scores[0].versions}.items())),
    }
    steps = count()
    try:
        with at(moment):
            render(
                scores,
                findings,
                study,
                folder,
                others=others,
                validation=read_validation(folder, findings),
                patterns=read_patterns(folder, findings),
                provenance=provenance,
                figures=figures,
                separate_process=apart,
                carry=carry,
                progress=lambda step: progress(f"rendering: {step}", next(steps), 4),
            )
    finally:
        if (folder / "manifest.json").is_file():  # without a PDF, all else is complete
            write_atomic(folder / CRATE, crate_json(folder))
    progress("rendering", 4, 4)


@contextmanager
def taken_from(report: Path) -> Iterator[None]:
    """Within it, files of a report that do not fit together raise InputError, as a broken file by itself does.

    What one file says of another is not checked field by field: it shows itself where it is used.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        problem = f"one of its files is damaged ({type(error).__name__}: {str(error)[:200]})"
        hint = "Make the report again, or, where `reportgen verify` finds it whole, report this as a fault of reportgen"
        raise InputError(problem, str(report), hint) from error


def open_folder(
    folder: Path, overrides: dict[str, Any] | None = None, *, trust_templates: bool = False
) -> tuple[Blocks, Others, Source]:
    """The scores and the study of an output folder; raises InputError where it holds none or not all.

    Templates in the folder are used only with ``trust_templates``.
    """
    stored, _ = read_methods(folder)
    source = open_study(folder, overrides, trust_templates=trust_templates)
    scores, *others = (_grouped(blocks, source.study) for blocks in stored.values())
    return scores, {blocks[0].method.name: blocks for blocks in others}, source


def read_findings(folder: Path) -> Findings:
    """The folder's findings; raises InputError where they belong to other scores."""
    path = folder / "findings.json"
    findings = from_json(read_json(path), str(path))
    if findings.scores != scores_hashes(folder):
        hint = f"Run `reportgen analyze {folder} -o {folder}`"
        raise InputError("these findings are of other scores", str(path), hint)
    blocks, _ = read_scores(folder / SCORES)
    findings.refuse_strangers({b.block: (b.n_layers, b.n_heads) for b in blocks}, blocks[0].task_names, str(path))
    return findings


def reworded(findings: Findings, source: Source, folder: Path) -> Findings:
    """A folder's findings in our words, where templates that came with it and are not trusted may have worded them."""
    if not source.left_out:
        return findings
    prose = Prose(source.study.report.templates)
    try:
        found = replace(findings, findings=[replace(f, sentence=prose.sentence(f)) for f in findings.findings])
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        place, hint = str(folder / "findings.json"), f"Run `reportgen analyze {folder} -o {folder}`"
        raise InputError(f"a finding cannot be put into words ({error!r})", place, hint) from error
    write_atomic(folder / "findings.json", pretty_json(to_json(found)))
    return found


def save_scores(source: Source, scores: Blocks, folder: Path) -> None:
    """The readable companions of scores.safetensors: study.toml and scores.csv."""
    if source.study.source:
        write_atomic(folder / "study.toml", source.study.source)
    write_atomic(folder / "scores.csv", scores_csv(scores))
