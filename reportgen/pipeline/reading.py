"""What lies in a run directory, read back and joined: scores, findings, trials, claims."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reportgen.core.claims import Claims
from reportgen.core.claims import from_json as claims_from
from reportgen.core.findings import Findings, from_json, to_json
from reportgen.core.sentences import Prose
from reportgen.core.study_scores import Scores
from reportgen.core.trials import Trials
from reportgen.errors import InputError
from reportgen.pipeline.artifacts import CLAIMS
from reportgen.pipeline.run_directory import scores_hashes
from reportgen.pipeline.source import Source, open_study
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import pretty_json, read_json
from reportgen.storage.scores_file import SCORES, read_methods, read_scores
from reportgen.summary.summarize import summarize
from reportgen.validation import patterns, recorded
from reportgen.validation.verdicts import joined


def open_folder(
    folder: Path, overrides: Mapping[str, object] | None = None, *, trust_templates: bool = False
) -> tuple[Scores, Source]:
    """Read the scores and the study of a run directory; raises InputError where it holds none or not all.

    Templates in the directory are used only with ``trust_templates``.
    """
    stored, key = read_methods(folder)
    source = open_study(folder, overrides, trust_templates=trust_templates)
    return Scores(source.study, stored, key).grouped(), source


def read_findings(folder: Path, scores: Scores | None = None) -> Findings:
    """Read a run directory's findings; raises InputError where they belong to other scores.

    They hold ``scores`` as those that they are about.
    """
    path = folder / "findings.json"
    findings = from_json(read_json(path), str(path))
    if findings.scores != scores_hashes(folder):
        hint = f"Run `reportgen analyze {folder} -o {folder}`"
        raise InputError("these findings are of other scores", str(path), hint)
    blocks = read_scores(folder / SCORES)[0] if scores is None else scores.blocks
    findings.refuse_other_scores({b.block: (b.n_layers, b.n_heads) for b in blocks}, blocks[0].task_names, str(path))
    return replace(findings, source=scores)


def read_trials(folder: Path, findings: Findings) -> Trials:
    """Read what was tried of a run directory's findings: verdicts derived anew, and attention patterns."""
    prose = Prose(findings.made_from.study.report.templates)
    trials = joined(findings, recorded.outcomes_in(folder, findings), prose)
    return replace(trials, patterns=patterns.read(folder / patterns.FILE, trials.findings))


def read_claims(folder: Path, trials: Trials) -> Claims:
    """Read a run directory's claims; where it has none, as one that was only analyzed, make them."""
    path = folder / CLAIMS
    if not path.is_file():
        return summarize(trials)
    return replace(claims_from(read_json(path), str(path)), trials=trials)


def reworded(findings: Findings, source: Source, folder: Path) -> Findings:
    """Put a run directory's findings into our words, where templates that are not trusted may have worded them."""
    if not source.left_out:
        return findings
    prose = Prose(source.study.report.templates)
    try:
        found = replace(findings, findings=[replace(f, sentence=prose.sentence(f)) for f in findings.findings])
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        location, hint = str(folder / "findings.json"), f"Run `reportgen analyze {folder} -o {folder}`"
        raise InputError(f"a finding cannot be put into words ({error!r})", location, hint) from error
    write_atomic(folder / "findings.json", pretty_json(to_json(found)))
    return found
