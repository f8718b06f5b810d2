"""The stages' results in a run directory: scores, findings, verdicts, attention patterns, the report."""

import shutil
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from reportgen import __version__
from reportgen.core.claims import Claims
from reportgen.core.claims import to_json as claims_json
from reportgen.core.config import Study
from reportgen.core.findings import Findings, from_json, to_json
from reportgen.core.listener import Listener
from reportgen.core.patterns import Patterns
from reportgen.core.patterns import to_json as patterns_json
from reportgen.core.provenance import at, created, versions
from reportgen.core.sentences import Prose, own_templates
from reportgen.core.study_scores import Scores
from reportgen.core.trials import RawValidation, Trials
from reportgen.errors import InputError
from reportgen.pipeline.anonymize import without_path
from reportgen.pipeline.artifact import Artifact
from reportgen.pipeline.cache_keys import findings_key, finished_key, report_key, scores_key, validation_key
from reportgen.pipeline.options import PLAIN, Options
from reportgen.pipeline.run_directory import (
    CHECKPOINTS,
    ELSEWHERE,
    TEMPLATES,
    claim,
    clear,
    found_hash,
    intact,
    manifest_in,
    refuse_elsewhere,
    scores_hashes,
    set_aside,
)
from reportgen.pipeline.source import Source
from reportgen.storage.crate import CRATE, crate_json
from reportgen.storage.files import remove, write_atomic
from reportgen.storage.json_files import pretty_json, read_json
from reportgen.storage.scores_file import SCORES, read_methods, stored_key, write_methods
from reportgen.validation import patterns, recorded
from reportgen.validation.verdicts import bare, joined

VALIDATION_CHECKPOINTS = ".validation"  # finished parts of an unfinished validation
CLAIMS = "claims.json"


@dataclass(frozen=True)
class Run:
    """A run directory and what it is made from.

    ``force`` overwrites what another study left there; ``carry`` is a folder whose files the PDF carries in place of
    the new ones.
    """

    folder: Path
    source: Source
    options: Options = PLAIN
    force: bool = False
    carry: Path | None = None

    @property
    def listener(self) -> Listener:
        """Who hears of the run."""
        return self.options.listener

    @property
    def prose(self) -> Prose:
        """What writes the sentences."""
        return Prose(self.source.study.report.templates)


@dataclass(frozen=True)
class ScoresArtifact(Artifact[Scores]):
    """The scores by all methods of the study, a file each; finished ones stand where their model is gone.

    Raises InputError for a directory that holds something else, where the run is not forced.
    """

    run: Run

    def key(self) -> str:
        """Return what is asked for and the model's files, hashed; refuse a directory that is another study's."""
        study, folder = self.run.source.study, self.run.folder
        key = finished_key(study, folder) or scores_key(study)
        claim(folder, key, self.run.force)
        return key

    def load(self, key: str) -> Scores | None:
        """Read every method's file; where one is missing, damaged or of another key, all are made again."""
        try:
            stored, made_under = read_methods(self.run.folder)
        except InputError:
            return None
        if made_under != key:
            return None
        scores = Scores(self.run.source.study, stored, key)
        named = self._named(scores)
        if named is not scores:  # left from a report that was not anonymous
            write_methods(self.run.folder, named.methods, key)
        return named.grouped()

    def _named(self, scores: Scores) -> Scores:
        """Return the scores as the report may name their model."""
        return without_path(scores) if self.run.source.study.report.anonymous else scores

    def make(self) -> Scores:
        """Read the study's file of scores, or score its model."""
        study, run = self.run.source.study, self.run
        if study.scores is not None and (run.folder / CHECKPOINTS).exists() and not run.force:
            raise InputError("this folder holds an unfinished scoring of another study", str(run.folder), ELSEWHERE)
        if study.scores is not None:
            return imported(study)
        from reportgen.scoring.score import score

        heard, parts = run.listener, run.options.checkpoints or run.folder / CHECKPOINTS
        made = score(study, progress=heard.progress, checkpoints=parts, notify=heard.notify, restart=run.force)
        return Scores(study, made)

    def write(self, scores: Scores, key: str) -> Scores:
        """Write a file a method, the first method's last; a study that does not fit the scores is refused before."""
        grouped = self._named(scores).grouped()
        write_methods(self.run.folder, self._named(scores).methods, key)
        shutil.rmtree(self.run.folder / CHECKPOINTS, ignore_errors=True)
        return replace(grouped, key=key)


def imported(study: Study) -> Scores:
    """Return the scores of the study's file."""
    from reportgen.importers import load_blocks

    assert study.scores is not None, "the study names a file of scores"
    return Scores.of(load_blocks(study.scores.path, study.scores), study)


