"""The five stages as functions that compose: score, analyze, validate, summarize, render.

Each takes what the one before it returned, or a path: of a run directory, or of the file in it that holds that result.
Every result holds those that it was made from, so that the last has all that a report needs::

    render(summarize(validate(analyze(score("study.toml")))), "out")

``build`` does the same within a run directory, and does again only what has changed.
"""

from dataclasses import replace
from pathlib import Path

from reportgen.core.claims import Claims
from reportgen.core.config import Study
from reportgen.core.findings import Findings, to_json
from reportgen.core.listener import SILENT, Listener
from reportgen.core.patterns import to_json as patterns_json
from reportgen.core.scores import HeadScores
from reportgen.core.sentences import Prose
from reportgen.core.study_scores import Scores
from reportgen.core.trials import Trials
from reportgen.errors import InputError
from reportgen.pipeline.anonymize import without_path
from reportgen.pipeline.artifacts import CLAIMS, ReportArtifact, Run, analyzed, imported, tried, write_claims
from reportgen.pipeline.build import Built
from reportgen.pipeline.cache_keys import scores_key, validation_key
from reportgen.pipeline.options import PLAIN, Options
from reportgen.pipeline.reading import open_folder, read_claims, read_findings, read_trials
from reportgen.pipeline.run_directory import alone, claim, taken_from
from reportgen.pipeline.source import Source, check, open_source
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import pretty_json
from reportgen.storage.scores_file import SCORES, hashes_of, write_methods
from reportgen.summary import summarize as summary
from reportgen.validation import patterns, recorded
from reportgen.validation.verdicts import bare, joined

RESULTS = (SCORES, "findings.json", recorded.FILE, CLAIMS)  # files of a run directory that stand for all of it


def score(
    study: Study | Path | str,
    *,
    listener: Listener = SILENT,
    checkpoints: Path | str | None = None,
    restart: bool = False,
) -> Scores:
    """Score every head of a study's model on every task by each of its methods, or read the study's file of scores.

    ``study`` is a Study, or the path of a study.toml, of a folder that holds one, of a model (then the usual suites are
    its tasks), or of a file of scores.
    ``checkpoints`` is a folder or URL for finished shards, and from which an interrupted scoring goes on;
    ``restart`` accepts there what was begun with other inputs. Raises InputError for what cannot be used, before
    anything is scored.
    """
    source = Source(study, {}) if isinstance(study, Study) else open_source(_path(study, "score", "a Study"), {})
    check(source.study)
    wanted = source.study
    if wanted.scores is not None:
        scores = imported(wanted)
    else:
        from reportgen.scoring.score import score as score_model

        heard, parts = listener, checkpoints
        scores = Scores(
            wanted,
            score_model(wanted, progress=heard.progress, checkpoints=parts, notify=heard.notify, restart=restart),
        )
    grouped = scores.grouped()
    return replace(without_path(grouped) if wanted.report.anonymous else grouped, key=scores_key(wanted))


def analyze(scores: Scores | HeadScores | Path | str) -> Findings:
    """Find what the scores say, each finding with its evidence, by the settings of their study.

    A HeadScores is analyzed with the default settings; a path is that of a run directory or of a file of scores.
    Raises InputError for scores that do not fit their study.
    """
    if isinstance(scores, HeadScores):
        scores = Scores.of(scores)
    if not isinstance(scores, Scores):
        path = _path(scores, "analyze", "Scores")
        folder = _directory(path)
        scores = score(path) if folder is None else open_folder(folder)[0]
    findings = analyzed(scores, Prose(scores.study.report.templates))
    return findings.with_scores(hashes_of(scores.methods, scores.key))