@dataclass(frozen=True)
class FindingsArtifact(Artifact[Findings]):
    """What the analysis finds in the scores that lie in the run directory."""

    run: Run
    scores: Scores

    @property
    def path(self) -> Path:
        """The file."""
        return self.run.folder / "findings.json"

    def key(self) -> str:
        """Return scores, settings, sentence templates and detectors, hashed."""
        return findings_key(self.run.source.study, scores_hashes(self.run.folder))

    def load(self, key: str) -> Findings | None:
        """Read the findings, where the directory's manifest records the key and they are of these scores."""
        if not self.path.exists() or manifest_in(self.run.folder).get("keys", {}).get("findings") != key:
            return None
        try:
            stored = from_json(read_json(self.path), str(self.path))
        except InputError:
            return None
        return replace(stored, source=self.scores) if stored.scores == scores_hashes(self.run.folder) else None

    def make(self) -> Findings:
        """Run every detector."""
        self.run.listener.progress("analysis", 0, 1)
        return analyzed(self.scores, self.run.prose)

    def write(self, findings: Findings, key: str) -> Findings:
        """Write findings.json, bound to the scores files by their hashes."""
        findings = findings.with_scores(scores_hashes(self.run.folder))
        write_atomic(self.path, pretty_json(to_json(findings)))
        self.run.listener.progress("analysis", 1, 1)
        return findings


def analyzed(scores: Scores, prose: Prose) -> Findings:
    """Return what every detector finds in the scores, by the settings of their study."""
    from reportgen.analysis.analyze import analyze
    from reportgen.analysis.view import Settings

    return replace(analyze(scores.blocks, Settings.of(scores.study), prose, scores.others), source=scores)


@dataclass(frozen=True)
class ValidationArtifact(Artifact[RawValidation]):
    """The raw outcomes of interventions on the heads that findings name, with the verdicts that follow from them."""

    run: Run
    findings: Findings

    @property
    def path(self) -> Path:
        """The file."""
        return self.run.folder / recorded.FILE

    def key(self) -> str:
        """Return what was found in which scores and how it is put to the test, hashed."""
        return validation_key(self.run.source.study, self.findings)

    def load(self, key: str) -> RawValidation | None:
        """Read the outcomes, where they are of these findings and the model could be run."""
        try:
            found = recorded.read(self.path, self.findings.made_from.blocks)
        except InputError:
            return None
        return self._kept(found) if found.key == key and found.problem is None else None

    def _kept(self, found: RawValidation) -> RawValidation:
        """Let the file hold no other verdicts than those that follow from the outcomes."""
        recorded.write(self.path, joined(self.findings, found, self.run.prose))
        return found

    def make(self) -> RawValidation:
        """Knock out what was found, and matched heads, on held-out examples."""
        return tried(self.findings, self.run.listener, self.run.folder / VALIDATION_CHECKPOINTS)

    def write(self, outcomes: RawValidation, key: str) -> RawValidation:
        """Write validation.json."""
        outcomes = self._kept(replace(outcomes, key=key))
        if outcomes.problem is None:
            shutil.rmtree(self.run.folder / VALIDATION_CHECKPOINTS, ignore_errors=True)
        return outcomes


def tried(findings: Findings, listener: Listener, checkpoints: Path | None) -> RawValidation:
    """Return what the study's model does under interventions on what was found in it."""
    from reportgen.validation.validate import validate

    scores = findings.made_from
    return validate(
        scores.study,
        findings,
        scores.methods,
        progress=listener.progress,
        checkpoints=checkpoints,
        notify=listener.notify,
    )


@dataclass(frozen=True)
class PatternsArtifact(Artifact[Patterns]):
    """Where the heads that findings name look on chosen examples; a file that says why where it cannot be seen."""

    run: Run
    findings: Findings

    @property
    def path(self) -> Path:
        """The file."""
        return self.run.folder / patterns.FILE

    def key(self) -> str:
        """Return the scores, the heads and the examples to look at, hashed."""
        return patterns.key(self.run.source.study, self.findings)

    def load(self, key: str) -> Patterns | None:
        """Read the patterns, where they are of these heads and could be seen."""
        try:
            found = patterns.read(self.path, self.findings)
        except InputError:
            return None
        return found if found is not None and found.key == key and found.problem is None else None

    def make(self) -> Patterns:
        """Run the model on the chosen examples."""
        self.run.listener.progress("attention patterns", 0, 1)
        return patterns.observe(self.run.source.study, self.findings)

    def write(self, found: Patterns, key: str) -> Patterns:
        """Write patterns.json."""
        found = replace(found, key=key)
        write_atomic(self.path, pretty_json(patterns_json(found)))
        self.run.listener.progress("attention patterns", 1, 1)
        return found


def obtain_trials(run: Run, findings: Findings) -> Trials:
    """Return what interventions and attention patterns show of the findings, whatever was tried of it before.

    Without a model, or where the study turns it off, nothing is tried.
    """
    study, plain = run.source.study, bare(findings, run.prose)
    outcomes = None
    if study.model is None or not study.validation.enabled:
        remove(run.folder / recorded.FILE)
    else:
        outcomes = ValidationArtifact(run, plain).obtain()
    trials = joined(plain, outcomes, run.prose)
    if study.model is None or not study.report.patterns:
        remove(run.folder / patterns.FILE)
        return trials
    return replace(trials, patterns=PatternsArtifact(run, trials.findings).obtain())


def carry_trials(run: Run, findings: Findings, archive: Path) -> Trials:
    """Return what an archive's raw outcomes give, and copy its attention patterns: both only the model could make.

    Raises InputError for outcomes that are damaged, or of other tasks or heads.
    """
    outcomes = None
    if (archive / recorded.FILE).is_file():
        outcomes = recorded.read(archive / recorded.FILE, findings.made_from.blocks)
    trials = joined(findings, outcomes, run.prose)
    if outcomes is not None:
        recorded.write(run.folder / recorded.FILE, trials)
    if not (archive / patterns.FILE).is_file():
        remove(run.folder / patterns.FILE)
        return trials
    write_atomic(run.folder / patterns.FILE, (archive / patterns.FILE).read_bytes())
    return replace(trials, patterns=patterns.read(run.folder / patterns.FILE, trials.findings))


def write_claims(run: Run, claims: Claims) -> Claims:
    """Write claims.json, where it holds anything else."""
    content, path = pretty_json(claims_json(claims)).encode(), run.folder / CLAIMS
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)
    return claims


@dataclass(frozen=True)
class ReportArtifact(Artifact[Path]):
    """Page, PDF, figures and tables, and the manifest that says what they are made from."""

    run: Run
    claims: Claims

    @property
    def keys(self) -> dict[str, str]:
        """The keys of scores, findings and report, as the manifest records them."""
        study, folder = self.run.source.study, self.run.folder
        found = findings_key(study, scores_hashes(folder))
        return {"scores": stored_key(folder / SCORES), "findings": found, "report": self.key()}

    def key(self) -> str:
        """Return what was found, what is printed, templates and versions, hashed."""
        return report_key(self.run.source.study, found_hash(self.run.folder), self.run.options.figures)

    def load(self, key: str) -> Path | None:
        """Return the directory, where it holds the very same report with every file unchanged."""
        folder, manifest = self.run.folder, manifest_in(self.run.folder)
        self._refuse_named()
        if manifest.get("keys") != self.keys or not intact(folder, manifest, self.run.source.study):
            return None
        if lacked := manifest.get("lacking"):  # of all fonts when it was made: some may have been installed since
            from reportgen.rendering.plots.system_fonts import lacking

            if lacking(lacked) != lacked:
                return None
        if not (folder / CRATE).is_file():  # killed just before its end
            write_atomic(folder / CRATE, crate_json(folder))
        return folder

    def _refuse_named(self) -> None:
        """Raise InputError where an anonymous report would say where its model lay."""
        scores = self.claims.made_from.findings.made_from
        if self.run.source.study.report.anonymous and without_path(scores) is not scores:
            hint = "Run `reportgen build` with --anonymous on its source"
            raise InputError("its scores say where their model lay", str(self.run.folder), hint)

    def make(self) -> Path:
        """Clear what an earlier rendering left, then draw and print."""
        from reportgen.rendering.render import render

        run, study, folder = self.run, self.run.source.study, self.run.folder
        keys, trials = self.keys, self.claims.made_from
        refuse_elsewhere(folder, study.report.assets)
        own = own_templates(study.report.templates)  # read before clearing: they may lie in the folder itself
        if run.source.left_out:
            set_aside(folder)
        clear(folder, manifest_in(folder))
        for name, content in own.items():
            write_atomic(folder / TEMPLATES / name, content)
        moment = created()  # one for manifest, page and PDF, however long they take: it is made again under it
        steps = count()
        try:
            with at(moment):
                render(
                    trials.findings.made_from.blocks,
                    trials.findings,
                    study,
                    folder,
                    others=trials.findings.made_from.others,
                    validation=trials.validation,
                    patterns=trials.patterns,
                    claims=self.claims,
                    provenance=self._provenance(moment, keys),
                    figures=run.options.figures,
                    separate_process=run.options.separate_process,
                    carry=run.carry,
                    progress=lambda step: run.listener.progress(f"rendering: {step}", next(steps), 4),
                )
        finally:
            if (folder / "manifest.json").is_file():  # without a PDF, all else is complete
                write_atomic(folder / CRATE, crate_json(folder))
        run.listener.progress("rendering", 4, 4)
        return folder

    def _provenance(self, moment: str, keys: dict[str, str]) -> dict[str, object]:
        run, study, findings = self.run, self.run.source.study, self.claims.made_from.findings
        scores = findings.made_from.blocks[0]
        left_out = run.source.left_out
        return {
            "reportgen": __version__,
            "created": moment,
            "command": "reportgen build --anonymous" if study.report.anonymous else run.options.command,
            "overrides": run.source.overrides,
            **({"templates_left_out": list(left_out)} if left_out else {}),
            "keys": keys,
            "seeds": {"scoring": scores.seed, "analysis": findings.seed},
            "versions": dict(sorted({**versions(), **scores.versions}.items())),
        }

    def write(self, folder: Path, key: str) -> Path:
        """Return the directory: rendering has written its files as it went on."""
        return folder