def validate(
    findings: Findings | Path | str, *, listener: Listener = SILENT, checkpoints: Path | None = None
) -> Trials:
    """Put the findings to the test: knock out the heads that they name, and matched heads, on held-out examples.

    Where the study has no model, or turns validation off, nothing is tried. ``checkpoints`` is a folder in which
    for finished parts, and from which an interrupted validation goes on. Raises InputError for findings of other
    scores.
    """
    if not isinstance(findings, Findings):
        folder = _required(findings, "validate", "Findings")
        findings = read_findings(folder, open_folder(folder)[0])
    study = findings.made_from.study
    prose = Prose(study.report.templates)
    plain = bare(findings, prose)
    outcomes = None
    if study.model is not None and study.validation.enabled:
        outcomes = replace(tried(plain, listener, checkpoints), key=validation_key(study, plain))
    trials = joined(plain, outcomes, prose)
    if study.model is None or not study.report.patterns:
        return trials
    seen = replace(patterns.observe(study, trials.findings), key=patterns.key(study, trials.findings))
    return replace(trials, patterns=seen)


def summarize(trials: Trials | Path | str) -> Claims:
    """Say what a reader should take away: few claims, the strongest first, each with the findings behind it."""
    if not isinstance(trials, Trials):
        folder = _required(trials, "summarize", "Trials")
        trials = read_trials(folder, read_findings(folder, open_folder(folder)[0]))
    return summary.summarize(trials)


def render(
    claims: Claims | Path | str, folder: Path | str | None = None, *, force: bool = False, options: Options = PLAIN
) -> Built:
    """Write the report: page, PDF, figures and tables, and beside them all results that it is made from.

    ``folder`` is the run directory to write; for claims named by theirs it may be left out. ``force`` overwrites
    one that holds another study's report. Raises InputError for a folder that cannot be used, before anything is
    written, and MissingResourceError where the PDF cannot be made; all else is complete then.
    """
    if not isinstance(claims, Claims):
        path = _required(claims, "render", "Claims")
        folder = path if folder is None else folder
        scores, source = open_folder(path, trust_templates=options.trust_templates)
        trials = read_trials(path, read_findings(path, scores))
        claims = read_claims(path, trials)
    else:
        source = Source(claims.made_from.findings.made_from.study, {})
    if folder is None:
        raise InputError("there is no folder to write", "render", "Give one: render(claims, folder)")
    run = Run(Path(folder), source, options, force)
    _save(run, claims)
    with alone(run.folder), taken_from(run.folder):
        ReportArtifact(run, claims).obtain()
    return Built(run.folder, claims, source.left_out)


def _save(run: Run, claims: Claims) -> None:
    """Write the results that a report rests on; raises InputError for a directory that is another study's."""
    trials = claims.made_from
    findings, scores, folder = trials.findings, trials.findings.made_from, run.folder
    if findings.scores != hashes_of(scores.methods, scores.key):
        raise InputError("these findings are of other scores", "render", "Analyze the scores again")
    claim(folder, scores.key, run.force)
    write_methods(folder, scores.methods, scores.key)
    plain = bare(findings, Prose(scores.study.report.templates))
    write_atomic(folder / "findings.json", pretty_json(to_json(plain)))
    if trials.outcomes is not None:
        recorded.write(folder / recorded.FILE, trials)
    if trials.patterns is not None:
        write_atomic(folder / patterns.FILE, pretty_json(patterns_json(trials.patterns)))
    write_claims(run, claims)


def _path(value: object, stage: str, wanted: str) -> Path:
    """Return a path argument as a Path; raises InputError for what is none."""
    if isinstance(value, str | Path):
        return Path(value)
    problem = f"{type(value).__name__} is no path and not {wanted}"
    raise InputError(problem, f"{stage}()", f"Give {wanted}, as the stage before returns it, or a path")


def _directory(path: Path) -> Path | None:
    """Return the run directory that a path names, itself or by one of its results; None for other paths."""
    folder = path.parent if path.name in RESULTS else path
    return folder if folder.is_dir() and (folder / SCORES).is_file() else None


def _required(value: object, stage: str, wanted: str) -> Path:
    path = _path(value, stage, wanted)
    folder = _directory(path)
    if folder is None:
        hint = f"Give a folder that holds {SCORES}, or {wanted} as the stage before returns it"
        raise InputError("this is no run directory", str(path), hint)
    return folder
